"""Sending somebody out, co-coaches and handing over: on every node, at once and for good."""

from typing import Any

import pytest

from realtime.connection import Connection
from realtime.wire import CueSend, RoomJoin
from rooms.hall import coaches_key, removed_key, said_coaches, said_removed
from rooms.room import channel_of
from services.classes.class_clock import Start
from services.classes.timelines import ScriptDraft
from services.kernel.clock import utc
from services.kernel.problems import BadShape, Forbidden, NotACoach, RemovedFromClass
from tests.rooms.conftest import TestNode, events
from tests.rooms.test_cues import Studio, studio
from tests.rooms.test_stepping import LAPS, Rider, beat

__all__ = ["studio"]


def heard(connection: Connection, event: str) -> list[dict[str, Any]]:
    return [payload for name, payload in events(connection) if name == event]


async def test_who_is_sent_out_leaves_on_every_node_and_comes_back_on_none(studio: Studio) -> None:
    world, live, bob = studio.world, studio.live, studio.bob.caller
    phone = studio.here.connect(bob)
    await studio.here.join(phone, live.code)
    await studio.here.coaches.remove(studio.mia, live.id, studio.n["Bob"])
    await world.advance(0)
    for connection in (studio.bob, phone):
        assert [told["n"] for told in heard(connection, "room.removed")] == [studio.n["Bob"]]
        assert live.id not in connection.rooms
    assert len(heard(studio.desk, "room.removed")) == 1
    assert heard(studio.ada, "room.removed") == heard(studio.wall, "room.removed") == []
    await studio.say("go")
    assert heard(studio.bob, "cue") == []
    for node in (studio.here, studio.there, world.node()):
        again = node.connect(bob)
        with pytest.raises(RemovedFromClass):
            await node.join(again, live.code)
        with pytest.raises(RemovedFromClass):
            await node.rooms.join(again, RoomJoin(code=live.code, role="spectator"))
        with pytest.raises(RemovedFromClass):
            await node.open(again, live.code)


async def test_the_samples_of_who_was_sent_out_are_theirs_and_move_no_board(studio: Studio) -> None:
    world = studio.world
    eve = Rider(world, studio.there, await world.person("Eve"), studio.live)
    await eve.come()
    await eve.ride(140, 141)
    (n,) = [member.n for member in room_of(studio.there, studio).board.members() if member.name == "Eve"]
    await studio.here.coaches.remove(studio.mia, studio.live.id, n)
    await world.advance(0)
    await eve.ride(142, 143)
    await world.advance(1)
    for node in (studio.here, studio.there):
        (row,) = [row for row in room_of(node, studio).board.rows() if row.n == n]
        assert (row.bpm, row.freshness) == (None, "none")
    assert eve.seq == 4


async def test_a_removal_that_the_node_could_not_say_is_heard_from_a_worker_and_holds_meanwhile(studio: Studio) -> None:
    live, bob, n = studio.live, studio.bob.caller, studio.n["Bob"]
    async with studio.here.rooms._transactions() as stores:  # as if the node had died behind the commit
        await stores.leading.remove(live.id, bob.account_id, studio.mia.account_id, utc(studio.world.clock.wall_ms()))
    said = said_removed(live.id, bob.account_id, n)
    for _ in range(2):
        await studio.here.rooms.feeds.append(channel_of(live.id), "room.removed", said, removed_key(bob.account_id))
        await studio.world.advance(0)
    assert live.id not in studio.bob.rooms
    assert len(heard(studio.bob, "room.removed")) == 1


async def test_a_co_coach_leads_from_the_next_moment_and_no_longer_once_they_do_not(studio: Studio) -> None:
    world, live = studio.world, studio.live
    noe = await world.person("Noe", coach=True)
    desk = studio.there.connect(noe)
    joined = await studio.there.join(desk, live.code, "spectator")
    assert joined.you is not None
    cue = CueSend(class_id=live.id, text="up")
    with pytest.raises(Forbidden):
        await studio.there.join(desk, live.code, "coach")
    changed = await studio.here.coaches.appoint(studio.mia, live.id, joined.you.n, "co_coach")
    await world.advance(0)
    assert [told["co_coach_ids"] for told in heard(studio.ada, "class.coaches")] == [[str(noe.account_id)]]
    await studio.there.join(desk, live.code, "coach")
    await studio.there.speaking.cue(desk, cue)
    await studio.here.timelines.save_script(studio.mia, live.id, ScriptDraft(LAPS))
    await studio.there.timelines.control(noe, live.id, Start(), None)
    await beat(world)
    assert heard(desk, "cockpit.snapshot")
    for refused in (
        studio.there.classes.end(noe, live.id),
        studio.there.coaches.appoint(noe, live.id, studio.n["Ada"], "none"),
        studio.there.timelines.save_script(noe, live.id, ScriptDraft(LAPS, 1)),
    ):
        with pytest.raises(Forbidden):
            await refused
    await studio.here.coaches.appoint(studio.mia, live.id, joined.you.n, "none")
    await world.advance(0)
    with pytest.raises(Forbidden):
        studio.there.speaking.cue(desk, cue)
    async with studio.here.rooms._transactions() as stores:
        stored = {member.name: member.role for member in await stores.classes.members(live.id)}
    assert (stored["Mia"], stored["Noe"]) == ("coach", "spectator")
    list(events(desk))
    await beat(world)
    assert not [name for name, _ in events(desk) if name.startswith("cockpit.")]
    # What is told late does not bring the old state back.
    await studio.here.rooms.feeds.append(
        channel_of(live.id), "class.coaches", said_coaches(changed), f"{coaches_key(changed)}:late"
    )
    await world.advance(0)
    assert room_of(studio.there, studio).live.co_coach_ids == ()


async def test_a_class_that_was_handed_over_is_ended_by_its_new_coach_alone_after_a_restart_too(studio: Studio) -> None:
    world, live = studio.world, studio.live
    noe = await world.person("Noe", coach=True)
    joined = await studio.there.join(studio.there.connect(noe), live.code)
    assert joined.you is not None
    handed = await studio.here.coaches.appoint(studio.mia, live.id, joined.you.n, "coach")
    assert (handed.coach_id, handed.coach_name, handed.co_coach_ids) == (
        noe.account_id,
        "Noe",
        (studio.mia.account_id,),
    )
    fresh = world.node()
    assert (await fresh.rooms.load(live.id)).live == handed
    with pytest.raises(Forbidden):
        await fresh.classes.end(studio.mia, live.id)
    await fresh.classes.end(noe, live.id)


async def test_who_cannot_be_appointed_or_sent_out_is_refused_with_the_reason(studio: Studio) -> None:
    coaches, live = studio.here.coaches, studio.live
    with pytest.raises(NotACoach):
        await coaches.appoint(studio.mia, live.id, studio.n["Ada"], "co_coach")
    for asked in (coaches.appoint(studio.mia, live.id, 99, "coach"), coaches.remove(studio.mia, live.id, 99)):
        with pytest.raises(BadShape) as refused:
            await asked
        assert refused.value.path == "$.n"
    with pytest.raises(Forbidden):
        await coaches.remove(studio.ada.caller, live.id, studio.n["Bob"])


def room_of(node: TestNode, studio: Studio) -> Any:
    room = node.rooms.get(studio.live.id)
    assert room is not None
    return room
