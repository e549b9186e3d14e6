"""A ZIP file written in pieces, by whoever comes next. What is made is read by the library."""

import hashlib
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.zip_file import BrokenFile, ZipFile

NOON = datetime(2026, 11, 28, 12, 30, 20, tzinfo=UTC)


def write(path: Path, offset: int, *entries: tuple[str, list[bytes]]) -> int:
    """Write some entries; where they end."""
    with ZipFile(path, offset) as file:
        for name, pieces in entries:
            file.begin(name, NOON)
            for piece in pieces:
                file.write(piece)
            file.end()
        return file.offset


def finish(path: Path, offset: int) -> tuple[int, str]:
    with ZipFile(path, offset) as file:
        return file.finish()


Entries = st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(Entries, min_size=1, max_size=4), st.binary(max_size=50))
def test_what_several_wrote_is_one_whole_file(
    tmp_path: Path, sessions: list[list[list[bytes]]], rubbish: bytes
) -> None:
    path, offset = tmp_path / "some.zip", 0
    expected: dict[str, bytes] = {}
    for number, entries in enumerate(sessions):
        named = [(f"{number}/{n} ü.txt", pieces) for n, pieces in enumerate(entries)]
        offset = write(path, offset, *named)
        expected |= {name: b"".join(pieces) for name, pieces in named}
        with path.open("ab") as file:
            file.write(rubbish)  # somebody died while writing
    size, digest = finish(path, offset)
    whole = path.read_bytes()
    assert (size, digest) == (len(whole), hashlib.sha256(whole).hexdigest())
    with zipfile.ZipFile(io.BytesIO(whole)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == expected
        assert all(info.date_time == (2026, 11, 28, 12, 30, 20) for info in read.infolist())


def test_an_entry_that_nobody_ended_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    offset = write(path, 0, ("good.txt", [b"good"]))
    with ZipFile(path, offset) as file:
        file.begin("half.txt", NOON)
        file.write(b"half" * 1_000)
    finish(path, offset)
    with zipfile.ZipFile(path) as read:
        assert read.namelist() == ["good.txt"]


def test_a_file_that_lost_its_end_or_its_content_is_told(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    offset = write(path, 0, ("a.txt", [b"a" * 500]), ("b.txt", [b"b" * 500]))
    path.write_bytes(bytes(offset))
    with pytest.raises(BrokenFile):
        finish(path, offset)
    path.write_bytes(b"")
    with pytest.raises(BrokenFile, match="ends before"):
        ZipFile(path, offset)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    write(path, 0, ("a.txt", [b"a"]))
    assert path.stat().st_mode & 0o777 == 0o600
