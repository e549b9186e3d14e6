"""A small writer of FIT files, so that tests need nobody's real ones and can be wrong on purpose.

It writes what the readers read: a header, definitions, messages and the checksum, in the plain subset of
the FIT protocol (no developer fields, no compressed timestamps unless asked for). Field sizes come from the
base type, so a test can say any field of any message by number.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

FIT_EPOCH_S: Final = 631_065_600

FILE_ID, SUMMARY, RECORD, HRV, HR, EVENT = 0, 18, 20, 78, 132, 21


class Field(NamedTuple):
    """One field of a definition: number in the profile, base type, how many values it holds."""

    number: int
    base: str
    values: int = 1


_BASES: Final = {"enum": (0x00, "B"), "uint8": (0x02, "B"), "uint16": (0x84, "H"), "uint32": (0x86, "I")} | {
    "string": (0x07, "s"),
    "byte": (0x0D, "B"),
    "uint64": (0x8F, "Q"),
}

TIMESTAMP: Final = Field(253, "uint32")
HEART_RATE: Final = Field(3, "uint8")


class FitFile:
    """Messages in the order they are written; `encoded()` gives the file."""

    def __init__(self) -> None:
        self._body = bytearray()
        self._fields: dict[int, Sequence[Field]] = {}

    def define(self, local: int, message: int, fields: Sequence[Field]) -> None:
        """Say what the messages with the local number mean from here on."""
        self._fields[local] = fields
        self._body += struct.pack("<BBBHB", 0x40 | local, 0, 0, message, len(fields))
        for field in fields:
            code, letter = _BASES[field.base]
            self._body += bytes((field.number, struct.calcsize(letter) * field.values, code))

    def write(self, local: int, values: Mapping[int, int | bytes | Sequence[int]]) -> None:
        """One message.

        Values by field number; a field that is not named gets its "no value" (all bits set).
        """
        self._body.append(local)
        for field in self._fields[local]:
            _, letter = _BASES[field.base]
            size = struct.calcsize(letter)
            value = values.get(field.number)
            if isinstance(value, bytes):
                self._body += value[: field.values * size].ljust(field.values * size, b"\0")
                continue
            several = () if value is None else (value,) if isinstance(value, int) else tuple(value)
            self._body += struct.pack(f"<{len(several)}{letter}", *several)
            self._body += b"\xff" * (size * (field.values - len(several)))

    def write_compressed(self, local: int, seconds: int, values: Mapping[int, int]) -> None:
        """One message of one-byte fields; its time is five bits in its header, there is no timestamp field."""
        self._body.append(0x80 | local << 5 | seconds & 0x1F)
        self._body += bytes(values.get(field.number, 0xFF) for field in self._fields[local])

    def encoded(self, *, checksum: int | None = None, body_size: int | None = None) -> bytes:
        """Header, messages, checksum; the two arguments put a lie in the place of the truth."""
        size = len(self._body) if body_size is None else body_size
        header = struct.pack("<BBHI4s", 14, 0x20, 2158, size, b".FIT")
        whole = header + struct.pack("<H", crc16(header)) + self._body
        return whole + struct.pack("<H", crc16(whole) if checksum is None else checksum)


def crc16(data: bytes) -> int:
    """The checksum of FIT: CRC-16 with the polynomial 0x8005, bits reflected, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
