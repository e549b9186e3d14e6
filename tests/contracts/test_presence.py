"""Who is in a room across nodes, on both registers: in memory and in Redis."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from realtime import presence as presence_module
from realtime import redis_servers
from realtime.presence import Presence
from realtime.redis_presence import RedisRegister
from realtime.redis_servers import RedisServers
from realtime.register import (
    PARTED_KEPT,
    Answer,
    MemoryRegister,
    News,
    Register,
    RegisterAway,
    Report,
    Seen,
    Terms,
)
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId
from services.kernel.problems import Unavailable
from tests.support.redis_server import RedisServer, open_redis
from tests.support.stalling_clock import StallingClock

ROOM = "room:1"
STEP_S = 0.1
WAIT_S = 15.0


def person(n: int) -> AccountId:
    return AccountId(uuid.UUID(int=n))


ADA, BOB, KIM = person(1), person(2), person(3)


class Watched:
    """A register that knows whether somebody waits for it."""

    def __init__(self, register: Register) -> None:
        self.register = register
        self.asked = 0
        self.cut = False
        self.answers_lost = False
        self.without: Collection[str] = ()

    async def exchange(self, reports: Sequence[Report]) -> list[Answer | RegisterAway]:
        self.asked += 1
        try:
            if self.cut:
                return [RegisterAway("cut off")] * len(reports)
            answers = await self.register.exchange([report for report in reports if report.room not in self.without])
            if self.answers_lost:
                return [RegisterAway("lost")] * len(reports)
            return [RegisterAway("away") if report.room in self.without else answers.pop(0) for report in reports]
        finally:
            self.asked -= 1


@dataclass
class TestNode:
    """A node's presence and what it has announced."""

    __test__ = False

    place: "Place"
    name: str
    register: Watched
    clock: StallingClock
    presence: Presence = field(init=False)
    task: "asyncio.Task[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.presence = Presence(self.name, self.register, self.clock)
        self.presence.on_news = self._heard
        self.presence.follow(ROOM)
        self.task = asyncio.create_task(self.presence.run())

    async def _heard(self, room: str, news: News) -> None:
        if room == ROOM:
            self.place.told.append((self.name, news))

    def enter(self, *accounts: AccountId) -> None:
        for account in accounts:
            self.presence.enter(ROOM, account)

    def leave(self, *accounts: AccountId) -> None:
        for account in accounts:
            self.presence.leave(ROOM, account)

    def count(self) -> int:
        return self.presence.count(ROOM)

    async def die(self) -> None:
        """Nothing of it runs any more, and it has said nothing."""
        self.task.cancel()
        await asyncio.wait({self.task})
        self.place.nodes.remove(self)

    async def drain(self) -> None:
        """It stops in order."""
        self.presence.stop()
        while not self.task.done():
            await self.place.pass_time(STEP_S)
        self.place.nodes.remove(self)


@dataclass
class Place:
    """Nodes that share one register, and everything that was announced: by whom, and what."""

    make: Callable[[ManualClock], Register]
    empty: Callable[[], Awaitable[None]]
    clock: ManualClock = field(default_factory=ManualClock)
    nodes: list[TestNode] = field(default_factory=list)
    told: list[tuple[str, News]] = field(default_factory=list)

    async def node(self, name: str) -> TestNode:
        made = TestNode(self, name, Watched(self.make(self.clock)), StallingClock(self.clock))
        self.nodes.append(made)
        await self.pass_time(2 * STEP_S)
        return made

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, each node's round done in every one."""
        for _ in range(round(seconds / STEP_S)):
            await self.clock.advance(STEP_S)
            async with asyncio.timeout(WAIT_S):
                while any(node.register.asked for node in self.nodes):
                    await asyncio.sleep(0)
                await self.clock.advance(0)

    async def until(self, condition: Callable[[], bool], within_s: float) -> float:
        """Let time pass until something is true; how long that took. Fails when it takes longer."""
        began = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - began <= within_s, f"not within {within_s} s"
            await self.pass_time(STEP_S)
        return self.clock.monotonic() - began

    def joined(self) -> Counter[AccountId]:
        return Counter(account for _, news in self.told for account in news.joined)

    def left(self) -> Counter[AccountId]:
        return Counter(account for _, news in self.told for account in news.left)

    def forget_told(self) -> None:
        self.told.clear()

    def cut(self, *names: str) -> None:
        """For these nodes the register is away from now on."""
        for node in self.nodes:
            node.register.cut = node.register.cut or node.name in names

    async def back(self, first: str) -> None:
        """The register is there again, for one node first: the others happen to be in the longest of their pauses."""
        for node in self.nodes:
            if node.name == first:
                node.register.cut = False
        await self.pass_time(presence_module.LONGEST_PAUSE_S)
        for node in self.nodes:
            node.register.cut = False

    async def close(self) -> None:
        for node in self.nodes:
            node.task.cancel()
        if self.nodes:
            await asyncio.wait({node.task for node in self.nodes})


@asynccontextmanager
async def redis_place(server: RedisServer, terms: Terms | None = None) -> AsyncIterator[Place]:
    """Nodes with a client each, as processes would have."""
    clients: list[RedisServers] = []

    def register(clock: ManualClock) -> Register:
        clients.append(RedisServers(server.url))
        return RedisRegister(clients[-1], terms, now_ms=lambda: round(clock.monotonic() * 1_000))

    async def empty() -> None:
        assert await server.command("FLUSHALL") == "+OK"

    place = Place(register, empty)
    try:
        yield place
    finally:
        await place.close()
        for one in clients:
            await one.close()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests is no fault of Redis."""
    monkeypatch.setattr(redis_servers, "COMMAND_TIMEOUT_S", WAIT_S)


@pytest.fixture(params=["memory", "redis"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A place without nodes yet."""
    if request.param == "redis":
        async with open_redis() as server, redis_place(server) as made:
            yield made
        return
    shared: list[MemoryRegister] = []

    def register(clock: ManualClock) -> Register:
        if not shared:
            shared.append(MemoryRegister(lambda: round(clock.monotonic() * 1_000)))
        return shared[0]

    async def empty() -> None:
        shared[0]._rooms.clear()

    made = Place(register, empty)
    yield made
    await made.close()


# -- looking -----------------------------------------------------------------------------------------------------------


async def looked(place: Place, *rooms: str, names: bool = True) -> list[Seen]:
    """What somebody sees who only looks, through a register of their own."""
    register = place.make(place.clock)
    assert isinstance(register, MemoryRegister | RedisRegister)
    seen = await register.look(rooms or (ROOM,), names=names)
    assert all(isinstance(each, Seen) for each in seen), seen
    return [each for each in seen if isinstance(each, Seen)]


async def test_whoever_looks_sees_who_is_there_through_which_nodes_and_is_seen_by_nobody(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA, BOB)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    assert await looked(place) == [Seen(2, {ADA: ("one",), BOB: ("one", "two")})]
    assert await looked(place, "room:2", ROOM, names=False) == [Seen(0, {}), Seen(2, {})]
    await place.pass_time(3)
    assert place.told == []
    assert [node.count() for node in (one, two)] == [2, 2]


async def test_who_has_left_is_seen_through_no_node_until_their_grace_is_over(place: Place) -> None:
    one = await place.node("one")
    one.enter(ADA, BOB)
    await place.pass_time(1)
    one.leave(ADA)
    await place.pass_time(1)
    assert await looked(place) == [Seen(2, {ADA: (), BOB: ("one",)})]
    await place.until(lambda: place.left() == {ADA: 1}, within_s=15)
    assert await looked(place) == [Seen(1, {BOB: ("one",)})]


async def test_once_no_node_lives_nobody_is_seen(place: Place) -> None:
    one = await place.node("one")
    one.enter(ADA)
    await place.pass_time(1)
    await one.die()
    await place.pass_time(20)
    assert await looked(place) == [Seen(0, {})]


async def test_while_redis_is_away_whoever_looks_is_told_so() -> None:
    async with open_redis() as server:
        servers = RedisServers(server.url)
        await server.stop()
        seen = await RedisRegister(servers).look([ROOM], names=True)
        await servers.close()
    assert [type(each) for each in seen] == [RegisterAway]


# -- coming and going -------------------------------------------------------------------------------------------------


async def test_whoever_comes_is_announced_once_by_one_node_and_counted_by_all(place: Place) -> None:
    nodes = [await place.node(name) for name in ("one", "two", "three")]
    nodes[0].enter(ADA)
    nodes[1].enter(BOB)
    await place.pass_time(3)
    assert place.joined() == {ADA: 1, BOB: 1}
    assert place.left() == {}
    assert [node.count() for node in nodes] == [2, 2, 2]


async def test_many_who_come_at_once_are_one_announcement(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    for n in range(20):
        (one, two)[n % 2].enter(person(n))
    await place.pass_time(3)
    (told,) = place.told
    assert told[1].count == 20
    assert set(told[1].joined) == {person(n) for n in range(20)}


async def test_of_a_crowd_only_the_number_is_told(place: Place) -> None:
    one = await place.node("one")
    one.enter(*(person(n) for n in range(Terms().names + 1)))
    await place.pass_time(3)
    assert [news for _, news in place.told] == [News(Terms().names + 1, (), ())]


async def test_somebody_on_two_nodes_is_one_person_until_they_have_left_both(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(ADA)
    await place.pass_time(3)
    assert (one.count(), two.count()) == (1, 1)
    one.leave(ADA)
    await place.pass_time(20)
    assert (two.count(), place.left()) == (1, {})
    two.leave(ADA)
    took = await place.until(lambda: bool(place.left()), 11)
    assert took >= 10, "announced within the grace"
    assert place.left() == {ADA: 1}
    await place.pass_time(3)
    assert (one.count(), two.count()) == (0, 0)


async def test_whoever_is_back_within_the_grace_has_not_been_away(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    two.enter(KIM)
    one.enter(ADA)
    await place.pass_time(3)
    place.forget_told()
    one.leave(ADA)
    await place.pass_time(9)
    two.enter(ADA)
    await place.pass_time(20)
    assert place.told == []
    assert two.count() == 2


async def test_whoever_comes_and_goes_within_a_moment_is_not_worth_a_word(place: Place) -> None:
    one = await place.node("one")
    one.enter(ADA)
    one.leave(ADA)
    await place.pass_time(20)
    assert place.told == []
    assert one.count() == 0


async def test_flapping_on_one_node_costs_one_change_and_ends_where_it_was_left(place: Place) -> None:
    one = await place.node("one")
    for _ in range(100):
        one.enter(ADA)
        one.leave(ADA)
    one.enter(ADA)
    assert one.presence.statistics().waiting == 1
    await place.pass_time(20)
    assert place.joined() == {ADA: 1}
    assert (place.left(), one.count(), one.presence.statistics().waiting) == ({}, 1, 0)


async def test_a_count_told_too_high_to_a_joiner_is_put_right(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    await place.pass_time(3)
    one.leave(ADA)
    await place.pass_time(1)
    place.forget_told()
    # In the grace she is counted already, which the second node cannot know when it answers her.
    two.enter(ADA)
    assert two.presence.tell_count(ROOM) == 2
    await place.pass_time(1)
    assert [news for _, news in place.told] == [News(1, (), ())]


# -- nodes that come and go -------------------------------------------------------------------------------------------


async def test_the_people_of_a_dead_node_leave_within_15_s_and_are_announced_once(place: Place) -> None:
    one, two, three = [await place.node(name) for name in ("one", "two", "three")]
    one.enter(ADA, KIM)
    two.enter(BOB, KIM)
    await place.pass_time(3)
    place.forget_told()
    await one.die()
    took = await place.until(lambda: bool(place.told), 15)
    assert took > 12, "a stop of 12 s is to be forgiven"
    await place.pass_time(3)
    assert place.left() == {ADA: 1}
    assert (two.count(), three.count(), place.joined()) == (2, 2, {})


async def test_the_people_of_a_dead_node_who_come_back_elsewhere_in_time_have_not_been_away(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    await one.die()
    await place.pass_time(5)
    two.enter(ADA)
    await place.pass_time(30)
    assert (place.told, two.count()) == ([], 2)


async def test_a_drained_node_hands_over_without_a_word(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    everybody = [person(n) for n in range(50)]
    one.enter(*everybody)
    two.enter(KIM)
    await place.pass_time(3)
    place.forget_told()
    await one.drain()
    for account in everybody[:-1]:
        two.enter(account)
        await place.pass_time(STEP_S)
    await place.pass_time(20)
    # The last one did not come back, and that is all that is ever said about it.
    assert [(news.joined, news.left) for _, news in place.told] == [((), (everybody[-1],))]
    assert two.count() == 49


async def test_the_only_node_may_be_replaced_without_a_word(place: Place) -> None:
    one = await place.node("one")
    one.enter(ADA)
    await place.pass_time(3)
    place.forget_told()
    await one.drain()
    two = await place.node("two")
    await place.pass_time(3)
    assert two.count() == 1
    two.enter(ADA)
    await place.pass_time(30)
    assert (place.told, two.count()) == ([], 1)


async def test_a_node_started_again_under_its_name_answers_for_its_new_life_only(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA, BOB)
    two.enter(KIM)
    await place.pass_time(3)
    place.forget_told()
    await one.die()
    again = await place.node("one")
    again.enter(BOB)
    await place.pass_time(12)
    assert (place.left(), place.joined(), two.count()) == ({ADA: 1}, {}, 2)


async def test_a_loop_that_stands_still_for_12_s_loses_nobody_and_announces_nothing_when_it_wakes(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    # The worst moment: right before it would have said that it lives.
    sent = one.presence.statistics().reports
    await place.until(lambda: one.presence.statistics().reports > sent, 3)
    await place.pass_time(1.8)
    one.clock.stall()
    await place.pass_time(12)
    one.clock.go_on()
    await place.pass_time(20)
    assert place.told == []
    assert (one.count(), two.count()) == (2, 2)


async def test_a_node_that_was_given_up_and_lives_brings_its_people_back(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    one.register.cut = True
    await place.pass_time(20)
    assert place.left() == {ADA: 1}
    assert (one.count(), two.count()) == (2, 1), "cut off, it goes on from what it knew"
    place.forget_told()
    one.register.cut = False
    await place.pass_time(5)
    assert (place.joined(), one.count(), two.count()) == ({ADA: 1}, 2, 2)


async def test_what_happens_while_the_register_is_away_is_reported_afterwards(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    await place.pass_time(3)
    place.forget_told()
    one.register.cut = True
    one.enter(BOB, KIM)
    one.leave(KIM)
    await place.pass_time(5)
    assert (place.told, one.count(), one.presence.statistics().away) == ([], 2, 1)
    one.register.cut = False
    await place.pass_time(5)
    assert (place.joined(), place.left(), two.count()) == ({BOB: 1}, {}, 2)
    assert one.presence.statistics().away == 0


@pytest.mark.parametrize("away_s", [6, 14, 20, 90])
async def test_a_register_that_was_away_takes_nobody_who_lives_for_gone(place: Place, away_s: float) -> None:
    one, two, three = [await place.node(name) for name in ("one", "two", "three")]
    one.enter(ADA)
    two.enter(BOB)
    three.enter(KIM)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one", "two", "three")
    await place.pass_time(away_s)
    await place.back(first="one")
    await place.pass_time(20)
    # Each node has missed answers, and perhaps an announcement with one of them: the number is told again.
    assert {(news.count, news.joined, news.left) for _, news in place.told} == {(3, (), ())}
    assert [node.count() for node in place.nodes] == [3, 3, 3]


async def test_a_node_that_is_new_when_the_register_comes_back_does_not_judge_the_others(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one", "two")
    await place.pass_time(20)
    new = await place.node("new")
    new.enter(KIM)
    took = await place.until(lambda: place.joined() == {KIM: 1}, within_s=1)
    assert took < 1, "whoever comes is not kept waiting for it"
    await place.back(first="two")
    await place.pass_time(20)
    assert (place.joined(), place.left()) == ({KIM: 1}, {})
    assert {news.count for _, news in place.told} == {3}


async def test_the_people_of_a_node_that_died_while_the_register_was_away_are_gone_a_few_seconds_later(
    place: Place,
) -> None:
    one, two, three = [await place.node(name) for name in ("one", "two", "three")]
    one.enter(ADA, KIM)
    two.enter(BOB)
    three.enter(KIM)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one", "two", "three")
    await one.die()
    await place.pass_time(20)
    await place.back(first="two")
    await place.until(lambda: bool(place.left()), within_s=4)
    await place.pass_time(20)
    assert (place.joined(), place.left(), place.told[-1][1].count) == ({}, {ADA: 1}, 2)
    assert (two.count(), three.count()) == (2, 2)


async def test_a_node_alone_goes_on_at_once_when_the_register_is_back(place: Place) -> None:
    one = await place.node("one")
    one.enter(ADA)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one")
    await place.pass_time(10)
    one.enter(BOB)
    await place.pass_time(10)
    await place.back(first="one")
    await place.pass_time(0.5)
    assert [news for _, news in place.told] == [News(2, (BOB,), ())]


async def test_whoever_comes_back_elsewhere_while_the_register_is_away_has_not_been_away(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    one.leave(ADA)
    await place.pass_time(1)
    place.cut("one", "two")
    await place.pass_time(5)
    two.enter(ADA)
    await place.pass_time(7)
    await place.back(first="one")
    await place.pass_time(20)
    assert {(news.count, news.joined, news.left) for _, news in place.told} == {(2, (), ())}
    assert (one.count(), two.count()) == (2, 2)


async def test_whoever_does_not_come_back_while_the_register_is_away_has_left(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    one.leave(ADA)
    await place.pass_time(1)
    place.cut("one", "two")
    await place.pass_time(20)
    await place.back(first="two")
    await place.pass_time(5)
    assert (place.joined(), place.left(), place.told[-1][1].count) == ({}, {ADA: 1}, 1)


# -- a register that has forgotten everything -------------------------------------------------------------------------


@pytest.mark.parametrize("new_before_s", [0, 0.2, 1, 2, 7])
async def test_a_new_node_that_reports_first_to_an_emptied_register_makes_nobody_new(
    place: Place, new_before_s: float
) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one", "two")
    await place.empty()
    new = await place.node("new")
    new.enter(KIM)
    await place.pass_time(new_before_s)
    await place.back(first="one")
    await place.pass_time(15)
    assert (place.joined(), place.left()) == ({KIM: 1}, {})
    assert place.told[-1][1].count == 3
    assert [node.count() for node in place.nodes] == [3, 3, 3]
    assert len(place.told) <= 2, "the number is told once, not with every node that has its turn"


async def test_whoever_comes_while_an_emptied_register_is_told_everything_is_announced(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    await place.pass_time(3)
    place.forget_told()
    place.cut("one", "two")
    await place.empty()
    one.enter(BOB)
    await place.back(first="two")
    two.enter(KIM)
    await place.pass_time(15)
    assert [(news.count, set(news.joined), news.left) for _, news in place.told] == [(3, {BOB, KIM}, ())]


async def test_whoever_was_announced_as_gone_is_announced_when_they_are_back_although_nobody_else_was_there(
    place: Place,
) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    await place.pass_time(3)
    place.cut("one")
    await place.pass_time(20)
    assert (place.left(), two.count()) == ({ADA: 1}, 0)
    place.forget_told()
    await place.back(first="one")
    await place.pass_time(1)
    assert [news for _, news in place.told] == [News(1, (ADA,), ())]


@pytest.mark.parametrize(("number", "named"), [(0, ()), (1, ()), (2, (ADA,)), (PARTED_KEPT + 1, (ADA,))])
async def test_a_room_remembers_only_the_latest_nodes_from_which_it_has_parted(
    place: Place, number: int, named: tuple[AccountId, ...]
) -> None:
    register = place.make(place.clock)
    for parting in range(PARTED_KEPT + 2):
        await place.clock.advance(0.001)
        for bye in (False, True):
            await register.exchange([Report(ROOM, f"node-{parting:03}", whole=True, bye=bye)])
    # Of whom it does not remember that, it thinks that it has forgotten them, and their people are nothing new.
    back = Report(ROOM, f"node-{number:03}", here=(ADA,), whole=True, before=True)
    await register.exchange([back])
    await place.clock.advance(6)
    (answer,) = await register.exchange([back])
    assert isinstance(answer, Answer)
    assert answer.news == News(1, named, ())


async def test_what_a_register_lost_after_it_had_answered_is_named_to_it_again(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA, KIM)
    two.enter(BOB)
    await place.pass_time(1)
    two.leave(BOB)
    await place.pass_time(1)
    # A copy that lagged does not know that KIM has come and BOB has left. Here it is said in the names of their nodes.
    await place.make(place.clock).exchange([Report(ROOM, "one", left=(KIM,)), Report(ROOM, "two", came=(BOB,))])
    await place.pass_time(Terms().grace_ms / 1_000 + 2)
    assert await looked(place) == [Seen(2, {ADA: ("one",), BOB: ("two",)})]
    await place.pass_time(presence_module.WHOLE_EVERY_S + Terms().grace_ms / 1_000)
    assert await looked(place) == [Seen(2, {ADA: ("one",), KIM: ("one",)})]
    assert [node.count() for node in (one, two)] == [2, 2]


async def test_an_announcement_that_was_lost_with_its_answer_is_made_good_by_the_number(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    two.register.cut = True  # it is the first one's turn
    one.enter(BOB)
    await place.pass_time(3)
    place.forget_told()
    one.register.answers_lost = True
    one.enter(ADA)
    await place.pass_time(5)
    one.register.answers_lost = False
    await place.pass_time(3)
    assert [news for _, news in place.told] == [News(2, (), ())]


async def test_rooms_of_a_server_that_is_away_hold_up_nobody_else(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    two.enter(BOB)
    others = [f"room:other{n}" for n in range(150)]
    for room in others:
        one.presence.follow(room)
        one.presence.enter(room, ADA)
    one.presence.unfollow(ROOM)  # so that it stands behind all the others
    await place.pass_time(1)
    one.presence.follow(ROOM)
    one.enter(ADA)
    await place.pass_time(2)
    place.forget_told()
    one.register.without = set(others)
    await place.pass_time(20)
    one.enter(KIM)
    await place.pass_time(1)
    assert (place.left(), place.joined(), one.count()) == ({}, {KIM: 1}, 3)
    assert one.presence.statistics().away == 150
    one.register.without = ()
    await place.pass_time(5)
    assert one.presence.statistics().away == 0


async def test_too_many_changes_waiting_become_one_whole_report(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "MAX_WAITING", 10)
    one, two = await place.node("one"), await place.node("two")
    one.enter(person(100))
    await place.pass_time(3)
    place.forget_told()
    one.register.cut = True
    one.leave(person(100))
    one.enter(*(person(n) for n in range(25)))
    assert one.presence.statistics().waiting <= 10
    one.register.cut = False
    await place.pass_time(15)
    assert (two.count(), one.presence.statistics().waiting) == (25, 0)
    assert place.joined() == dict.fromkeys((person(n) for n in range(25)), 1)
    assert place.left() == {person(100): 1}


async def test_a_room_that_nobody_needs_is_forgotten(place: Place) -> None:
    one, two = await place.node("one"), await place.node("two")
    one.enter(ADA)
    await place.pass_time(1)
    one.leave(ADA)
    one.presence.unfollow(ROOM)
    await place.pass_time(1)
    assert one.presence.statistics().rooms == 0
    assert one.count() == 0
    await place.pass_time(12)
    assert place.left() == {ADA: 1}
    assert two.count() == 0


async def test_an_announcement_at_fault_does_not_stop_the_reports(place: Place) -> None:
    one = await place.node("one")

    async def broken(room: str, news: News) -> None:
        raise RuntimeError("a listener at fault")

    one.presence.on_news = broken
    one.enter(ADA)
    await place.pass_time(3)
    one.enter(BOB)
    await place.pass_time(3)
    assert one.presence.statistics().announcements == 2


async def test_an_announcement_that_could_not_be_said_is_made_up_for_by_the_count(place: Place) -> None:
    one = await place.node("one")
    heard, refused = one.presence.on_news, []

    async def away(room: str, news: News) -> None:
        refused.append(news)
        one.presence.on_news = heard
        raise Unavailable("the log of the room is away")

    one.presence.on_news = away
    one.enter(ADA)
    await place.pass_time(5)
    assert [news.count for news in refused] == [1]
    assert [(news.count, news.joined) for _, news in place.told] == [(1, ())]


# -- Redis on a bad day -----------------------------------------------------------------------------------------------


async def test_redis_that_starts_again_empty_is_told_everything_and_nobody_is_announced_as_new() -> None:
    async with open_redis() as server, redis_place(server) as place:
        nodes = [await place.node(name) for name in ("one", "two", "three")]
        nodes[0].enter(ADA)
        nodes[1].enter(BOB)
        await place.pass_time(3)
        place.forget_told()
        await server.kill()
        await place.pass_time(6)
        assert [node.count() for node in nodes] == [2, 2, 2]
        await server.start()
        await place.pass_time(12)
        assert (place.joined(), place.left()) == ({}, {})
        assert {news.count for _, news in place.told} <= {2}
        assert [node.count() for node in nodes] == [2, 2, 2]
        nodes[2].enter(KIM)
        await place.pass_time(3)
        assert place.joined() == {KIM: 1}


async def test_redis_that_lost_its_scripts_gets_them_again() -> None:
    async with open_redis() as server, redis_place(server) as place:
        one = await place.node("one")
        assert await server.command("SCRIPT", "FLUSH") == "+OK"
        one.enter(ADA)
        await place.pass_time(3)
        assert place.joined() == {ADA: 1}
        assert one.presence.statistics().failures == 0


async def test_redis_without_memory_stores_nothing_and_nothing_is_announced() -> None:
    async with open_redis() as server, redis_place(server) as place:
        one, two = await place.node("one"), await place.node("two")
        assert await server.command("CONFIG", "SET", "maxmemory", "1") == "+OK"
        one.enter(ADA)
        await place.pass_time(5)
        assert (place.told, one.presence.statistics().away) == ([], 1)
        assert await server.command("CONFIG", "SET", "maxmemory", "0") == "+OK"
        await place.pass_time(5)
        assert (place.joined(), two.count()) == ({ADA: 1}, 1)


async def test_what_redis_threw_out_in_part_is_built_anew() -> None:
    async with open_redis() as server, redis_place(server) as place:
        one, two = await place.node("one"), await place.node("two")
        one.enter(ADA)
        two.enter(BOB)
        await place.pass_time(3)
        for part in ("people", "nodes", "entries", "state"):
            assert await server.command("DEL", f"paceline:{{{ROOM}}}:presence:{part}") == ":1"
            await place.pass_time(15)
            assert (one.count(), two.count()) == (2, 2), part


async def test_a_room_that_nobody_reports_on_leaves_nothing_in_redis() -> None:
    async with open_redis() as server, redis_place(server) as place:
        one = await place.node("one")
        one.enter(ADA)
        await place.pass_time(3)
        for part in ("nodes", "entries", "people", "state"):
            kept_ms = int((await server.command("PTTL", f"paceline:{{{ROOM}}}:presence:{part}"))[1:])
            assert 0 < kept_ms <= Terms().kept_ms


async def test_a_room_that_nobody_reports_on_is_forgotten_in_memory_too() -> None:
    clock = ManualClock()
    register = MemoryRegister(lambda: round(clock.monotonic() * 1_000))
    await register.exchange([Report("room:ended", "one", came=(ADA,), whole=True)])
    await register.exchange([Report("room:ended", "one", bye=True)])
    await clock.advance(Terms().kept_ms / 1_000 + 1)
    await register.exchange([Report(ROOM, "one", whole=True)])
    assert len(register) == 1


async def test_on_the_clock_of_the_server_it_works_the_same() -> None:
    async with open_redis() as server:
        servers = RedisServers(server.url)
        try:
            register = RedisRegister(servers, Terms(grace_ms=0, news_ms=0))
            (answer,) = await register.exchange([Report(ROOM, "one", came=(ADA,), whole=True)])
            assert answer == Answer(False, 1, answer.due_ms, News(1, (ADA,), ()))  # type: ignore[union-attr]
            (answer,) = await register.exchange([Report(ROOM, "one", left=(ADA,), before=True)])
            assert isinstance(answer, Answer)
            assert answer.news == News(0, (), (ADA,))
        finally:
            await servers.close()


# -- laws -------------------------------------------------------------------------------------------------------------

NAMES = ("one", "two", "three")
TERMS = Terms(lease_ms=14_500, grace_ms=10_000, news_ms=300, settle_ms=5_000, names=1_000, kept_ms=1_000_000_000)


class Model:
    """The truth, said as plainly as possible: who is there, and until when."""

    def __init__(self) -> None:
        self.held: dict[str, set[AccountId]] = {}
        self.lease: dict[str, int] = {}
        self.grace: dict[tuple[AccountId, str], int] = {}

    def reported(self, report: Report, now: int) -> None:
        if self.lease and now - (max(self.lease.values()) - TERMS.lease_ms) > TERMS.settle_ms:
            # Nobody has said anything for long: whoever could not gets the time for it.
            settled = now + TERMS.settle_ms
            self.lease = {node: max(until, settled) for node, until in self.lease.items()}
            self.grace = {entry: max(until, settled) for entry, until in self.grace.items()}
        self.lease[report.node] = now + TERMS.lease_ms
        held = self.held.setdefault(report.node, set())
        if report.whole:
            self.left(report.node, held - {*report.came, *report.here}, now)
        for account in (*report.came, *report.here):
            held.add(account)
            self.grace.pop((account, report.node), None)
        self.left(report.node, held & {*report.left}, now)
        if report.bye:
            self.left(report.node, set(held), now)
            del self.lease[report.node], self.held[report.node]

    def left(self, node: str, accounts: set[AccountId], now: int) -> None:
        self.held[node] -= accounts
        for account in accounts:
            self.grace[account, node] = now + TERMS.grace_ms

    def swept(self, now: int) -> None:
        """At a report all that is over is over."""
        for node in [node for node, until in self.lease.items() if until <= now]:
            del self.lease[node], self.held[node]
        self.grace = {entry: until for entry, until in self.grace.items() if until > now}

    def present(self) -> set[AccountId]:
        return {account for held in self.held.values() for account in held} | {account for account, _ in self.grace}


class Reporting(RuleBasedStateMachine):
    """Any nodes reporting anything at any time: both registers answer alike, and what they answer is the truth."""

    server: RedisServer
    runner: asyncio.Runner
    rooms = 0

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.model = Model()
        self.believed: set[AccountId] = set()
        self.memory = MemoryRegister(lambda: self.now, TERMS)
        # More patience than the product has: that it answers in time is not what this is about, and machines are busy.
        self.servers = RedisServers(f"{self.server.url}?socket_timeout=30&socket_connect_timeout=30")
        self.redis = RedisRegister(self.servers, TERMS, now_ms=lambda: self.now)
        Reporting.rooms += 1
        self.room = f"law:{Reporting.rooms}"

    def teardown(self) -> None:
        self.runner.run(self.servers.close())

    def report(self, report: Report) -> Answer:
        (mine,), (theirs,) = (self.runner.run(register.exchange([report])) for register in (self.memory, self.redis))
        assert isinstance(mine, Answer)
        assert isinstance(theirs, Answer), theirs
        assert self.said(mine) == self.said(theirs)
        if mine.again:
            assert report.node not in self.model.lease
            return mine
        self.model.reported(report, self.now)
        self.model.swept(self.now)
        assert mine.count == len(self.model.present())
        if mine.news is not None:
            assert not set(mine.news.joined) & self.believed, "somebody came who was there"
            assert set(mine.news.left) <= self.believed, "somebody left who was not there"
            self.believed = (self.believed | set(mine.news.joined)) - set(mine.news.left)
            assert mine.news.count == len(self.believed)
            assert self.believed == self.model.present()
        return mine

    @staticmethod
    def said(answer: Answer) -> object:
        news = answer.news and (answer.news.count, set(answer.news.joined), set(answer.news.left))
        return answer.again, answer.count, answer.due_ms, news

    @initialize()
    def first(self) -> None:
        self.report(Report(self.room, "one", whole=True))

    @rule(
        node=st.sampled_from(NAMES),
        came=st.sets(st.integers(0, 5)),
        left=st.sets(st.integers(0, 5)),
        twice=st.booleans(),
        told=st.none() | st.integers(-1, 6),
    )
    def changed(self, node: str, came: set[int], left: set[int], twice: bool, told: int | None) -> None:
        report = Report(
            self.room,
            node,
            came=tuple(map(person, sorted(came))),
            left=tuple(map(person, sorted(left - came))),
            before=node in self.model.lease,
            told=told,
        )
        first = self.report(report)
        if twice:
            assert self.report(report).count == first.count

    @rule(node=st.sampled_from(NAMES), here=st.sets(st.integers(0, 5)), bye=st.booleans())
    def said_all(self, node: str, here: set[int], bye: bool) -> None:
        self.report(Report(self.room, node, here=tuple(map(person, sorted(here))), whole=True, bye=bye))

    @rule(ms=st.sampled_from([1, 50, 299, 300, 1_000, 4_999, 5_000, 5_001, 9_999, 10_000, 14_499, 14_500, 40_000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @precondition(lambda self: self.model.lease)
    @rule()
    def calm(self) -> None:
        """Everybody who lives says so until nothing is left to be announced: then all is told."""
        node = next(iter(self.model.lease))
        quiet = 0
        while quiet < 3:  # since somebody's lease or grace was over
            there = self.model.present()
            report = Report(self.room, node, whole=True, here=tuple(self.model.held.get(node, ())), before=True)
            self.report(report)
            quiet = quiet + 1 if self.model.present() == there else 0
            self.now += TERMS.news_ms
        assert self.believed == self.model.present()


def test_whatever_nodes_report_both_registers_tell_the_truth_and_announce_it_once() -> None:
    with asyncio.Runner() as runner:
        opened = open_redis()
        Reporting.runner, Reporting.server = runner, runner.run(opened.__aenter__())
        try:
            law = Reporting.TestCase
            law.settings = settings(max_examples=60, stateful_step_count=30, suppress_health_check=list(HealthCheck))
            law().runTest()
        finally:
            runner.run(opened.__aexit__(None, None, None))
