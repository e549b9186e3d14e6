"""How many segments a text message takes, which is what it costs. Pure.

A text of the GSM alphabet (3GPP TS 23.038) has 160 septets in one segment and 153 in each of several; one character outside of
it makes the whole message UCS-2, with 70 and 67 units. A character of two units (the euro sign in GSM, an emoji in UCS-2) is
never torn apart, so a segment may end one short.
"""

from collections.abc import Iterable
from typing import Final

MOST_SEGMENTS: Final = 2
"""What a message of ours may take."""

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_PLAIN: Final = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "−": "-", "…": "...", "·": "-", "\xa0": " "}
)


def is_gsm(text: str) -> bool:
    """Whether the GSM alphabet has all of it."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def segments(text: str) -> int:
    """How many segments `text` takes; an empty one takes one."""
    if is_gsm(text):
        return _packed([2 if character in _EXTENDED else 1 for character in text], alone=160, joined=153)
    return _packed([2 if ord(character) > 0xFFFF else 1 for character in text], alone=70, joined=67)


def plain(text: str) -> str:
    """The same with typewriter's quotes, dashes and dots, which are in the GSM alphabet."""
    return text.translate(_PLAIN)


def fitted(text: str, most: int = MOST_SEGMENTS) -> str:
    """`text`, or as much of its beginning as `most` segments hold, with dots at its end."""
    if segments(text) <= most:
        return text
    end = max(cut for cut in range(len(text)) if segments(text[:cut].rstrip() + "...") <= most)
    return text[:end].rstrip() + "..."


def _packed(sizes: Iterable[int], *, alone: int, joined: int) -> int:
    sizes = list(sizes)
    if sum(sizes) <= alone:
        return 1
    used, count = 0, 1
    for size in sizes:
        if used + size > joined:
            used, count = 0, count + 1
        used += size
    return count
