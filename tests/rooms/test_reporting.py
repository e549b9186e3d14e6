"""A message is reported with the text that was said, and the coach decides about it once for all reports."""

import pytest

from realtime.wire import ChatPage, ChatReport, ChatSend
from services.kernel.problems import ChangedMeanwhile, Forbidden, MessageGone, NotFound, NotInRoom, RateLimited
from tests.rooms.conftest import World, events


async def test_what_two_have_reported_is_decided_once_and_taken_down_on_every_node(world: World) -> None:
    here, there = world.node(), world.node()
    coach, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(coach)
    desk, phone, bobs = here.connect(coach), there.connect(ada), there.connect(bob)
    await here.join(desk, live.code, "coach")
    await there.join(phone, live.code)
    await there.join(bobs, live.code)
    bad = await there.speaking.chat(bobs, ChatSend(class_id=live.id, text="bad"))
    await world.advance(1)
    report = ChatReport(class_id=live.id, message=bad.position, reason="insult")
    for connection in (phone, phone, bobs):
        await there.reporting.report(connection, report)
    first, second = await here.reports.of_class(coach, live.id, undecided=True)
    assert (first.text, first.reason, first.message, first.verdict) == ("bad", "insult", bad.position, None)
    await here.reports.decide(coach, live.id, first.id, "remove")
    await here.reports.decide(coach, live.id, second.id, "remove")
    with pytest.raises(ChangedMeanwhile):
        await here.reports.decide(coach, live.id, second.id, "keep")
    await world.advance(1)
    for connection in (desk, phone, bobs):
        assert [name for name, _ in events(connection) if name == "chat.removed"] == ["chat.removed"]
    assert (await there.chatting.history(phone, ChatPage(class_id=live.id))).messages == ()
    assert await here.reports.of_class(coach, live.id, undecided=True) == []
    assert [each.decided_by for each in await here.reports.of_class(coach, live.id, undecided=False)] == ["Mia", "Mia"]
    with pytest.raises(MessageGone):
        await there.reporting.report(phone, report)


async def test_what_is_kept_stays_and_is_not_asked_about_again(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live = await node.create_class(coach)
    desk, phone = node.connect(coach), node.connect(ada)
    await node.join(desk, live.code, "coach")
    await node.join(phone, live.code)
    said = await node.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))
    await world.advance(1)
    report = ChatReport(class_id=live.id, message=said.position, reason="spam")
    await node.reporting.report(phone, report)
    (one,) = await node.reports.of_class(coach, live.id, undecided=True)
    await node.reports.decide(coach, live.id, one.id, "keep")
    await node.reporting.report(desk, report)
    assert await node.reports.of_class(coach, live.id, undecided=True) == []
    assert len((await node.chatting.history(phone, ChatPage(class_id=live.id))).messages) == 1


async def test_who_may_report_and_decide_and_about_what(world: World) -> None:
    node = world.node()
    coach, ada = await world.person("Mia", coach=True), await world.person("Ada")
    live, other = await node.create_class(coach), await node.create_class(coach)
    phone = node.connect(ada)
    await node.join(phone, live.code)
    said = await node.speaking.chat(phone, ChatSend(class_id=live.id, text="hello"))
    await world.advance(1)
    report = ChatReport(class_id=live.id, message=said.position, reason="other")
    with pytest.raises(NotInRoom):
        await node.reporting.report(node.connect(coach), report)
    with pytest.raises(MessageGone):
        await node.reporting.report(phone, ChatReport(class_id=live.id, message="0f3a9c41-000000000001", reason="spam"))
    await node.reporting.report(phone, report)
    with pytest.raises(Forbidden):
        await node.reports.of_class(ada, live.id, undecided=True)
    (one,) = await node.reports.of_class(coach, live.id, undecided=True)
    with pytest.raises(NotFound):
        await node.reports.decide(coach, other.id, one.id, "keep")
    for _ in range(3):
        await node.reporting.report(phone, report)
    with pytest.raises(RateLimited):
        await node.reporting.report(phone, report)
