"""Text files of devices: which bytes are letters, and where a line stands.

Polar's software wrote notes in the code page of the computer it ran on, so a file that is not UTF-8 is
normal. The numbers we want are ASCII in every one of those code pages; a wrongly guessed letter in a note
costs nothing.
"""

import codecs
import io
from collections.abc import Iterator


def decoded(data: bytes) -> str:
    """The text of a file: by its byte order mark, else UTF-8, else Latin-1 (which never fails)."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, stripped, with their number from 1.

    Any of the three line ends will do.
    """
    for number, line in enumerate(io.StringIO(decoded(data), newline=None), start=1):
        stripped = line.strip()
        if stripped:
            yield number, stripped
