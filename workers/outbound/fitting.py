"""Making a push small enough: its words are shortened until the whole payload fits, and never in the middle of a character.
Pure.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

from services.notifications.outgoing import PushMessage, Refused

_JOINER: Final = "\u200d"


def fitted(message: PushMessage, make: Callable[[str, str], bytes], most: int, *, provider: str) -> bytes:
    """`make(title, body)` with as much of the body as fits into `most` bytes, then as much of the title. Raises `Refused` when
    even without words it is too large."""

    def with_body(body: str) -> bytes:
        return make(message.title, body)

    def with_title(title: str) -> bytes:
        return make(title, "")

    for render, words in ((with_body, message.body), (with_title, message.title)):
        if len(whole := render(words)) <= most:
            return whole
        if len(render("")) <= most:
            return _longest(render, words, most)
    raise Refused(f"the data of this push alone has more than {most} bytes", provider=provider)


def shortened(words: str, characters: int) -> str:
    """The first `characters` code points with an ellipsis, less whatever belongs to a character that was cut: marks, variation
    selectors, halves of joined emoji."""
    if len(words) <= characters:
        return words
    kept, rest = words[:characters], words[characters:]
    while kept and (_continues(rest[0]) or kept[-1] == _JOINER):
        kept, rest = kept[:-1], kept[-1] + rest
    return f"{kept.rstrip()}…" if kept.strip() else ""


def _continues(character: str) -> bool:
    """Whether a code point belongs to the character before it."""
    return character == _JOINER or unicodedata.category(character) in {"Mn", "Me", "Mc"} or "🏻" <= character <= "🏿"


def _longest(render: Callable[[str], bytes], words: str, most: int) -> bytes:
    low, high = 0, len(words)  # so many code points fit; so many do not
    while high - low > 1:
        middle = (low + high) // 2
        if len(render(shortened(words, middle))) <= most:
            low = middle
        else:
            high = middle
    return render(shortened(words, low))
