"""Whom the coach does not let speak, on whatever node they are."""

import pytest

from realtime.wire import ChatMute, ChatSend, ChatUnmute
from services.kernel.problems import BadShape, ClassOver, Forbidden, Muted, NotInRoom
from tests.rooms.conftest import World, events


async def test_a_mute_holds_on_every_node_and_ends_with_its_time(world: World) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), there.connect(await world.person("Ada"))
    await here.join(desk, live.code, "coach")
    joined = await there.join(phone, live.code)
    assert joined.you is not None
    there.rooms.beat()
    await world.advance(1)
    await here.muting.mute(desk, ChatMute(class_id=live.id, n=joined.you.n, for_ms=60_000))
    await world.settled(lambda: there.rooms.get(live.id).muted)  # type: ignore[union-attr]
    with pytest.raises(Muted) as refused:
        there.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))
    assert refused.value.retry_after_ms == 60_000
    # It is between the two of them.
    assert [payload["muted"] for name, payload in events(phone) if name == "chat.muted"] == [True]
    assert "chat.muted" not in [name for name, _ in events(desk)]
    await world.advance(60)
    await there.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))


async def test_a_mute_for_the_rest_of_the_class_holds_on_a_node_that_loads_the_room_later_until_it_is_lifted(
    world: World,
) -> None:
    here, there = world.node(), world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), here.connect(ada)
    await here.join(desk, live.code, "coach")
    joined = await here.join(phone, live.code)
    assert joined.you is not None
    n = joined.you.n
    await here.muting.mute(desk, ChatMute(class_id=live.id, n=n))
    elsewhere = there.connect(ada)
    await there.join(elsewhere, live.code)
    with pytest.raises(Muted) as refused:
        there.speaking.chat(elsewhere, ChatSend(class_id=live.id, text="hello"))
    assert refused.value.retry_after_ms is None
    await here.muting.unmute(desk, ChatUnmute(class_id=live.id, n=n))
    await world.settled(lambda: not there.rooms.get(live.id).muted)  # type: ignore[union-attr]
    await there.speaking.chat(elsewhere, ChatSend(class_id=live.id, text="hello"))


async def test_a_node_that_did_not_hear_of_a_mute_reads_it_within_half_a_minute(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    phone = node.connect(ada)
    await node.join(phone, live.code)
    await node.speaking.chat(phone, ChatSend(class_id=live.id, text="still heard"))
    await world.database_mute(live.id, ada.account_id)
    await world.advance(30)
    await world.settled(lambda: node.rooms.get(live.id).muted)  # type: ignore[union-attr]
    with pytest.raises(Muted):
        node.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))


async def test_only_the_coach_of_a_live_class_mutes_and_not_themselves(world: World) -> None:
    node = world.node()
    coach, other = await world.person("Mia", coach=True), await world.person("Tom", coach=True)
    live = await node.create_class(coach)
    desk, guest = node.connect(coach), node.connect(other)
    own = (await node.join(desk, live.code, "coach")).you
    guests = (await node.join(guest, live.code)).you
    assert own is not None
    assert guests is not None
    with pytest.raises(Forbidden):
        await node.muting.mute(guest, ChatMute(class_id=live.id, n=own.n))
    with pytest.raises(Forbidden):
        await node.muting.mute(desk, ChatMute(class_id=live.id, n=own.n))
    with pytest.raises(BadShape):
        await node.muting.mute(desk, ChatMute(class_id=live.id, n=99))
    with pytest.raises(NotInRoom):
        await node.muting.mute(node.connect(coach), ChatMute(class_id=live.id, n=guests.n))
    await node.classes.end(coach, live.id)
    with pytest.raises(ClassOver):
        await node.muting.mute(desk, ChatMute(class_id=live.id, n=guests.n))
