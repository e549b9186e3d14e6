"""The clock of a class over several nodes: everybody has the same one, whoever comes late, comes back or takes over."""

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from realtime.connection import Connection
from realtime.wire import ClockView, RoomJoin
from rooms.room import clock_views
from services.classes.class_clock import ClassClock, Extend, Pause, Resume, Skip, Start, class_ms_at
from services.classes.live_class import LiveClass
from services.classes.timelines import ScriptDraft
from services.kernel.caller import Caller
from services.kernel.ids import ClassId
from services.kernel.problems import (
    BadShape,
    ChangedMeanwhile,
    ClassNotFound,
    ClassOver,
    ClassStarted,
    ClockRefused,
    Forbidden,
    NotFound,
    Problem,
)
from tests.realtime import build
from tests.rooms.conftest import TestNode, World, events
from tests.services.classes.scripts import script
from tests.support.notified import PlainWords
from workers.push import NodePush

RIDE = script(60, 30, 90, cues=(0, 50, 120))


async def open_class(node: TestNode, coach: Caller) -> LiveClass:
    """A class with a script."""
    live = await node.create_class(coach)
    await node.timelines.save_script(coach, live.id, ScriptDraft(RIDE))
    return live


def clocks(told: list[tuple[str, Any]]) -> list[ClockView]:
    """The clocks among what a connection was told."""
    said = [{**payload} for name, payload in told if name == "class.clock"]
    for payload in said:
        del payload["position"]
    return [msgspec.convert(payload, ClockView) for payload in said]


def told(connection: Connection) -> list[ClockView]:
    return clocks(list(events(connection)))


def class_ms(view: ClockView | None, now_ms: int) -> int:
    """The class time as a client derives it."""
    assert view is not None
    clock = ClassClock(view.duration_ms, view.state, view.at_ms, view.class_ms, view.ran_ms, view.rests, view.programme)
    return class_ms_at(clock, now_ms)


async def test_everybody_on_every_node_has_the_same_clock_and_so_has_who_comes_late(world: World) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    ada, bob = here.connect(await world.person("Ada")), there.connect(await world.person("Bob"))
    for node, phone in ((here, ada), (there, bob)):
        joined = await node.join(phone, live.code)
        assert joined.clock is not None
        assert (joined.clock.state, joined.clock.script, joined.clock.n) == ("waiting", 1, 1)
    await world.advance(0)
    began_ms = world.clock.wall_ms()
    await here.timelines.control(mia, live.id, Start(in_ms=3_000), None)
    await world.advance(20)
    await here.timelines.control(mia, live.id, Extend(10_000), None)
    await world.advance(100)
    heard = told(ada)
    assert [view.n for view in heard] == [2, 3]
    assert told(bob) == heard
    for late in (there, world.node()):
        joined = await late.join(late.connect(await world.person("Cem")), live.code)
        assert joined.clock == heard[-1]
    # 120 s have passed: three of countdown, ten of rest in the first interval.
    assert class_ms(joined.clock, began_ms + 120_000) == 107_000


async def test_the_history_is_there_for_whoever_plays_a_video_that_is_behind(world: World) -> None:
    node = world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(node, mia)
    for command in (Start(), Pause(), Resume()):
        await node.timelines.control(mia, live.id, command, None)
        await world.advance(10)
    timeline = await world.node().timelines.of(live.id)
    assert timeline.script == RIDE
    assert [(view.n, view.state) for view in clock_views(live.id, timeline)] == [
        (1, "waiting"), (2, "running"), (3, "paused"), (4, "running"),
    ]  # fmt: skip


async def test_only_the_coach_of_a_class_writes_its_script_and_controls_it(world: World) -> None:
    node = world.node()
    mia, tom = await world.person("Mia", coach=True), await world.person("Tom", coach=True)
    live = await open_class(node, mia)
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    refusals: tuple[tuple[Caller, type[Problem]], ...] = ((tom, ClassNotFound), (ada.caller, Forbidden))
    for caller, refusal in refusals:
        with pytest.raises(refusal):
            await node.timelines.control(caller, live.id, Start(), None)
        with pytest.raises(refusal):
            await node.timelines.save_script(caller, live.id, ScriptDraft(RIDE, revision=1))
    nowhere = ClassId(uuid.UUID(int=1))
    with pytest.raises(ClassNotFound):
        await node.timelines.control(mia, nowhere, Start(), None)
    with pytest.raises(ClassNotFound):
        await node.timelines.script(mia, nowhere)
    await node.classes.end(mia, live.id)
    with pytest.raises(ClassOver):
        await node.timelines.control(mia, live.id, Start(), None)
    with pytest.raises(ClassOver):
        await node.timelines.save_script(mia, live.id, ScriptDraft(RIDE, revision=1))


async def test_a_script_is_checked_without_being_stored(world: World) -> None:
    node = world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(node, mia)
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    checked = await node.timelines.check_script(mia, live.id, ScriptDraft(script(60)))
    assert (checked.revision, checked.duration_ms) == (1, 60_000)
    with pytest.raises(BadShape) as refused:
        await node.timelines.check_script(mia, live.id, ScriptDraft(script(60, cues=(70,))))
    assert refused.value.path == "$.script.cues[0].at_ms"
    assert (await node.timelines.script(mia, live.id)).script == RIDE
    with pytest.raises(Forbidden):
        await node.timelines.check_script(ada.caller, live.id, ScriptDraft(script(60)))
    await node.timelines.control(mia, live.id, Start(), None)
    with pytest.raises(ClassStarted):
        await node.timelines.check_script(mia, live.id, ScriptDraft(script(60)))


async def test_a_class_without_a_script_has_no_clock(world: World) -> None:
    node = world.node()
    mia = await world.person("Mia", coach=True)
    live = await node.create_class(mia)
    with pytest.raises(ClockRefused):
        await node.timelines.control(mia, live.id, Start(), None)
    with pytest.raises(NotFound):
        await node.timelines.script(mia, live.id)
    assert (await node.join(node.connect(mia), live.code, "coach")).clock is None


async def test_a_script_is_replaced_by_who_has_read_it_and_stays_once_the_clock_has_begun(world: World) -> None:
    node = world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(node, mia)
    ada = node.connect(await world.person("Ada"))
    await node.join(ada, live.code)
    shorter = script(60)
    with pytest.raises(ChangedMeanwhile) as stale:
        await node.timelines.save_script(mia, live.id, ScriptDraft(shorter))
    assert stale.value.data == {"revision": 1}
    with pytest.raises(BadShape) as refused:
        await node.timelines.save_script(mia, live.id, ScriptDraft(script(60, cues=(70,)), revision=1))
    assert refused.value.path == "$.script.cues[0].at_ms"
    saved = await node.timelines.save_script(mia, live.id, ScriptDraft(shorter, revision=1))
    assert (saved.revision, saved.duration_ms) == (2, 60_000)
    await world.advance(0)
    assert [(view.n, view.script, view.duration_ms) for view in told(ada)] == [(2, 2, 60_000)]
    await node.timelines.control(mia, live.id, Start(), None)
    with pytest.raises(ClassStarted):
        await node.timelines.save_script(mia, live.id, ScriptDraft(RIDE, revision=2))
    assert (await node.timelines.script(ada.caller, live.id)).script == shorter


async def test_a_command_sent_again_with_its_key_is_done_once_also_on_another_node(world: World) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    await here.timelines.control(mia, live.id, Start(), "a")
    first = await here.timelines.control(mia, live.id, Extend(10_000), "b")
    assert await there.timelines.control(mia, live.id, Extend(10_000), "b") == first
    assert (await there.timelines.control(mia, live.id, Extend(10_000), "c")).n == first.n + 1


async def test_of_many_who_press_at_the_same_moment_all_but_one_are_told_that_it_is_done(world: World) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    await here.timelines.control(mia, live.id, Start(), None)
    # So that nobody has to wait for a connection first.
    await asyncio.gather(*(here.timelines.of(live.id) for _ in range(8)))
    answers = await asyncio.gather(
        *(node.timelines.control(mia, live.id, Pause(), None) for node in (here, there) * 4), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["ClockRefused"] * 7 + ["Timeline"]


async def test_another_node_carries_on_from_what_is_stored_to_the_ms(world: World) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    await here.timelines.control(mia, live.id, Start(), None)
    await world.advance(12.345)
    await here.die()
    await there.timelines.control(mia, live.id, Pause(), None)
    await world.advance(50)
    joined = await there.join(there.connect(await world.person("Ada")), live.code)
    assert class_ms(joined.clock, world.clock.wall_ms()) == 12_345


async def test_what_could_not_be_said_is_done_all_the_same_and_a_worker_says_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    ada = there.connect(await world.person("Ada"))
    await there.join(ada, live.code)
    await world.advance(0)

    with monkeypatch.context() as away:
        away.setattr(world.log, "append", build.stores_nothing)
        timeline = await here.timelines.control(mia, live.id, Start(), None)
    await world.advance(0)
    assert (timeline.n, told(ada)) == (2, [])
    push = NodePush(here.node, here.rooms.feeds, PlainWords())
    for _ in range(2):
        await push.class_clock(live.id, await here.timelines.of(live.id))
    await world.advance(0)
    assert [view.n for view in told(ada)] == [2]


async def test_a_change_that_was_lost_with_the_log_is_read_from_the_database_and_said_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    ada = there.connect(await world.person("Ada"))
    await there.join(ada, live.code)
    await world.advance(0)

    with monkeypatch.context() as away:
        away.setattr(world.log, "append", build.stores_nothing)
        await here.timelines.control(mia, live.id, Start(), None)
    await here.die()
    world.log.forget()
    async with asyncio.timeout(5):
        while not (heard := told(ada)):
            await world.advance(1)
            await asyncio.sleep(0.001)
    assert [view.n for view in heard] == [2]


async def test_who_comes_back_gets_the_clocks_that_were_missed_and_the_present_one(world: World) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    live = await open_class(here, mia)
    ada = await world.person("Ada")
    phone = here.connect(ada)
    seen = await here.join(phone, live.code)
    here.cut(phone)
    for command in (Start(), Skip()):
        await here.timelines.control(mia, live.id, command, None)
    await world.advance(0)
    joined = await there.rooms.join(there.connect(ada), RoomJoin(code=live.code, since=seen.position))
    assert joined.recovered
    missed = clocks([(one.event, msgspec.json.decode(one.payload)) for one in joined.missed])
    assert [view.n for view in missed] == [2, 3]
    assert joined.clock == missed[-1]
    assert class_ms(joined.clock, world.clock.wall_ms()) == 60_000
