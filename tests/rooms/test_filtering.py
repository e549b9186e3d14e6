"""A part of the board for who asks for it: who is here, and an age group of those who show it, on one node and on two."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date

import pytest

from persistence.database import Database
from realtime import peer
from realtime.connection import Connection
from realtime.peer import MemberShown, Share
from realtime.wire import BoardFilter, BoardFiltered, Place
from services.classes.age_group import AgeGroup
from services.classes.live_class import LiveClass
from services.classes.showings import Choice
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import StreamId
from services.kernel.problems import NotInRoom
from tests.rooms.conftest import TestNode, World, events
from tests.rooms.test_rooms import steady
from tests.rooms.test_showing import OverheardBus


@dataclass
class Hall:
    """A class with its screen and Ann on one node, and Bob on another. Both were born in the forties of the year of the class."""

    world: World
    bus: OverheardBus
    here: TestNode
    there: TestNode
    live: LiveClass
    screen: Connection
    ann: Caller
    bob: Caller
    phones: dict[str, Connection]
    streams: dict[str, StreamId] = field(default_factory=dict)

    async def born(self, caller: Caller, age: int) -> None:
        """They tell it."""
        born = date(utc(self.live.created_ms).year - age, 12, 31)
        async with self.world.database.tx() as tx:
            await tx.execute("UPDATE accounts SET birth_date = $2 WHERE id = $1", caller.account_id, born)

    async def shows_age(self, caller: Caller, choice: Choice) -> None:
        await self.there.showings.choose(caller, self.live.id, choice)
        await self.world.advance(0)

    async def rides(self, **heart_rates: int) -> None:
        """Two minutes, each at their heart rate."""
        nodes = {"ann": self.here, "bob": self.there}
        for name in heart_rates:
            self.streams[name] = (await nodes[name].open(self.phones[name], self.live.code)).stream
        for second in range(120):
            for name, bpm in heart_rates.items():
                samples = steady(range(second, second + 1), bpm)
                nodes[name].send(self.phones[name], self.streams[name], second, samples)
            await self.world.advance(1)
        await self.beats()

    async def beats(self) -> None:
        for node in (self.here, self.there):
            node.rooms.publish_shares()
        await self.world.advance(0)
        for node in (self.here, self.there):
            node.rooms.broadcast_boards()

    def asks(self, *, here: bool = False, age_group: AgeGroup | None = None) -> BoardFiltered:
        """The screen asks for a part of the board."""
        return self.here.rooms.filter(self.screen, BoardFilter(self.live.id, here, age_group))

    def told(self) -> list[list[list[int | None]]]:
        """What the screen was told of its filter since it last read."""
        return [payload.get("places", []) for event, payload in events(self.screen) if event == "board.filtered"]


@pytest.fixture
async def hall(database: Database) -> AsyncIterator[Hall]:
    bus = OverheardBus()
    world = World(database, bus=bus)
    here, there = world.node(), world.node()
    await world.advance(0)
    mia = await world.person("Mia", coach=True)
    live = await here.create_class(mia)
    ann, bob = await world.person("Ann"), await world.person("Bob")
    phones = {"ann": here.connect(ann), "bob": there.connect(bob)}
    screen = here.connect(await world.person("Sam"))
    await here.join(phones["ann"], live.code)
    await there.join(phones["bob"], live.code)
    await here.join(screen, live.code, "spectator")
    made = Hall(world, bus, here, there, live, screen, ann, bob, phones)
    for caller in (ann, bob):
        await made.born(caller, 44)
    await made.beats()
    yield made
    await world.close()


async def test_an_age_group_has_those_who_show_it_with_places_among_each_other(hall: Hall) -> None:
    assert hall.asks(age_group="40_49").places == (), "nobody has agreed to it"
    await hall.rides(ann=120, bob=180)
    assert hall.told() == []
    await hall.shows_age(hall.ann, Choice("full", age=True))
    assert hall.told() == [[[1, 1]]], "second of all, first of those who show it"
    await hall.shows_age(hall.bob, Choice("zone", age=True))
    assert hall.told() == [[[2, 1], [1, 2]]]
    assert hall.asks(age_group="30_39").places == ()
    assert hall.asks() == BoardFiltered(hall.live.id, hall.world.clock.wall_ms())
    await hall.shows_age(hall.bob, Choice("full"))
    assert hall.told() == [], "who wants the whole board is told of no part"


@pytest.mark.parametrize("choice", [Choice("full"), Choice("coach", age=True), Choice("hidden", age=True)], ids=str)
async def test_once_it_is_withdrawn_no_word_tells_the_age_group_and_the_screen_hears_it_at_once(
    hall: Hall, choice: Choice
) -> None:
    await hall.shows_age(hall.bob, Choice("alias", age=True))
    hall.asks(age_group="40_49")
    assert any(tells_age(data) for _, data in hall.bus.said)
    await hall.shows_age(hall.bob, choice)
    hall.bus.said.clear()
    assert hall.told() == [[]]
    for _ in range(8):
        await hall.world.advance(1)
        await hall.beats()
    assert [channel for channel, data in hall.bus.said if tells_age(data)] == []
    for frame in events(hall.screen):
        assert "40_49" not in str(frame)
    async with hall.world.database.connection() as connection:
        stored = await connection.fetchval(
            "SELECT showing_age_group FROM class_members WHERE account_id = $1", hall.bob.account_id
        )
    assert stored is None


def tells_age(data: bytes) -> bool:
    """Whether a word between nodes carries an age group."""
    header = peer.header_of(data)
    if header.event:
        return b"40_49" in data
    message = peer.decode(header, data)
    if isinstance(message, Share):
        return any(entry.showing is not None and entry.showing.age_group is not None for entry in message.entries)
    return isinstance(message, MemberShown) and message.showing.age_group is not None


async def test_who_has_chosen_it_for_the_classes_to_come_is_found_in_the_next_one(hall: Hall) -> None:
    dan = await hall.world.person("Dan")
    await hall.born(dan, 52)
    await hall.here.showings.choose_default(dan, Choice("full", age=True))
    await hall.there.join(hall.there.connect(dan), hall.live.code)
    await hall.beats()
    assert hall.asks(age_group="50_59").places == (Place(4, 1),)


async def test_without_a_birth_date_one_agrees_and_is_in_no_group_until_it_is_known_and_chosen_again(
    hall: Hall,
) -> None:
    dan = await hall.world.person("Dan")
    await hall.there.join(hall.there.connect(dan), hall.live.code)
    await hall.shows_age(dan, Choice("full", age=True))
    assert (await hall.there.showings.in_class(dan, hall.live.id)).age
    assert [consent.purpose for consent in await hall.there.showings.ledger(dan)].count("age_group") == 1
    await hall.born(dan, 23)
    await hall.shows_age(dan, Choice("full", age=True))
    await hall.beats()
    assert [place.n for place in hall.asks(age_group="20_29").places] == [4]
    assert [consent.purpose for consent in await hall.there.showings.ledger(dan)].count("age_group") == 1


async def test_who_is_here_passes_and_who_has_gone_does_not(hall: Hall) -> None:
    assert [place.n for place in hall.asks(here=True).places] == [1, 2]
    hall.there.rooms.leave(hall.phones["bob"], hall.live.id)
    await hall.beats()
    assert hall.told() == [[[1, 1]]]
    assert {row.n for row in hall.here.rooms.board(hall.screen, hall.live.id).rows} == {1, 2}, "of the board they stay"


async def test_a_filter_is_for_who_is_in_the_room_and_ends_with_leaving_it(hall: Hall) -> None:
    stranger = hall.here.connect(await hall.world.person("Eve"))
    with pytest.raises(NotInRoom):
        hall.here.rooms.filter(stranger, BoardFilter(hall.live.id, here=True))
    hall.asks(here=True)
    hall.here.rooms.leave(hall.screen, hall.live.id)
    await hall.here.join(hall.screen, hall.live.code, "spectator")
    hall.there.rooms.leave(hall.phones["bob"], hall.live.id)
    await hall.beats()
    assert hall.told() == []
