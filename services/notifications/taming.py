"""What people typed, made fit for a line that somebody else reads. Pure.

A name is somebody else's text in our sentence. It may try to be longer than the sentence, to begin a new line (in a subject: a
new header), to turn the direction of what follows, or to draw over it. All of it ends here, before a template sees it. Markup
is not this module's business: HTML is escaped where HTML is made.
"""

import unicodedata
from typing import Final

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_BREAKS: Final = frozenset("\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\t")
_KEPT: Final = frozenset("\u200c\u200d")
"""Joiners: families and flags are made with them, and Persian needs one."""
_FIRST_STRONG_ISOLATE: Final = "\u2068"
_POP_ISOLATE: Final = "\u2069"
_MOST_MARKS: Final = 4
"""Combining marks on one letter; more of them draw over the lines around."""


def line(text: str, most: int) -> str:
    """One line of at most `most` characters: breaks and white space become one space, what is invisible goes. One that is
    written from right to left is isolated, so that the sentence around it stays as it is."""
    kept = shortened(" ".join(_seen("".join(" " if each in _BREAKS else each for each in text)).split()), most)
    return isolated(kept)


def prose(text: str, most: int) -> str:
    """Several lines, at most two breaks in a row, at most `most` characters in all."""
    lines = (" ".join(_seen(each).split()) for each in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    paragraphs = "\n".join(lines).strip("\n")
    while "\n\n\n" in paragraphs:
        paragraphs = paragraphs.replace("\n\n\n", "\n\n")
    return shortened(paragraphs, most)


def shortened(text: str, most: int) -> str:
    """`text`, or its beginning with an ellipsis, `most` characters in all."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def isolated(text: str) -> str:
    """`text` between isolating marks where a part of it runs from right to left."""
    if any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in text):
        return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}"
    return text


def _seen(text: str) -> str:
    """Without control and format characters, lone surrogates, unassigned ones, and towers of marks."""
    kept: list[str] = []
    marks = 0
    for each in text:
        kind = unicodedata.category(each)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if marks > _MOST_MARKS or (kind[0] == "C" and each not in _KEPT):
            continue
        kept.append(each)
    return "".join(kept)
