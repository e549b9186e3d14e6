"""What was measured, run by run, as it stands in docs/performance/results.json.

Every run is kept, not only medians, so that anybody can see the noise. Each scenario bears its own stamp: one that was
measured again alone (`--only`) may belong to a later commit than its neighbours, and to another machine, which it then names: each
scenario is a table of its own, and all its runs were made on one machine.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from loadtest.scenarios.crew import Spread
from loadtest.scenarios.lead import Led
from tests.benchmarks.machine import ROOT, Machine, Stamp

FILE: Final = ROOT / "docs" / "performance" / "results.json"
COMMAND: Final = "make bench"


StartKind = Literal["cold", "warm", "warm, with the demo class"]
IdleKind = Literal["ours", "stock"]
FanOutKind = Literal["ours", "stock", "stock, large frame"]


class StartRun(msgspec.Struct, frozen=True):
    """One start, seconds from the command to "Open http://…": `load_s` interpreter and imports, `servers_s` until Redis was started
    (which is after PostgreSQL answers), `rest_s` everything else; `stop_s` from SIGTERM to the end of the process."""

    kind: StartKind
    seconds: float
    load_s: float
    servers_s: float
    rest_s: float
    stop_s: float


class ClassRun(msgspec.Struct, frozen=True, omit_defaults=True):
    """One class. Latencies in ms, processor seconds over `seconds` of streaming, memory in MiB.

    `rss_before_mib` with everybody registered and nobody connected, `rss_mib` at the end of the streaming; `others` is the
    share of the processors that programs not of this benchmark used. `frames` were put into mailboxes in that time, in
    `beats` of the board; `lag_ms` is how late the event loop was at worst. `led`: what leading it took, where somebody did.
    """

    athletes: int
    board_hz: float
    seconds: float
    sent: int
    lost: int
    wrong: int
    passed_over: int
    not_live: int
    board_ms: Spread
    ack_ms: Spread
    late_ms: Spread
    frames: int
    frame_bytes: int
    beats: int
    lag_ms: float
    gateway_s: float
    postgres_s: float
    redis_s: float
    clients_s: float
    rss_before_mib: float
    rss_mib: float
    others: float
    led: Led | None = None

    @property
    def kib_per_stream(self) -> float:
        """Memory of the gateway per athlete who streams, KiB."""
        return (self.rss_mib - self.rss_before_mib) * 1024 / self.athletes


class DurableRun(msgspec.Struct, frozen=True):
    """One flood: `samples` acknowledged in `seconds`, and the processor seconds they took."""

    streams: int
    samples: int
    seconds: float
    wrong: int
    gateway_s: float
    postgres_s: float
    clients_s: float
    others: float


class IdleRun(msgspec.Struct, frozen=True):
    """So many idle connections on one server: resident memory before and with them, MiB, and processor seconds while held."""

    server: IdleKind
    connections: int
    before_mib: float
    with_mib: float
    seconds: float
    gateway_s: float
    others: float

    @property
    def kib_each(self) -> float:
        """Memory per connection, KiB."""
        return (self.with_mib - self.before_mib) * 1024 / self.connections


class FanOutRun(msgspec.Struct, frozen=True):
    """A board to a room of `listeners` for `seconds`: `frames` received in all, of `frame_bytes` on average, and the
    server's processor seconds. `few_…`: the same for as long with only a few listeners, just before.
    """

    server: FanOutKind
    listeners: int
    seconds: float
    frames: int
    frame_bytes: int
    gateway_s: float
    few_frames: int
    few_s: float
    others: float

    @property
    def us_each(self) -> float:
        """What one more delivered frame costs the server, µs: whatever it does besides is in both windows and falls out."""
        return (self.gateway_s - self.few_s) * 1e6 / (self.frames - self.few_frames)

    @property
    def us_in_all(self) -> float:
        """Processor time of the server per delivered frame, µs, everything it did in that time included."""
        return self.gateway_s * 1e6 / self.frames


class NodesRun(msgspec.Struct, frozen=True):
    """A class over two gateways, and a third one without members. Messages and processor seconds are those of the streaming.

    `room` is the class as one room: of `gateway_s` and memory both gateways together. `far_ms` is sensor to board of the athletes
    who are not on the watcher's gateway. `received` messages from other nodes, per gateway with members; `idle_received` and
    `idle_decoded` those of the third, the latter None where it is not counted. `calls` of Redis per second, by command, in the
    class, and `calls_before` anybody had come.
    """

    room: ClassRun
    far_ms: Spread
    gateways_s: tuple[float, ...]
    idle_s: float
    worker_s: float
    received: tuple[int, ...]
    idle_received: int
    idle_decoded: int | None
    calls: dict[str, float]
    calls_before: dict[str, float]


class BackRun(msgspec.Struct, frozen=True):
    """A gateway was killed under `clients`; what is timed is ms since then: when they noticed (`lost_ms`), were authenticated on
    the other gateway (`inside_ms`) and in their room again (`back_ms`).

    `missing` did not come back in time. `handshakes` were begun, `refused` of them turned away before or at the token check,
    `timed_out` given up by the client; `joins_refused` were told to come again. `stayed` were on the other gateway all the time,
    `disturbed` of them lost their connection. Processor seconds are from the kill until the last was back, `lag_ms` how late
    the surviving gateway's event loop was at worst.
    """

    clients: int
    stayed: int
    rooms: int
    missing: int
    disturbed: int
    lost_ms: Spread
    inside_ms: Spread
    back_ms: Spread
    handshakes: int
    refused: int
    timed_out: int
    joins_refused: int
    seconds: float
    gateway_s: float
    postgres_s: float
    redis_s: float
    clients_s: float
    lag_ms: float
    others: float


class AnnounceRun(msgspec.Struct, frozen=True):
    """One announcement to so many `people`: seconds from its commit until all of them had it in their inbox (`told_s`) and until
    the last mail had left (`sent_s`). Processor seconds over all of that; memory of the worker in MiB, before and at most. `wrong`
    counts mails too many or too few.
    """

    people: int
    told_s: float
    sent_s: float
    wrong: int
    worker_s: float
    postgres_s: float
    rss_before_mib: float
    rss_peak_mib: float
    others: float


class ReplayRun(msgspec.Struct, frozen=True):
    """A class of `seconds` at 1 Hz in one process: CPU of its boards in ms per second of class without and with a tape, bytes of
    tape per sample, `frames` on it, how many of them `differ` when they are made again, and the seconds of CPU that takes.
    `player_ms` is the CPU of a player on a socket, ms per second, at the speed of life, `fast_player_ms` at the highest.
    """

    athletes: int
    seconds: int
    bare_ms: float
    taped_ms: float
    sample_bytes: float
    frames: int
    differ: int
    played_s: float
    player_ms: float
    fast_player_ms: float
    others: float


class Scenario(msgspec.Struct, frozen=True, omit_defaults=True):
    """All runs of one scenario; only the list of its own kind is filled. `machine`: where it was measured, if not where the file
    says."""

    stamp: Stamp
    machine: Machine | None = None
    starts: tuple[StartRun, ...] = ()
    classes: tuple[ClassRun, ...] = ()
    durables: tuple[DurableRun, ...] = ()
    idles: tuple[IdleRun, ...] = ()
    fan_outs: tuple[FanOutRun, ...] = ()
    nodes: tuple[NodesRun, ...] = ()
    backs: tuple[BackRun, ...] = ()
    announces: tuple[AnnounceRun, ...] = ()
    replays: tuple[ReplayRun, ...] = ()


class Results(msgspec.Struct, frozen=True):
    """The file: what was measured on which machine, by which command. A scenario may name another machine."""

    command: str
    machine: Machine
    scenarios: dict[str, Scenario]


def load(path: Path = FILE) -> Results | None:
    """The results kept so far, None when there are none. Raises msgspec.DecodeError when they are of another form."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else None


def save(results: Results, path: Path = FILE) -> None:
    """Write the file, readable and the same for the same results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def joined(kept: Results | None, new: Results) -> Results:
    """Kept results with the new scenarios in place of the old ones. The machine of the file is that of the newest."""
    if kept is None:
        return new
    scenarios = dict(new.scenarios)
    for name, scenario in kept.scenarios.items():
        if name not in scenarios:
            there = scenario.machine or kept.machine
            scenarios[name] = msgspec.structs.replace(scenario, machine=None if there == new.machine else there)
    return msgspec.structs.replace(new, scenarios={name: scenarios[name] for name in kept.scenarios | new.scenarios})
