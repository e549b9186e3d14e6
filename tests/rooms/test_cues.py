"""Cues for some: who gets them and who never does, on whatever node and however they come; and what the coach learns of it."""

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from realtime.connection import Connection
from realtime.wire import CueSeen, CueSend, RoomJoin, ToMembers, ToZone
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.problems import BadShape, CueUnknown, Forbidden, NobodyThere, NotInRoom
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_stepping import Rider, beat


@dataclass
class Studio:
    """Mia leads from one node; Ada is connected to it, Bob to the other; a display watches."""

    world: World
    here: TestNode
    there: TestNode
    live: LiveClass
    mia: Caller
    desk: Connection
    ada: Connection
    bob: Connection
    wall: Connection
    n: dict[str, int]

    async def say(self, text: str, *names: str) -> str:
        """The position of a cue for these, or for all."""
        to = ToMembers(n=tuple(self.n[name] for name in names)) if names else None
        said = await self.here.speaking.cue(self.desk, CueSend(class_id=self.live.id, text=text, to=to))
        await self.world.advance(0)
        return said.position


@pytest.fixture
async def studio(world: World) -> Studio:
    here, there = world.node(), world.node()
    mia, ada, bob = await world.person("Mia", coach=True), await world.person("Ada"), await world.person("Bob")
    live = await here.create_class(mia)
    desk, on_here, on_there = here.connect(mia), here.connect(ada), there.connect(bob)
    await here.join(desk, live.code, "coach")
    numbers = {}
    for node, connection, name in ((here, on_here, "Ada"), (there, on_there, "Bob")):
        joined = await node.join(connection, live.code)
        assert joined.you is not None
        numbers[name] = joined.you.n
    screen = msgspec.structs.replace(await world.person("Wall"), roles=frozenset({"display"}), class_id=live.id)
    wall = there.connect(screen)
    await there.join(wall, live.code, "spectator")
    await beat(world)
    return Studio(world, here, there, live, mia, desk, on_here, on_there, wall, numbers)


def cues(connection: Connection) -> list[dict[str, Any]]:
    return [payload for name, payload in events(connection) if name == "cue"]


async def test_a_cue_for_one_reaches_them_on_another_node_and_nobody_else_but_the_coach(studio: Studio) -> None:
    await studio.say("lovely, Bob", "Bob")
    (told,) = cues(studio.bob)
    assert (told["text"], told["personal"]) == ("lovely, Bob", True)
    assert "to" not in told
    assert cues(studio.ada) == cues(studio.wall) == []
    (own,) = cues(studio.desk)
    assert own["to"] == [studio.n["Bob"]]


async def test_a_cue_for_all_reaches_all_and_is_nobodys_in_particular(studio: Studio) -> None:
    await studio.say("go")
    for connection in (studio.ada, studio.bob, studio.wall, studio.desk):
        (told,) = cues(connection)
        assert told["text"] == "go"
        assert "personal" not in told


async def test_a_cue_for_a_zone_is_for_those_who_are_in_it_when_it_is_said(studio: Studio) -> None:
    world = studio.world
    eve = Rider(world, studio.there, await world.person("Eve"), studio.live)
    await eve.come()
    await eve.ride(140, 140)
    easy = CueSend(class_id=studio.live.id, text="easy", to=ToZone(zone=3))
    await studio.here.speaking.cue(studio.desk, easy)
    await world.advance(0)
    assert [cue["text"] for cue in cues(eve.connection)] == ["easy"]
    assert cues(studio.ada) == cues(studio.bob) == []
    with pytest.raises(NobodyThere):
        studio.here.speaking.cue(studio.desk, msgspec.structs.replace(easy, to=ToZone(zone=5)))


@pytest.mark.parametrize(("back", "gets"), [("Bob", ["for Bob", "for all"]), ("Ada", ["for all"])])
async def test_who_comes_back_gets_what_was_for_them_and_nothing_else(
    studio: Studio, back: str, gets: list[str]
) -> None:
    since = await studio.say("before")
    node, gone = (studio.there, studio.bob) if back == "Bob" else (studio.here, studio.ada)
    node.cut(gone)
    await studio.say("for Bob", "Bob")
    await studio.say("for all")
    for other in (studio.here, studio.there):
        joined = await other.rooms.join(other.connect(gone.caller), RoomJoin(code=studio.live.code, since=since))
        assert joined.recovered
        missed = [msgspec.json.decode(missed.payload) for missed in joined.missed if missed.event == "cue"]
        assert [cue["text"] for cue in missed] == gets
        assert not any("to" in cue for cue in missed)


async def test_the_coach_learns_how_many_have_got_and_seen_a_cue_and_how_long_that_took(studio: Studio) -> None:
    position = await studio.say("go")
    for seconds, node, connection, shown in (
        (0.05, studio.here, studio.ada, True),
        (0.25, studio.there, studio.bob, False),
    ):
        await studio.world.advance(seconds)
        node.speaking.seen(connection, CueSeen(class_id=studio.live.id, cue=position, shown=shown))
    await beat(studio.world)
    receipts = [payload for name, payload in events(studio.desk) if name == "cue.receipts"]
    assert receipts[-1]["cues"] == [[position, 2, 2, 1, 50, 300]]
    studio.there.speaking.seen(studio.bob, CueSeen(class_id=studio.live.id, cue=position))
    await beat(studio.world)
    receipts = [payload for name, payload in events(studio.desk) if name == "cue.receipts"]
    assert receipts[-1]["cues"] == [[position, 2, 2, 2, 50, 300]]
    await beat(studio.world)
    assert [name for name, _ in events(studio.desk) if name == "cue.receipts"] == []
    assert not [name for name, _ in events(studio.ada) if name == "cue.receipts"]


async def test_receipts_are_told_for_a_while_and_counted_for_good(studio: Studio) -> None:
    position = await studio.say("go")
    studio.there.speaking.seen(studio.bob, CueSeen(class_id=studio.live.id, cue=position))
    for _ in range(5):
        await beat(studio.world, 5)
    room = studio.there.rooms.get(studio.live.id)
    assert room is not None
    share = room.share(whole=True)
    assert share is not None
    assert not any(entry.receipts for entry in share.entries)
    late = studio.here.connect(studio.mia)
    await studio.here.join(late, studio.live.code, "coach")
    await beat(studio.world)
    (receipts,) = [payload for name, payload in events(late) if name == "cue.receipts"]
    assert receipts["cues"][0][:4] == [position, 2, 1, 1]


async def test_a_cue_that_was_not_for_somebody_cannot_be_acknowledged_by_them(studio: Studio) -> None:
    position = await studio.say("for Bob", "Bob")
    for cue in (position, "00000000-000000000001"):
        with pytest.raises(CueUnknown):
            studio.here.speaking.seen(studio.ada, CueSeen(class_id=studio.live.id, cue=cue))
    outside = studio.here.connect(studio.ada.caller)
    with pytest.raises(NotInRoom):
        studio.here.speaking.seen(outside, CueSeen(class_id=studio.live.id, cue=position))
    with pytest.raises(Forbidden):
        studio.there.speaking.seen(studio.wall, CueSeen(class_id=studio.live.id, cue=position))


async def test_a_number_that_nobody_has_is_refused_with_its_place(studio: Studio) -> None:
    asked = CueSend(class_id=studio.live.id, text="you", to=ToMembers(n=(studio.n["Ada"], 99)))
    with pytest.raises(BadShape) as refused:
        studio.here.speaking.cue(studio.desk, asked)
    assert refused.value.path == "$.to.n[1]"
