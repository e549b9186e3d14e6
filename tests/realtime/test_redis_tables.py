"""The copies of tables in Redis: the same order, the same ranks, and nothing believed that is not so."""

import uuid
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.redis_commands import RedisCommands
from realtime.redis_servers import RedisServers
from realtime.redis_tables import RedisTables, packed, unpacked
from services.challenges.ranking import MOST_N, MOST_TIE, MOST_VALUE, Line, ranked
from services.challenges.tables import Changed, TableAway
from services.kernel.ids import ChallengeId
from tests.support.redis_server import RedisServer, open_redis

ID = ChallengeId(uuid.UUID(int=42))
EDGES = [
    Line(n, value, tie)
    for value in (0, 1, 2**38, 2**52 + 1, MOST_VALUE - 1)
    for tie, n in ((0, 0), (0, 1), (255, 7), (256, 6), (2**40, MOST_N - 1), (MOST_TIE - 1, 3))
]
LINES = st.builds(
    Line, n=st.integers(0, MOST_N - 1), value=st.integers(0, MOST_VALUE - 1), tie=st.integers(0, MOST_TIE - 1)
)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A Redis of one's own."""
    async with open_redis() as server:
        yield server


@pytest.fixture
async def hot(server: RedisServer) -> AsyncIterator[RedisTables]:
    """Copies on it."""
    servers = RedisServers(server.url)
    yield RedisTables(RedisCommands(servers))
    await servers.close()


def all_here(*lines: Line) -> list[Changed]:
    return [Changed(line, True, seq) for seq, line in enumerate(lines, 1)]


def renumbered(lines: list[Line]) -> list[Line]:
    """The same lines, each with a number of its own that keeps the order of the numbers."""
    return [Line(number, line.value, line.tie) for number, line in enumerate(sorted(lines, key=lambda line: line.n))]


@given(LINES, LINES)
def test_lines_packed_are_ordered_as_lines_and_come_back_whole(one: Line, other: Line) -> None:
    assert (packed(one) < packed(other)) == (one.place < other.place)
    score, member = packed(one)
    assert unpacked(repr(float(score)).encode(), member) == one
    assert int(float(score)) == score


async def test_at_the_limits_redis_has_the_order_and_the_ranks_of_the_pure_table(hot: RedisTables) -> None:
    lines = renumbered(EDGES)
    assert await hot.take(ID, 0, 99, all_here(*lines)) == 99
    page = await hot.page(ID, 0, 100)
    assert page is not None
    assert list(page.rows) == list(ranked(lines))


async def test_any_page_has_the_ranks_of_the_whole_also_where_many_are_equal(hot: RedisTables) -> None:
    lines = [Line(n, value=n // 10, tie=n % 10 // 4) for n in range(60)]
    whole = list(ranked(lines))
    await hot.take(ID, 0, 60, all_here(*lines))
    for start in range(0, 61, 3):
        page = await hot.page(ID, start, 5)
        assert page is not None
        assert (page.start, list(page.rows)) == (start, whole[start : start + 5])
    for position, each in enumerate(whole):
        page = await hot.around(ID, each.line.n, 4)
        assert page is not None
        start = max(position - 1, 0)
        assert (page.start, list(page.rows)) == (start, whole[start : start + 4])


async def test_a_member_has_one_line_however_often_they_move_and_none_when_they_left(hot: RedisTables) -> None:
    await hot.take(ID, 0, 2, all_here(Line(1, 5, 0), Line(2, 3, 0)))
    await hot.take(ID, 2, 4, [Changed(Line(2, 9, 7), True, 3), Changed(Line(1, 5, 0), False, 4)])
    page = await hot.page(ID, 0, 10)
    assert page is not None
    assert [(each.rank, each.line) for each in page.rows] == [(1, Line(2, 9, 7))]
    assert page.seq == 4
    assert await hot.around(ID, 1, 10) is None


async def test_what_does_not_follow_is_not_taken(hot: RedisTables) -> None:
    assert await hot.take(ID, 5, 6, all_here(Line(1, 5, 0))) == 0, "it stands nowhere yet"
    assert await hot.page(ID, 0, 10) is None
    assert await hot.take(ID, 0, 6, all_here(Line(1, 5, 0))) == 6
    assert await hot.take(ID, 0, 3, all_here(Line(1, 4, 0))) == 6, "an older one came later"
    page = await hot.page(ID, 0, 10)
    assert page is not None
    assert page.rows[0].line.value == 5


@pytest.mark.parametrize("parts", [("order",), ("places",), ("state",), ("order", "places")])
async def test_a_copy_of_which_a_part_was_evicted_is_none_and_is_made_anew(
    parts: tuple[str, ...], hot: RedisTables, server: RedisServer
) -> None:
    await hot.take(ID, 0, 2, all_here(Line(1, 5, 0), Line(2, 3, 0)))
    servers = RedisServers(server.url)
    await server.command("DEL", *(servers.key(f"challenge:{ID}", part) for part in parts))
    await servers.close()
    assert await hot.page(ID, 0, 10) is None
    assert await hot.seq(ID) == 0
    assert await hot.take(ID, 0, 2, all_here(Line(2, 3, 0))) == 2
    page = await hot.page(ID, 0, 10)
    assert page is not None
    assert [each.line.n for each in page.rows] == [2]


async def test_a_full_redis_takes_a_change_whole_or_not_at_all(hot: RedisTables, server: RedisServer) -> None:
    await hot.take(ID, 0, 2, all_here(Line(1, 5, 0), Line(2, 3, 0)))
    await server.command("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(TableAway):
        await hot.take(ID, 2, 3, [Changed(Line(3, 9, 0), True, 3)])
    page = await hot.page(ID, 0, 10)
    assert page is not None
    assert (page.seq, [each.line.n for each in page.rows]) == (2, [1, 2])


async def test_without_redis_it_says_so(server: RedisServer) -> None:
    servers = RedisServers("redis://127.0.0.1:1/0")
    hot = RedisTables(RedisCommands(servers))
    with pytest.raises(TableAway):
        await hot.page(ID, 0, 10)
    await servers.close()
