"""Log-ins in figures: `python -m tests.benchmarks.logins`. Some minutes, on a database of its own.

Three things are measured. How many people log in per second, at the cost that a password's hash has in an installation. How much
memory a flood of log-ins takes: all come at once, most are told to come again, and what is resident at its most is set against what
it was before. And whether the time of an answer tells who has an account: for logging in with a wrong password, registering, asking
for a reset and having a mail sent again, as many addresses with an account as without, in random order, compared with the test of
Mann and Whitney. That is done with cheap hashes, since whatever else differs would drown in the noise of dear ones.
"""

import argparse
import asyncio
import math
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtest.scenarios.crew import Spread, spread_of
from paceline.embedded import open_embedded
from persistence.database import Database, open_database
from persistence.migrate import migrate
from services.accounts.account import Account
from services.accounts.passwords import Cost
from services.kernel.ids import AccountId
from services.kernel.problems import Busy, Unavailable, WrongCredentials
from tests.support.doors import NEW, OLD, Doors, open_doors

SAMPLES: Final = 200
CROWD: Final = 500
LOG_INS: Final = 60
DEAR: Final = Cost()
LIGHT: Final = Cost(rounds=1, memory_kib=1_024, lanes=1)


@dataclass
class Figures:
    """`per_s` log-ins per second; of the flood: how many were let in and how many told to come again, and MiB before and at most;
    milliseconds of each act with and without an account, and the p of their difference."""

    per_s: float = 0.0
    let_in: int = 0
    busy: int = 0
    before_mib: float = 0.0
    most_mib: float = 0.0
    ms: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)

    def spreads(self, what: str) -> tuple[Spread, Spread]:
        known, unknown = self.ms[what]
        return spread_of(known), spread_of(unknown)


async def throughput(database: Database, cost: Cost, log_ins: int, crowd: int) -> Figures:
    """Log-ins of people who wait for their turn, as many at once as the pool has places; then a flood."""
    figures = Figures()
    async with open_doors(database, cost=cost) as doors:
        people = await _accounts(doors, "fast", max(log_ins, crowd), await doors.passwords.hash(OLD))
        await doors.log_in(OLD, people[0])
        places = asyncio.Semaphore(8)

        async def log_in(email: str) -> None:
            async with places:
                await doors.log_in(OLD, email)

        began = time.perf_counter()
        await asyncio.gather(*map(log_in, people[:log_ins]))
        figures.per_s = log_ins / (time.perf_counter() - began)

        figures.before_mib = figures.most_mib = _resident_mib()
        flood = asyncio.gather(*(doors.log_in(OLD, email) for email in people[:crowd]), return_exceptions=True)
        while not flood.done():
            figures.most_mib = max(figures.most_mib, _resident_mib())
            await asyncio.wait({flood}, timeout=0.005)
        ends = flood.result()
        figures.busy = sum(isinstance(end, Busy | Unavailable) for end in ends)
        figures.let_in = crowd - sum(isinstance(end, BaseException) for end in ends)
    return figures


async def timings(database: Database, figures: Figures, cost: Cost, samples: int) -> None:
    """The times of answers, with and without an account."""
    async with open_doors(database, cost=cost) as doors:
        hashed = await doors.passwords.hash(OLD)
        for what, act in ACTS.items():
            known = await _accounts(doors, what.replace(" ", "-"), samples, hashed)
            unknown = [f"no-{email}" for email in known]
            figures.ms[what] = ([], [])
            drawn = [(email, where) for where, emails in enumerate((known, unknown)) for email in emails]
            random.Random(samples).shuffle(drawn)
            for email, where in drawn:
                work = await act(doors, email)
                began = time.perf_counter()
                await work()
                figures.ms[what][where].append((time.perf_counter() - began) * 1_000)


Work = Callable[[], Awaitable[object]]


async def _guess(doors: Doors, email: str) -> Work:
    async def work() -> None:
        try:
            await doors.log_in(NEW, email)
        except WrongCredentials:
            return

    return work


async def _register(doors: Doors, email: str) -> Work:
    return lambda: doors.begin(email, NEW)


async def _send_again(doors: Doors, email: str) -> Work:
    begun = await doors.begin(email, NEW)
    await doors.clock.advance(61)
    return lambda: doors.registrations.send_again(begun.id, address=None)


async def _reset(doors: Doors, email: str) -> Work:
    return lambda: doors.resets.ask(email, address=None)


ACTS: Final = {"log in": _guess, "register": _register, "send again": _send_again, "reset": _reset}


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """The probability that two samples of one distribution differ as much as these do (two-sided; Mann and Whitney 1947, by the
    normal approximation, which is good from some twenty on; no correction for ties, since times have none)."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    ranks = sum(rank for rank, (_, where) in enumerate(ranked, 1) if where == 0)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    z = (abs(u - n * m / 2) - 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(max(z, 0.0) / math.sqrt(2))


async def _accounts(doors: Doors, kind: str, count: int, hashed: str) -> list[str]:
    """So many accounts whose password is `OLD`, by their addresses."""
    emails = [f"{kind}-{n}@example.org" for n in range(count)]
    async with doors.transactions() as stores:
        for email in emails:
            account = Account(AccountId(doors.ids.next()), email, "Somebody", frozenset({"member"}), 0)
            await stores.accounts.add(account, hashed)
    return emails


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4_096 / 1_048_576


async def main(samples: int, crowd: int, log_ins: int) -> None:
    with tempfile.TemporaryDirectory(prefix="paceline-logins-") as folder:
        Path(folder).chmod(0o711)
        async with open_embedded(Path(folder) / "data") as embedded:
            assert embedded.database_url is not None
            await migrate(embedded.database_url)
            async with open_database(embedded.database_url, size=10) as database:
                figures = await throughput(database, DEAR, log_ins, crowd)
                await timings(database, figures, LIGHT, samples)
    print(f"A hash: Argon2id, {DEAR.rounds} rounds over {DEAR.memory_kib // 1_024} MiB in {DEAR.lanes} lanes.")
    print(f"{figures.per_s:.1f} log-ins per second.")
    print(
        f"A flood of {crowd:,}: {figures.let_in} let in, {figures.busy} told to come again;"
        f" {figures.before_mib:.0f} MiB resident before, {figures.most_mib:.0f} MiB at most."
    )
    print(f"{'ms':<12} {'n':>5} {'p50':>8} {'p99':>8} {'without: p50':>14} {'p99':>8} {'p':>8}")
    for what, (known, unknown) in figures.ms.items():
        with_one, without = figures.spreads(what)
        print(
            f"{what:<12} {with_one.n:>5} {with_one.p50:>8} {with_one.p99:>8} {without.p50:>14} {without.p99:>8}"
            f" {mann_whitney(known, unknown):>8.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"of each kind (default: {SAMPLES})")
    parser.add_argument("--crowd", type=int, default=CROWD, help=f"at once, in the flood (default: {CROWD})")
    parser.add_argument("--log-ins", type=int, default=LOG_INS, help=f"that are timed (default: {LOG_INS})")
    asked = parser.parse_args()
    asyncio.run(main(asked.samples, asked.crowd, asked.log_ins))
