"""All of it at once, for a long time: what leaks a little per offence shows as a slope.

    python -m tests.torture.soak --minutes 30

A target runs in a process of its own. Forty well-behaved clients sit in a room, ask, and are told; whatever goes wrong for one
of them is a failure. Beside them, a few offenders at a time do everything in `abuses.py`, in random rotation with a seed, and
conversations of the fuzzer, storms of reconnects, readers who do not read, pollers who vanish. Once a second (less often in a long
run) the process is counted; the curve goes to docs/performance/soak.json, and the line fitted through the memory of its second half
is printed. The first half warms up: caches of code and patterns fill, and pages that were needed once are kept.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.support.proxy import open_proxy
from tests.support.raw_socket import ask, connected
from tests.torture import abuses
from tests.torture.client import LiveClient, open_client
from tests.torture.grammar import conversation, polling_body
from tests.torture.process import ROOT, Process, open_process
from tests.torture.soak_page import page, picture
from tests.torture.test_fuzz import converse

OUT: Final = ROOT / "docs" / "performance" / "soak.json"
CLIENTS: Final = 40
"""More than what is written to one by one (`realtime.turn.BULK`)."""
OFFENDERS: Final = 3
SAMPLES_AT_MOST: Final = 900
ROOM: Final = "room:ABCD"
CALM_S: Final = 60.0
"""How long the last of the abuse may take to be gone."""

Abuse = Callable[[int, random.Random], Awaitable[object]]


class Sample(msgspec.Struct, frozen=True):
    """The target at second `t`: resident memory in kB, descriptors, tasks, Engine.IO links, connections in the hub, and lines of
    log since the start."""

    t: float
    rss_kb: int
    fds: int
    tasks: int
    links: int
    connections: int
    log_lines: int


class Neighbours(msgspec.Struct):
    """What the well-behaved have noticed: how often they were served, ms at the median, at p99 and at most (the generator's own
    hiccups included), and everything that went wrong."""

    served: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    told: int = 0
    faults: list[str] = []


class Report(msgspec.Struct):
    """A soak. `before` and `after` are the target at rest with its well-behaved clients connected; `slope_kb_per_minute` is of the
    curve's second half."""

    command: str
    seed: int
    minutes: float
    before: Sample
    after: Sample
    slope_kb_per_minute: float
    usual_slope_kb_per_minute: float
    abused: dict[str, int]
    endings: dict[str, int]
    tracebacks: int
    faults: list[str]
    neighbours: Neighbours
    statistics: dict[str, object]
    curve: list[Sample]


# -- what the offenders do beyond abuses.py -------------------------------------------------------------------------------------


async def _fuzz(port: int, draw: random.Random) -> None:
    for _ in range(20):
        await converse(port, conversation(draw.getrandbits(32)), authenticated=draw.random() < 0.7)


async def _poll(port: int, draw: random.Random) -> None:
    """A poller who sends nonsense and then vanishes, its last poll hanging."""
    path = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await ask(port, "GET", path)).body[1:])["sid"]
    await ask(port, "POST", f"{path}&sid={sid}", b'40/live,{"token":"%d"}' % draw.randrange(1, 10**6))
    if draw.random() < 0.5:
        await ask(port, "POST", f"{path}&sid={sid}", polling_body(draw))
    raw = await connected(port)
    await raw.send(f"GET {path}&sid={sid} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    await asyncio.sleep(draw.random() * 0.1)
    raw.reset() if draw.random() < 0.5 else raw.shut()


async def _storm(port: int, draw: random.Random) -> None:
    await abuses.reconnect_storm(port, draw.randint(20, 150), 1)


async def _silent(port: int, draw: random.Random) -> None:
    await abuses.silent_sockets(port, draw.randint(5, 40))


async def _does_not_read(port: int, draw: random.Random) -> None:
    raw = await connected(port, receive_buffer=4_096)
    try:
        client = await LiveClient(await raw.engine()).connect()
        await client.call("room.join", '{"code":"ABCD"}')
        await asyncio.sleep(draw.uniform(0.5, 15.0))
    finally:
        raw.reset()


async def _vanishes(port: int, draw: random.Random) -> None:
    async with open_proxy(port) as proxy:
        raws = [await connected(proxy.port) for _ in range(draw.randint(1, 5))]
        try:
            for raw in raws:
                client = await LiveClient(await raw.engine()).connect()
                await client.call("room.join", '{"code":"ABCD"}')
            proxy.blackhole()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(draw.uniform(1.0, 8.0)):
                    await proxy.reaped.wait()
        finally:
            for raw in raws:
                raw.shut()


async def _nasty(port: int, draw: random.Random) -> object:
    return await abuses.nasty_content(port, draw.choice(list(abuses.CONTENTS.values())))


def _plain(abuse: Callable[[int], Awaitable[object]]) -> Abuse:
    def done(port: int, _: random.Random) -> Awaitable[object]:
        return abuse(port)

    done.__name__ = abuse.__name__
    return done


ABUSES: Final[tuple[Abuse, ...]] = (
    *(_plain(abuse) for abuse in abuses.QUICK),
    _fuzz,
    _poll,
    _storm,
    _silent,
    _does_not_read,
    _vanishes,
    _nasty,
)


# -- the soak ---------------------------------------------------------------------------------------------------------------


class Soak:
    """One run against one target."""

    def __init__(self, process: Process, seconds: float, seed: int) -> None:
        self.curve: list[Sample] = []
        self.abused: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.neighbours = Neighbours(faults=[])
        self.findings: list[str] = []
        self._process = process
        self._draw = random.Random(seed)
        self._began = time.monotonic()
        self._until = self._began + seconds
        self._every_s = max(1.0, seconds / SAMPLES_AT_MOST)
        self._latencies: list[float] = []
        self._over = asyncio.Event()

    def sample(self) -> Sample:
        """The target right now."""
        census = self._process.census()
        return Sample(
            t=round(time.monotonic() - self._began, 1),
            rss_kb=census.rss_kb,
            fds=census.descriptors,
            tasks=sum(census.tasks.values()),
            links=census.links,
            connections=census.connections,
            log_lines=len(self._process.log),
        )

    async def run(self) -> tuple[Sample, Sample]:
        """Everything; the target at rest before and after. Raises AssertionError when it does not come to rest."""
        inside = asyncio.Barrier(CLIENTS + 1)
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._neighbour(inside))
            await inside.wait()
            before = self.sample()
            async with asyncio.TaskGroup() as offending:
                offending.create_task(self._feed())
                offending.create_task(self._measure())
                for _ in range(OFFENDERS):
                    offending.create_task(self._offend())
            after = await self._calm(before)
            self._over.set()
        self._sum_up()
        return before, after

    def _lasts(self) -> bool:
        return time.monotonic() < self._until

    async def _neighbour(self, inside: asyncio.Barrier) -> None:
        """Ask four times a second, hear the room, miss nothing."""
        try:
            async with open_client(self._process.port) as client:
                assert "ok" in await client.call("room.join", '{"code":"ABCD"}')
                await inside.wait()
                while not self._over.is_set():
                    self._latencies.append(await client.served())
                    self._heard(client)
                    await asyncio.sleep(0.25)
        except (AssertionError, EOFError, ConnectionError, TimeoutError) as fault:
            self.neighbours.faults.append(f"{type(fault).__name__}: {fault}"[:500])

    def _heard(self, client: LiveClient) -> None:
        self.neighbours.told += len(client.events)
        if any(name == "bye" for name, _ in client.events):
            self.neighbours.faults.append("told to go")
        client.events.clear()

    async def _feed(self) -> None:
        """The room has something to say, more than who does not read can take."""
        for n in itertools.count():
            if not self._lasts():
                return
            self._process.publish(ROOM, "latest", size=8_000)
            if n % 10 == 0:
                self._process.publish(ROOM, "must", size=2_000)
            if n % 40 == 0:
                self._process.publish(ROOM, "droppable", size=500)
            await asyncio.sleep(0.1)

    async def _measure(self) -> None:
        while self._lasts():
            self.curve.append(self.sample())
            await asyncio.sleep(self._every_s)

    async def _offend(self) -> None:
        while self._lasts():
            abuse = self._draw.choice(ABUSES)
            name = abuse.__name__.strip("_")
            self.abused[name] += 1
            try:
                ended = await abuse(self._process.port, self._draw)
            except (AssertionError, EOFError, ConnectionError, TimeoutError) as fault:
                self.findings.append(f"{name}: {type(fault).__name__}: {fault} {getattr(fault, '__notes__', '')}"[:800])
            else:
                if isinstance(ended, Counter):
                    self.endings.update({str(ending): count for ending, count in ended.items()})

    async def _calm(self, before: Sample) -> Sample:
        """Wait until only the well-behaved are left."""
        deadline = time.monotonic() + CALM_S
        while True:
            now = self.sample()
            if (now.links, now.connections, now.tasks, now.fds) == (
                before.links, before.connections, before.tasks, before.fds
            ):  # fmt: skip
                return now
            if time.monotonic() > deadline:
                raise AssertionError(f"the target does not come to rest: {self._process.census()}, was {before}")
            await asyncio.sleep(0.5)

    def _sum_up(self) -> None:
        took = sorted(self._latencies)
        self.neighbours.served = len(took)
        self.neighbours.p50_ms, self.neighbours.p99_ms, self.neighbours.max_ms = (
            round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 2) for share in (0.5, 0.99, 1.0)
        )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through these points by least squares. 0 for fewer than two different places."""
    middle_x = sum(x for x, _ in points) / max(1, len(points))
    middle_y = sum(y for _, y in points) / max(1, len(points))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def usual_slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between any two points (Theil-Sen): one step in an else level curve tilts it less than the line of
    least squares, and not at all where the rest is quite level. 0 for fewer than two different places."""
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in itertools.combinations(points, 2) if x0 != x1]
    return statistics.median(slopes) if slopes else 0.0


def second_half(curve: Sequence[Sample]) -> list[tuple[float, float]]:
    """Minutes and kB of memory, once caches are filled."""
    return [(one.t / 60, float(one.rss_kb)) for one in curve if one.t >= curve[-1].t / 2]


async def soak(process: Process, seconds: float, seed: int) -> Report:
    """Soak a target. Raises AssertionError when it does not come to rest afterwards."""
    run = Soak(process, seconds, seed)
    before, after = await run.run()
    half = second_half(run.curve)
    return Report(
        command=f"python -m tests.torture.soak --minutes {seconds / 60:g} --seed {seed}",
        seed=seed,
        minutes=round(seconds / 60, 2),
        before=before,
        after=after,
        slope_kb_per_minute=round(slope(half), 2),
        usual_slope_kb_per_minute=round(usual_slope(half), 2),
        abused=dict(run.abused.most_common()),
        endings=dict(run.endings.most_common()),
        tracebacks=len(process.tracebacks()),
        faults=[*process.census().faults, *run.findings],
        neighbours=run.neighbours,
        statistics=process.statistics(),
        curve=run.curve,
    )


def told(report: Report) -> str:
    """The report in a few lines."""
    heard = report.neighbours
    lines = [
        f"{report.minutes:g} minutes of mixed abuse, {sum(report.abused.values())} offences of {len(report.abused)} kinds",
        f"memory at rest {report.before.rss_kb / 1024:.1f} MB before, {report.after.rss_kb / 1024:.1f} MB after",
        f"slope of the second half: {report.slope_kb_per_minute:+.1f} kB per minute, "
        f"between any two points {report.usual_slope_kb_per_minute:+.1f} at the median",
        f"neighbours: served {heard.served} times, median {heard.p50_ms} ms, p99 {heard.p99_ms} ms, at most {heard.max_ms} ms",
        f"log: {report.after.log_lines} lines, {report.tracebacks} tracebacks",
    ]
    return "\n".join([*lines, *(f"FINDING {fault}" for fault in (*report.faults, *heard.faults))])


def write_page(report: Report, beside: Path) -> None:
    """Page and picture, beside the curve."""
    beside.with_suffix(".md").write_text(page(report), "utf-8")
    beside.with_suffix(".svg").write_text(picture(report), "utf-8")


def main() -> int:
    """Run, write the curve, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the curve goes ({OUT.relative_to(ROOT)})")
    parser.add_argument("--page", action="store_true", help="soak nothing; write page and picture anew from the curve")
    options = parser.parse_args()
    if options.page:
        write_page(msgspec.json.decode(options.out.read_bytes(), type=Report), options.out)
        return 0
    os.environ.setdefault("PACELINE_TORTURE", "long")
    with open_process() as process:
        report = asyncio.run(soak(process, options.minutes * 60, options.seed))
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    write_page(report, options.out)
    print(told(report))
    return 1 if report.faults or report.neighbours.faults or report.tracebacks else 0


if __name__ == "__main__":
    sys.exit(main())
