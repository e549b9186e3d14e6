"""What the sockets count, as plain values: for the probes, the command, the page and the Admin UI.

Reading them costs a walk over the open lines; counting them costs next to nothing.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Order = Literal["queued", "waiting", "rtt", "age"]
"""What "slowest" means.

Most bytes queued, waiting longest without moving, slowest to answer a ping, or open longest.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Durations, ms: how many since start, their sum, and the latest ones."""

    count: int = 0
    total: float = 0.0
    recent: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SocketsStatistics:
    """The engine's counters.

    Now: open `links` (lines to clients, authenticated or not), how many of them are `websockets` or on `polling`, how
    many are `unauthenticated` and how many are `closing`; bytes `queued` in mailboxes and `unwritten` in the process
    because the kernel does not take them yet; `blocked` lines whose peer does not read.

    Since start: `writes` to WebSockets and answers to polls, how many of them left `in_bulk`, one system call for many, and
    the `frames` in all of them (by writes, that is how much was merged), `bytes_out`;
    `bytes_in` and `frames_in`; `refused` handshakes by problem code; `malformed` messages; lines `cut` by cause; lines `closed` by
    reason; `pings` sent and how long their answers took.
    """

    links: int
    websockets: int
    polling: int
    unauthenticated: int
    closing: int
    queued_bytes: int
    unwritten_bytes: int
    blocked: int
    writes: int
    in_bulk: int
    frames: int
    bytes_out: int
    bytes_in: int
    frames_in: int
    malformed: int
    pings: int
    rtt_ms: Measured
    refused: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)


class LineView(msgspec.Struct, frozen=True):
    """One line as an operator sees it. `waiting_s` is how long something has waited without a byte moving, 0 when
    nothing does; `rtt_ms` the last answer to a ping, null before the first; `rooms` how many channels it hears
    besides its own."""

    id: str
    account: str | None
    transport: Literal["websocket", "polling"]
    state: Literal["unauthenticated", "open", "closing"]
    age_s: float
    queued_bytes: int
    queued_frames: int
    unwritten_bytes: int
    waiting_s: float
    dropped: int
    replaced: int
    rtt_ms: float | None
    events_in: int
    rooms: int
    peer: str
