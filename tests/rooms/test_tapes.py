"""Classes on tape: written beside the live class, played again, and checked against what is stored."""

import asyncio
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace

import msgspec
import pytest

from persistence.stores import Stores, Transactions
from realtime.connection import Connection
from realtime.wire import BoardSnapshot, ChatSend, CueSend
from rooms.playback import Shown
from rooms.replay import Replay
from rooms.tapes import Tapes
from services.audit.entry import SYSTEM
from services.classes.live_class import LiveClass
from services.classes.showings import Choice
from services.kernel.clock import utc
from services.kernel.ids import ClassId, StreamId, Uuid7Ids
from services.kernel.problems import ClassNotFound, Forbidden, NotFound, RemovedFromClass, Unavailable
from services.training.sample import Sample
from tests.rooms.conftest import TestNode, World
from tests.rooms.test_rooms import Screen


def replay_of(world: World) -> Replay:
    return Replay(Transactions(world.database, world.clock, Uuid7Ids(world.clock)))


async def shown(world: World, class_id: ClassId, from_ms: int = 0) -> list[Shown]:
    return [each async for each in replay_of(world).show(class_id, SYSTEM, from_ms)]


def screen_of(events: list[Shown]) -> Screen:
    """What a client sees at the end that has been told these events, which must fit each other."""
    first, *rest = [each for each in events if each.event.startswith("board.")]
    screen = Screen(msgspec.json.decode(first.payload, type=BoardSnapshot))
    screen.read([(each.event, msgspec.json.decode(each.payload)) for each in rest])
    return screen


class Ride:
    """A class on two nodes, whose athletes send a sample a second."""

    def __init__(self, world: World, nodes: tuple[TestNode, ...], live: LiveClass, coach: Connection) -> None:
        self.world, self.nodes, self.live, self.coach = world, nodes, live, coach
        self.athletes: list[tuple[TestNode, Connection, StreamId]] = []
        self.sent: dict[StreamId, int] = {}

    @classmethod
    async def begin(cls, world: World, *names: str) -> "Ride":
        return await cls.of(world, (world.node(), world.node()), *names)

    @classmethod
    async def of(cls, world: World, nodes: tuple[TestNode, ...], *names: str) -> "Ride":
        coach = await world.person("Mia", coach=True)
        live = await nodes[0].create_class(coach, "Hill ride")
        watching = nodes[0].connect(coach)
        await nodes[0].join(watching, live.code, "coach")
        ride = cls(world, nodes, live, watching)
        for number, name in enumerate(names):
            await ride.come(nodes[number % len(nodes)], name)
        return ride

    async def come(self, node: TestNode, name: str) -> None:
        connection = node.connect(await self.world.person(name))
        await node.join(connection, self.live.code)
        stream = (await node.open(connection, self.live.code)).stream
        self.athletes.append((node, connection, stream))

    async def ride(self, seconds: int) -> None:
        for _ in range(seconds):
            for number, (node, connection, stream) in enumerate(self.athletes):
                seq = self.sent.get(stream, 0)
                node.send(connection, stream, seq, (Sample(1_000 * seq, 120 + 20 * number + seq % 7),))
                self.sent[stream] = seq + 1
            for node in self.nodes:
                node.rooms.beat()
            await self.world.advance(1)


async def test_a_class_plays_again_as_its_members_saw_it(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    one, two = ride.nodes
    await ride.ride(8)
    one.speaking.cue(ride.coach, CueSend(class_id=ride.live.id, text="Push"))
    two.speaking.chat(ride.athletes[1][1], ChatSend(class_id=ride.live.id, text="hello"))
    await ride.ride(8)
    for node in ride.nodes:
        await node.tapes.write()
    events = await shown(world, ride.live.id)
    screen = screen_of(events)
    (room,) = [room for node in ride.nodes if (room := node.rooms.get(ride.live.id)) and room.epoch == screen.epoch]
    assert tuple(screen.rows[row.n] for row in room.board.rows()) == room.board.rows()
    assert tuple(screen.members[member.n] for member in room.board.members()) == room.board.members()
    said = [(each.event, msgspec.json.decode(each.payload)) for each in events if not each.event.startswith("board.")]
    assert [(event, payload["text"]) for event, payload in said] == [("cue", "Push"), ("chat.said", "hello")]
    assert said[1][1]["name"] == "Bob"
    verdict = await replay_of(world).check(ride.live.id)
    assert verdict.equal
    assert {tape.node for tape in verdict.tapes} == {one.node.id, two.node.id}
    assert (verdict.several, verdict.scores > 20) == ([], True)


async def test_who_has_withdrawn_in_the_middle_of_a_class_is_not_shown_by_its_replay_which_still_fits(
    world: World,
) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    await ride.ride(6)
    bob = ride.athletes[1][1].caller
    await ride.nodes[0].showings.choose(bob, ride.live.id, Choice("hidden"))
    await ride.ride(6)
    for node in ride.nodes:
        await node.tapes.write()
    events = await shown(world, ride.live.id)
    told = b"".join(bytes(each.payload) for each in events)
    assert b"Bob" not in told
    assert str(bob.account_id).encode() not in told
    assert [member.name for member in screen_of(events).members.values()] == ["Mia", "Ada"]
    verdict = await replay_of(world).check(ride.live.id)
    assert [(tape.differ, tape.frames > 6) for tape in verdict.tapes] == [(0, True), (0, True)]


async def test_when_a_node_dies_the_class_goes_on_from_the_tape_of_another(world: World) -> None:
    ride = await Ride.begin(world, "Ada")
    one, two = ride.nodes
    await ride.ride(3)
    await ride.come(two, "Bob")
    await ride.ride(7)
    await one.tapes.write()
    await two.tapes.write()
    await ride.ride(3)
    await one.die()
    ride.nodes, ride.athletes = (two,), ride.athletes[1:]
    await ride.ride(30)
    await two.tapes.write()
    events = await shown(world, ride.live.id)
    epochs = [msgspec.json.decode(each.payload)["epoch"] for each in events if each.event.startswith("board.")]
    assert len(set(epochs)) == 2
    instants = [each.at_ms for each in events]
    assert instants == sorted(instants)
    screen = screen_of(events)
    assert {member.name: member.present for member in screen.members.values()} == {
        "Mia": False,
        "Ada": False,
        "Bob": True,
    }
    assert (await replay_of(world).check(ride.live.id)).equal


async def test_whoever_begins_later_sees_the_same_from_there(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    for _ in range(30):
        await ride.ride(5)
        await ride.nodes[0].tapes.write()
    half_ms = ride.live.created_ms + 75_000
    all_of_it, later = await shown(world, ride.live.id), await shown(world, ride.live.id, half_ms)
    assert later[0].event == "board.snapshot"
    assert later[1:] == [each for each in all_of_it if each.at_ms > later[0].at_ms]
    assert half_ms <= later[0].at_ms < half_ms + 2_000


async def test_a_board_every_few_seconds_ends_where_every_frame_does(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    await ride.ride(33)
    for node in ride.nodes:
        await node.tapes.write()
    every = [each async for each in replay_of(world).show(ride.live.id, SYSTEM, every_ms=5_000)]
    assert len(every) < 10
    thinned, whole = screen_of(every), screen_of(await shown(world, ride.live.id))
    assert (thinned.rows, thinned.members) == (whole.rows, whole.members)


async def test_pages_follow_each_other_without_a_hole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rooms.replay.PAGE_EVENTS", 10)
    ride = await Ride.begin(world, "Ada", "Bob")
    await ride.ride(33)
    for node in ride.nodes:
        await node.tapes.write()
    await ride.nodes[0].classes.end(ride.coach.caller, ride.live.id)
    replay, caller = replay_of(world), ride.athletes[0][1].caller
    instants, boards = [], []
    next_ms: int | None = 0
    while next_ms is not None:
        page = await replay.page(caller, ride.live.id, next_ms, 1_000)
        assert page.events[0].event == "board.snapshot"
        instants += [each.at_ms for each in page.events]
        boards.append(screen_of(list(page.events)))
        next_ms = page.next_ms
    assert len(boards) >= 3
    assert instants == sorted(set(instants))
    assert boards[-1].rows == screen_of(await shown(world, ride.live.id)).rows


async def test_only_whoever_was_in_a_class_that_is_over_sees_it_again(world: World) -> None:
    ride = await Ride.begin(world, "Ada")
    await ride.ride(3)
    for node in ride.nodes:
        await node.tapes.write()
    replay, ada, mia = replay_of(world), ride.athletes[0][1].caller, ride.coach.caller
    with pytest.raises(NotFound):
        await replay.page(ada, ride.live.id, 0, 1_000)
    await ride.nodes[0].classes.end(mia, ride.live.id)
    with pytest.raises(ClassNotFound):
        await replay.page(await world.person("Eve"), ride.live.id, 0, 1_000)
    screen = msgspec.structs.replace(ada, roles=frozenset({"display"}), class_id=ride.live.id)
    with pytest.raises(Forbidden):
        await replay.page(screen, ride.live.id, 0, 1_000)
    assert (await replay.page(ada, ride.live.id, 0, 1_000)).events
    async with world.database.tx() as tx:
        await tx.execute(
            "UPDATE class_members SET removed_at = now(), removals = 1 WHERE account_id = $1", ada.account_id
        )
    with pytest.raises(RemovedFromClass):
        await replay.page(ada, ride.live.id, 0, 1_000)
    assert (await replay.page(mia, ride.live.id, 0, 1_000)).events


async def test_a_replay_keeps_to_whom_its_viewer_has_blocked(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    ada, bob = (connection for _, connection, _ in ride.athletes)
    await ride.ride(3)
    await ride.nodes[1].speaking.chat(bob, ChatSend(class_id=ride.live.id, text="hello"))
    await ride.ride(3)
    for node in ride.nodes:
        await node.tapes.write()
    await ride.nodes[0].classes.end(ride.coach.caller, ride.live.id)
    replay = replay_of(world)

    async def heard() -> list[str]:
        return [each.event for each in (await replay.page(ada.caller, ride.live.id, 0, 1_000)).events]

    assert "chat.said" in await heard()
    async with Transactions(world.database, world.clock, Uuid7Ids(world.clock))() as stores:
        await stores.blocks.add(ada.caller.account_id, bob.caller.account_id, utc(world.clock.wall_ms()))
    assert "chat.said" not in await heard()


async def test_a_replay_does_not_tell_what_was_taken_down(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    ada, bob = (connection for _, connection, _ in ride.athletes)
    await ride.ride(3)
    said = await ride.nodes[1].speaking.chat(bob, ChatSend(class_id=ride.live.id, text="hello"))
    await ride.ride(3)
    for node in ride.nodes:
        await node.tapes.write()
    await ride.nodes[0].classes.end(ride.coach.caller, ride.live.id)
    async with Transactions(world.database, world.clock, Uuid7Ids(world.clock))() as stores:
        by, now = ride.coach.caller.account_id, utc(world.clock.wall_ms())
        await stores.moderation.remove(ride.live.id, said.position, bob.caller.account_id, "hello", by, now)
    page = await replay_of(world).page(ada.caller, ride.live.id, 0, 1_000)
    assert "chat.said" not in [each.event for each in page.events]


async def test_a_board_whose_score_no_samples_come_to_is_found(world: World) -> None:
    ride = await Ride.begin(world, "Ada", "Bob")
    await ride.ride(10)
    for node in ride.nodes:
        await node.tapes.write()
    async with world.database.tx() as tx:
        await tx.execute("UPDATE sample_batches SET bpm[1] = 250 WHERE stream_id = $1", ride.athletes[0][2])
    verdict = await replay_of(world).check(ride.live.id)
    assert not verdict.equal
    assert len(verdict.strange) == 1


class Away(Transactions):
    """Transactions of a database that can be away."""

    away = False

    def __call__(self) -> AbstractAsyncContextManager[Stores]:
        if self.away:
            raise Unavailable("the database does not answer right now")
        return super().__call__()


async def test_a_node_that_only_knows_scores_from_the_database_is_no_contradiction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(("first", "second"))
    monkeypatch.setattr("rooms.room.secrets", SimpleNamespace(token_hex=lambda _: next(names)))
    one = world.node()
    coach = await world.person("Mia", coach=True)
    live = await one.create_class(coach)
    ada = one.connect(await world.person("Ada", max_hr=160))
    await one.join(ada, live.code)
    ride = Ride(world, (one,), live, ada)
    ride.athletes.append((one, ada, (await one.open(ada, live.code)).stream))
    await ride.ride(10)
    await one.tapes.write()
    await one.die()
    two = world.node()
    await two.join(two.connect(coach), live.code, "coach")
    ride.nodes, ride.athletes = (two,), []
    await ride.ride(3)
    await two.tapes.write()
    verdict = await replay_of(world).check(live.id)
    assert [tape.tape for tape in verdict.tapes] == ["first", "second"]
    assert verdict.equal


async def test_what_the_database_does_not_take_now_is_written_later(world: World) -> None:
    transactions = Away(world.database, world.clock, Uuid7Ids(world.clock))
    node = world.node()
    node.tapes = tapes = Tapes(node.rooms, transactions, world.clock)
    ride = await Ride.of(world, (node,), "Ada")
    await ride.ride(4)
    transactions.away = True
    await tapes.write()
    assert (tapes.statistics.pieces, tapes.statistics.failures) == (0, 1)
    await ride.ride(4)
    transactions.away = False
    await tapes.write()
    assert tapes.statistics.pieces == 2
    assert (await replay_of(world).check(ride.live.id)).equal


async def test_two_who_write_at_the_same_time_write_each_piece_once_and_lose_none(world: World) -> None:
    ride = await Ride.begin(world, "Ada")
    tapes = ride.nodes[0].tapes
    for _ in range(3):
        await ride.ride(4)
        await asyncio.gather(*(tapes.write() for _ in range(3)))
    assert (tapes.statistics.pieces, tapes.statistics.failures) == (3, 0)
    (tape,) = (await replay_of(world).check(ride.live.id)).tapes
    assert (tape.missing, tape.skipped, tape.differ) == (0, 0, 0)


async def test_a_piece_that_the_database_never_takes_holds_up_no_other(world: World) -> None:
    ride = await Ride.begin(world, "Ada")
    tapes = ride.nodes[0].tapes
    for n in range(3):
        await ride.ride(4)
        if n == 1:
            async with world.database.tx() as tx:
                await tx.execute("ALTER TABLE class_tapes ADD CHECK (n <> 2)")
        await tapes.write()
    assert (tapes.statistics.pieces, tapes.statistics.lost) == (2, 1)
    (tape,) = (await replay_of(world).check(ride.live.id)).tapes
    assert (tape.missing, tape.skipped, tape.differ) == (1, 0, 0)


async def test_pieces_that_nobody_takes_are_given_up_and_missed_aloud(world: World) -> None:
    ride = await Ride.begin(world, "Ada")
    node = ride.nodes[0]
    small = Tapes(
        node.rooms, Transactions(world.database, world.clock, Uuid7Ids(world.clock)), world.clock, max_waiting_bytes=1
    )
    live = await node.create_class(ride.coach.caller, "Another")
    ride.live = live
    ride.athletes = []
    await node.join(ride.coach, live.code, "coach")
    await ride.ride(2)
    await small.write()
    assert small.statistics.lost == 1
    with pytest.raises(NotFound):
        await replay_of(world).check(live.id)
