"""Coming back to a room: everything since a position, or the word that something may be missing."""

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from realtime.connection import Connection
from realtime.position import position_of
from realtime.room_log import LogAway
from realtime.wire import BoardSnapshot, CueSend, RoomJoin, RoomJoined
from services.classes.live_class import LiveClass
from services.kernel.problems import ClassOver
from tests.realtime import build
from tests.rooms.conftest import TestNode, World, events
from tests.support.notified import PlainWords
from workers.push import NodePush


class Class:
    """A class with its coach on one node."""

    def __init__(self, world: World, node: TestNode, live: LiveClass, coach: Connection) -> None:
        self.world, self.node, self.live, self.coach = world, node, live, coach

    async def cue(self, *texts: str) -> str:
        """Cues, and the position of the last."""
        for text in texts:
            position = (await self.node.speaking.cue(self.coach, CueSend(class_id=self.live.id, text=text))).position
        await self.world.advance(0)
        return position


async def open_class(world: World, node: TestNode) -> Class:
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    connection = node.connect(coach)
    await node.join(connection, live.code, "coach")
    await world.advance(0)
    return Class(world, node, live, connection)


async def join(node: TestNode, connection: Connection, live: LiveClass, since: str | None = None) -> RoomJoined:
    return await node.rooms.join(connection, RoomJoin(code=live.code, since=since))


def cues(told: list[tuple[str, Any]]) -> list[str]:
    return [payload["text"] for name, payload in told if name == "cue"]


def missed(joined: RoomJoined) -> list[str]:
    return cues([(one.event, msgspec.json.decode(one.payload)) for one in joined.missed])


async def test_who_comes_back_with_a_position_gets_exactly_what_was_missed(world: World) -> None:
    here, there = world.node(), world.node()
    spinning = await open_class(world, here)
    ada = await world.person("Ada")
    phone = here.connect(ada)
    first = await join(here, phone, spinning.live)
    assert (first.recovered, first.missed) == (False, ())
    seen = await spinning.cue("seen")
    here.cut(phone)
    last = await spinning.cue("one", "two", "three")

    again = there.connect(ada)
    joined = await join(there, again, spinning.live, since=seen)

    assert joined.recovered
    assert missed(joined) == ["one", "two", "three"]
    assert joined.position == last
    await spinning.cue("after")
    assert cues(list(events(again))) == ["after"]


async def test_a_first_join_says_where_it_stands_though_nothing_was_said_yet(world: World) -> None:
    node = world.node()
    spinning = await open_class(world, node)
    ada = await world.person("Ada")
    phone = node.connect(ada)
    first = await join(node, phone, spinning.live)
    assert first.position is not None
    assert position_of(first.position).offset == 0
    node.cut(phone)
    await spinning.cue("one")
    joined = await join(node, node.connect(ada), spinning.live, since=first.position)
    assert joined.recovered
    assert missed(joined) == ["one"]


async def test_a_position_of_another_log_is_answered_with_the_board_and_never_with_recovered(world: World) -> None:
    spinning = await open_class(world, world.node())
    seen = await spinning.cue("seen")
    world.log.forget()
    node = world.node()
    joined = await join(node, node.connect(await world.person("Ada")), spinning.live, since=seen)
    assert not joined.recovered
    assert joined.missed == ()
    assert isinstance(joined.board, BoardSnapshot)
    assert joined.position not in {None, seen}


async def test_who_missed_nothing_of_a_log_that_is_gone_is_told_with_the_others(world: World) -> None:
    node = world.node()
    spinning = await open_class(world, node)
    seen = await spinning.cue("seen")
    world.log.forget()
    phone = node.connect(await world.person("Ada"))
    # Everything that this node has delivered is there; that the log is gone is not known yet, and is told as soon as it is.
    assert (await join(node, phone, spinning.live, since=seen)).recovered
    await world.advance(10)
    assert [name for name, _ in events(phone)].count("room.reset") == 1


async def test_more_than_300_missed_events_are_a_new_start(world: World) -> None:
    node = world.node()
    spinning = await open_class(world, node)
    seen = await spinning.cue("seen")
    await spinning.cue(*(str(number) for number in range(301)))
    ada = await world.person("Ada")
    joined = await join(node, node.connect(ada), spinning.live, since=seen)
    assert (joined.recovered, joined.missed) == (False, ())
    from_one_later = str(position_of(seen).moved(1))
    joined = await join(node, node.connect(ada), spinning.live, since=from_one_later)
    assert (joined.recovered, len(joined.missed)) == (True, 300)


async def test_members_are_told_when_the_log_begins_anew_and_go_on_from_there(world: World) -> None:
    here, there = world.node(), world.node()
    spinning = await open_class(world, here)
    phone = there.connect(await world.person("Ada"))
    await join(there, phone, spinning.live)
    await world.advance(0)
    list(events(phone))
    world.log.forget()
    await world.advance(10)
    told = [payload for name, payload in events(phone) if name == "room.reset"]
    assert len(told) == 1
    assert told[0]["room"]["id"] == str(spinning.live.id)
    assert told[0]["board"]["class_id"] == str(spinning.live.id)
    last = await spinning.cue("on we go")
    begin = position_of(told[0]["position"])
    assert (begin.offset, begin.epoch) == (0, position_of(last).epoch)
    assert cues(list(events(phone))) == ["on we go"]


async def test_what_is_said_first_after_the_log_has_failed_over_is_heard_once_and_can_be_come_back_for(
    world: World,
) -> None:
    here, there = world.node(), world.node()
    spinning = await open_class(world, here)
    ada = await world.person("Ada")
    phone = there.connect(ada)
    await join(there, phone, spinning.live)
    await spinning.cue("before")
    list(events(phone))
    world.log.fall_back(0)
    last = await spinning.cue("first", "second")
    await world.advance(10)
    heard = list(events(phone))
    assert [payload.get("text", name) for name, payload in heard if name in {"room.reset", "cue"}] == [
        "room.reset",
        "first",
        "second",
    ]
    begin = next(payload["position"] for name, payload in heard if name == "room.reset")
    assert position_of(begin).offset == 0
    assert position_of(last).epoch == position_of(begin).epoch
    joined = await join(there, there.connect(ada), spinning.live, since=begin)
    assert joined.recovered
    assert missed(joined) == ["first", "second"]


async def test_a_member_can_come_back_for_the_end_of_a_class_that_was_missed(world: World) -> None:
    node = world.node()
    spinning = await open_class(world, node)
    ada = await world.person("Ada")
    phone = node.connect(ada)
    position = (await join(node, phone, spinning.live)).position
    node.cut(phone)
    await node.classes.end(spinning.coach.caller, spinning.live.id)
    await world.advance(0)
    joined = await join(node, node.connect(ada), spinning.live, since=position)
    assert joined.recovered
    assert [one.event for one in joined.missed] == ["class.ended"]
    assert joined.room.state == "over"
    world.log.forget()
    for someone in (ada, await world.person("Bob")):
        with pytest.raises(ClassOver):
            await join(node, node.connect(someone), spinning.live, since=position)
    with pytest.raises(ClassOver):
        await join(node, node.connect(ada), spinning.live)


async def test_the_end_of_a_class_is_said_once_by_the_gateway_and_the_worker(world: World) -> None:
    node = world.node()
    spinning = await open_class(world, node)
    ended = await node.classes.end(spinning.coach.caller, spinning.live.id)
    await NodePush(node.node, node.rooms.feeds, PlainWords()).class_ended(ended)
    await world.advance(0)
    assert [name for name, _ in events(spinning.coach)].count("class.ended") == 1


async def test_a_hall_full_of_people_does_not_wait_for_one_time_out_after_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    asked = []

    async def away(channels: Collection[str]) -> dict[str, LogAway]:
        asked.append(1)
        return await build.tops_unknown(channels)

    monkeypatch.setattr(world.log, "tops", away)
    people = [node.connect(await world.person(f"Athlete {number}")) for number in range(10)]
    for phone in people:
        assert (await join(node, phone, live)).position is None
    assert len(asked) <= 2


async def test_who_says_something_is_answered_whatever_the_log_raises(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    spinning = await open_class(world, world.node())
    monkeypatch.setattr(world.log, "append", lambda _channel, _entries, told: told(KeyError(7)))
    with pytest.raises(KeyError):
        async with asyncio.timeout(5):
            await spinning.cue("up")


async def test_without_its_log_a_room_can_be_joined_and_says_so_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)

    async def away(*_: object) -> None:
        raise LogAway("away")

    with monkeypatch.context() as patched:
        patched.setattr(world.log, "tops", build.tops_unknown)
        patched.setattr(world.log, "since", away)
        patched.setattr(world.log, "append", build.stores_nothing)
        phone = node.connect(await world.person("Ada"))
        joined = await join(node, phone, live, since="0f3a9c41-000000000012")
        assert (joined.recovered, joined.position) == (False, None)
        # The class ends all the same.
        await node.classes.end(coach, live.id)
    await world.advance(1)
    assert [name for name, _ in events(phone) if name == "room.reset"] == ["room.reset"]
