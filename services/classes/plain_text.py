"""What people write to each other, made fit to be shown beside other people's words. Pure.

Text goes to phones and to screens on walls. So it is one line, it cannot hide anything, turn around or cover what stands beside
it, and it cannot grow out of its line; what it says is nobody's business here. Nearly everything is cleaned rather than refused:
whoever pastes a text with a byte order mark in it has done nothing wrong. Refused is what has nothing in it to be read, and what is
too long.

What is cleaned, and whose advice that is; the cases are the table of tests/services/classes/test_plain_text.py:

* Unicode's composed form, NFC (UAX #15), so that the same word is the same bytes.
* Line ends, paragraph ends and every other white space become one space, also letters that have no ink: the Hangul fillers and the
  blank Braille pattern, with which an empty message is made that is none (UTS #39, 5.4).
* Controls, the characters that turn the direction of the line (UAX #9; CVE-2021-42574, "Trojan Source"), and all other
  characters without shape, zero-width spaces and soft hyphens among them (default ignorable code points, UAX #44), go.
* Zero-width joiners stay where they spell: one, between two characters (UAX #31, 2.3). They are part of Persian, of the languages
  of India and of many emoji.
* Tags stay in the flags that are written with them (UTS #51, ED-14a), and only there: elsewhere they are letters that nobody sees.
* Variation selectors stay one at a time, behind a character: 256 of them are an alphabet, too, to hide words in.
* Marks over and under a character: `MAX_MARKS` of them, and none without a character (UTS #39, 5.4, "no more than four").
* Private use, surrogates and noncharacters go: they mean something else on each machine, or nothing.

Length is counted in what a reader takes for one character, nearly: `units` says what that is.
"""

import unicodedata
from typing import Final

from services.kernel.problems import BadShape

MAX_MARKS: Final = 3
"""Combining marks on one character. Vietnamese needs two, the languages of India three; more is a tower over the next line."""

_JOINERS: Final = frozenset("\u200c\u200d")
_EMOJI_JOINER: Final = "\u200d"
_INKLESS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and a symbol that show nothing: Hangul fillers, the Braille pattern without dots."""
_HIDDEN_MARKS: Final = frozenset("\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f")
"""Marks without shape, besides the variation selectors: grapheme joiner, inherent vowels of Khmer, Mongolian selectors."""
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
_BLACK_FLAG: Final = "\U0001f3f4"
_TAGS: Final = range(0xE0020, 0xE007F)
_LAST_TAG: Final = "\U000e007f"
MAX_TAGS: Final = 6
"""Tags of the longest flag there is: country and region, as in "gbeng"; six leave room for one more letter."""
_FIRST_FLAG_LETTER, _LAST_FLAG_LETTER = "\U0001f1e6", "\U0001f1ff"
_SKIN_TONES: Final = frozenset("\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")


def one_line(text: str, most: int | None = None, *, path: str = "$.text") -> str:
    """`text` as one line that stays in its place: see the module. Raises `BadShape` when there is nothing left to be read, or more
    than `most` units (none: as much as it is)."""
    # Once more behind it: what stood between two characters may be gone now, so that they compose.
    line = unicodedata.normalize("NFC", _kept(unicodedata.normalize("NFC", text)))
    if not line:
        raise BadShape("there is nothing to be read in this text", path=path)
    if most is not None and (there := units(line)) > most:
        raise BadShape(f"this text has {there} characters: {most} fit", path=path, limit=most)
    return line


def units(line: str) -> int:
    """How many characters a reader sees, nearly: what is joined with a zero-width joiner, marks, selectors, skin tones and tags
    count with what is before them, two letters of a flag are one (UAX #29 in so far as it needs no tables)."""
    count, joined, half_a_flag = 0, False, False
    for character in line:
        letter = _FIRST_FLAG_LETTER <= character <= _LAST_FLAG_LETTER
        if character in _JOINERS:
            joined = character == _EMOJI_JOINER
            continue
        if not (joined or _belongs_to_the_last(character) or (letter and half_a_flag)):
            count += 1
        half_a_flag = letter and not half_a_flag
        joined = False
    return count


def _kept(text: str) -> str:
    kept: list[str] = []
    marks = selectors = 0
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        kind = unicodedata.category(character)
        if character.isspace() or kind in {"Zl", "Zp"} or character in _INKLESS:
            _open(kept)
            if kept and kept[-1] != " ":
                kept.append(" ")
            marks = selectors = 0
        elif character in _JOINERS:
            if kept and kept[-1] != " " and kept[-1] not in _JOINERS:
                kept.append(character)
        elif _selects(character):
            if kept and kept[-1] != " " and kept[-1] not in _JOINERS and not selectors:
                kept.append(character)
                selectors = 1
        elif kind in {"Mn", "Me"} and character not in _HIDDEN_MARKS:
            marks += 1
            if kept and kept[-1] != " " and marks <= MAX_MARKS:
                kept.append(character)
        elif not (kind in _DROPPED or character in _HIDDEN_MARKS or _is_no_character(character)):
            kept.append(character)
            marks = selectors = 0
            if character == _BLACK_FLAG and (tags := _tags_of_flag(text, index)):
                kept.append(tags)
                index += len(tags)
    _open(kept)
    return "".join(kept).rstrip(" ")


def _open(kept: list[str]) -> None:
    """Take away joiners that join nothing."""
    while kept and kept[-1] in _JOINERS:
        kept.pop()


def _tags_of_flag(text: str, start: int) -> str:
    """The tags that stand there, when they are those of a whole flag."""
    end = start
    while end < len(text) and ord(text[end]) in _TAGS and end - start <= MAX_TAGS:
        end += 1
    if 0 < end - start <= MAX_TAGS and text[end : end + 1] == _LAST_TAG:
        return text[start : end + 1]
    return ""


def _selects(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_no_character(character: str) -> bool:
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _belongs_to_the_last(character: str) -> bool:
    if character in _SKIN_TONES or character == _LAST_TAG or ord(character) in _TAGS:
        return True
    return unicodedata.category(character) in {"Mn", "Me", "Mc"}
