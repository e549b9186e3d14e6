"""Queues and parked messages as a person reads them: a table of queues, a table of what was given up, one message in full.

The numbers come from the bus alone; here are the words and the units.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from paceline.sockets_view import duration
from services.kernel import facts
from workers.bus import Parked, Queue
from workers.task_statistics import Overview

UNKNOWN: Final = "-"
REASON_SHOWN: Final = 80


class QueueNow(msgspec.Struct, frozen=True):
    """One queue, as `--json` prints it. null is what this bus cannot know."""

    queue: str
    waiting: int
    oldest_s: float | None
    retrying: int
    running: int | None
    parked: int
    consumers: int | None
    concurrency: int
    prefetch: int
    ordered: bool
    max_attempts: int
    wants: list[str]


class ParkedNow(msgspec.Struct, frozen=True):
    """One parked message, as `--json` prints it. `fact` null when nobody here can read it; then `body` is all there is."""

    key: str
    type: str | None
    happened_at: datetime | None
    parked_at: datetime | None
    attempts: int
    reason: str
    fact: facts.AnyFact | None
    body: str | None


def queue_now(queue: Queue, seen: Overview) -> QueueNow:
    """What is known of a queue: by the bus, and by the program."""
    return QueueNow(
        queue=queue.name,
        waiting=seen.waiting,
        oldest_s=None if seen.oldest_s is None else round(seen.oldest_s, 1),
        retrying=seen.retrying,
        running=seen.running,
        parked=seen.parked,
        consumers=seen.consumers,
        concurrency=queue.concurrency,
        prefetch=queue.ahead,
        ordered=queue.ordered,
        max_attempts=queue.max_attempts,
        wants=sorted(queue.types()),
    )


def parked_now(parked: Parked) -> ParkedNow:
    """A parked message with its times as people write them."""
    envelope = parked.envelope
    return ParkedNow(
        key=parked.key,
        type=None if envelope is None else facts.fact_type(type(envelope.fact)),
        happened_at=None if envelope is None else _instant(envelope.at_ms),
        parked_at=_instant(parked.parked_ms),
        attempts=parked.attempt,
        reason=parked.reason,
        fact=None if envelope is None else envelope.fact,
        body=parked.body if envelope is None else None,
    )


def show_queues(console: Console, queues: Sequence[QueueNow]) -> None:
    """Every queue on a line, those in trouble in colour."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("queue", "waiting", "oldest", "retrying", "running", "parked", "consumers", "at once", "attempts"):
        table.add_column(name, justify="left" if name == "queue" else "right", no_wrap=True)
    for one in queues:
        table.add_row(
            escape(one.queue),
            str(one.waiting),
            UNKNOWN if one.oldest_s is None else duration(one.oldest_s),
            str(one.retrying),
            _known(one.running),
            str(one.parked),
            _known(one.consumers),
            "in order" if one.ordered else str(one.concurrency),
            str(one.max_attempts),
            style="red" if one.parked else "yellow" if one.retrying or one.consumers == 0 else "",
        )
    console.print(table)


def show_parked(console: Console, queue: str, parked: Sequence[ParkedNow], *, more: bool) -> None:
    """What a queue has given up, the oldest first."""
    if not parked:
        console.print(f"Nothing is parked in {queue}.", style="dim")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("key", "type", "parked at", "attempts", "reason"):
        table.add_column(name, justify="right" if name == "attempts" else "left", no_wrap=name != "reason")
    for one in parked:
        table.add_row(
            escape(one.key),
            one.type or UNKNOWN,
            _when(one.parked_at),
            str(one.attempts),
            escape(one.reason if len(one.reason) <= REASON_SHOWN else f"{one.reason[:REASON_SHOWN]}…"),
        )
    console.print(table)
    if more:
        console.print("There are more: --limit shows more of them.", style="dim")


def show_message(console: Console, queue: str, one: ParkedNow) -> None:
    """One message in full."""
    lines: Mapping[str, str] = {
        "queue": queue,
        "key": one.key,
        "type": one.type or "nobody here can read it",
        "happened at": _when(one.happened_at),
        "parked at": _when(one.parked_at),
        "attempts": str(one.attempts),
        "reason": one.reason,
    }
    for name, words in lines.items():
        console.print(f"[dim]{name:<12}[/dim] {escape(words)}", soft_wrap=True)
    shown = one.body if one.fact is None else msgspec.json.format(msgspec.json.encode(one.fact), indent=2).decode()
    console.print(escape(shown or ""), soft_wrap=True)


def _instant(wall_ms: int | None) -> datetime | None:
    """None also for a time that no calendar has: a message may say anything."""
    try:
        return None if wall_ms is None else datetime.fromtimestamp(wall_ms / 1_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _when(instant: datetime | None) -> str:
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _known(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)
