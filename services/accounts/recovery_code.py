"""Recovery codes: ten words on paper for the day the phone is gone. Pure.

A code has twelve characters of an alphabet without look-alikes. The first two only say which of the ten it is, so that one hash is
computed when somebody types one, not ten; the other ten are 50 random bits. That is too few for a quick hash, so they are hashed as
passwords are (ASVS 6.5.2).
"""

import secrets
from typing import Final

CODES: Final = 10
ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Neither 0 and O nor 1 and I; 32 signs."""
LENGTH: Final = 12
NAME_LENGTH: Final = 2
MAX_TYPED: Final = 40


def make_codes() -> tuple[str, ...]:
    """Ten new (normal) codes; no two begin alike."""
    names: set[str] = set()
    while len(names) < CODES:
        names.add(_random(NAME_LENGTH))
    return tuple(name + _random(LENGTH - NAME_LENGTH) for name in sorted(names))


def grouped(code: str) -> str:
    """A (normal) code as it is written: three groups of four."""
    return "-".join(code[at : at + 4] for at in range(0, LENGTH, 4))


def normal_code(typed: str) -> str | None:
    """The code that somebody typed, in whatever groups and case; None for what is none."""
    if len(typed) > MAX_TYPED:
        return None
    code = "".join(typed.upper().replace("-", " ").split())
    return code if len(code) == LENGTH and all(sign in ALPHABET for sign in code) else None


def name_of(code: str) -> str:
    """Which of the ten a (normal) code is."""
    return code[:NAME_LENGTH]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
