"""The file of breached passwords: opened once, looked up in threads, a few blocks for each (services/accounts/breached.py)."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.accounts.breached import is_in


class BreachedFile:
    """An open file. Reads do not share a position, so lookups do not disturb each other."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor: Final = descriptor
        self._size: Final = size

    async def has(self, sha1: str) -> bool:
        """See `services.accounts.breached.Lookup`."""
        return await asyncio.to_thread(is_in, self._read, self._size, sha1)

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


@contextmanager
def open_breached_file(path: Path) -> Iterator[BreachedFile]:
    """Raises OSError when the file cannot be read, ValueError when it is no list of SHA-1 hashes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        first = os.pread(descriptor, 41, 0)
        if len(first) != 41 or first[40:] != b":" or set(first[:40]) - set(b"0123456789ABCDEF"):
            raise ValueError(
                f"{path} is no list of breached passwords: each line is a SHA-1 in 40 capital hex digits, a colon and a count,"
                " ordered by hash"
            )
        yield BreachedFile(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
