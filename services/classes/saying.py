"""What people may say to each other in a class, and how it is made fit to be shown. Pure.

Text goes to screens on walls. So it is one line, it cannot hide or turn around what stands beside it, and it cannot grow out of
its line; what it says is nobody's business here.
"""

import unicodedata
from typing import Final

from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.problems import BadShape, Forbidden

MAX_MARKS: Final = 3
"""Combining marks on one character. Vietnamese needs two, the languages of India three; more is a tower over the next line."""
_JOINERS: Final = frozenset("\u200c\u200d")
"""Invisible, and part of the spelling of Persian and of many emoji."""
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co"})


def one_line(text: str) -> str:
    """`text` in composed form (NFC), white space as single spaces, without control and format characters, and with
    no more than `MAX_MARKS` marks on a character. Raises `BadShape` when nothing is left."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        if character.isspace() or kind in {"Zl", "Zp"}:
            kept.append(" ")
        elif kind not in _DROPPED or character in _JOINERS:
            marks = marks + 1 if kind in {"Mn", "Me"} else 0
            if marks <= MAX_MARKS:
                kept.append(character)
    line = " ".join("".join(kept).split())
    if not line.strip("".join(_JOINERS)):
        raise BadShape("there is nothing to be read in this text", path="$.text")
    return line


def may_cue(live: LiveClass, caller: Caller) -> None:
    """Raise `Forbidden` unless `caller` is the coach of this class."""
    if live.coach_id != caller.account_id or "display" in caller.roles:
        raise Forbidden("only the coach of this class may give cues")


def may_chat(caller: Caller) -> None:
    """Raise `Forbidden` for a display: nobody stands behind it."""
    if "display" in caller.roles:
        raise Forbidden("a display may only watch")
