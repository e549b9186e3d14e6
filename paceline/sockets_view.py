"""The sockets of a gateway as a person reads them: five lines of counters and a table of the slowest connections.

The numbers come from the gateway alone; here are the words and the units.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.http.operations import RoundTrips, SocketsNow
from gateway.sockets.statistics import LineView

WAITING_IS_LONG_S: Final = 3.0
"""From here on a connection is shown in colour; the engine cuts it a few seconds later."""
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")
_ORDERS: Final = {
    "queued": "most bytes queued first",
    "waiting": "longest without a byte moving first",
    "rtt": "slowest to answer a ping first",
    "age": "open longest first",
}


def show(console: Console, seen: SocketsNow) -> None:
    """Print one answer."""
    for name, words in counters(seen):
        console.print(f"[dim]{escape(name):<14}[/dim] {escape(words)}", soft_wrap=True)
    if not seen.lines:
        console.print("No connections.", style="dim")
        return
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Connections, {_ORDERS[seen.order]}", title_justify="left", pad_edge=False
    )
    shown = fitting(console.width)
    for column in shown:
        justify: Literal["right", "left"] = "right" if column.number else "left"
        table.add_column(column.name, justify=justify, no_wrap=True, overflow="ellipsis")
    for line in seen.lines:
        style = "yellow" if line.waiting_s >= WAITING_IS_LONG_S else ""
        table.add_row(*(escape(column.show(line)) for column in shown), style=style)
    console.print(table)


def fitting(width: int) -> list["Column"]:
    """The columns that a terminal of so many characters has room for, in the order of the table; the most telling ones are
    there at any width."""
    room, chosen = width, set()
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        room -= max(column.width, len(column.name)) + 2
        if room < 0 and column.rank > 0:
            break
        chosen.add(column.name)
    return [column for column in COLUMNS if column.name in chosen]


def counters(seen: SocketsNow) -> list[tuple[str, str]]:
    """The lines above the table."""
    now = seen.counts
    return [
        (
            f"{seen.node or 'node'}",
            f"{now.sockets} sockets: {now.open} open, {now.unauthenticated} not authenticated, {now.closing} closing; "
            f"{now.websockets} WebSocket, {now.polling} polling",
        ),
        (
            "waiting",
            f"{size(now.queued_bytes)} queued, {size(now.unwritten_bytes)} unwritten, {now.blocked} do not read",
        ),
        (
            "since start",
            f"{now.frames_in} frames in, {now.frames_out} out in {now.writes} writes (x{now.merged:.2f} merged, "
            f"{now.in_bulk} in bulk), {size(now.bytes_out)} out",
        ),
        (
            "ended",
            f"closed {_tally(now.closed)}; cut {_tally(now.cut)}; refused {_tally(now.refused)}; malformed {now.malformed}",
        ),
        (
            "time",
            f"loop late {seen.loop_lag_ms:.1f} ms, at worst {seen.loop_lag_worst_ms:.1f} ms in a minute; "
            f"ping {_pings(now.round_trips)}",
        ),
    ]


def size(count: int) -> str:
    """Bytes in the unit that keeps it short: 512 B, 31.0 KiB, 4.2 MiB."""
    if count < 1_024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, len(_UNITS))
    return f"{count / 1_024**power:.1f} {_UNITS[power - 1]}"


def duration(seconds: float) -> str:
    """0.4 s, 42 s, 12 min, 3.1 h, 2.0 d."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, divisor, unit, digits in ((120, 1, "s", 0), (7_200, 60, "min", 0), (172_800, 3_600, "h", 1)):
        if seconds < limit:
            return f"{seconds / divisor:.{digits}f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def _tally(counts: Mapping[str, int]) -> str:
    """3 (stalled 2, grace 1)."""
    if not counts:
        return "0"
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return f"{sum(counts.values())} ({parts})"


def _pings(trips: RoundTrips) -> str:
    if trips.p50 is None or trips.p99 is None:
        return "not answered yet"
    return f"{trips.p50:.0f} ms, p99 {trips.p99:.0f} ms"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: characters that it wants, how early it gives way on a narrow terminal (0 never), how it reads."""

    name: str
    width: int
    rank: int
    show: Callable[[LineView], str]
    number: bool = True


_STATES: Final = {"unauthenticated": "no login", "open": "open", "closing": "closing"}

COLUMNS: Final = (
    Column("connection", 20, 0, lambda line: line.id, number=False),
    Column("account", 36, 8, lambda line: line.account or "–", number=False),
    Column("by", 4, 0, lambda line: "ws" if line.transport == "websocket" else "poll", number=False),
    Column("state", 8, 0, lambda line: _STATES[line.state], number=False),
    Column("open", 7, 0, lambda line: duration(line.age_s)),
    Column("queued", 9, 0, lambda line: size(line.queued_bytes)),
    Column("frames", 6, 5, lambda line: str(line.queued_frames)),
    Column("unwritten", 9, 2, lambda line: size(line.unwritten_bytes)),
    Column("waits", 6, 0, lambda line: duration(line.waiting_s) if line.waiting_s else "–"),
    Column("dropped", 7, 6, lambda line: str(line.dropped)),
    Column("replaced", 8, 4, lambda line: str(line.replaced)),
    Column("ping", 7, 0, lambda line: "–" if line.rtt_ms is None else f"{line.rtt_ms:.0f} ms"),
    Column("events", 7, 3, lambda line: str(line.events_in)),
    Column("rooms", 5, 7, lambda line: str(line.rooms)),
    Column("peer", 15, 1, lambda line: line.peer, number=False),
)
