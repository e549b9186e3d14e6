"""A ZIP file that is written in pieces by several processes, one after the other.

The library's `ZipFile` keeps the list of entries in memory and writes it last: whoever dies takes it along. Here an entry is whole
when it has ended, with its sizes in its own header, so that the list can be made in the end by walking over the file, whoever wrote
which part. `offset` after an entry is all that must be remembered to go on; what lies behind it is cut off.

Memory is one piece at a time. Compression is deflate, names are UTF-8. Without the 64-bit extensions a file has at most 4 GiB and
65,535 entries (PKWARE APPNOTE 6.3, section 4); `FileTooLarge` says so.

Everything here blocks: call it in a thread.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MOST_BYTES: Final = 2**32 - 2**24
"""16 MiB below what the offsets can say: room for the list of entries."""
MOST_ENTRIES: Final = 65_535
READ_BYTES: Final = 1 << 20

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_VERSION, _UNIX, _UTF8, _DEFLATE = 20, 3 << 8, 1 << 11, 8
_OWNER_ONLY: Final = 0o100600 << 16


class FileTooLarge(Exception):  # noqa: N818 - it says what the file is
    """A ZIP file of this kind cannot hold so much."""


class BrokenFile(Exception):  # noqa: N818 - it says what the file is
    """What lies in the file is not what was written: it was changed, or lost with its disk. Begin again."""


class ZipFile:
    """A file that is being written, open at `offset`; 0 makes it new. Raises `BrokenFile` when it is shorter."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.offset = offset
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "r+b")
        if self._file.seek(0, os.SEEK_END) < offset:
            self._file.close()
            raise BrokenFile(f"{path.name} ends before {offset}")
        self._file.truncate(offset)
        self._name = b""
        self._at = (0, 0)
        self._size = self._packed_size = self._crc = 0
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def begin(self, name: str, at: datetime) -> None:
        """Begin an entry, as of `at`."""
        self._name = name.encode()
        self._at = (
            at.hour << 11 | at.minute << 5 | at.second // 2,
            max(at.year - 1980, 0) << 9 | at.month << 5 | at.day,
        )
        self._size = self._packed_size = self._crc = 0
        self._deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._file.seek(self.offset + _LOCAL.size + len(self._name))

    def write(self, piece: bytes) -> None:
        """One more piece of the entry. Raises `FileTooLarge`."""
        self._size += len(piece)
        self._crc = zlib.crc32(piece, self._crc)
        self._keep(self._deflate.compress(piece))

    def end(self) -> None:
        """The entry is whole. Raises `FileTooLarge`."""
        self._keep(self._deflate.flush())
        end = self._file.tell()
        self._file.seek(self.offset)
        sizes = (self._crc, self._packed_size, self._size, len(self._name), 0)
        self._file.write(_LOCAL.pack(b"PK\x03\x04", _VERSION, _UTF8, _DEFLATE, *self._at, *sizes) + self._name)
        self.offset = end

    def sync(self) -> None:
        """What was written is on the disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> tuple[int, str]:
        """Write the list of entries; the size of the file and its SHA-256 in hex. Raises `FileTooLarge` and `BrokenFile`."""
        entries, start, at = 0, self.offset, self.offset
        for header, name, place in self._entries():
            _, _, flags, method, clock, day, crc, packed, size, name_size, _ = header
            self._file.seek(at)
            same = (flags, method, clock, day, crc, packed, size, name_size)
            line = _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, _VERSION, *same, 0, 0, 0, 0, _OWNER_ONLY, place)
            self._file.write(line + name)
            at = self._file.tell()
            entries += 1
        if entries > MOST_ENTRIES:
            raise FileTooLarge(f"a ZIP file of this kind has at most {MOST_ENTRIES} entries")
        self._file.seek(at)
        self._file.write(_END.pack(b"PK\x05\x06", 0, 0, entries, entries, at - start, start, 0))
        self.sync()
        digest = hashlib.sha256()
        self._file.seek(0)
        while piece := self._file.read(READ_BYTES):
            digest.update(piece)
        return self._file.tell(), digest.hexdigest()

    def _entries(self) -> Iterator[tuple[tuple[int, ...], bytes, int]]:
        """The header, the name and the place of each entry."""
        place = 0
        while place < self.offset:
            self._file.seek(place)
            raw = self._file.read(_LOCAL.size)
            if len(raw) < _LOCAL.size or raw[:4] != b"PK\x03\x04":
                raise BrokenFile(f"there is no entry at {place}")
            header = _LOCAL.unpack(raw)
            name = self._file.read(header[9])
            yield header, name, place
            place += _LOCAL.size + len(name) + header[7]

    def _keep(self, packed: bytes) -> None:
        self._packed_size += len(packed)
        self._file.write(packed)
        if self._file.tell() > MOST_BYTES or self._size > MOST_BYTES:
            raise FileTooLarge(f"a ZIP file of this kind has at most {MOST_BYTES} bytes")
