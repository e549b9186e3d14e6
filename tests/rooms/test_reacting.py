"""Reactions: counted for the room, given to one, and kept from whoever has blocked their author."""

import uuid
from typing import Any

import pytest

from realtime.connection import Connection
from realtime.wire import ChatMute, ReactionSend
from rooms.reacting import TELL_EVERY_S
from services.kernel.ids import AccountId
from services.kernel.problems import BadShape, ClassOver, Muted, NotInRoom, RateLimited
from services.social.reaction import Reaction, counts_of
from tests.rooms.conftest import World, events


def seen(connection: Connection, event: str = "reaction.counts") -> list[Any]:
    return [payload for name, payload in events(connection) if name == event]


async def moment(world: World) -> None:
    """Long enough for what was gathered on one node to be told on another."""
    for _ in range(3):
        await world.advance(TELL_EVERY_S)


async def test_what_people_on_all_nodes_send_in_a_moment_becomes_counts_for_everybody(world: World) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), there.connect(await world.person("Ada"))
    await here.join(desk, live.code, "coach")
    await there.join(phone, live.code)
    await world.advance(1)
    here.reacting.send(desk, ReactionSend(class_id=live.id, kind="fire"))
    for kind in ("clap", "clap", "fire"):
        there.reacting.send(phone, ReactionSend(class_id=live.id, kind=kind))
    await moment(world)
    for connection in (desk, phone):
        told = seen(connection)
        assert 1 <= len(told) <= 2
        added = {kind: sum(n for one in told for each, n in one["counts"] if each == kind) for kind in ("clap", "fire")}
        assert added == {"clap": 2, "fire": 2}
    # Nothing is told twice, and nothing while nobody does anything.
    await moment(world)
    assert [seen(one) for one in (desk, phone)] == [[], []]


async def test_a_high_five_reaches_one_member_on_whatever_node_and_nobody_else(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await here.create_class(coach)
    desk, phone, watch, bobs = (
        here.connect(coach), there.connect(ada), here.connect(ada), there.connect(await world.person("Bob"))
    )  # fmt: skip
    await here.join(desk, live.code, "coach")
    own = (await there.join(phone, live.code)).you
    await here.join(watch, live.code)
    await there.join(bobs, live.code)
    await world.advance(1)
    assert own is not None
    here.reacting.send(desk, ReactionSend(class_id=live.id, kind="high_five", to=own.n))
    await moment(world)
    for connection in (phone, watch):
        (told,) = seen(connection, "reaction.received")
        assert (told["kind"], told["name"]) == ("high_five", "Mia")
    for connection in (desk, bobs):
        assert [name for name, _ in events(connection) if name.startswith("reaction")] == []


async def test_whoever_has_blocked_somebody_gets_counts_without_them_and_no_high_five(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(coach)
    desk, phone, bobs = here.connect(coach), here.connect(ada), there.connect(bob)
    await here.join(desk, live.code, "coach")
    own = (await here.join(phone, live.code)).you
    await there.join(bobs, live.code)
    here.rooms.beat()
    there.rooms.beat()
    await here.blocks.block(ada, bob.account_id)
    await world.advance(1)
    assert own is not None
    for _ in range(2):
        there.reacting.send(bobs, ReactionSend(class_id=live.id, kind="laugh"))
    there.reacting.send(bobs, ReactionSend(class_id=live.id, kind="high_five", to=own.n))
    await moment(world)
    assert seen(phone) == []
    (told,) = seen(desk)
    assert told["counts"] == [["laugh", 2]]
    # Among those of others only theirs are missing.
    here.reacting.send(desk, ReactionSend(class_id=live.id, kind="clap"))
    there.reacting.send(bobs, ReactionSend(class_id=live.id, kind="clap"))
    await moment(world)
    assert sum(n for one in seen(phone) for _, n in one["counts"]) == 1
    assert sum(n for one in seen(desk) for _, n in one["counts"]) == 2


async def test_who_may_not_speak_may_not_react_and_there_is_an_end_to_it(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk, phone = node.connect(coach), node.connect(await world.person("Ada"))
    await node.join(desk, live.code, "coach")
    own = (await node.join(phone, live.code)).you
    assert own is not None
    clap = ReactionSend(class_id=live.id, kind="clap")
    with pytest.raises(NotInRoom):
        node.reacting.send(node.connect(coach), clap)
    with pytest.raises(BadShape):
        node.reacting.send(phone, ReactionSend(class_id=live.id, kind="high_five", to=own.n))
    with pytest.raises(BadShape):
        node.reacting.send(phone, ReactionSend(class_id=live.id, kind="high_five", to=99))
    for _ in range(10):
        node.reacting.send(phone, clap)
    with pytest.raises(RateLimited) as refused:
        node.reacting.send(phone, clap)
    assert refused.value.retry_after_ms == 501
    await node.muting.mute(desk, ChatMute(class_id=live.id, n=own.n))
    with pytest.raises(Muted):
        node.reacting.send(phone, clap)
    await node.classes.end(coach, live.id)
    with pytest.raises(ClassOver):
        node.reacting.send(desk, clap)


def test_counts_leave_out_those_who_are_hidden_and_kinds_that_nobody_sent() -> None:
    one, two = (AccountId(uuid.UUID(int=number)) for number in (1, 2))
    gathered: dict[tuple[AccountId, Reaction], int] = {(one, "laugh"): 1, (two, "laugh"): 2, (two, "clap"): 1}
    assert counts_of(gathered) == (("clap", 1), ("laugh", 3))
    assert counts_of(gathered, lambda author: author == two) == (("laugh", 1),)
    assert counts_of(gathered, lambda author: True) == ()
