"""Names that could pass for another one. Pure.

The rule, decided once: a name is in any script, but **one word of it is in one script**, for nobody's name mixes them within a word
and a Cyrillic "а" among Latin letters is there to deceive. Scripts that are written together count as one, as Unicode has it for
identifiers (UTS 39, "highly restrictive": Japanese, Korean and Chinese, each with Latin). What has no width is refused where it
does nothing but make two equal-looking names different: joiners beside letters of scripts that know none, fillers, selectors of
variants of anything but emoji. Letters that are another letter in a costume (fullwidth, mathematical, presentation forms) are
undressed.

What is left: a whole word in another script that looks like a Latin one ("Ѕсоре"). Refusing that would refuse real people's names;
who somebody is, others see by what does not come from their name (an account's id, the roles that a class shows).

Python knows no scripts. The first word of a letter's name does, for all that matter here.
"""

import unicodedata
from itertools import pairwise
from typing import Final

_TOGETHER: Final = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)
_OF_NO_SCRIPT: Final = frozenset({"MODIFIER", "KATAKANA-HIRAGANA", "IDEOGRAPHIC", "FEMININE", "MASCULINE"})
"""First words of letters that are written within several scripts: ʻ and ʼ, ー, 々, ª and º."""
_KNOW_NO_JOINERS: Final = frozenset(
    {
        "LATIN",
        "GREEK",
        "CYRILLIC",
        "ARMENIAN",
        "GEORGIAN",
        "HEBREW",
        "THAI",
        "LAO",
        "CJK",
        "HIRAGANA",
        "KATAKANA",
        "HANGUL",
    }
)
_JOINERS: Final = "\u200c\u200d"
_EMOJI_STYLES: Final = "\ufe0e\ufe0f"
_NOT_SEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Fillers and the like: letters, marks and signs that nobody sees."""
MOST_MARKS: Final = 4
"""Combining marks on one letter; no language writes more, and a tower of them is drawn over the lines around."""


def undressed(name: str) -> str:
    """The name with letters and digits that are others in a costume replaced by those."""
    kept = (
        unicodedata.normalize("NFKC", sign)
        if unicodedata.category(sign) in {"Ll", "Lu", "Lt", "Lo", "Nd"} and sign not in "ªº"
        else sign
        for sign in name
    )
    return unicodedata.normalize("NFC", "".join(kept))


def fault_of(name: str) -> str | None:
    """Why a name (composed, with single blanks) could pass for another one, None when it could not."""
    if any(sign in _NOT_SEEN or _is_selector(sign) for sign in name) or not _styles_emoji_only(name):
        return "a name may not have signs in it that nobody sees"
    if not all(_may_join(name, at) for at, sign in enumerate(name) if sign in _JOINERS):
        return "a name may have joiners in it only within scripts that are written with them"
    marks = 0
    for sign in name:
        marks = marks + 1 if unicodedata.category(sign) in {"Mn", "Me"} else 0
        if marks > MOST_MARKS:
            return f"a letter of a name has at most {MOST_MARKS} marks"
    for word in _words(name):
        scripts = {script for sign in word if (script := script_of(sign)) is not None}
        if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
            return "each word of a name is in one script: letters of two that look alike are taken for others"
    return None


def script_of(sign: str) -> str | None:
    """The script of a letter, as the first word of its name; None for what is no letter, or is written within several."""
    if unicodedata.category(sign)[0] != "L":
        return None
    first = unicodedata.name(sign, "").split(" ")[0]
    return None if first in _OF_NO_SCRIPT else first


def _words(name: str) -> list[str]:
    """Letters with their marks and joiners; everything else stands between words."""
    return "".join(sign if unicodedata.category(sign)[0] in "LM" or sign in _JOINERS else " " for sign in name).split()


def _may_join(name: str, at: int) -> bool:
    beside = name[max(at - 1, 0) : at] + name[at + 1 : at + 2]
    return len(beside) == 2 and not any(
        sign.isspace() or sign in _JOINERS or script_of(sign) in _KNOW_NO_JOINERS or sign.isascii() for sign in beside
    )


def _styles_emoji_only(name: str) -> bool:
    return not name.startswith(tuple(_EMOJI_STYLES)) and all(
        unicodedata.category(before) in {"So", "Sm", "Sk"} or before in "#*0123456789‼⁉"
        for before, sign in pairwise(name)
        if sign in _EMOJI_STYLES
    )


def _is_selector(sign: str) -> bool:
    return "\ufe00" <= sign <= "\ufe0d" or "\U000e0100" <= sign <= "\U000e01ef"
