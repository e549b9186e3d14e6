"""Day curves: the JSON of a day of heart rate as a watch maker's cloud gives it out.

Under `heartRateValues` stand pairs `[ms since 1970, bpm]`, null where the watch was off the wrist. Pair by
pair the list is decoded on its own, so a file that was cut off still gives the pairs before the cut. JSON
of the same cloud about sleep or variability has no such list, and is told apart from a damaged one.
"""

import json
import re
from typing import Final

from services.training.recordings.draft import LATEST_MS, Draft, ReadingStopped
from services.training.recordings.text import decoded

_CURVE: Final = re.compile(r'"heartRateValues"\s*:\s*\[')
_PAIR: Final = re.compile(r"\s*\[\s*(\d{1,15})\s*,\s*(-?\d{1,9}|null)\s*\]\s*")


def read_day_curve(data: bytes, draft: Draft) -> None:
    """Fill the draft with one point per pair.

    Raises ReadingStopped where the text stops being JSON of this shape.
    """
    text = decoded(data)
    for curve in _CURVE.finditer(text):
        draft.mentions_heart_rate = True
        _read_pairs(text, curve.end(), draft)
    try:
        json.loads(text)
    except json.JSONDecodeError as cause:
        raise ReadingStopped(_place(text, cause.pos), cause.msg) from cause
    except (
        RecursionError,
        ValueError,
    ) as cause:  # nested a thousand deep, or a number of thousands of digits
        raise ReadingStopped("the file as a whole", "it is not JSON that anybody's watch writes") from cause


def _read_pairs(text: str, at: int, draft: Draft) -> None:
    if text[at : at + 200].lstrip().startswith("]"):
        return
    while True:
        pair = _PAIR.match(text, at)
        if pair is None or int(pair[1]) > LATEST_MS:
            raise ReadingStopped(_place(text, at), "a pair [ms since 1970, bpm or null] was expected")
        draft.add(int(pair[1]), None if pair[2] == "null" else int(pair[2]))
        at = pair.end()
        follows = text[at : at + 1]
        if follows == "]":
            return
        if follows != ",":
            raise ReadingStopped(_place(text, at), "the list of heart rates is not closed")
        at += 1


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line} column {position - (text.rfind(chr(10), 0, position))}"
