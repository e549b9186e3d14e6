"""A decision how somebody is shown, on a node that has not heard of it."""

import pytest

from realtime.connection import Connection
from rooms.room import Room
from services.classes.live_class import LiveClass
from services.classes.showing import Showing
from services.kernel.caller import Caller
from tests.rooms.conftest import TestNode, World, events

HIDDEN = Showing("hidden", revision=1)


class Ride:
    """A class with Ada in it, on one node."""

    def __init__(self, world: World) -> None:
        self.world, self.node = world, world.node()
        self.live: LiveClass
        self.ada: Caller
        self.watching: Connection

    async def begin(self) -> None:
        mia = await self.world.person("Mia", coach=True)
        self.live = await self.node.create_class(mia)
        self.watching = self.node.connect(mia)
        await self.node.join(self.watching, self.live.code, "coach")
        self.ada = await self.world.person("Ada")
        await self.node.join(self.node.connect(self.ada), self.live.code)
        await self.world.advance(1)
        self.node.rooms.beat()
        list(events(self.watching))

    async def decide(self, showing: Showing) -> None:
        """It is stored, and nobody has said so."""
        async with self.node.rooms._transactions() as stores:
            await stores.showings.save(self.live.id, self.ada.account_id, showing)

    def room_on(self, node: TestNode) -> Room:
        room = node.rooms.get(self.live.id)
        assert room is not None
        return room

    def shows_her(self) -> bool:
        room = self.room_on(self.node)
        return any(member.account_id == self.ada.account_id for member in room.board.members())


@pytest.fixture
async def ride(world: World) -> Ride:
    made = Ride(world)
    await made.begin()
    return made


async def test_it_is_read_as_soon_as_the_node_hears_again_and_told_at_once(ride: Ride) -> None:
    await ride.decide(HIDDEN)
    assert ride.shows_her()
    ride.node.node._gap((ride.room_on(ride.node).channel,))
    await ride.world.settled(lambda: not ride.shows_her())
    assert [payload["gone"] for name, payload in events(ride.watching) if name == "board.changes"] == [[2]]


async def test_it_is_read_within_half_a_minute_where_no_gap_was_noticed(ride: Ride) -> None:
    await ride.decide(HIDDEN)
    await ride.world.advance(31)
    await ride.world.settled(lambda: not ride.shows_her())


async def test_what_is_read_is_no_newer_than_what_was_heard_meanwhile(ride: Ride) -> None:
    await ride.decide(HIDDEN)
    await ride.node.rooms.shown(ride.live.id, ride.ada.account_id, Showing("full", revision=2))
    await ride.node.deciding._read([ride.live.id])
    assert ride.shows_her()
