"""Passwords known from breaches, looked up in a file as it is published (ASVS 6.2.12)."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.breached_file import open_breached_file
from persistence.database import Database
from services.accounts.breached import Breached, is_in
from services.kernel.problems import WeakPassword
from tests.support.doors import NEW, OLD, open_doors


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def lines(passwords: list[str], end: str = "\r\n") -> bytes:
    """A file of these, each seen as often as it comes."""
    hashes = sorted({sha1(one) for one in passwords})
    return "".join(f"{one}:{10 ** (n % 9)}{end}" for n, one in enumerate(hashes)).encode()


@given(
    st.lists(st.text(max_size=8), min_size=1, max_size=60),
    st.text(max_size=8),
    st.sampled_from(["\r\n", "\n"]),
    st.booleans(),
)
def test_exactly_what_is_in_the_file_is_found(known: list[str], other: str, end: str, cut: bool) -> None:
    data = lines(known, end)
    if cut:
        data = data.removesuffix(end.encode())

    def read(offset: int, length: int) -> bytes:
        assert offset >= 0
        return data[offset : offset + length]

    for one in known:
        assert is_in(read, len(data), sha1(one))
    assert is_in(read, len(data), sha1(other)) == (other in known)
    assert not is_in(read, len(data), "0" * 40)
    assert not is_in(read, len(data), "F" * 40)


def test_a_line_among_a_million_is_found_with_a_few_reads() -> None:
    """The file of a billion lines is never walked: what is made up on the way are the lines that are read, each of 45 bytes."""
    count, reads = 1_000_000, 0

    def read(offset: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        first = offset // 45
        made = b"".join(b"%040X:100\n" % (n * 7) for n in range(first, min(first + length // 45 + 2, count)))
        return made[offset % 45 : offset % 45 + length]

    for n in (0, 1, 499_999, count - 1):
        assert is_in(read, 45 * count, f"{n * 7:040X}")
        assert not is_in(read, 45 * count, f"{n * 7 + 3:040X}")
    assert reads < 8 * 2 * 30


async def test_asvs_6_2_12_a_breached_password_is_refused_wherever_one_is_chosen(
    database: Database, tmp_path: Path
) -> None:
    """ASVS 6.2.12: registering in both ways, changing, resetting; and nothing is hashed for it."""
    file = tmp_path / "pwned.txt"
    stolen = "marble pigeon cello drift"
    file.write_bytes(lines([stolen, *(f"other {n}" for n in range(1_000))]))
    with open_breached_file(file) as known:
        async with open_doors(database, breached=Breached(known)) as doors:
            caller = doors.caller(await doors.account())
            await doors.resets.ask("anna@example.org", address=None)
            link = await doors.link("reset")
            before = doors.passwords.statistics().hashed
            with pytest.raises(WeakPassword, match="stolen"):
                await doors.account("bob@example.org", stolen)
            with pytest.raises(WeakPassword, match="stolen"):
                await doors.begin("bob@example.org", stolen)
            with pytest.raises(WeakPassword, match="stolen"):
                await doors.reset(link, stolen)
            assert doors.passwords.statistics().hashed == before
            with pytest.raises(WeakPassword, match="stolen") as refused:
                await doors.logins.change_password(caller, old=OLD, new=stolen, address=None)
            assert refused.value.path == "$.new"
            await doors.reset(link, NEW)


@pytest.mark.parametrize("content", [b"", b"password\nqwerty\n", b"0" * 40 + b"\n", b"a" * 40 + b":1\n"])
def test_a_file_of_something_else_is_refused_at_the_start_with_what_it_should_be(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="40 capital hex digits"), open_breached_file(file):
        pass
