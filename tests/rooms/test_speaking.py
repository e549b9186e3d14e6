"""Cues and chat: who may say what, and that it is said once."""

import asyncio
from typing import Any

import pytest

from realtime.wire import ChatSend, CueSend
from services.kernel.problems import BadShape, ChatPaused, ClassOver, Forbidden, NotInRoom, RateLimited, Unavailable
from tests.realtime import build
from tests.rooms.conftest import World, events


def said(told: Any, event: str) -> list[str]:
    return [payload["text"] for name, payload in told if name == event]


async def test_a_cue_reaches_everybody_in_the_room_on_every_node(world: World) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), there.connect(await world.person("Ada"))
    await here.join(desk, live.code, "coach")
    await there.join(phone, live.code)
    await world.advance(0)
    reply = await here.speaking.cue(desk, CueSend(class_id=live.id, text="  Last\nminute! "))
    await world.advance(0)
    for connection in (desk, phone):
        (cue,) = [payload for name, payload in events(connection) if name == "cue"]
        assert cue["text"] == "Last minute!"
        assert cue["coach_name"] == "Mia"
        assert cue["position"] == reply.position


async def test_only_the_coach_of_the_class_gives_cues_and_only_members_chat(world: World) -> None:
    node = world.node()
    mia, tom = await world.person("Mia", coach=True), await world.person("Tom", coach=True)
    live = await node.create_class(mia)
    other, guest = node.connect(tom), node.connect(await world.person("Ada"))
    await node.join(other, live.code, "spectator")
    with pytest.raises(Forbidden):
        await node.speaking.cue(other, CueSend(class_id=live.id, text="up"))
    with pytest.raises(NotInRoom):
        await node.speaking.chat(guest, ChatSend(class_id=live.id, text="hello"))
    await node.join(guest, live.code)
    await node.speaking.chat(guest, ChatSend(class_id=live.id, text="hello"))
    await world.advance(0)
    assert said(events(other), "chat.said") == ["hello"]
    await node.classes.end(mia, live.id)
    with pytest.raises(ClassOver):
        await node.speaking.chat(guest, ChatSend(class_id=live.id, text="hello"))


async def test_what_is_sent_again_with_its_key_is_said_once(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada, bob = node.connect(await world.person("Ada")), node.connect(await world.person("Bob"))
    for one in (ada, bob):
        await node.join(one, live.code)
    message = ChatSend(class_id=live.id, text="hello", key="k1")
    replies = await asyncio.gather(*(node.speaking.chat(ada, message) for _ in range(3)))
    # Nobody else's key is the same key.
    await node.speaking.chat(bob, message)
    await world.advance(0)
    assert len({reply.position for reply in replies}) == 1
    assert said(events(bob), "chat.said") == ["hello", "hello"]


async def test_chat_has_a_limit_of_its_own(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    for _ in range(5):
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))
    with pytest.raises(RateLimited) as refused:
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))
    assert refused.value.retry_after_ms == 2_001
    await world.advance(2)
    await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))


async def test_a_room_has_a_limit_that_all_nodes_count_together(world: World) -> None:
    here, there = world.node(), world.node()
    live = await here.create_class(await world.person("Mia", coach=True))
    crowd = []
    for number in range(9):
        node = (here, there)[number % 2]
        one = node.connect(await world.person(f"P{number}"))
        await node.join(one, live.code)
        crowd.append((node, one))
    await world.advance(0)
    hello = ChatSend(class_id=live.id, text="hello")
    for node, one in crowd[:8]:
        for _ in range(5):
            await node.speaking.chat(one, hello)
        await world.advance(0)
    node, ninth = crowd[8]
    with pytest.raises(RateLimited) as refused:
        await node.speaking.chat(ninth, hello)
    assert refused.value.retry_after_ms == 251
    await world.advance(0.3)
    # The refusal by the room has cost them nothing of their own.
    await node.speaking.chat(ninth, hello)


async def test_what_is_under_way_counts_before_it_comes_out_of_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    room = node.rooms.get(live.id)
    assert room is not None
    room.pace.waiting = 40
    with pytest.raises(RateLimited):
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))
    room.pace.waiting = 0

    monkeypatch.setattr(world.log, "append", build.stores_nothing)
    with pytest.raises(Unavailable):
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))
    assert room.pace.waiting == 0


async def test_a_message_longer_than_a_reader_would_read_is_refused(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    with pytest.raises(BadShape) as refused:
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="x" * 501))
    assert refused.value.data == {"limit": 500}


async def test_what_could_not_be_stored_is_told_to_whoever_said_it_and_to_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)

    monkeypatch.setattr(world.log, "append", build.stores_nothing)
    with pytest.raises(Unavailable) as refused:
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello", key="k"))
    await world.advance(0)
    assert refused.value.retry
    assert said(events(ada), "chat.said") == []


@pytest.mark.parametrize("text", [" ", "\u200d", "\u202e\u2066", "\n\t"])
async def test_a_text_in_which_nothing_can_be_read_is_refused(world: World, text: str) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    with pytest.raises(BadShape):
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text=text))


async def test_while_the_chat_is_switched_off_nobody_says_anything_and_cues_go_on(world: World) -> None:
    node = world.node()
    mia = await world.person("Mia", coach=True)
    live = await node.create_class(mia)
    desk, ada = node.connect(mia), node.connect(await world.person("Ada"))
    await node.join(desk, live.code, "coach")
    await node.join(ada, live.code)
    world.switches.learn({"chat": False})
    with pytest.raises(ChatPaused):
        await node.speaking.chat(ada, ChatSend(class_id=live.id, text="hello"))
    await node.speaking.cue(desk, CueSend(class_id=live.id, text="up"))
    world.switches.learn({})
    await node.speaking.chat(ada, ChatSend(class_id=live.id, text="again"))
    await world.advance(0)
    assert said(events(ada), "cue") == ["up"]
    assert said(events(desk), "chat.said") == ["again"]
