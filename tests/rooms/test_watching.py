"""Looking at a challenge's table: who may, what they are told when it moves, on whichever node it was handled."""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from realtime.broker import InMemoryBroker, MemoryBus
from realtime.connection import Connection
from realtime.hub import Hub
from realtime.mailbox import Mailbox
from realtime.node import Node
from realtime.peer import TableMoved
from rooms.watching import EVERY_S, MOST_A_TURN, MOST_WATCHED, Watching, channel_of
from services.challenges.challenge import Rules
from services.challenges.challenges import ChallengeTable, ChallengeView, TableLine
from services.challenges.standing import AROUND, LEADERS
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ChallengeId, LoginId
from services.kernel.problems import ChallengeNotFound, TooManyWatches, Unavailable
from tests.rooms.conftest import Line, events

HILLS = ChallengeId(uuid.UUID(int=1))
_RULES = Rules("effort", date(2026, 11, 23), date(2026, 11, 29))


@dataclass
class Kept:
    """Tables as they are kept: who is in, by number, and what each has. Counts how often a page was read."""

    members: dict[AccountId, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    revision: int = 1
    read: int = 0
    away: bool = False

    async def by_id(self, caller: Caller, challenge_id: ChallengeId) -> ChallengeView:
        if self.away:
            raise Unavailable
        if caller.account_id not in self.members:
            raise ChallengeNotFound
        return ChallengeView(
            id=challenge_id,
            code="K7WQ2MXB4T",
            title="Hills",
            kind=_RULES.kind,
            first_day=_RULES.first_day,
            last_day=_RULES.last_day,
            ties=_RULES.ties,
            from_zone=None,
            teams=(),
            members=len(self.members),
            closes_ms=0,
            finished_ms=None,
            yours=False,
            you=self.members[caller.account_id],
            time_zone="UTC",
        )

    async def table(
        self, caller: Caller, challenge_id: ChallengeId, *, start: int = 0, limit: int = 0, around_me: bool = False
    ) -> ChallengeTable:
        self.read += 1
        best = sorted(self.values, key=lambda n: -self.values[n])
        if around_me:
            start = max(best.index(self.members[caller.account_id]) - limit // 2, 0)
        lines = [TableLine(at + 1, n, f"P{n}", self.values[n], None) for at, n in enumerate(best)]
        return ChallengeTable(
            challenge_id=challenge_id,
            revision=self.revision,
            members=len(self.members),
            start=start,
            lines=tuple(lines[start : start + limit]),
            teams=(),
            head="00",
            entries=self.revision,
            final=False,
        )


class House:
    """Two nodes. People look through `here`, what happens is handled at `there`."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.kept = Kept()
        bus = MemoryBus()
        self.here = Node("here", Hub(), InMemoryBroker(bus), self.clock)
        self.there = Node("there", Hub(), InMemoryBroker(bus), self.clock)
        self.watching = Watching(self.here, self.kept, self.clock)
        self.tasks = [asyncio.ensure_future(node.run()) for node in (self.here, self.there)]

    def member(self) -> Connection:
        """Somebody who is in, connected here."""
        n = len(self.kept.members) + 1
        account_id = AccountId(uuid.UUID(int=n << 64))
        self.kept.members[account_id] = n
        self.kept.values[n] = 0
        return self.connect(Caller(account_id, LoginId(uuid.uuid4()), f"P{n}", frozenset({"member"}), 2**50))

    def connect(self, caller: Caller) -> Connection:
        connection = Connection(str(uuid.uuid4()), caller, Mailbox(), Line(), opened_at=0.0)
        self.here.add(connection)
        return connection

    async def scored(self, n: int, value: int, challenge_id: ChallengeId = HILLS) -> None:
        """A score is kept, and told at the other node."""
        self.kept.values[n] = value
        self.kept.revision += 1
        self.there.announce(channel_of(challenge_id), TableMoved(challenge_id))
        await self.clock.advance(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def house() -> Any:
    house = House()
    await house.clock.advance(0)
    yield house
    await house.close()


def told(connection: Connection) -> list[dict[str, Any]]:
    return [payload for name, payload in events(connection) if name == "challenge.table"]


async def test_whoever_looks_is_told_when_the_table_has_moved_at_another_node(house: House) -> None:
    ana, ben = house.member(), house.member()
    standing = await house.watching.watch(ana, HILLS)
    assert (standing.you, standing.members, len(standing.leaders.lines)) == (1, 2, 2)
    await house.scored(2, 500)
    await house.watching.turn()
    (news,) = told(ana)
    assert [(line["rank"], line["name"], line["value"]) for line in news["leaders"]["lines"]] == [
        (1, "P2", 500),
        (2, "P1", 0),
    ]
    assert news["leaders"]["revision"] == 2
    assert told(ben) == [], "who does not look is told nothing"


async def test_what_is_handled_at_ones_own_node_is_told_as_well(house: House) -> None:
    ana = house.member()
    await house.watching.watch(ana, HILLS)
    house.here.announce(channel_of(HILLS), TableMoved(HILLS))
    await house.watching.turn()
    assert len(told(ana)) == 1


async def test_many_changes_within_a_turn_are_told_once_and_read_once_for_the_leaders(house: House) -> None:
    people = [house.member() for _ in range(30)]
    for each in people:
        await house.watching.watch(each, HILLS)
    for value in range(5):
        await house.scored(7, value)
    house.kept.read = 0
    await house.watching.turn()
    assert house.kept.read == 1 + len(people)
    for each in people:
        (news,) = told(each)
        assert len(news["leaders"]["lines"]) == LEADERS
        assert len(news["around"]["lines"]) <= AROUND
        assert news["you"] in {line["n"] for line in news["around"]["lines"]}
    await house.watching.turn()
    assert not any(told(each) for each in people), "nothing has moved since"


async def test_the_loop_waits_for_news_and_then_gathers_for_a_while(house: House) -> None:
    ana = house.member()
    await house.watching.watch(ana, HILLS)
    house.tasks.append(asyncio.ensure_future(house.watching.run()))
    await house.scored(1, 100)
    assert told(ana) == []
    await house.clock.advance(EVERY_S)
    assert len(told(ana)) == 1
    await house.clock.advance(10 * EVERY_S)
    assert told(ana) == []


async def test_a_stranger_may_not_look_and_leaves_no_trace(house: House) -> None:
    house.member()
    stranger = house.connect(Caller(AccountId(uuid.uuid4()), LoginId(uuid.uuid4()), "S", frozenset({"member"}), 2**50))
    with pytest.raises(ChallengeNotFound):
        await house.watching.watch(stranger, HILLS)
    assert channel_of(HILLS) not in stranger.channels
    await house.scored(1, 100)
    await house.watching.turn()
    assert told(stranger) == []


async def test_who_has_left_the_challenge_hears_nothing_more(house: House) -> None:
    ana, ben = house.member(), house.member()
    await house.watching.watch(ana, HILLS)
    await house.watching.watch(ben, HILLS)
    del house.kept.members[ana.caller.account_id]
    await house.scored(2, 100)
    await house.watching.turn()
    assert told(ana) == []
    assert channel_of(HILLS) not in ana.channels
    assert len(told(ben)) == 1


async def test_a_connection_looks_at_a_few_tables_and_is_told_when_it_wants_more(house: House) -> None:
    ana = house.member()
    for n in range(MOST_WATCHED):
        await house.watching.watch(ana, ChallengeId(uuid.UUID(int=n + 10)))
    with pytest.raises(TooManyWatches):
        await house.watching.watch(ana, HILLS)
    await house.watching.watch(ana, ChallengeId(uuid.UUID(int=10)))  # again is fine
    house.watching.unwatch(ana, ChallengeId(uuid.UUID(int=10)))
    house.watching.unwatch(ana, ChallengeId(uuid.UUID(int=10)))
    await house.watching.watch(ana, HILLS)


async def test_whoever_waits_longest_is_told_first_and_nobody_is_left_out(house: House) -> None:
    people = [house.member() for _ in range(MOST_A_TURN + 20)]
    for each in people:
        await house.watching.watch(each, HILLS)
    await house.scored(1, 100)
    await house.watching.turn()
    assert [len(told(each)) for each in people] == [1] * MOST_A_TURN + [0] * 20
    await house.scored(1, 200)
    await house.watching.turn()
    assert [len(told(each)) for each in people[MOST_A_TURN:]] == [1] * 20
    await house.watching.turn()
    assert [len(told(each)) for each in people[:MOST_A_TURN]] == [1] * MOST_A_TURN


async def test_a_database_that_is_away_is_asked_again_next_time(house: House) -> None:
    ana = house.member()
    await house.watching.watch(ana, HILLS)
    await house.scored(1, 100)
    house.kept.away = True
    await house.watching.turn()
    assert told(ana) == []
    house.kept.away = False
    await house.watching.turn()
    assert len(told(ana)) == 1


async def test_a_connection_that_is_gone_is_forgotten(house: House) -> None:
    ana = house.member()
    await house.watching.watch(ana, HILLS)
    await house.scored(1, 100)
    house.watching.drop(ana)
    house.kept.read = 0
    await house.watching.turn()
    assert (told(ana), house.kept.read) == ([], 0)
    assert house.here.count(channel_of(HILLS)) == 0


async def test_a_slow_reader_gets_the_newest_table_only(house: House) -> None:
    ana = house.member()
    await house.watching.watch(ana, HILLS)
    for value in (100, 200, 300):
        await house.scored(1, value)
        await house.watching.turn()
    (news,) = told(ana)
    assert news["leaders"]["lines"][0]["value"] == 300
