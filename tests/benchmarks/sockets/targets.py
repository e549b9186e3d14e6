"""What the issue asks for, ratio by ratio, and what was reached.

A ratio is taken within one round, where both peers had the same minute of the machine, and then the median over the rounds is what
counts. Figures per CPU second have to reach the ratio, costs have to stay below it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tests.benchmarks.ranges import Range, range_of
from tests.benchmarks.sockets.results import Measured, Window

OURS: Final = "paceline"
LOGGED: Final = "paceline-log"
"""With recovery on, as many nodes are asked for: every event stored, numbered and said once."""
SETTLED: Final = 0.05
"""A ratio this near to its target is neither met nor missed as far as repeats of this kind can tell; it is judged all the same, and
said to be close."""

Figure = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Target:
    """`against` this peer the figure has to be `wanted` times theirs: at least for work done, at most for a cost."""

    scenario: str
    what: str
    figure: Figure
    column: Literal["python-socketio", "Node", "Bun", "C floor"]
    against: str
    wanted: float
    cost: bool = False
    of_first: bool = False
    ours: str = OURS

    def ratio(self, measured: Measured) -> Range | None:
        """Ours by theirs, paired; None where one of them has no figures."""
        series = Measured.first if self.of_first else Measured.figures
        ours, theirs = series(measured, self.ours), series(measured, self.against)
        pairs = [(self.figure(ours[n]), self.figure(theirs[n])) for n in sorted(ours.keys() & theirs.keys())]
        known = [our / their for our, their in pairs if their > 0]
        return range_of(known) if known else None

    def met(self, ratio: Range) -> bool:
        """Judged by the median."""
        return ratio.median <= self.wanted if self.cost else ratio.median >= self.wanted


def _per_cpu_s(window: Window) -> float:
    return window.per_cpu_s


def _us_each(window: Window) -> float:
    return window.us_each


def _kib_each(window: Window) -> float:
    return window.kib_each


def _work(scenario: str, what: str, stock: float, node: float, bun: float, floor: float, merging: bool) -> list[Target]:
    by = "floor-merging" if merging else "floor"
    return [
        Target(scenario, what, _per_cpu_s, "python-socketio", "pysio", stock),
        Target(scenario, what, _per_cpu_s, "Node", "node", node),
        Target(scenario, what, _per_cpu_s, "Bun", "bun", bun),
        Target(scenario, what, _per_cpu_s, "C floor", by, floor),
    ]


_MEMORY: Final = "memory of an idle, authenticated connection"
_PING: Final = "CPU per ping at 10,000 connections"
_CONNECT: Final = "CPU per connect with token check"
_NODES: Final = "two nodes and Redis, spaced events"
_MANY: Final = "two nodes and Redis, spaced events, through the room's log"
_MANY_BUSY: Final = "two nodes and Redis, busy rooms, through the room's log"

TARGETS: Final = (
    *(
        target
        for size in (50, 100, 500, 1000)
        for target in _work(
            f"spaced-{size}", f"fan-out, spaced events, rooms of {size:,}", 7, 1.7, 1.3, 0.95, merging=False
        )
    ),
    *_work("busy", "fan-out, busy rooms", 13, 3, 2, 0.9, merging=True),
    *_work("ingest", "sample event with validation and acknowledgement", 6.5, 1.6, 1.0, 0.6, merging=False),
    *_work("board", "class board, 250 ms beat", 12, 6, 4, 0.6, merging=True),
    Target("idle", _MEMORY, _kib_each, "python-socketio", "pysio", 0.2, cost=True, of_first=True),
    Target("idle", _MEMORY, _kib_each, "Node", "node", 0.4, cost=True, of_first=True),
    Target("idle", _MEMORY, _kib_each, "Bun", "bun", 0.5, cost=True, of_first=True),
    Target("connect", _CONNECT, _us_each, "python-socketio", "pysio", 0.5, cost=True),
    Target("connect", _CONNECT, _us_each, "Node", "node", 0.75, cost=True),
    Target("connect", _CONNECT, _us_each, "Bun", "bun", 2.0, cost=True),
    # "Its best state" is the tuned one: garbage collected rarely.
    Target("idle", _PING, _us_each, "python-socketio", "pysio-tuned", 0.25, cost=True),
    Target("idle", _PING, _us_each, "Node", "node", 0.4, cost=True),
    Target("idle", _PING, _us_each, "Bun", "bun", 0.5, cost=True),
    Target("idle", _PING, _us_each, "C floor", "floor", 1.7, cost=True),
    Target("redis", _NODES, _per_cpu_s, "python-socketio", "pysio", 4.5),
    # The ratio is asked of the sharded adapter, which is the tuned peer's.
    Target("redis", _NODES, _per_cpu_s, "Node", "node-tuned", 1.7),
    Target("redis", _MANY, _per_cpu_s, "python-socketio", "pysio", 4.8, ours=LOGGED),
    Target("redis", _MANY, _per_cpu_s, "Node", "node-tuned", 1.7, ours=LOGGED),
    Target("redis-busy", _MANY_BUSY, _per_cpu_s, "python-socketio", "pysio", 8, ours=LOGGED),
    Target("redis-busy", _MANY_BUSY, _per_cpu_s, "Node", "node-tuned", 2.7, ours=LOGGED),
)
COLUMNS: Final = ("python-socketio", "Node", "Bun", "C floor")
MEMORY_KIB: Final = 6.5
"""What an idle connection may take, besides the ratio."""
