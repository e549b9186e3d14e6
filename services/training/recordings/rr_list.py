"""Plain RR lists: one beat-to-beat interval in ms per line, nothing else.

There is no clock and no start; time is the running sum of the intervals. Lines that begin with `#` are
comments. A list in seconds is a common export of laboratory software: it is refused with the factor that
mends it, because a guess that is wrong would scale somebody's heart by a thousand.
"""

from typing import Final

from services.training.recordings.draft import Draft, ReadingStopped, whole
from services.training.recordings.text import lines

_SECONDS_BELOW: Final = 10.0
"""No heart beats a hundred times a second: an interval below 10 is meant in seconds."""


def read_rr_list(data: bytes, draft: Draft) -> None:
    """Fill the draft with one point per interval.

    Raises ReadingStopped at the first line that is not an interval.
    """
    draft.calendar = False
    for number, line in lines(data):
        if line.startswith("#"):
            continue
        if not draft.points and _in_seconds(line):
            raise draft.refusal(
                f"begins with {line}, which is an interval in seconds, not in ms",
                cure="Multiply every line by 1000.",
                place=f"line {number}",
            )
        draft.add(None, None, (interval(line, number),))


def interval(text: str, line_number: int) -> int:
    """An RR interval in whole ms, zero or more. Raises ReadingStopped with the line."""
    try:
        rr = whole(text)
    except ValueError:
        raise ReadingStopped(f"line {line_number}", f"{text[:20]!r} is not an interval in ms") from None
    if rr < 0:
        raise ReadingStopped(f"line {line_number}", f"an interval of {rr} ms would run backwards")
    return rr


def _in_seconds(line: str) -> bool:
    try:
        return "." in line and len(line) < 20 and 0 < float(line) < _SECONDS_BELOW
    except ValueError:
        return False  # the caller reads the same text with its own, better complaint
