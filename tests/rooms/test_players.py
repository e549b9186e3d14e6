"""Classes that are over, played to sockets: who may have one played, what they see of it, and how it ends."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from persistence.stores import Stores, Transactions
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.mailbox import HARD_BYTES, SOFT_BYTES
from realtime.wire import BoardSnapshot, Bye, ChatSend, CueSend, ReplayOpen, ReplayPace, ReplaySeek
from rooms.players import Players
from rooms.replay import Replay
from services.classes.live_class import LiveClass
from services.classes.showings import Choice
from services.kernel.caller import Caller
from services.kernel.ids import ClassId, Uuid7Ids
from services.kernel.problems import (
    Busy,
    ClassNotFound,
    Draining,
    Forbidden,
    NotFound,
    RemovedFromClass,
    ReplayNotOpen,
    TooManyReplays,
)
from tests.rooms.conftest import World, events
from tests.rooms.test_rooms import Screen
from tests.rooms.test_tapes import Ride


class Read(Transactions):
    """Transactions that are counted while they are open."""

    open = 0

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stores]:
        self.open += 1
        try:
            async with super()._open() as stores:
                yield stores
        finally:
            self.open -= 1


class Cinema:
    """A class of two that was recorded, and a node on which it plays again."""

    def __init__(self, world: World, ride: Ride) -> None:
        self.world, self.ride, self.live = world, ride, ride.live
        self.ada, self.bob = (connection.caller for _, connection, _ in ride.athletes)
        self.coach = ride.coach.caller
        self.reading = Read(world.database, world.clock, Uuid7Ids(world.clock))
        self.replay = Replay(self.reading)
        self.players = Players(self.replay, world.clock)

    @classmethod
    async def after(cls, world: World) -> "Cinema":
        """Twelve seconds, with a cue in the middle; then the class is over."""
        ride = await Ride.of(world, (world.node(),), "Ada", "Bob")
        (node,) = ride.nodes
        await ride.ride(6)
        node.speaking.cue(ride.coach, CueSend(class_id=ride.live.id, text="Push"))
        node.speaking.chat(ride.athletes[1][1], ChatSend(class_id=ride.live.id, text="hello"))
        await ride.ride(6)
        await node.classes.end(ride.coach.caller, ride.live.id)
        await node.tapes.write()
        return cls(world, ride)

    def seat(self, caller: Caller) -> Connection:
        """A connection of somebody, later."""
        return self.ride.nodes[0].connect(caller)

    async def played(self, connection: Connection, event: str = "replay.ended") -> list[tuple[str, Any]]:
        """Everything that comes to a connection until an event of this name, as time goes on. It stands still while a player
        reads: what is due meanwhile would come all at once."""
        seen: list[tuple[str, Any]] = []
        async with asyncio.timeout(60):
            while not any(name == event or payload.get("event") == event for name, payload in seen):
                await self.world.clock.advance(0 if self.reading.open else 0.1)
                await asyncio.sleep(0.001)
                seen += events(connection)
        return seen

    async def shown(self) -> list[tuple[str, Any]]:
        """What a member would have got, from the pages."""
        page = await self.replay.page(self.coach, self.live.id, 0, 500)
        return [(each.event, msgspec.json.decode(each.payload)) for each in page.events]


@pytest.fixture
async def cinema(world: World) -> AsyncIterator[Cinema]:
    cinema = await Cinema.after(world)
    yield cinema
    cinema.players.stop()
    await cinema.players.run()


def screen_of(seen: list[tuple[str, Any]]) -> Screen:
    """The screen of a client that hands the payloads to its code for live boards."""
    boards = [(payload["event"], payload["payload"]) for name, payload in seen if name == "replay.board"]
    screen = Screen(msgspec.convert(boards[0][1], BoardSnapshot))
    screen.read(boards[1:])
    return screen


async def test_a_class_plays_as_its_members_saw_it_and_never_as_if_it_were_now(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    opened = await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id, speed=4))
    assert (opened.room.title, opened.you, opened.at.at_ms) == ("Hill ride", 2, opened.begins_ms)
    seen = await cinema.played(ada)
    assert {name for name, _ in seen} == {"replay.board", "replay.event", "replay.ended"}
    told = [(payload["event"], payload["payload"]) for name, payload in seen if name == "replay.event"]
    shown = await cinema.shown()
    assert told == [each for each in shown if not each[0].startswith("board.")]
    live = Screen(msgspec.convert(shown[0][1], BoardSnapshot))
    live.read(shown[1:])
    screen = screen_of(seen)
    assert (screen.rows, screen.members) == (live.rows, live.members)
    assert seen[-1] == (
        "replay.ended",
        {"class_id": str(cinema.live.id), "at_ms": opened.ends_ms, "why": "over"},
    )
    assert len(cinema.players) == 0


async def test_one_that_stands_shows_the_board_of_its_place_and_goes_on_when_told(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    opened = await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id, speed=None))
    await cinema.played(ada, "board.snapshot")
    there_ms = opened.begins_ms + 8_000
    assert cinema.players.seek(ada, ReplaySeek(class_id=cinema.live.id, to_ms=there_ms)).at_ms == there_ms
    (board,) = await cinema.played(ada, "board.snapshot")
    assert board[1]["at_ms"] == there_ms >= board[1]["payload"]["at_ms"]
    await cinema.world.advance(3)
    assert not list(events(ada))
    assert cinema.players.pace(ada, ReplayPace(class_id=cinema.live.id, speed=2)).at_ms == there_ms
    rest = await cinema.played(ada)
    assert all(payload["at_ms"] >= there_ms for _, payload in rest)


async def test_to_seek_out_of_the_class_is_to_seek_to_its_end(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    opened = await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id, from_ms=2**53 - 1))
    assert opened.at.at_ms == opened.ends_ms
    seen = await cinema.played(ada)
    assert screen_of(seen).rows.keys() == {2, 3}
    with pytest.raises(ReplayNotOpen):
        cinema.players.seek(ada, ReplaySeek(class_id=cinema.live.id, to_ms=0))


async def test_only_whoever_was_in_a_class_that_is_over_has_it_played(cinema: Cinema) -> None:
    world, node, message = cinema.world, cinema.ride.nodes[0], ReplayOpen(class_id=cinema.live.id)
    with pytest.raises(ClassNotFound):
        await cinema.players.open(cinema.seat(await world.person("Eve")), message)
    display = Caller(
        cinema.ada.account_id, cinema.ada.login_id, "Screen", frozenset({"display"}), 2**50, cinema.live.id
    )
    with pytest.raises(Forbidden):
        await cinema.players.open(cinema.seat(display), message)
    live: LiveClass = await node.create_class(cinema.coach, "Tomorrow")
    with pytest.raises(NotFound):
        await cinema.players.open(cinema.seat(cinema.coach), ReplayOpen(class_id=live.id))
    assert len(cinema.players) == 0


async def test_it_ends_for_whoever_is_sent_out_of_the_class_now(cinema: Cinema) -> None:
    bob = cinema.seat(cinema.bob)
    await cinema.players.open(bob, ReplayOpen(class_id=cinema.live.id, speed=None))
    await cinema.played(bob, "board.snapshot")
    async with cinema.world.database.tx() as tx:
        await tx.execute(
            "UPDATE class_members SET removed_at = now(), removals = 1 WHERE account_id = $1", cinema.bob.account_id
        )
    *_, (_, ended) = await cinema.played(bob)
    assert (ended["why"], ended["problem"]["code"]) == ("refused", "removed_from_class")
    with pytest.raises(RemovedFromClass):
        await cinema.players.open(bob, ReplayOpen(class_id=cinema.live.id))


async def test_who_withdraws_is_gone_from_a_class_that_plays_even_while_it_stands(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    opened = await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id, speed=None))
    there_ms = opened.begins_ms + 8_000
    cinema.players.seek(ada, ReplaySeek(class_id=cinema.live.id, to_ms=there_ms))
    await cinema.played(ada, "board.snapshot")
    await cinema.ride.nodes[0].showings.choose(cinema.bob, cinema.live.id, Choice("hidden"))
    seen = await cinema.played(ada, "board.snapshot")
    assert screen_of(seen).rows.keys() == {2}
    cinema.players.pace(ada, ReplayPace(class_id=cinema.live.id, speed=1))
    rest = await cinema.played(ada)
    assert b"Bob" not in msgspec.json.encode([payload for _, payload in rest])


async def test_it_ends_for_whom_there_is_nothing_to_see_any_more(cinema: Cinema) -> None:
    bob = cinema.seat(cinema.bob)
    await cinema.players.open(bob, ReplayOpen(class_id=cinema.live.id, speed=None))
    await cinema.played(bob, "board.snapshot")
    async with cinema.world.database.tx() as tx:
        await tx.execute("DELETE FROM classes WHERE id = $1", cinema.live.id)
    *_, (name, ended) = await cinema.played(bob)
    assert (name, ended["why"], ended["problem"]["code"]) == ("replay.ended", "refused", "class_not_found")
    assert len(cinema.players) == 0


async def test_as_many_play_as_may(cinema: Cinema) -> None:
    few = Players(cinema.replay, cinema.world.clock, per_connection=1, per_account=2, per_node=3)
    message = ReplayOpen(class_id=cinema.live.id, speed=None)
    first = cinema.seat(cinema.ada)
    await few.open(first, message)
    await few.open(first, message)  # begun anew, not once more
    with pytest.raises(TooManyReplays) as refused:
        await few.open(first, ReplayOpen(class_id=ClassId(uuid.uuid4())))
    assert refused.value.data == {"limit": 1}
    await few.open(cinema.seat(cinema.ada), message)
    with pytest.raises(TooManyReplays) as refused:
        await few.open(cinema.seat(cinema.ada), message)
    assert refused.value.data == {"limit": 2}
    await few.open(cinema.seat(cinema.bob), message)
    with pytest.raises(Busy):
        await few.open(cinema.seat(cinema.coach), message)
    few.close(first, cinema.live.id)
    await few.open(cinema.seat(cinema.coach), message)
    few.stop()
    await few.run()
    small = Players(cinema.replay, cinema.world.clock, members_per_node=5)
    await small.open(cinema.seat(cinema.ada), message)
    with pytest.raises(Busy):
        await small.open(cinema.seat(cinema.bob), message)
    small.stop()
    await small.run()


async def test_a_slow_reader_holds_up_its_own_class_and_nobody_elses(cinema: Cinema) -> None:
    slow, quick = cinema.seat(cinema.ada), cinema.seat(cinema.bob)
    for connection in (slow, quick):
        await cinema.players.open(connection, ReplayOpen(class_id=cinema.live.id, speed=4))
    unread = event_frame("bye", Bye(0, "x" * (SOFT_BYTES + 1)))
    slow.push(unread)
    await cinema.played(quick)
    assert not slow.closed
    assert slow.mailbox.bytes < HARD_BYTES / 2
    waiting = [payload.get("event") for _, payload in events(slow)]
    assert waiting[-1] in {"board.snapshot", "board.changes"}
    assert "cue" not in waiting
    rest = await cinema.played(slow)
    assert [payload["event"] for name, payload in rest if name == "replay.event"] == ["cue", "chat.said", "class.ended"]


async def test_a_node_that_stops_says_where_each_was_and_another_goes_on_from_there(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    opened = await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id))
    first = await cinema.played(ada, "cue")
    cinema.players.stop()
    cinema.players.stop()
    ((name, ended),) = events(ada)
    assert (name, ended["why"]) == ("replay.ended", "draining")
    assert opened.begins_ms < ended["at_ms"] < opened.ends_ms
    with pytest.raises(Draining):
        await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id))
    await cinema.players.run()
    another = Players(cinema.replay, cinema.world.clock)
    again = cinema.seat(cinema.ada)
    await another.open(again, ReplayOpen(class_id=cinema.live.id, from_ms=ended["at_ms"] + 1))
    rest = await cinema.played(again)
    said = [payload["event"] for name, payload in first + rest if name == "replay.event"]
    assert said == ["cue", "chat.said", "class.ended"]


async def test_nothing_goes_on_for_a_connection_that_is_gone(cinema: Cinema) -> None:
    ada = cinema.seat(cinema.ada)
    await cinema.players.open(ada, ReplayOpen(class_id=cinema.live.id))
    await cinema.played(ada, "board.snapshot")
    ada.lost("transport")
    cinema.players.drop(ada)
    assert len(cinema.players) == 0
    late = cinema.seat(cinema.ada)
    late.lost("transport")
    await cinema.players.open(late, ReplayOpen(class_id=cinema.live.id))
    assert len(cinema.players) == 0
