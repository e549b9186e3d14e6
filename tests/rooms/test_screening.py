"""Whoever has blocked somebody does not hear them: live, on coming back, and in the history; nobody else notices."""

import uuid
from typing import Any

import pytest

from realtime.connection import Connection
from realtime.wire import ChatPage, ChatSend, RoomJoin
from rooms.screen import Screen
from services.kernel.ids import AccountId
from tests.rooms.conftest import World, events


def heard(connection: Connection) -> list[Any]:
    return [payload["text"] for name, payload in events(connection) if name == "chat.said"]


async def test_a_block_holds_on_whatever_node_either_of_them_is_and_ends_again(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(coach)
    desk, phone, watch, bobs = here.connect(coach), here.connect(ada), there.connect(ada), there.connect(bob)
    await here.join(desk, live.code, "coach")
    for node, connection in ((here, phone), (there, watch), (there, bobs)):
        await node.join(connection, live.code)
    await world.advance(1)
    # Blocked on one node, it holds on the other.
    await here.blocks.block(ada, bob.account_id)
    await world.settled(lambda: there.rooms.screen.hides(bob.account_id, ada.account_id))
    await there.speaking.chat(bobs, ChatSend(class_id=live.id, text="psst"))
    await here.speaking.chat(desk, ChatSend(class_id=live.id, text="hello"))
    await world.advance(0)
    assert [heard(one) for one in (phone, watch)] == [["hello"], ["hello"]]
    # Whoever is blocked does not learn of it, and hears whoever blocked them.
    await here.speaking.chat(phone, ChatSend(class_id=live.id, text="me too"))
    await world.advance(0)
    assert [heard(one) for one in (desk, bobs)] == [["psst", "hello", "me too"]] * 2
    await here.blocks.unblock(ada, bob.account_id)
    await world.settled(lambda: not there.rooms.screen.hides(bob.account_id, ada.account_id))
    await there.speaking.chat(bobs, ChatSend(class_id=live.id, text="again"))
    await world.advance(0)
    assert [heard(one) for one in (phone, watch)] == [["me too", "again"]] * 2


async def test_it_holds_for_what_was_missed_and_in_the_history(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(coach)
    desk, bobs, phone = here.connect(coach), here.connect(bob), here.connect(ada)
    await here.join(desk, live.code, "coach")
    await here.join(bobs, live.code)
    joined = await here.join(phone, live.code)
    await here.blocks.block(ada, bob.account_id)
    here.cut(phone)
    for connection, text in ((bobs, "psst"), (desk, "hello"), (bobs, "psst")):
        await here.speaking.chat(connection, ChatSend(class_id=live.id, text=text))
    await world.advance(1)
    back = there.connect(ada)
    again = await there.rooms.join(back, RoomJoin(code=live.code, since=joined.position))
    assert again.recovered
    assert [missed.event for missed in again.missed].count("chat.said") == 1
    page = await there.chatting.history(back, ChatPage(class_id=live.id))
    assert [message.text for message in page.messages] == ["hello"]
    page = await here.chatting.history(bobs, ChatPage(class_id=live.id))
    assert [message.text for message in page.messages] == ["psst", "hello", "psst"]


async def test_of_an_author_who_is_not_on_the_board_here_yet_whoever_blocks_anybody_hears_nothing(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, eve = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Eve")
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), here.connect(ada)
    await here.join(desk, live.code, "coach")
    await here.join(phone, live.code)
    await here.blocks.block(ada, eve.account_id)
    await world.advance(1)
    # No beat has told their numbers to the other node, when they speak.
    eves, cleos = there.connect(eve), there.connect(await world.person("Cleo"))
    await there.join(eves, live.code)
    await there.join(cleos, live.code)
    await there.speaking.chat(eves, ChatSend(class_id=live.id, text="psst"))
    await there.speaking.chat(cleos, ChatSend(class_id=live.id, text="hello"))
    await world.advance(0)
    assert (heard(phone), heard(desk)) == ([], ["psst", "hello"])
    there.rooms.beat()
    await world.advance(0)
    page = await here.chatting.history(phone, ChatPage(class_id=live.id))
    assert [message.text for message in page.messages] == ["hello"]


async def test_a_node_that_did_not_hear_of_a_block_reads_it_within_half_a_minute(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    phone = node.connect(ada)
    await node.join(phone, live.code)
    assert not node.rooms.screen.hides(coach.account_id, ada.account_id)
    await world.database_block(ada.account_id, coach.account_id)
    await world.advance(30)
    await world.settled(lambda: node.rooms.screen.hides(coach.account_id, ada.account_id))


async def test_whoever_has_gone_is_forgotten_and_read_again_when_they_come(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    phone = node.connect(ada)
    await node.join(phone, live.code)
    await node.blocks.block(ada, coach.account_id)
    node.cut(phone)
    await world.advance(30)
    await world.settled(lambda: ada.account_id in node.screening.gone)
    assert ada.account_id in node.rooms.screen
    await world.advance(30)
    await world.settled(lambda: ada.account_id not in node.rooms.screen)
    await node.join(node.connect(ada), live.code)
    assert node.rooms.screen.hides(coach.account_id, ada.account_id)


@pytest.mark.parametrize("order", ["first", "last"])
def test_a_screen_knows_what_it_was_told_last(order: str) -> None:
    one, two, three = (AccountId(uuid.UUID(int=number)) for number in (1, 2, 3))
    screen = Screen()
    assert screen.blank
    screen.know(one, frozenset({two, three}))
    screen.know(three, frozenset({two}))
    assert set(screen.blockers(two)) == {one, three}
    assert set(screen.blockers(None)) == {one, three}
    for account in (one, three) if order == "first" else (three, one):
        screen.know(account, frozenset())
    assert screen.blank
    assert not screen.hides(None, one)
