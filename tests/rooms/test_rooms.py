"""A live class as its members see it: on one node, on two, and after a restart."""

import asyncio
import itertools
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.frame import Frame
from realtime.limits import MAX_ROOMS
from realtime.wire import BoardChanges, BoardSnapshot, Row
from rooms.rooms import AT_ONCE_S, SHARE_AHEAD, until_beat
from services.kernel.ids import ClassId
from services.kernel.problems import ClassNotFound, ClassOver, Forbidden, NotInRoom, TooManyRooms
from services.training.sample import Sample
from tests.rooms.conftest import World, events


def steady(seconds: range, bpm: int) -> tuple[Sample, ...]:
    return tuple(Sample(t=1_000 * second, bpm=bpm) for second in seconds)


class Screen:
    """What a client makes of board events: a snapshot, and changes that fit on it."""

    def __init__(self, snapshot: BoardSnapshot) -> None:
        self.take(snapshot)

    def take(self, snapshot: BoardSnapshot) -> None:
        self.epoch, self.v = snapshot.epoch, snapshot.v
        self.rows = {row.n: row for row in snapshot.rows}
        self.members = {member.n: member for member in snapshot.members}
        self.teams = snapshot.teams

    def read(self, told: list[tuple[str, object]]) -> None:
        for name, payload in told:
            if name == "board.snapshot":
                self.take(msgspec.convert(payload, BoardSnapshot))
            elif name == "board.changes":
                changes = msgspec.convert(payload, BoardChanges)
                assert (changes.epoch, changes.v) == (self.epoch, self.v + 1), "changes must fit"
                self.v = changes.v
                self.rows.update({row.n: row for row in changes.rows})
                self.members.update({member.n: member for member in changes.members})
                self.teams = self.teams if changes.teams is None else changes.teams
                for n in changes.gone:
                    self.rows.pop(n, None)
                    self.members.pop(n, None)


async def test_a_class_from_join_code_to_final_board(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach, "Hill ride")
    watching = node.connect(coach)
    joined = await node.join(watching, live.code.lower(), "coach")
    assert (joined.room.title, joined.room.coach_name, joined.you and joined.you.role) == ("Hill ride", "Mia", "coach")
    screen = Screen(joined.board)
    athlete = node.connect(await world.person("Ada"))
    await node.join(athlete, live.code)
    stream = (await node.open(athlete, live.code)).stream
    for second in range(61):
        node.send(athlete, stream, second, steady(range(second, second + 1), 171))
        await world.clock.advance(1)
        if second % 20 == 0:
            node.rooms.beat()
            screen.read(list(events(watching)))
    node.rooms.beat()
    screen.read(list(events(watching)))
    assert [member.name for member in screen.members.values()] == ["Mia", "Ada"]
    (row,) = screen.rows.values()
    assert row == Row(n=2, rank=1, bpm=171, percent=90, zone=5, effort=5.0, freshness="live")
    await node.classes.end(coach, live.id)
    await world.clock.advance(0)
    assert [name for name, _ in events(watching)] == ["class.ended"]
    assert [name for name, _ in events(athlete)][-1] == "class.ended"


async def test_a_slow_reader_gets_one_snapshot_that_fits_instead_of_changes_that_do_not(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    quick, slow = node.connect(coach), node.connect(await world.person("Sam"))
    screens = [Screen((await node.join(one, live.code, "spectator")).board) for one in (quick, slow)]
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete, live.code)).stream
    for second in range(5):
        node.send(athlete, stream, second, steady(range(second, second + 1), 120 + second))
        node.rooms.beat()
        screens[0].read(list(events(quick)))
        await world.clock.advance(1)
    told = [(name, payload) for name, payload in events(slow) if name.startswith("board.")]
    assert [name for name, _ in told] == ["board.snapshot"]
    screens[1].read(told)
    assert screens[1].rows == screens[0].rows


async def test_leaving_and_coming_back_keeps_the_score(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    ada = await world.person("Ada")
    athlete = node.connect(ada)
    await node.join(athlete, live.code)
    stream = (await node.open(athlete, live.code)).stream
    node.send(athlete, stream, 0, steady(range(61), 140))
    node.rooms.leave(athlete, live.id)
    with pytest.raises(NotInRoom):
        node.rooms.board(athlete, live.id)
    node.cut(athlete)
    node.rooms.beat()
    back = node.connect(ada)
    joined = await node.join(back, live.code)
    assert joined.board.rows[0].effort == 3.0
    again = await node.open(back, live.code, stream=stream)
    node.send(back, stream, again.next_seq, steady(range(61, 122), 140))
    node.rooms.beat()
    # The reading before the drop holds until the next one: nothing is lost and nothing counts twice.
    assert node.rooms.board(back, live.id).rows[0].effort == round(121 * 3 / 60, 1)


async def test_a_node_that_starts_again_shows_the_same_scores(world: World) -> None:
    before = world.node()
    coach = await world.person("Mia", coach=True)
    live = await before.create_class(coach)
    people = [await world.person(name) for name in ("Ada", "Bob")]
    for person, bpm in zip(people, (140, 171), strict=True):
        connection = before.connect(person)
        stream = (await before.open(connection, live.code)).stream
        before.send(connection, stream, 0, steady(range(121), bpm))
    await before.streams.recorder.flush()
    before.rooms.beat()
    after = world.node()
    watching = after.connect(coach)
    board = (await after.join(watching, live.code, "coach")).board
    assert [(row.n, row.rank, row.effort) for row in board.rows] == [(2, 1, 10.0), (1, 2, 6.0)]


@given(st.floats(1.7e9, 2.1e9), st.sampled_from([1.0, 2.0, 3.0, 6.0, 7.5, 10.0]))
def test_the_next_beat_is_within_a_beat_and_the_same_on_every_node(wall_s: float, hz: float) -> None:
    beat_s = 1 / hz
    wait_s = until_beat(wall_s, beat_s)

    assert -1e-6 < wait_s <= beat_s + 1e-6
    due = (wall_s + wait_s) / beat_s
    assert abs(due - round(due)) < 1e-4, "a multiple of the beat, whoever asks and when"


async def test_a_reading_of_another_node_is_on_the_board_one_beat_later_whenever_the_nodes_were_started(
    world: World,
) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    watching, athlete = here.connect(coach), there.connect(await world.person("Bob"))
    screen = Screen((await here.join(watching, live.code, "coach")).board)
    await there.join(athlete, live.code)
    stream = (await there.open(athlete, live.code)).stream
    beats = [asyncio.ensure_future(here.rooms.run())]
    await world.advance(0.26)
    beats.append(asyncio.ensure_future(there.rooms.run()))
    await world.advance(2)
    waited = []
    for second in range(8):
        there.send(athlete, stream, second, steady(range(second, second + 1), 100 + second))
        for step in range(1, 20):
            await world.advance(0.05)
            screen.read(list(events(watching)))
            if any(row.bpm == 100 + second for row in screen.rows.values()):
                waited.append(step * 0.05)
                break
        await world.advance(0.07)
    for beat in beats:
        beat.cancel()
    await asyncio.gather(*beats, return_exceptions=True)

    assert len(waited) == 8
    assert max(waited) <= 0.5 * (1 + SHARE_AHEAD) + 0.05, "at 2 Hz, looked at every 50 ms"


async def test_two_nodes_show_one_board(world: World) -> None:
    here, there = world.node(), world.node()
    coach = await world.person("Mia", coach=True)
    live = await here.create_class(coach)
    watching = here.connect(coach)
    screen = Screen((await here.join(watching, live.code, "coach")).board)
    ada, bob = await world.person("Ada"), await world.person("Bob")
    on_here, on_there = here.connect(ada), there.connect(bob)
    first = (await here.open(on_here, live.code)).stream
    second = (await there.open(on_there, live.code)).stream
    await there.join(on_there, live.code)
    here.send(on_here, first, 0, steady(range(61), 140))
    there.send(on_there, second, 0, steady(range(61), 171))
    for _ in range(3):
        there.rooms.beat()
        await world.advance(0.1)
        here.rooms.beat()
        await world.advance(0.1)
    screen.read(list(events(watching)))
    assert {(screen.members[row.n].name, row.rank, row.bpm, row.effort) for row in screen.rows.values()} == {
        ("Bob", 1, 171, 5.0),
        ("Ada", 2, 140, 3.0),
    }
    await here.classes.end(coach, live.id)
    await world.advance(0.1)
    assert "class.ended" in [name for name, _ in events(on_there)]
    room = there.rooms.get(live.id)
    assert room is not None
    assert room.live.over


async def test_a_second_device_takes_over_the_line_and_nothing_counts_twice(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    ada = await world.person("Ada")
    watch, phone = node.connect(ada), node.connect(ada)
    on_watch = (await node.open(watch, live.code)).stream
    node.send(watch, on_watch, 0, steady(range(61), 140))
    on_phone = (await node.open(phone, live.code)).stream
    for second in range(61):
        node.send(watch, on_watch, 61 + second, steady(range(61 + second, 62 + second), 140))
        node.send(phone, on_phone, second, steady(range(second, second + 1), 150))
        await world.clock.advance(1)
    await node.streams.recorder.flush()
    node.rooms.beat()
    room = node.rooms.get(live.id)
    assert room is not None
    (row,) = room.board.rows()
    assert (row.bpm, row.effort) == (150, 6.0)
    async with world.database.connection() as connection:
        # Both devices' samples are kept, all of them.
        assert await connection.fetchval("SELECT sum(cardinality(t)) FROM sample_batches") == 122 + 61


async def test_samples_after_the_end_of_the_class_are_kept_and_do_not_score(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    athlete = node.connect(await world.person("Ada"))
    stream = (await node.open(athlete, live.code)).stream
    for second in range(61):
        node.send(athlete, stream, second, steady(range(second, second + 1), 140))
        await world.clock.advance(1)
    await node.classes.end(coach, live.id)
    await node.streams.recorder.flush()
    await world.advance(5)
    late = node.send(athlete, stream, 61, tuple(Sample(t=66_000 + 1_000 * n, bpm=171) for n in range(60)))
    await node.streams.recorder.flush()
    assert late.said is not None
    async with world.database.connection() as connection:
        zone_ms = await connection.fetchval("SELECT zone_ms FROM streams")
    assert zone_ms == [0, 0, 0, 60_000, 0, 0]


async def test_a_room_that_nobody_needs_is_forgotten(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    live = await node.create_class(coach)
    watching = node.connect(coach)
    await node.join(watching, live.code, "coach")
    node.rooms.beat()
    node.cut(watching)
    node.rooms.beat()
    await world.clock.advance(61)
    node.rooms.beat()
    assert node.rooms.get(live.id) is None
    assert (await node.join(node.connect(coach), live.code, "coach")).room.id == live.id


async def test_who_may_not_join_is_told_why(world: World) -> None:
    node = world.node()
    coach, eve = await world.person("Mia", coach=True), await world.person("Eve")
    live = await node.create_class(coach)
    connection = node.connect(eve)
    with pytest.raises(ClassNotFound):
        await node.join(connection, "NOSUCH")
    with pytest.raises(Forbidden):
        await node.join(connection, live.code, "coach")
    with pytest.raises(ClassNotFound):
        await node.classes.end(eve, live.id)
    await node.join(connection, live.code)
    with pytest.raises(Forbidden):
        await node.classes.end(eve, live.id)
    with pytest.raises(Forbidden):
        await node.create_class(eve)
    with pytest.raises(NotInRoom):
        node.rooms.leave(connection, ClassId(uuid.uuid4()))
    await node.classes.end(coach, live.id)
    with pytest.raises(ClassOver):
        await node.join(connection, live.code)
    with pytest.raises(ClassOver):
        await node.classes.end(coach, live.id)


async def test_a_connection_is_in_so_many_rooms_at_once_and_no_more(world: World) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    codes = [(await node.create_class(coach)).code for _ in range(MAX_ROOMS + 1)]
    connection = node.connect(coach)
    rooms = [(await node.join(connection, code, "coach")).room.id for code in codes[:-1]]
    with pytest.raises(TooManyRooms) as refused:
        await node.join(connection, codes[-1], "coach")
    assert refused.value.data == {"limit": MAX_ROOMS}
    await node.join(connection, codes[0], "coach")
    node.rooms.leave(connection, rooms[0])
    await node.join(connection, codes[-1], "coach")
    assert len(connection.rooms) == MAX_ROOMS


@pytest.mark.parametrize(("part_s", "between"), [(AT_ONCE_S, ["others"]), (0.0, [])])
async def test_a_long_beat_lets_others_have_their_turn_between_two_boards(
    world: World, monkeypatch: pytest.MonkeyPatch, part_s: float, between: list[str]
) -> None:
    node = world.node()
    coach = await world.person("Mia", coach=True)
    for title in ("Hill ride", "Sprints"):
        live = await node.create_class(coach, title)
        await node.join(node.connect(coach), live.code, "coach")
    done: list[str] = []
    took_s = itertools.count(world.clock.monotonic(), part_s)

    class Counted:
        """The node, but for its broadcasts."""

        def broadcast(self, channel: str, frame: Frame, **_: object) -> int:
            done.append("board")
            asyncio.get_running_loop().call_soon(done.append, "others")
            return 1

        def __getattr__(self, name: str) -> object:
            return getattr(node.node, name)

    beating = asyncio.ensure_future(node.rooms.run())
    await world.clock.advance(0)
    monkeypatch.setattr(node.rooms, "node", Counted())
    monkeypatch.setattr(world.clock, "monotonic", lambda: next(took_s))
    await world.clock.advance(0.5)
    beating.cancel()
    boards = [at for at, what in enumerate(done) if what == "board"]
    assert len(boards) >= 2
    assert done[boards[0] + 1 : boards[1]] == between
