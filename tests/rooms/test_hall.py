"""Sending somebody out and letting them in again, co-coaches and handing over: on every node, at once and for good."""

from typing import Any

import pytest

from realtime.connection import Connection
from realtime.wire import CueSend, RoomJoin
from rooms.audience import said_removed
from rooms.hall import coaches_key, removal_key, said_coaches, said_let_in
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
    said = said_removed(live.id, bob.account_id, n, 1)
    for _ in range(2):
        await studio.here.rooms.feeds.append(channel_of(live.id), "room.removed", said, removal_key(bob.account_id, 1))
        await studio.world.advance(0)
    assert live.id not in studio.bob.rooms
    assert len(heard(studio.bob, "room.removed")) == 1


async def test_a_removal_that_a_node_reads_before_it_hears_of_it_is_told_to_whom_it_concerns(studio: Studio) -> None:
    live, bob, n = studio.live, studio.bob.caller, studio.n["Bob"]
    rooms = studio.there.rooms
    async with rooms._transactions() as stores:
        await stores.leading.remove(live.id, bob.account_id, studio.mia.account_id, utc(studio.world.clock.wall_ms()))
    room, stood_at = rooms.get(live.id), str(rooms.feeds.at(channel_of(live.id)))
    assert room is not None
    for _ in range(2):
        async with rooms._transactions() as stores:
            await rooms.read_again(stores, room)
    assert live.id not in studio.bob.rooms
    said = said_removed(live.id, bob.account_id, n, 1)
    await rooms.feeds.append(channel_of(live.id), "room.removed", said, removal_key(bob.account_id, 1))
    await studio.world.advance(0)
    assert [(told["n"], told["position"]) for told in heard(studio.bob, "room.removed")] == [(n, stood_at)]


async def test_who_was_let_in_comes_back_through_every_node_and_can_be_sent_out_again(studio: Studio) -> None:
    world, live, bob, n = studio.world, studio.live, studio.bob.caller, studio.n["Bob"]
    await studio.here.coaches.remove(studio.mia, live.id, n)
    await studio.there.coaches.let_in(studio.mia, live.id, n)
    await world.advance(0)
    assert [told["removals"] for told in heard(studio.desk, "room.let_in")] == [2]
    assert heard(studio.ada, "room.let_in") == []
    for node in (studio.here, studio.there, world.node()):
        joined = await node.join(node.connect(bob), live.code)
        assert joined.you is not None
        assert joined.you.n == n
    again = studio.there.connect(bob)
    await studio.there.join(again, live.code)
    await studio.here.coaches.remove(studio.mia, live.id, n)
    await world.advance(0)
    assert [told["removals"] for told in heard(again, "room.removed")] == [3]
    with pytest.raises(RemovedFromClass):
        await studio.there.join(again, live.code)


async def test_what_is_said_late_of_a_removal_sends_nobody_out_who_was_let_in_meanwhile(studio: Studio) -> None:
    live, bob, n = studio.live, studio.bob.caller, studio.n["Bob"]
    await studio.here.coaches.remove(studio.mia, live.id, n)
    await studio.here.coaches.let_in(studio.mia, live.id, n)
    await studio.world.advance(0)
    await studio.there.join(studio.bob, live.code)
    list(events(studio.bob))
    late = said_removed(live.id, bob.account_id, n, 1)
    await studio.here.rooms.feeds.append(channel_of(live.id), "room.removed", late, "late")
    await studio.world.advance(0)
    assert live.id in studio.bob.rooms
    assert heard(studio.bob, "room.removed") == []


async def test_a_node_that_has_not_heard_that_somebody_was_let_in_believes_what_is_stored(studio: Studio) -> None:
    world, live, bob, n = studio.world, studio.live, studio.bob.caller, studio.n["Bob"]
    eve = Rider(world, studio.there, bob, live)
    await eve.come()
    await eve.ride(120, 121)
    await studio.here.coaches.remove(studio.mia, live.id, n)
    await world.advance(0)
    async with studio.here.rooms._transactions() as stores:  # as if the node had died behind the commit
        await stores.leading.let_in(live.id, bob.account_id)
    with_code = studio.there.connect(bob)
    await studio.there.open(with_code, live.code)
    await studio.there.join(with_code, live.code)
    # The word that comes late says nothing new, and the coach hears it all the same.
    said = said_let_in(live.id, bob.account_id, n, 2)
    await studio.here.rooms.feeds.append(channel_of(live.id), "room.let_in", said, removal_key(bob.account_id, 2))
    await world.advance(0)
    assert len(heard(studio.desk, "room.let_in")) == 1
    assert live.id in with_code.rooms


async def test_a_co_coach_lets_nobody_in_whom_the_coach_has_sent_out(studio: Studio) -> None:
    live, coaches, n = studio.live, studio.here.coaches, studio.n
    noe = await studio.world.person("Noe", coach=True)
    joined = await studio.here.join(studio.here.connect(noe), live.code)
    assert joined.you is not None
    await coaches.appoint(studio.mia, live.id, joined.you.n, "co_coach")
    await coaches.remove(studio.mia, live.id, n["Bob"])
    await coaches.remove(noe, live.id, n["Ada"])
    await coaches.let_in(noe, live.id, n["Ada"])
    await coaches.let_in(noe, live.id, n["Ada"])  # who is not out is fine, too
    with pytest.raises(Forbidden) as refused:
        await coaches.let_in(noe, live.id, n["Bob"])
    assert refused.value.path == "$.n"
    for stranger in (studio.ada.caller, studio.bob.caller):
        with pytest.raises(Forbidden):
            await coaches.let_in(stranger, live.id, n["Bob"])
    people = {person.name: person for person in await studio.here.classes.people(noe, live.id)}
    assert {name for name, person in people.items() if person.removed} == {"Bob"}
    assert {name: person.leads for name, person in people.items() if person.leads} == {
        "Mia": "coach",
        "Noe": "co_coach",
    }
    assert {name for name, person in people.items() if person.can_lead} == {"Mia", "Noe"}


async def test_who_was_sent_out_reads_the_class_no_longer_until_they_are_let_in(studio: Studio) -> None:
    live, bob, n = studio.live, studio.bob.caller, studio.n["Bob"]
    await studio.here.timelines.save_script(studio.mia, live.id, ScriptDraft(LAPS))
    await studio.here.coaches.remove(studio.mia, live.id, n)
    for asked in (studio.there.classes.by_id(bob, live.id), studio.there.timelines.script(bob, live.id)):
        with pytest.raises(RemovedFromClass):
            await asked
    await studio.here.coaches.let_in(studio.mia, live.id, n)
    assert (await studio.there.classes.by_id(bob, live.id)).id == live.id


async def test_a_class_that_one_co_coaches_is_among_ones_classes_as_long_as_one_does(studio: Studio) -> None:
    live, node = studio.live, studio.here
    noe = await studio.world.person("Noe", coach=True)
    joined = await node.join(node.connect(noe), live.code)
    assert joined.you is not None
    own = await node.create_class(noe, "Noe's own")
    assert [led.id for led in await node.classes.of_coach(noe)] == [own.id]
    await node.coaches.appoint(studio.mia, live.id, joined.you.n, "co_coach")
    assert {led.id for led in await node.classes.of_coach(noe)} == {own.id, live.id}
    await node.coaches.appoint(studio.mia, live.id, joined.you.n, "coach")
    assert {led.id for led in await node.classes.of_coach(noe)} == {own.id, live.id}
    assert [led.id for led in await node.classes.of_coach(studio.mia)] == [live.id]


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
