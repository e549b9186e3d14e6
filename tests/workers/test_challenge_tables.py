"""The copy of a table in Redis follows the one in Postgres, and readers know when it does not."""

import random
from collections.abc import AsyncIterator, Sequence

import pytest

from persistence.database import Database
from realtime.redis_commands import RedisCommands
from realtime.redis_servers import RedisServers
from realtime.redis_tables import RedisTables
from services.challenges import tables
from services.challenges.challenges import ChallengeView
from services.challenges.ranking import Line
from services.challenges.tables import MOST_BEHIND, Changed
from services.kernel.caller import Caller
from services.kernel.facts import ChallengeMoved
from services.kernel.ids import ChallengeId
from tests.support.challenged import Challenged, shown
from tests.support.redis_server import RedisServer, open_redis


class Counted(RedisTables):
    """Copies that count how often they were asked for a page."""

    pages = 0

    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> tables.Page | None:
        self.pages += 1
        return await super().page(challenge_id, start, limit)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """A Redis of one's own."""
    async with open_redis() as server:
        yield server


@pytest.fixture
async def hot(server: RedisServer) -> AsyncIterator[Counted]:
    """Copies on it."""
    servers = RedisServers(server.url)
    yield Counted(RedisCommands(servers))
    await servers.close()


@pytest.fixture
def world(database: Database, hot: Counted) -> Challenged:
    """A world whose tables have copies."""
    return Challenged(database, hot)


async def raced(world: Challenged, **asked: object) -> tuple[ChallengeView, list[Caller]]:
    """A challenge of five in which some have worked out."""
    people = [await world.account(f"Person {n}") for n in range(5)]
    view = await world.challenge(people[0], **asked)
    await world.join(view, *people)
    for n in (3, 1, 4):
        await world.works_out(people[n], 700 + n)
    return view, people


async def follow(world: Challenged, view: ChallengeView) -> None:
    """The copy is brought up to date, as the queue does."""
    async with world.transactions() as stores:
        await world.facts.keep_tables(stores, ChallengeMoved(view.id))


async def both(world: Challenged, hot: Counted, view: ChallengeView) -> tuple[tables.Page | None, tables.Page]:
    """The page of the copy and the true one."""
    async with world.transactions() as stores:
        challenge = await stores.challenges.by_id(view.id)
        assert challenge is not None
        return await hot.page(view.id, 0, 100), await tables.true_page(stores.challenges, challenge, 0, 100)


def ranks_of(page: tables.Page | None) -> list[tuple[int, int, int, int]]:
    assert page is not None
    return [(each.rank, each.line.n, each.line.value, each.line.tie) for each in page.rows]


@pytest.mark.parametrize("ties", ["first", "shared"])
async def test_made_from_nothing_the_copy_has_the_same_ranks(ties: str, world: Challenged, hot: Counted) -> None:
    view, people = await raced(world, kind="count", ties=ties)
    await follow(world, view)
    copied, true = await both(world, hot, view)
    assert ranks_of(copied) == ranks_of(true)
    await world.challenges.leave(people[1], view.id)
    await world.works_out(people[0])
    await follow(world, view)
    await follow(world, view)
    copied, true = await both(world, hot, view)
    assert ranks_of(copied) == ranks_of(true)
    await hot.forget(view.id)
    await follow(world, view)
    assert ranks_of((await both(world, hot, view))[0]) == ranks_of(true)


async def test_a_line_that_only_the_copy_knows_has_no_name(world: Challenged, hot: Counted) -> None:
    ada = await world.account("Ada")
    view = await world.challenge(ada)
    await world.join(view, ada)
    await follow(world, view)
    seq = await hot.seq(view.id)
    await hot.take(view.id, seq, seq + 1, [Changed(Line(9, 100, 0), here=True, seq=seq + 1)])
    table = await world.challenges.table(ada, view.id)
    assert [(line.n, line.name) for line in table.lines] == [(9, None), (1, "Ada")]


async def test_a_page_of_the_copy_names_the_teams(world: Challenged, hot: Counted) -> None:
    people = [await world.account(name) for name in ("Ada", "Bob")]
    view = await world.challenge(people[0], teams=("Red", "Blue"))
    for caller, team in zip(people, ("Blue", "Red"), strict=True):
        await world.join(view, caller, team=team)
    await follow(world, view)
    table = await world.challenges.table(people[1], view.id)
    assert hot.pages == 1
    assert [(line.name, line.team) for line in table.lines] == [("Ada", "Blue"), ("Bob", "Red")]


async def test_in_small_bites_and_from_two_sides_at_once_it_comes_to_the_same(
    world: Challenged, hot: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BITE", 2)
    view, people = await raced(world)
    async with world.transactions() as one, world.transactions() as other:
        steps = [one, other] * 6
        random.Random(3).shuffle(steps)
        monkeypatch.setattr(tables, "BITES", 1)
        for stores in steps:
            await tables.catch_up(stores.challenges, hot, view.id)
            if stores is one:
                await world.works_out(people[2], 650)
        monkeypatch.setattr(tables, "BITES", 200)
        assert await tables.catch_up(one.challenges, hot, view.id)
    copied, true = await both(world, hot, view)
    assert ranks_of(copied) == ranks_of(true)
    assert copied is not None
    assert copied.seq == true.seq


async def test_who_is_not_done_goes_on_in_the_next_handling(
    world: Challenged, hot: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BITE", 2)
    monkeypatch.setattr(tables, "BITES", 1)
    view, _ = await raced(world)
    before = len(await world.told())
    await follow(world, view)
    assert (await world.told())[before:] == [ChallengeMoved(view.id)]


class Forgetful(RedisTables):
    """Copies in a Redis that has too little memory: what is given is evicted at once."""

    async def take(self, challenge_id: ChallengeId, after: int, to: int, changed: Sequence[Changed]) -> int:
        await super().take(challenge_id, after, to, changed)
        await self.forget(challenge_id)
        return await super().take(challenge_id, after, to, changed) if after else to


async def test_a_copy_that_keeps_nothing_is_not_made_for_ever(
    database: Database, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "BITE", 2)
    servers = RedisServers(server.url)
    world = Challenged(database, Forgetful(RedisCommands(servers)))
    view, _ = await raced(world)
    before = len(await world.told())
    await follow(world, view)
    assert len(await world.told()) == before, "nobody is asked to go on"
    await servers.close()


async def test_a_page_comes_from_the_copy_and_oneself_is_never_shown_older_than_one_is(
    world: Challenged, hot: Counted
) -> None:
    view, people = await raced(world)
    await follow(world, view)
    first = await world.challenges.table(people[0], view.id)
    assert hot.pages == 1
    await world.works_out(people[0], 3_000)
    mine = await world.challenges.table(people[0], view.id)
    others = await world.challenges.table(people[1], view.id)
    assert shown(mine)[0][1] == "Person 0", "the copy is behind on me: the database answers"
    assert (others.revision, shown(others)) == (first.revision, shown(first)), "a moment behind on somebody else"
    around = await world.challenges.table(people[1], view.id, limit=3, around_me=True)
    assert (around.revision, people[1].name in [name for _, name, _ in shown(around)]) == (first.revision, True)


async def test_a_copy_that_is_far_behind_is_not_believed(world: Challenged, hot: Counted) -> None:
    view, people = await raced(world)
    await follow(world, view)
    async with world.transactions() as stores:
        await stores.tx.execute("UPDATE challenges SET seq = seq + $2 WHERE id = $1", view.id, MOST_BEHIND + 1)
        stood = await hot.seq(view.id)
    table = await world.challenges.table(people[1], view.id)
    assert table.revision == stood + MOST_BEHIND + 1


async def test_a_closed_table_is_shown_to_the_last_entry_or_from_the_database(world: Challenged, hot: Counted) -> None:
    view, people = await raced(world)
    await follow(world, view)
    await world.close(view)
    final = await world.challenges.table(people[1], view.id)
    assert (final.final, final.revision) == (True, final.entries)
    await follow(world, view)
    assert await hot.seq(view.id) == final.entries
    assert await world.challenges.table(people[1], view.id) == final


async def test_a_copy_of_a_database_that_went_back_in_time_is_dropped(world: Challenged, hot: Counted) -> None:
    view, _ = await raced(world)
    await follow(world, view)
    stands = await hot.seq(view.id)
    await hot.take(view.id, stands, stands + 50, [])
    await follow(world, view)
    copied, true = await both(world, hot, view)
    assert ranks_of(copied) == ranks_of(true)
    assert await hot.seq(view.id) == true.seq


async def test_without_redis_tables_are_shown_and_no_task_fails(database: Database) -> None:
    servers = RedisServers("redis://127.0.0.1:1/0")
    world = Challenged(database, RedisTables(RedisCommands(servers)))
    view, people = await raced(world)
    await follow(world, view)
    assert shown(await world.challenges.table(people[0], view.id))[0][1] == "Person 4"
    around = await world.challenges.table(people[4], view.id, around_me=True)
    assert shown(around)[0][1] == "Person 4"
    await servers.close()
