"""Who is in a room, as its members are told: by the answer to their joining, by events, and by the board, all the same story."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest

from realtime.connection import Connection
from realtime.wire import RoomPresence
from rooms import rooms
from services.classes.live_class import LiveClass
from services.classes.showing import Showing
from services.kernel.ids import AccountId
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World, events


class Told(NamedTuple):
    """How many are there, who came and who left."""

    people: int
    joined: tuple[AccountId, ...]
    left: tuple[AccountId, ...]


def told(connection: Connection) -> list[Told]:
    """What a connection was told of comings and goings since it was last asked."""
    news = [msgspec.convert(payload, RoomPresence) for name, payload in events(connection) if name == "room.presence"]
    return [Told(one.count, one.joined, one.left) for one in news]


class Evening:
    """A class on several nodes, each with somebody who watches."""

    def __init__(self, world: World, *nodes: TestNode) -> None:
        self.world, self.nodes = world, list(nodes)
        self.live: LiveClass
        self.watching: list[Connection] = []

    async def begin(self) -> None:
        coach = await self.world.person("Mia", coach=True)
        self.live = await self.nodes[0].create_class(coach)
        for node in self.nodes:
            self.watching.append(node.connect(await self.world.person("Sam")))
            await node.join(self.watching[-1], self.live.code, "spectator")
        await self.pass_time(3)
        for watching in self.watching:
            told(watching)

    async def pass_time(self, seconds: float) -> None:
        """Time goes by, with a beat on every node that lives."""
        for _ in range(round(seconds * 4)):
            await self.world.advance(0.25)
            for node in self.nodes:
                node.rooms.beat()

    async def until(self, condition: Callable[[], bool], within_s: float) -> float:
        began = self.world.clock.monotonic()
        while not condition():
            assert self.world.clock.monotonic() - began <= within_s, f"not within {within_s} s"
            await self.pass_time(0.25)
        return self.world.clock.monotonic() - began

    async def die(self, node: TestNode) -> None:
        index = self.nodes.index(node)
        del self.nodes[index], self.watching[index]
        await node.die()

    def present_on(self, node: TestNode, name: str) -> bool:
        """Whether the board of this node says that somebody is there."""
        room = node.rooms.get(self.live.id)
        assert room is not None
        (member,) = [member for member in room.board.members() if member.name == name]
        return member.present

    def freshness_on(self, node: TestNode, name: str) -> str:
        room = node.rooms.get(self.live.id)
        assert room is not None
        (n,) = [member.n for member in room.board.members() if member.name == name]
        (row,) = [row for row in room.board.rows() if row.n == n]
        return row.freshness


async def evening(world: World, nodes: int) -> Evening:
    made = Evening(world, *(world.node() for _ in range(nodes)))
    await made.begin()
    return made


async def test_who_comes_and_goes_is_told_to_everybody_on_every_node_once(world: World) -> None:
    here = await evening(world, 3)
    one = here.nodes[0]
    ada = await world.person("Ada")
    phone = one.connect(ada)
    joined = await one.join(phone, here.live.code)
    assert joined.present == 4
    await here.pass_time(2)
    for watching in here.watching:
        assert told(watching) == [(4, (ada.account_id,), ())]
    one.rooms.leave(phone, here.live.id)
    await here.pass_time(8)
    assert told(here.watching[1]) == []
    await here.pass_time(4)
    for watching in here.watching[1:]:
        assert told(watching) == [(3, (), (ada.account_id,))]


async def test_who_came_before_their_share_is_named_as_soon_as_they_are_known(world: World) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    eve, ada, shy, bob = [await world.person(name) for name in ("Eve", "Ada", "Shy", "Bob")]
    await one.join(one.connect(eve), here.live.code)
    await world.advance(0.1)
    await two.join(two.connect(ada), here.live.code)
    await two.join(two.connect(shy), here.live.code)
    await two.rooms.shown(here.live.id, shy.account_id, Showing("hidden", revision=1))
    gone = two.connect(bob)
    await two.join(gone, here.live.code)
    news: list[Told] = []
    for _ in range(10):  # time goes by without a beat: no share of the second node arrives
        await world.advance(0.1)
        news += told(here.watching[0])
    assert news == [(6, (eve.account_id,), ())], "it fell to the first node to tell it"
    two.rooms.leave(gone, here.live.id)
    await here.pass_time(1)
    assert told(here.watching[0]) == told(here.watching[1])[1:] == [(6, (ada.account_id,), ())]
    await here.pass_time(15)
    room = one.rooms.get(here.live.id)
    assert room is not None
    assert told(here.watching[0]) == [(5, (), (bob.account_id,))], "who had left is not told to have come"
    assert room.to_name == {}, "who hides is not waited for for ever"


async def test_more_than_an_announcement_names_are_not_named_late_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "NAMED_AT_ONCE", 1)
    here = await evening(world, 2)
    one, two = here.nodes
    await one.join(one.connect(await world.person("Eve")), here.live.code)
    await world.advance(0.1)
    for name in ("Ada", "Bob"):
        await two.join(two.connect(await world.person(name)), here.live.code)
    for _ in range(10):
        await world.advance(0.1)
    (first,) = told(here.watching[0])
    assert (first.people, len(first.joined)) == (5, 1)
    await here.pass_time(1)
    assert told(here.watching[0]) == []


async def test_a_second_device_and_a_display_are_nobody_new(world: World) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    ada = await world.person("Ada")
    await one.join(one.connect(ada), here.live.code)
    await here.pass_time(2)
    told(here.watching[0])
    assert (await two.join(two.connect(ada), here.live.code)).present >= 3
    screen = msgspec.structs.replace(await world.person("Screen"), roles=frozenset({"display"}))
    display = two.connect(msgspec.structs.replace(screen, class_id=here.live.id))
    assert (await two.join(display, here.live.code, "spectator")).you is None
    await here.pass_time(3)
    (right,) = told(here.watching[0])
    assert right == (3, (), ()), "counted once; the number told too high is put right"
    assert told(display) == [right]


async def test_a_phone_that_moves_to_another_node_in_time_has_not_been_away(world: World) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    ada = await world.person("Ada")
    phone = one.connect(ada)
    await one.join(phone, here.live.code)
    await here.pass_time(2)
    told(here.watching[0])
    one.cut(phone)
    await here.pass_time(5)
    await two.join(two.connect(ada), here.live.code)
    await here.pass_time(20)
    names = [account for event in told(here.watching[0]) for account in (*event.joined, *event.left)]
    assert names == []
    assert here.present_on(one, "Ada")


async def test_after_a_nodes_death_board_and_events_say_within_15_s_that_its_people_are_gone(world: World) -> None:
    here = await evening(world, 3)
    one, two, three = here.nodes
    ada = await world.person("Ada")
    watch = one.connect(ada)
    await one.join(watch, here.live.code)
    stream = (await one.open(watch, here.live.code)).stream
    one.send(watch, stream, 0, tuple(Sample(t=1_000 * second, bpm=140) for second in range(10)))
    await here.pass_time(2)
    assert [here.freshness_on(node, "Ada") for node in (one, two, three)] == ["live"] * 3
    for watching in here.watching:
        told(watching)
    await here.die(one)
    assert here.present_on(two, "Ada")
    began = world.clock.monotonic()
    await here.until(lambda: not (here.present_on(two, "Ada") or here.present_on(three, "Ada")), 15)
    assert here.freshness_on(two, "Ada") == here.freshness_on(three, "Ada") == "lost"
    await here.pass_time(15 - (world.clock.monotonic() - began))
    for watching in here.watching:
        (gone,) = told(watching)
        # With her went whoever watched on that node.
        assert (gone.people, ada.account_id in gone.left, len(gone.left)) == (2, True, 2)


async def test_a_node_whose_loop_stands_still_for_12_s_loses_nobody_on_any_board(world: World) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    ada = await world.person("Ada")
    await one.join(one.connect(ada), here.live.code)
    await here.pass_time(2)
    told(here.watching[1])
    here.nodes.remove(one)  # no beat of it, no share
    for _ in range(48):
        await here.pass_time(0.25)
        assert here.present_on(two, "Ada")
    here.nodes.append(one)
    await here.pass_time(10)
    assert here.present_on(two, "Ada")
    assert told(here.watching[1]) == []


async def test_who_comes_first_after_the_log_has_failed_over_is_told_once_behind_the_reset(world: World) -> None:
    here = await evening(world, 2)
    world.log.fall_back(0)
    ada = await world.person("Ada")
    await here.nodes[0].join(here.nodes[0].connect(ada), here.live.code)
    await here.pass_time(10)
    for watching in here.watching:
        heard = list(events(watching))
        names = [name for name, _ in heard if name in {"room.reset", "room.presence"}]
        assert names == ["room.reset", "room.presence"]
        assert [payload["joined"] for name, payload in heard if name == "room.presence"] == [[str(ada.account_id)]]


async def test_how_many_there_are_is_told_again_where_the_log_lost_it_before_it_was_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await evening(world, 2)
    with monkeypatch.context() as lost:
        lost.setattr(world.log, "_say", lambda _channel, _data: None)
        await here.nodes[0].join(here.nodes[0].connect(await world.person("Ada")), here.live.code)
        await here.pass_time(3)
        world.log.fall_back(1)
    await here.pass_time(10)
    assert [told(watching)[-1].people for watching in here.watching] == [3, 3]


async def test_where_everybody_goes_by_the_right_number_a_log_that_began_anew_says_nothing_of_it(world: World) -> None:
    here = await evening(world, 2)
    await here.nodes[0].join(here.nodes[0].connect(await world.person("Ada")), here.live.code)
    await here.pass_time(3)
    for watching in here.watching:
        told(watching)
    world.log.forget()
    await here.pass_time(10)
    assert [told(watching) for watching in here.watching] == [[], []]


def deaf(monkeypatch: pytest.MonkeyPatch, *nodes: TestNode) -> None:
    """The carrier is away for these nodes: they say nothing and hear nothing."""
    for node in nodes:
        broker = node.node._broker
        monkeypatch.setattr(broker, "publish", lambda channel, data: None)
        monkeypatch.setattr(broker, "receive", lambda channel, data: None)
        monkeypatch.setattr(broker, "healthy", lambda: False)


async def test_who_left_while_nobody_heard_it_is_gone_from_the_board_though_their_node_has_forgotten_the_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    one.cut(here.watching[0])
    ada = one.connect(await world.person("Ada"))
    await one.join(ada, here.live.code)
    await here.pass_time(2)
    assert here.present_on(two, "Ada")
    with monkeypatch.context() as away:
        deaf(away, one, two)
        one.cut(ada)
        await here.pass_time(75)
        assert one.rooms.get(here.live.id) is None
        assert here.present_on(two, "Ada"), "a deaf node judges nobody"
    assert await here.until(lambda: not here.present_on(two, "Ada"), 40) > 0
    assert two.node.standing.fresh
    assert one.node.id in two.node.peers()


async def test_the_same_where_only_the_node_that_should_hear_it_was_deaf(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    one.cut(here.watching[0])
    ada = await world.person("Ada")
    phone = one.connect(ada)
    await one.join(phone, here.live.code)
    await here.pass_time(2)
    with monkeypatch.context() as away:
        deaf(away, two)
        one.cut(phone)
        await here.pass_time(75)
    await here.until(lambda: not here.present_on(two, "Ada"), 40)
    # Who comes back through that node is there again at once.
    await one.join(one.connect(ada), here.live.code)
    await here.pass_time(1)
    assert here.present_on(two, "Ada")


async def test_in_a_room_where_nothing_moves_nobody_goes_from_the_board(world: World) -> None:
    here = await evening(world, 2)
    one, two = here.nodes
    await one.join(one.connect(await world.person("Ada")), here.live.code)
    for _ in range(12):
        await here.pass_time(10)
        assert here.present_on(two, "Ada")
