"""Event logs: `time;kind;value` line by line, as a companion app on a phone wrote them down while they
arrived.

Heart rate (`HEART_RATE`, bpm) and beats (`HEART_RATE_VARIABILITY`, one RR interval in ms each) are separate
events with millisecond times; steps, calories and stress stand between them and are passed over. A strap
would send both together, so an interval travels with the next heart rate, if that comes within the time a
reading holds; otherwise it stays with the one before. That keeps an RR event from looking like a reading
without heart rate.
"""

import re
from datetime import timedelta
from typing import Final

from services.training.recordings.draft import EPOCH, Draft, ReadingStopped, epoch_ms, whole
from services.training.recordings.text import lines
from services.training.sample import HOLD_MS

_EVENT: Final = re.compile(r"(\d{4}-\d\d-\d\dT[^;]{5,30});([A-Z][A-Z_]{0,40});(.{1,40})")


def is_event(line: str) -> bool:
    """Whether a line has the shape `time;KIND;value`."""
    return _EVENT.fullmatch(line) is not None


def read_event_log(data: bytes, draft: Draft) -> None:
    """Fill the draft with one point per heart rate.

    Raises ReadingStopped at the first line that is not an event.
    """
    waiting: list[tuple[int, int]] = []  # (ms since 1970, RR in ms), until the next heart rate
    try:
        for number, line in lines(data):
            at_ms, kind, value = _event(number, line)
            if kind == "HEART_RATE_VARIABILITY":
                waiting.append((at_ms, value))
            elif kind == "HEART_RATE":
                _leave_behind(draft, [entry for entry in waiting if entry[0] < at_ms - HOLD_MS])
                draft.add(at_ms, value, tuple(rr for t, rr in waiting if t >= at_ms - HOLD_MS))
                waiting.clear()
    finally:
        if draft.points:
            _leave_behind(draft, waiting)
        else:  # beats alone, from a strap that reports no heart rate of its own
            draft.started_at = EPOCH + timedelta(milliseconds=waiting[0][0]) if waiting else None
            for _, rr in waiting:
                draft.add(None, None, (rr,))


def _leave_behind(draft: Draft, waiting: list[tuple[int, int]]) -> None:
    """Give intervals to the heart rate before them.

    Where there is none, the first one is a point without heart rate.
    """
    if waiting and not draft.points:
        draft.add(waiting[0][0], None)
    if waiting:
        draft.add_rr(rr for _, rr in waiting)


def _event(number: int, line: str) -> tuple[int, str, int]:
    match = _EVENT.fullmatch(line)
    if match is None:
        raise ReadingStopped(f"line {number}", "the line is not `time;KIND;value`")
    written, kind, value = match.groups()
    if not kind.startswith("HEART_RATE"):
        return 0, kind, 0
    try:
        return epoch_ms(written), kind, whole(value)
    except (ValueError, OverflowError) as cause:
        raise ReadingStopped(f"line {number}", f"{cause}") from cause
