"""A message that is taken down: off every screen, and given to nobody any more."""

import pytest

from realtime.wire import ChatPage, ChatRemove, ChatSend, RoomJoin
from services.kernel.clock import utc
from services.kernel.problems import Forbidden, MessageGone, NotInRoom
from tests.rooms.conftest import World, events


async def test_it_is_told_to_everybody_and_is_in_nothing_that_comes_later(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), there.connect(ada)
    await here.join(desk, live.code, "coach")
    joined = await there.join(phone, live.code)
    bad = await there.speaking.chat(phone, ChatSend(class_id=live.id, text="bad"))
    await here.speaking.chat(desk, ChatSend(class_id=live.id, text="good"))
    await world.advance(1)
    for _ in range(2):
        await here.removing.remove(desk, ChatRemove(class_id=live.id, message=bad.position))
    await world.advance(1)
    for connection in (desk, phone):
        removed = [payload["removed"] for name, payload in events(connection) if name == "chat.removed"]
        assert removed == [bad.position]
    # On the node that knows it, on one that only heard of it, and on one that loads the room later.
    for node in (here, there, world.node()):
        back = node.connect(ada)
        again = await node.rooms.join(back, RoomJoin(code=live.code, since=joined.position))
        assert again.recovered
        heard = [missed.event for missed in again.missed if missed.event.startswith("chat")]
        assert heard == ["chat.said", "chat.removed"]
        assert b"bad" not in b"".join(bytes(missed.payload) for missed in again.missed)
        page = await node.chatting.history(back, ChatPage(class_id=live.id))
        assert [message.text for message in page.messages] == ["good"]


async def test_the_text_is_kept_as_it_was_said_with_who_decided_it(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    desk, phone = node.connect(coach), node.connect(ada)
    await node.join(desk, live.code, "coach")
    await node.join(phone, live.code)
    bad = await node.speaking.chat(phone, ChatSend(class_id=live.id, text="bad"))
    await world.advance(1)
    await node.removing.remove(desk, ChatRemove(class_id=live.id, message=bad.position))
    async with world.database.tx() as tx:
        (kept,) = await tx.fetch("SELECT account_id, text, removed_by FROM chat_removals")
        (decision,) = await tx.fetch("SELECT decided_by, about, decision, position FROM chat_decisions")
    assert tuple(kept) == (ada.account_id, "bad", coach.account_id)
    assert tuple(decision) == (coach.account_id, ada.account_id, "remove", bad.position)


async def test_only_the_coach_takes_down_and_only_what_is_a_message(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    desk, phone = node.connect(coach), node.connect(ada)
    await node.join(desk, live.code, "coach")
    await node.join(phone, live.code)
    said = await node.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))
    await world.advance(1)
    with pytest.raises(Forbidden):
        await node.removing.remove(phone, ChatRemove(class_id=live.id, message=said.position))
    with pytest.raises(NotInRoom):
        await node.removing.remove(node.connect(coach), ChatRemove(class_id=live.id, message=said.position))
    for nothing in ("0f3a9c41-000000000001", said.position[:-1] + "9"):
        with pytest.raises(MessageGone):
            await node.removing.remove(desk, ChatRemove(class_id=live.id, message=nothing))
    # Also when the class is over.
    await node.classes.end(coach, live.id)
    await node.removing.remove(desk, ChatRemove(class_id=live.id, message=said.position))


async def test_what_was_taken_down_while_a_node_was_behind_is_not_shown_by_it_afterwards(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), here.connect(ada)
    await here.join(desk, live.code, "coach")
    joined = await here.join(phone, live.code)
    bad = await here.speaking.chat(phone, ChatSend(class_id=live.id, text="bad"))
    await world.advance(1)
    late = there.connect(ada)
    await there.join(late, live.code)
    room = there.rooms.get(live.id)
    assert room is not None
    await here.removing.remove(desk, ChatRemove(class_id=live.id, message=bad.position))
    await world.advance(1)
    # All that it has is the log itself, in which the one stands behind the other.
    room.taken_down.clear()
    again = await there.rooms.join(late, RoomJoin(code=live.code, since=joined.position))
    assert b"bad" not in b"".join(bytes(missed.payload) for missed in again.missed)


async def test_what_was_taken_down_where_the_log_could_prove_nothing_is_read_from_the_database(
    world: World,
) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    phone = node.connect(ada)
    await node.join(phone, live.code)
    said = await node.speaking.chat(phone, ChatSend(class_id=live.id, text="bad"))
    await world.advance(1)
    room = node.rooms.get(live.id)
    assert room is not None
    async with node.rooms._transactions() as stores:  # on another node, and this one has not heard of it
        now = utc(world.clock.wall_ms())
        await stores.moderation.remove(live.id, said.position, ada.account_id, "bad", coach.account_id, now)
    async with node.rooms._transactions() as stores:
        await node.rooms.read_again(stores, room)
    assert (await node.chatting.history(phone, ChatPage(class_id=live.id))).messages == ()
