"""What was said before, asked for page by page."""

import pytest

from realtime.connection import Connection
from realtime.room_log import LogAway
from realtime.wire import ChatHistory, ChatPage, ChatSend, CueSend
from services.classes.live_class import LiveClass
from services.kernel.problems import NotInRoom, RateLimited, Unavailable
from tests.rooms.conftest import TestNode, World, events


async def say(world: World, node: TestNode, who: Connection, live: LiveClass, *texts: str) -> None:
    """Say things with a pause before each, as people do."""
    for text in texts:
        await world.advance(2)
        await node.speaking.chat(who, ChatSend(class_id=live.id, text=text))
    await world.advance(0)


def texts(page: ChatHistory) -> list[str]:
    return [message.text for message in page.messages]


async def test_the_chat_is_read_backwards_on_any_node_past_everything_else_in_the_log(world: World) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    desk, phone = here.connect(coach), there.connect(await world.person("Ada"))
    await here.join(desk, live.code, "coach")
    await there.join(phone, live.code)
    await say(world, here, desk, live, "one", "two")
    await here.speaking.cue(desk, CueSend(class_id=live.id, text="up"))
    await say(world, there, phone, live, "three", "four", "five")
    late = there.connect(await world.person("Bob"))
    await there.join(late, live.code)
    newest = await there.chatting.history(late, ChatPage(class_id=live.id, limit=2))
    older = await there.chatting.history(late, ChatPage(class_id=live.id, before=newest.before, limit=2))
    oldest = await there.chatting.history(late, ChatPage(class_id=live.id, before=older.before))
    assert [texts(page) for page in (oldest, older, newest)] == [["one"], ["two", "three"], ["four", "five"]]
    assert oldest.before is None
    # The same as everybody got, position and all.
    said = [payload["position"] for name, payload in events(desk) if name == "chat.said"]
    assert [message.position for page in (oldest, older, newest) for message in page.messages] == said


async def test_a_log_that_was_lost_has_no_history_and_a_page_of_the_old_one_is_empty(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk = node.connect(coach)
    await node.join(desk, live.code, "coach")
    await say(world, node, desk, live, "one", "two")
    newest = await node.chatting.history(desk, ChatPage(class_id=live.id, limit=1))
    world.log.forget()
    await world.advance(5)
    older = await node.chatting.history(desk, ChatPage(class_id=live.id, before=newest.before))
    assert (older.messages, older.before) == ((), None)
    assert texts(await node.chatting.history(desk, ChatPage(class_id=live.id))) == []


async def test_only_who_is_in_the_room_may_ask_and_not_without_end(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk, stranger = node.connect(coach), node.connect(await world.person("Eve"))
    await node.join(desk, live.code, "coach")
    with pytest.raises(NotInRoom):
        await node.chatting.history(stranger, ChatPage(class_id=live.id))
    for _ in range(10):
        await node.chatting.history(desk, ChatPage(class_id=live.id))
    with pytest.raises(RateLimited) as refused:
        await node.chatting.history(desk, ChatPage(class_id=live.id))
    assert refused.value.retry_after_ms == 1_000


async def test_a_page_is_bounded_in_bytes_and_the_next_one_goes_on(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk = node.connect(coach)
    await node.join(desk, live.code, "coach")
    await say(world, node, desk, live, *(f"{number} " + "\U00020000" * 490 for number in range(40)))
    found: list[str] = []
    before, pages = None, 0
    while before is not None or not pages:
        page = await node.chatting.history(desk, ChatPage(class_id=live.id, before=before, limit=100))
        found, before, pages = [*texts(page), *found], page.before, pages + 1
    assert [text.split()[0] for text in found] == [str(number) for number in range(40)]
    assert pages == 2


async def test_while_the_log_is_away_the_answer_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    desk = node.connect(coach)
    await node.join(desk, live.code, "coach")

    async def away(*_: object, **__: object) -> None:
        raise LogAway("no answer")

    monkeypatch.setattr(world.log, "back", away)
    with pytest.raises(Unavailable) as refused:
        await node.chatting.history(desk, ChatPage(class_id=live.id))
    assert refused.value.retry
