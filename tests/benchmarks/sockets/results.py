"""What was measured, run by run, as it stands in docs/performance/sockets.json. Every run is kept, not only medians."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.benchmarks.machine import ROOT, Machine, Stamp
from tests.benchmarks.sockets.scenarios import BY_NAME

FILE: Final = ROOT / "docs" / "performance" / "sockets.json"
COMMAND: Final = "make bench ARGS='--only sockets'"


class AnotherMachine(Exception):  # noqa: N818 - what it says
    """Results of two machines do not belong into one table."""

    def __init__(self) -> None:
        super().__init__(
            "docs/performance/sockets.json was measured on another machine or with other versions; measure all scenarios: "
            "python -m tests.benchmarks.sockets"
        )


class Window(msgspec.Struct, frozen=True):
    """What the load generator says of a window.

    `done` what the scenario counts; `server_s`, `own_s`, `others_s`, `steal_s` processor seconds of the server (with Redis where
    there is one), of the load generator, of other programs on the two cores (ticks: coarse), and taken by the host; `frames` in
    `reads`; latencies in ms (for pings: how far they were off the interval); `rss` in KiB, before and after. Since the
    start, `overtaken`: events that reached a member before an earlier one did. Of a ladder's step also the rate `offered` and
    whether it was `kept`. `p999_ms` is 0 in files that were written before it was measured.
    """

    phase: str
    seconds: float
    done: int
    server_s: float
    own_s: float
    others_s: float
    steal_s: float
    reads: int
    frames: int
    bytes: int
    pings: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    measured: int
    rss_before_kib: float
    rss_kib: float
    overtaken: int = 0
    step: float = 0.0
    offered: float = 0.0
    late: int = 0
    kept: bool = True
    snapshots: int = 0
    p999_ms: float = 0.0

    @property
    def per_cpu_s(self) -> float:
        """What was done per processor second of the server."""
        return self.done / max(self.server_s, 1e-9)

    @property
    def us_each(self) -> float:
        """Processor time of the server for each thing done, µs."""
        return self.server_s * 1e6 / max(self.done, 1)

    @property
    def kib_each(self) -> float:
        """Memory for each connection that came in this window, KiB."""
        return (self.rss_kib - self.rss_before_kib) / max(self.done, 1)

    @property
    def merged(self) -> float:
        """Frames per read of a receiver."""
        return self.frames / max(self.reads, 1)

    @property
    def load_share(self) -> float:
        """How much of its core the load generator took: near 1 a figure is a floor, not a measurement of the server."""
        return self.own_s / self.seconds

    @property
    def server_share(self) -> float:
        """How much of its core the server took."""
        return self.server_s / self.seconds


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of one peer: `result`, or the `fault` for which there is no figure. `first` is the window before it: of idle
    connections their coming, of spaced events the rate at which each event waits for the one before. `half` is the window after
    it, at half of the rate: its latencies are those of the members on other nodes alone."""

    peer: str
    round: int
    result: Window | None = None
    first: Window | None = None
    half: Window | None = None
    fault: str = ""


class Measured(msgspec.Struct, frozen=True):
    """A scenario: `lacking` names the peers that could not run, with the reason; `seconds` how long all of it took."""

    stamp: Stamp
    seconds: float
    runs: tuple[Run, ...]
    lacking: dict[str, str]

    def figures(self, peer: str) -> dict[int, Window]:
        """The good runs of a peer, by round."""
        return {run.round: run.result for run in self.runs if run.peer == peer and run.result is not None}

    def first(self, peer: str) -> dict[int, Window]:
        """The same for the window before."""
        return {run.round: run.first for run in self.runs if run.peer == peer and run.first is not None}

    def halves(self, peer: str) -> dict[int, Window]:
        """The same for the window after."""
        return {run.round: run.half for run in self.runs if run.peer == peer and run.half is not None}

    def faults(self) -> tuple[Run, ...]:
        """The runs without a figure."""
        return tuple(run for run in self.runs if run.fault)


class Results(msgspec.Struct, frozen=True):
    """The file."""

    command: str
    machine: Machine
    versions: dict[str, str]
    scenarios: dict[str, Measured]


def sum_of(windows: Mapping[int, Window] | tuple[Window, ...]) -> Window:
    """Several loads that ran side by side as one: what adds up is added, the worst latencies are kept."""
    all_of = tuple(windows.values()) if isinstance(windows, Mapping) else windows
    first = all_of[0]
    added = {
        name: sum(getattr(window, name) for window in all_of)
        for name in (
            "done",
            "server_s",
            "own_s",
            "reads",
            "frames",
            "bytes",
            "pings",
            "measured",
            "overtaken",
            "rss_before_kib",
            "rss_kib",
        )
    }
    worst = {
        name: max(getattr(window, name) for window in all_of)
        for name in ("seconds", "p50_ms", "p99_ms", "p999_ms", "max_ms", "steal_s")
    }
    # Each of them took the others for strangers.
    others = max(0.0, first.others_s - added["server_s"] - added["own_s"] + first.server_s + first.own_s)
    return msgspec.structs.replace(first, **added, **worst, others_s=others)


def load(path: Path = FILE) -> Results | None:
    """The results kept so far, None when there are none. Raises msgspec.DecodeError when they are of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def save(results: Results, path: Path = FILE) -> None:
    """Write the file, readable and the same for the same results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def joined(kept: Results | None, new: Results) -> Results:
    """Kept results with the new scenarios in place of the old ones; those that ran with another Redis are kept no longer. Raises
    AnotherMachine."""
    if kept is None:
        return new
    changed = {name for name, told in kept.versions.items() if new.versions.get(name) != told}
    if kept.machine != new.machine or changed - {"redis"}:
        raise AnotherMachine
    stay = {name: one for name, one in kept.scenarios.items() if not (changed and BY_NAME[name].redis)}
    return msgspec.structs.replace(new, scenarios=stay | new.scenarios)
