"""Passwords that are known from breaches, looked up in a file on this machine.

The file is the one that the best-known service publishes: a line for each password, its SHA-1 in 40 capital hex digits, a colon and
how often it was seen, in the order of the hashes. It is some 40 GB, so it is an option and not part of the program; what the
program knows by itself is in `account.py`. Nothing about a password leaves the machine.

Lines differ in length by the digits of their counts, so the search halves *bytes*, not lines: it jumps into the middle of what is
left and reads from the next line's beginning. About 36 reads find a line among a billion.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from services.kernel.problems import WeakPassword

ReadAt = Callable[[int, int], bytes]
"""Bytes of a file: from an offset, at most so many."""

_HASH: Final = 40
LONGEST_LINE: Final = 64
"""Bytes of a line with its end: a hash, a colon, a count of at most 20 digits."""


class Lookup(Protocol):
    """Whether a SHA-1, in capital hex digits, is in the file; off the event loop (persistence/breached_file.py)."""

    async def has(self, sha1: str) -> bool: ...


class Breached:
    """Refuses what is in the file."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup: Final = lookup

    async def refuse(self, password: str, path: str = "$.password") -> None:
        """Return when `password` (normal) is in no breach. Raises WeakPassword with `path`."""
        # SHA-1 is how the file names its lines, and guards nothing here.
        sha1 = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        if await self._lookup.has(sha1):
            raise WeakPassword(
                "this password is in lists of stolen passwords, so others will try it; choose one that you use nowhere else",
                path=path,
            )


def is_in(read: ReadAt, size: int, sha1: str) -> bool:
    """Whether a line of the file begins with this hash (40 capital hex digits).

    Invariant: the line, should there be one, begins at or after `low` and before `high`; `low` is the beginning of a line.
    """
    wanted = sha1.encode()
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        start = _line_from(read, middle) if middle > low else low
        if start >= high:  # no line begins in the upper half: the lower one is short enough to be walked
            return _walk(read, low, high, wanted)
        found = read(start, _HASH)
        if found == wanted:
            return True
        if found < wanted:
            low = _line_from(read, start + 1)
        else:
            high = start
    return False


def _line_from(read: ReadAt, offset: int) -> int:
    """Where the first line begins that begins at or after `offset`."""
    before = read(offset - 1, LONGEST_LINE + 1)
    end = before.find(b"\n")
    return offset + (len(before) if end < 0 else end)


def _walk(read: ReadAt, low: int, high: int, wanted: bytes) -> bool:
    while low < high:
        if read(low, _HASH) == wanted:
            return True
        low = _line_from(read, low + 1)
    return False
