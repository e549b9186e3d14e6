"""One case on the stand: begin a history, do the damage, let it heal, look, be quiet, read what is stored, judge.

The order is that of Jepsen: a generator (the swarm), a nemesis (the case), quiescence, final reads, checkers. Time is real, because
what is tested is several processes; nothing waits for longer than it says.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from loadtest.api import Refusal
from loadtest.patience import OutOfPatience
from realtime.wire import BY_NAME
from tests.faults.checkers import FRESH_S, Counts, check, load
from tests.faults.history import Fault, History
from tests.faults.stand import Stand
from tests.faults.swarm import FEW, FULL, SHORT, Plan, Swarm
from tests.faults.works import Works
from workers.bus import BusUnavailable

Form = Literal["short", "full"]

BACK_S: Final = 30.0
"""How long everything may take to be as before."""
DONE_S: Final = 60.0
"""How long all that was told during a fault may take to be done, once it is over."""
REST_S: Final = 10.0
LOOKS: Final = 5
"""How often the tasks of a gateway are counted before anything is done to it. Afterwards they are, until they are no more."""
SLOW: Final = 0.05
"""This share of answers may be slower than it should be: a machine that two cores are too few for makes some of them so. A handler
that waits for what is broken makes most of them so, for seconds."""
LOAD_S: Final = 2.5
"""The least time that people send and speak in a case: what is over at once shall be seen to do no harm afterwards either."""
ZERO: Final = (
    *("lost", "duplicated", "reordered", "late", "silent_gaps", "stale_boards", "leaks"),
    *("undone", "redone"),
)
"""What must be zero, whatever the fault."""


class Bench:
    """What a case works with. `found` takes what is wrong beyond what the checkers see; `said` what is worth telling besides."""

    def __init__(
        self, stand: Stand, swarm: Swarm, history: History, rng: random.Random, form: Form, works: Works | None = None
    ) -> None:
        self.stand: Final = stand
        self.swarm: Final = swarm
        self.history: Final = history
        self.rng: Final = rng
        self.form: Final = form
        self.ping_s: Final = stand.ping_s
        self.found: list[str] = []
        self.said: dict[str, float | str] = {}
        self._works: Final = works

    @property
    def works(self) -> Works:
        """What is done later. Raises LookupError on a stand without a broker."""
        if self._works is None:
            raise LookupError("this stand has no broker: the case belongs among cases/tasks.py")
        return self._works

    def of(self, short: float, full: float) -> float:
        """A number that depends on the form."""
        return full if self.form == "full" else short

    @contextmanager
    def fault(self, what: str) -> Iterator[None]:
        """The damage lasts as long as this block."""
        self.history.note(Fault(t=self.history.now(), who="nemesis", what=what, began=True))
        try:
            yield
        finally:
            self.history.note(Fault(t=self.history.now(), who="nemesis", what=what, began=False))

    async def lasts(self, seconds: float) -> None:
        """Let it last."""
        await asyncio.sleep(seconds)

    def must(self, holds: bool, otherwise: str) -> None:
        """Note a finding unless it holds."""
        if not holds:
            self.found.append(otherwise)

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], within_s: float, otherwise: str) -> float:
        """Wait until it holds; how long that took. Not in time is a finding."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            held = holds()
            if await held if isinstance(held, Awaitable) else held:
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        self.found.append(f"{otherwise} (waited {within_s:g} s)")
        return within_s

    async def recovered(self) -> None:
        """Wait until everybody is back and sees the present, and note it. In time or not: the checkers judge what is noted."""
        healed = time.monotonic()
        while (passed := time.monotonic() - healed) < BACK_S:
            if self.stand.ended():
                return
            ready = await self.stand.is_ready()
            if ready and (not self.swarm.not_settled() or (passed > FRESH_S and not _away(self.swarm))):
                break
            await asyncio.sleep(0.1)
        self.said["boards fresh after, s"] = round(time.monotonic() - healed, 1)
        if away := _away(self.swarm):
            self.found.append(f"{len(away)} clients are not back after {BACK_S:g} s: {away[:3]}")
        await self.swarm.look()

    async def all_done(self) -> None:
        """Tell nothing more, and wait until all that was told has had its effects."""
        if self._works is None:
            return
        await self._works.quiet()
        done = await self._works.drained(DONE_S)
        ended = max((fault.t for fault in self.history.of(Fault)), default=0.0)
        self.said["all done after, s"] = "never" if done is None else round(self.history.now() - ended, 1)
        self.found += self._works.faults
        if done is None:
            self.found += [f"{worker.name}: {_complaints(worker.server.output)}" for worker in self.stand.workers]


def _complaints(output: Sequence[str], most: int = 12) -> str:
    """The last things that a process has complained about, for whoever has to find out why."""
    lines = [line.strip()[:250] for line in output if "[warning" in line or "[error" in line]
    return " | ".join(lines[-most:]) or "no complaints"


Inject = Callable[[Bench], Awaitable[None]]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A fault: its number in the catalogue, what it is, what exactly is injected, the injection itself, and the events of the wire
    catalogue that it `needs`: without them part of its invariant cannot be seen. `parts` of the system are named in
    tests/support/system_parts.py."""

    id: str
    title: str
    injected: str
    inject: Inject
    needs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the table. `missing`: needed and not there; `said`: figures of this fault's own; `seconds` it took in all."""

    id: str
    title: str
    injected: str
    form: Form
    seed: int
    counts: Counts
    findings: tuple[str, ...]
    missing: tuple[str, ...]
    said: dict[str, float | str]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything that was promised was kept, and could be seen to be."""
        return not self.findings and not self.missing

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.findings:
            return "**broken**"
        return f"missing: {', '.join(self.missing)}" if self.missing else "holds"


def plan_of(form: Form, *, broker: bool = False) -> Plan:
    """How many people there are in this form, on a stand with or without a broker."""
    if form == "full":
        return FULL
    return FEW if broker else SHORT


async def run_case(
    case: Case,
    stand: Stand,
    swarm: Swarm,
    *,
    seed: int,
    form: Form,
    keep: Path | None = None,
    works: Works | None = None,
) -> Row:
    """Run one case on a stand with a settled swarm, and leave both as they were. `keep`: where its history goes."""
    (row,) = await run_together([case], stand, swarm, seed=seed, form=form, keep=keep, works=works)
    return row


async def run_together(
    cases: Sequence[Case],
    stand: Stand,
    swarm: Swarm,
    *,
    seed: int,
    form: Form,
    keep: Path | None = None,
    works: Works | None = None,
) -> list[Row]:
    """Run several cases at once, which share a history and what the checkers find in it: for cases that mostly wait, and do not
    get into each other's way."""
    began = time.monotonic()
    await _prepared(stand, swarm)
    history = History()
    swarm.begin(history)
    swarm.loud()
    if works is not None:
        await works.begin(history)
        works.loud()
    with contextlib.suppress(TimeoutError):
        await swarm.settled()
    await stand.note_rest(looks=LOOKS)
    injecting = time.monotonic()
    benches = [Bench(stand, swarm, history, random.Random(f"{seed} {case.id}"), form, works) for case in cases]
    await asyncio.gather(*(_injected(case, bench) for case, bench in zip(cases, benches, strict=True)))
    await asyncio.sleep(injecting + LOAD_S - time.monotonic())
    common = Bench(stand, swarm, history, random.Random(seed), form, works)
    await common.recovered()
    common.found += stand.ended()
    await common.all_done()
    try:
        if stand.ended():
            await stand.whole()
        await swarm.quiet()
        await swarm.note_stored()
        if works is not None:
            await works.note_done()
        await _at_rest(common)
    except (OutOfPatience, Refusal, OSError, AssertionError, BusUnavailable) as fault:
        common.found.append(f"the end could not be read: {type(fault).__name__}: {fault}")
    history.close()
    common.found += swarm.faults
    swarm.faults.clear()
    if keep is not None:
        history.save(keep / f"{'-'.join(case.id for case in cases)}-{form}-{seed}.jsonl")
    counts = check(history)
    seconds = round(time.monotonic() - began, 1)
    return [
        Row(
            id=case.id,
            title=case.title,
            injected=case.injected,
            form=form,
            seed=seed,
            counts=counts,
            findings=(*counts.findings, *_not_zero(counts), *common.found, *bench.found),
            missing=tuple(name for name in case.needs if name not in BY_NAME),
            said=bench.said | common.said,
            seconds=seconds,
        )
        for case, bench in zip(cases, benches, strict=True)
    ]


async def _injected(case: Case, bench: Bench) -> None:
    """Do it. A case that fails itself is a finding like another, and the stand goes on."""
    try:
        await case.inject(bench)
    except Exception as fault:
        bench.found.append(f"the case could not be carried out: {type(fault).__name__}: {fault}"[:500])


async def _prepared(stand: Stand, swarm: Swarm) -> None:
    """Everything whole, everybody at home and in their rooms, nothing on its way."""
    await stand.whole()
    await swarm.home()
    swarm.loud()
    await swarm.settled()
    await swarm.quiet()


def _away(swarm: Swarm) -> list[str]:
    return [link.who for link in swarm.roamers if link.connection is None]


async def _at_rest(bench: Bench) -> None:
    """Bring everybody home and note what the gateways hold, once they hold no more than before or will not come down to it."""
    await bench.swarm.home()
    deadline = time.monotonic() + REST_S
    while time.monotonic() < deadline and _away(bench.swarm):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.2)
    await bench.stand.note_rest()
    while time.monotonic() < deadline and load(bench.history).findings:
        await asyncio.sleep(0.5)
        await bench.stand.note_rest()


def _not_zero(counts: Counts) -> Iterator[str]:
    for name in ZERO:
        if number := getattr(counts, name):
            yield f"{name.replace('_', ' ')}: {number}"
