"""A part of the board for who asks for it: who is here, an age group of those who show it, friends; on one node and on two."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import msgspec
import pytest

from persistence.database import Database
from persistence.friends import Friends
from realtime import peer
from realtime.connection import Connection
from realtime.parcel import header_of
from realtime.peer import MemberShown, Share
from realtime.wire import BoardFilter, BoardFiltered, Place
from rooms.friendships import KEPT, Friendships
from services.classes.age_group import AgeGroup
from services.classes.live_class import LiveClass
from services.classes.showing import DisplayMode
from services.classes.showings import Choice
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import AccountId, StreamId
from services.kernel.problems import Forbidden, NotInRoom
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
    sam: Caller
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

    def asks(self, *, here: bool = False, age_group: AgeGroup | None = None, friends: bool = False) -> BoardFiltered:
        """The screen asks for a part of the board."""
        return self.here.rooms.filter(self.screen, BoardFilter(self.live.id, here, age_group, friends))

    async def befriends(self, one: Caller, other: Caller) -> None:
        """The one asks on this node, the other says yes on the other; both nodes know it."""
        await self.here.friends.ask(one, other.account_id, other.name)
        await self.there.friends.accept(other, one.account_id)
        for node in (self.here, self.there):
            for who, friend in ((one, other), (other, one)):
                await self.world.settled(partial(self._knows, node, who, friend))

    def _knows(self, node: TestNode, who: Caller, friend: Caller) -> bool:
        known = node.rooms.friends
        return who.account_id not in known or known.are_friends(who.account_id, friend.account_id)

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
    sam = await world.person("Sam")
    screen = here.connect(sam)
    await here.join(phones["ann"], live.code)
    await there.join(phones["bob"], live.code)
    await here.join(screen, live.code, "spectator")
    made = Hall(world, bus, here, there, live, screen, ann, bob, sam, phones)
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
    header = header_of(data)
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


async def test_friends_are_found_among_each_other_and_nobody_elses(hall: Hall) -> None:
    assert hall.asks(friends=True) == BoardFiltered(hall.live.id, hall.world.clock.wall_ms(), friends=True)
    await hall.rides(ann=120, bob=180)
    assert hall.told() == []
    await hall.befriends(hall.sam, hall.ann)
    await hall.beats()
    assert hall.told() == [[[1, 1]]], "second of all, first of the friends"
    await hall.befriends(hall.bob, hall.sam)
    await hall.beats()
    assert hall.told() == [[[2, 1], [1, 2]]]
    of_bob = hall.there.rooms.filter(hall.phones["bob"], BoardFilter(hall.live.id, friends=True))
    assert of_bob.places == (Place(2, 1),), "Bob himself, and Sam who does not ride; Ann is no friend of his"
    assert hall.asks(friends=True, here=True, age_group="30_39").places == (), "several at once: all of them hold"
    assert hall.asks(friends=False) == BoardFiltered(hall.live.id, hall.world.clock.wall_ms())


@pytest.mark.parametrize("mode", ["full", "zone", "alias", "coach", "hidden"])
async def test_a_friend_is_found_as_long_as_the_room_may_know_who_they_are(hall: Hall, mode: DisplayMode) -> None:
    await hall.befriends(hall.sam, hall.bob)
    assert [place.n for place in hall.asks(friends=True).places] == [2]
    await hall.shows_age(hall.bob, Choice(mode, alias="Fox" if mode == "alias" else ""))
    await hall.beats()
    named = mode in ("full", "zone")
    assert [place.n for place in hall.asks(friends=True).places] == ([2] if named else [])
    assert hall.told() == ([] if named else [[]]), "at once"
    # Who asks sees themselves where they are on the board at all.
    of_bob = hall.there.rooms.filter(hall.phones["bob"], BoardFilter(hall.live.id, friends=True))
    assert [place.n for place in of_bob.places] == ([] if mode in ("coach", "hidden") else [2])


@pytest.mark.parametrize("by", ["parting", "being parted from", "a block", "being blocked"])
async def test_what_ends_a_friendship_on_one_node_holds_for_the_next_board_of_every_node(hall: Hall, by: str) -> None:
    await hall.befriends(hall.sam, hall.bob)
    assert hall.asks(friends=True).places == (Place(2, 1),)
    match by:
        case "parting":
            await hall.there.friends.part(hall.sam, hall.bob.account_id)
        case "being parted from":
            await hall.there.friends.part(hall.bob, hall.sam.account_id)
        case "a block":
            await hall.there.blocks.block(hall.sam, hall.bob.account_id)
        case "being blocked":
            await hall.there.blocks.block(hall.bob, hall.sam.account_id)
    # The word has arrived. Whether the database was asked since makes no difference.
    await hall.world.advance(0)
    await hall.beats()
    assert hall.told() == [[]]
    for node, who, other in ((hall.here, hall.sam, hall.bob), (hall.there, hall.bob, hall.sam)):
        assert not node.rooms.friends.are_friends(who.account_id, other.account_id)


async def test_a_node_that_did_not_hear_of_it_reads_it_within_half_a_minute(hall: Hall) -> None:
    async with hall.world.database.tx() as tx:
        await Friends(tx).befriend(hall.sam.account_id, hall.bob.account_id, utc(hall.world.clock.wall_ms()))
    assert hall.asks(friends=True).places == ()
    await hall.world.advance(30)
    await hall.world.settled(lambda: hall.here.rooms.friends.are_friends(hall.sam.account_id, hall.bob.account_id))
    assert hall.asks(friends=True).places == (Place(2, 1),)


async def test_who_comes_anew_is_known_with_their_friends_and_who_has_gone_is_forgotten(hall: Hall) -> None:
    await hall.befriends(hall.sam, hall.bob)
    sam = hall.sam.account_id
    elsewhere = hall.there.connect(hall.sam)
    await hall.there.join(elsewhere, hall.live.code, "spectator")
    found = hall.there.rooms.filter(elsewhere, BoardFilter(hall.live.id, friends=True))
    assert found.places == (Place(2, 1),)
    hall.there.cut(elsewhere)
    await hall.world.advance(30)
    await hall.world.settled(lambda: sam in hall.there.befriended.gone)
    await hall.world.advance(30)
    await hall.world.settled(lambda: sam not in hall.there.rooms.friends)


async def test_an_app_does_not_learn_who_is_friends_with_whom(hall: Hall) -> None:
    """ASVS 10.4.11: an app gets what it was lent, and nobody lends their friends."""
    lent = msgspec.structs.replace(hall.sam, scopes=frozenset({"classes:join"}))
    phone = hall.here.connect(lent)
    await hall.here.join(phone, hall.live.code, "spectator")
    with pytest.raises(Forbidden):
        hall.here.rooms.filter(phone, BoardFilter(hall.live.id, friends=True))
    assert [place.n for place in hall.here.rooms.filter(phone, BoardFilter(hall.live.id, here=True)).places] == [1, 2]


def test_an_answer_from_before_a_parting_brings_nobody_together_again() -> None:
    ann, bob, cleo = (AccountId(uuid.UUID(int=n)) for n in range(3))
    known = Friendships()
    mark = known.mark()
    known.part(ann, bob)
    assert known.know(ann, frozenset({bob, cleo}), mark)
    assert [known.are_friends(ann, one) for one in (bob, cleo)] == [False, True]
    assert known.know(ann, frozenset({bob, cleo}), known.mark()), "what is asked afterwards counts"
    assert [known.are_friends(ann, one) for one in (bob, cleo)] == [True, True]
    for _ in range(KEPT + 1):
        known.part(cleo, bob)
    assert not known.know(ann, frozenset({bob}), mark)
    assert not known.are_friends(ann, bob), "nobody can say"
    known.forget(ann)
    assert ann not in known
