"""What was measured, run by run, as it stands in docs/performance/tasks.json. Every run is kept, not only medians."""

from pathlib import Path
from typing import Final

import msgspec

from loadtest.scenarios.crew import Spread
from tests.benchmarks.machine import ROOT, Machine, Stamp

FILE: Final = ROOT / "docs" / "performance" / "tasks.json"
COMMAND: Final = "make bench ARGS='--only tasks'"


class Latency(msgspec.Struct, frozen=True):
    """From the commit of an order to the first line of its task, in ms, at so many orders a second; `cpu_share` is what all
    processes took of one core meanwhile."""

    rate: float
    ms: Spread
    cpu_share: float


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of one peer, or the `fault` for which there is no figure.

    `tasks` were made and done in `seconds`; `cpu_s` is the processor time that took, by part: "producer", "workers", "postgres",
    "rabbitmq"; `others` the share of the cores that other programs took. `wrong`: tasks done twice or not at all.
    """

    peer: str
    round: int
    tasks: int = 0
    seconds: float = 0.0
    cpu_s: dict[str, float] = {}
    others: float = 0.0
    rest: Latency | None = None
    half: Latency | None = None
    wrong: int = 0
    fault: str = ""

    @property
    def per_s(self) -> float:
        """Tasks a second."""
        return self.tasks / max(self.seconds, 1e-9)

    @property
    def per_cpu_s(self) -> float:
        """Tasks per second of processor time, of all processes."""
        return self.tasks / max(sum(self.cpu_s.values()), 1e-9)


class Results(msgspec.Struct, frozen=True):
    """The file: `seconds` is how long all of it took, `lacking` names peers that could not run, with the reason."""

    command: str
    stamp: Stamp
    machine: Machine
    versions: dict[str, str]
    seconds: float
    runs: tuple[Run, ...]
    lacking: dict[str, str] = {}

    def figures(self, peer: str) -> dict[int, Run]:
        """The good runs of a peer, by round."""
        return {run.round: run for run in self.runs if run.peer == peer and not run.fault}


def load(path: Path = FILE) -> Results | None:
    """The results kept so far, None when there are none. Raises msgspec.DecodeError when they are of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def save(results: Results, path: Path = FILE) -> None:
    """Write the file, readable and the same for the same results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
