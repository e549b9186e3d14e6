"""A heat from the first ready to the prizes: rooms on several nodes, a real Postgres, the facts handled as workers would."""

import uuid

import pytest

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.wire import StreamFinish
from rooms.room import view_of
from services.challenges.challenges import Challenges, ChallengeView
from services.challenges.heat import GATHER_MS, MOST_HEATS, SETTLE_MS, SWEEP_MS, HeatKind
from services.challenges.heats import Heats
from services.classes.class_clock import Pause, Start
from services.classes.lobby import COUNTDOWN_MS
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import (
    ChallengeDue,
    ChallengeFinished,
    ClassClockMoved,
    ClassEnded,
    WorkoutSummarised,
)
from services.kernel.ids import StreamId, Uuid7Ids
from services.kernel.problems import (
    BadShape,
    ChallengeNotFound,
    ChallengeOver,
    ClassNotFound,
    Forbidden,
    HeatBegun,
    TooManyChallenges,
)
from services.training.sample import Motion, Sample
from services.training.workouts import summarise
from tests.rooms.conftest import TestNode, World, events
from tests.support.challenged import read, shown
from workers.challenging import ChallengeFacts


class Racing:
    """Heats in a world of nodes."""

    def __init__(self, world: World) -> None:
        self.world = world
        ids = Uuid7Ids(world.clock)
        self.transactions = Transactions(world.database, world.clock, ids)
        self.node = world.node()
        self.challenges = Challenges(self.transactions, world.clock, ids)
        self.heats = Heats(self.transactions, world.clock, ids, self.node.clocks)
        self.facts = ChallengeFacts(world.clock, None, lambda _: None)

    async def heat(
        self,
        maker: Caller,
        *others: Caller,
        minutes: int = 1,
        late: str = "starts_late",
        kind: HeatKind = "effort",
        from_zone: int | None = None,
        teams: tuple[str, ...] = (),
    ) -> ChallengeView:
        """A heat with these people in it."""
        view = await self.heats.create(
            maker,
            title="Sprint",
            kind=kind,
            length_min=minutes,
            from_zone=from_zone,
            target=None,
            ties="first",
            late=late,  # type: ignore[arg-type]
            time_zone="UTC",
            teams=teams,
            team=teams[0] if teams else None,
        )
        for number, caller in enumerate(others, start=1):
            team = teams[number % len(teams)] if teams else None
            await self.challenges.join(caller, view.code, "UTC", team)
        return view

    async def begun(self, view: ChallengeView, *people: Caller) -> ChallengeView:
        """All of them are ready."""
        for caller in people:
            view = await self.heats.ready(caller, view.id, ready=True)
        return view

    async def rides(self, node: TestNode, view: ChallengeView, caller: Caller) -> tuple[Connection, StreamId]:
        """Somebody in the room, with a sensor."""
        assert view.heat is not None
        phone, stream = node.connect(caller), StreamId(uuid.uuid4())
        await node.join(phone, view.heat.class_code)
        await node.open(phone, view.heat.class_code, stream)
        return phone, stream

    async def due(self, view: ChallengeView, *, ahead_s: int = 0) -> None:
        """One of the heat's times has come: what the schedule has told by now, by a clock that is so far ahead."""
        async with self.transactions() as stores:
            await stores.schedule.tell(stores.outbox, utc(self.world.clock.wall_ms() + ahead_s * 1_000), 10)
        async with self.transactions() as stores:
            await self.facts.keep_score(stores, ChallengeDue(view.id))

    async def room_ended_ms(self, view: ChallengeView) -> int | None:
        """When the heat's room was over; None while it is open."""
        assert view.heat is not None
        async with self.transactions() as stores:
            live = await stores.classes.by_id(view.heat.class_id)
        assert live is not None
        return live.ended_ms

    async def summarised(self, caller: Caller, workout_id: uuid.UUID) -> None:
        """What workers do when a workout has been finished, or got late samples."""
        async with self.transactions() as stores:
            await summarise(stores, workout_id)  # type: ignore[arg-type]
        async with self.transactions() as stores:
            await self.facts.keep_score(stores, WorkoutSummarised(workout_id, caller.account_id))  # type: ignore[arg-type]

    async def told(self) -> list[object]:
        async with self.transactions() as stores:
            return [envelope.fact for envelope in await stores.outbox.peek(1_000)]


@pytest.fixture
def racing(world: World) -> Racing:
    return Racing(world)


async def test_everybody_ready_begins_the_heat_at_one_instant_on_every_node(racing: Racing, world: World) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.heat(ada, bob)
    assert view.heat is not None
    there = world.node()
    here_phone, there_phone = racing.node.connect(ada), there.connect(bob)
    for node, phone in ((racing.node, here_phone), (there, there_phone)):
        assert (await node.join(phone, view.heat.class_code)).room.coach_id is None
    await world.advance(0)
    waits = await racing.heats.ready(ada, view.id, ready=True)
    assert waits.heat is not None
    assert (waits.heat.ready, waits.heat.waiting, waits.heat.you_ready, waits.heat.starts_ms) == (
        1,
        ("Bob",),
        True,
        None,
    )
    begun = await racing.heats.ready(bob, view.id, ready=True)
    await world.advance(0)
    starts_ms = world.clock.wall_ms() + COUNTDOWN_MS
    assert begun.heat is not None
    assert (begun.heat.starts_ms, begun.heat.ends_ms) == (starts_ms, starts_ms + 60_000)
    for phone in (here_phone, there_phone):
        clocks = [payload for name, payload in events(phone) if name == "class.clock"]
        assert [(clock["state"], clock["at_ms"]) for clock in clocks] == [("running", starts_ms)]
    assert ClassClockMoved(begun.heat.class_id) in await racing.told(), "a worker says it again"
    for late in (racing.heats.ready(ada, view.id, ready=False), racing.heats.start(ada, view.id)):
        with pytest.raises(HeatBegun):
            await late


async def test_a_heat_is_ridden_to_the_same_table_live_in_the_log_and_in_the_prizes(
    racing: Racing, world: World
) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.heat(ada, bob)
    phones = [await racing.rides(racing.node, view, caller) for caller in (ada, bob)]
    view = await racing.begun(view, ada, bob)
    assert view.heat is not None
    # 10 s of countdown, 60 s of heat, 10 s more; Bob's heart goes higher.
    for second in range(81):
        for (phone, stream), bpm in zip(phones, (150, 180), strict=True):
            racing.node.send(phone, stream, second, (Sample(second * 1_000, bpm),))
        await world.advance(1)
    room = racing.node.rooms.get(view.heat.class_id)
    assert room is not None
    racing.node.rooms.beat()
    rows = {row.n: row.effort for row in room.snapshot(world.clock.wall_ms()).rows}
    assert rows == {1: 3.0, 2: 5.0}, "a minute in zone 3, and in zone 5: what lies outside counts nothing"
    await racing.due(view)
    async with racing.transactions() as stores:
        live = await stores.classes.by_id(view.heat.class_id)
    assert live is not None
    assert live.ended_ms == view.heat.ends_ms
    assert ClassEnded(view.heat.class_id) in await racing.told()
    finished = await racing.node.streams.finish(phones[1][0], _finish(phones[1][1], 81))
    await racing.summarised(bob, finished.workout)
    await world.advance(SWEEP_MS / 1_000)
    await racing.due(view)  # Ada's phone never finished
    table = await racing.challenges.table(ada, view.id)
    assert shown(table) == [(1, "Bob", 5 * 60_000), (2, "Ada", 3 * 60_000)]
    await world.advance(SETTLE_MS / 1_000)
    for _ in range(2):
        await racing.due(view)
    (prizes,) = [fact.prizes for fact in await racing.told() if isinstance(fact, ChallengeFinished)]
    assert [(prize.rank, prize.account_id) for prize in prizes] == [(1, bob.account_id), (2, ada.account_id)]
    async with racing.transactions() as stores:
        ledger = await read(stores.challenges, view.id)
        lines = await stores.challenges.page(view.id, 0, 10)
    assert [each.line for each in ledger.table()] == lines
    assert ledger.closed


async def test_a_heat_over_metres_has_them_on_its_board_and_in_its_table(racing: Racing, world: World) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.heat(ada, bob, kind="distance")
    phones = [await racing.rides(racing.node, view, caller) for caller in (ada, bob)]
    view = await racing.begun(view, ada, bob)
    assert view.heat is not None
    # Ada's heart goes higher, Bob is faster, and both roll before the start and after the end.
    for second in range(81):
        for (phone, stream), bpm, speed in zip(phones, (190, 120), (5, 8), strict=True):
            racing.node.send(phone, stream, second, (Sample(second * 1_000, bpm, (), Motion(second * speed)),))
        await world.advance(1)
    room = racing.node.rooms.get(view.heat.class_id)
    assert room is not None
    racing.node.rooms.beat()
    snapshot = room.snapshot(world.clock.wall_ms())
    assert snapshot.metric == "distance"
    assert {row.n: row.rank for row in snapshot.rows} == {2: 1, 1: 2}
    await racing.due(view)
    await world.advance(SWEEP_MS / 1_000)
    await racing.due(view)
    assert shown(await racing.challenges.table(ada, view.id)) == [(1, "Bob", 480), (2, "Ada", 300)]


async def test_a_heat_over_minutes_in_a_zone_has_them_on_its_board_and_in_its_table(
    racing: Racing, world: World
) -> None:
    ada, bob, eve = [await world.person(name) for name in ("Ada", "Bob", "Eve")]
    view = await racing.heat(ada, bob, eve, kind="zone_time", from_zone=4)
    phones = [await racing.rides(racing.node, view, caller) for caller in (ada, bob, eve)]
    view = await racing.begun(view, ada, bob, eve)
    assert view.heat is not None
    # Ada rides in zone 3 all the time, Bob for half of it in zone 5, Eve for two thirds in zone 4: by effort Bob would lead.
    for second in range(81):
        heart_rates = (150, 185 if second < 40 else 150, 160 if second < 50 else 60)
        for (phone, stream), bpm in zip(phones, heart_rates, strict=True):
            racing.node.send(phone, stream, second, (Sample(second * 1_000, bpm),))
        await world.advance(1)
    room = racing.node.rooms.get(view.heat.class_id)
    assert room is not None
    racing.node.rooms.beat()
    snapshot = room.snapshot(world.clock.wall_ms())
    assert snapshot.metric == "minutes_from_zone_4"
    assert [(row.n, row.rank) for row in snapshot.rows] == [(3, 1), (2, 2), (1, 3)]
    await racing.due(view)
    await world.advance(SWEEP_MS / 1_000)
    await racing.due(view)
    table = shown(await racing.challenges.table(ada, view.id))
    assert table == [(1, "Eve", 40_000), (2, "Bob", 30_000), (3, "Ada", 0)]
    assert {figured.n: figured.figure for figured in snapshot.figures} == {1: 0.0, 2: 0.5, 3: 0.7}


async def test_teams_of_a_heat_have_on_its_board_what_they_have_on_its_table(racing: Racing, world: World) -> None:
    riders = [await world.person(name) for name in ("Ann", "Bob", "Cid", "Dan")]
    view = await racing.heat(*riders, teams=("Red", "Blue"))
    with pytest.raises(BadShape):
        await racing.challenges.join(await world.person("Eve"), view.code, "UTC", None)
    phones = [await racing.rides(racing.node, view, caller) for caller in riders]
    view = await racing.begun(view, *riders)
    assert view.heat is not None
    for second in range(81):
        for (phone, stream), bpm in zip(phones, (120, 185, 140, 60), strict=True):
            racing.node.send(phone, stream, second, (Sample(second * 1_000, bpm),))
        await world.advance(1)
    room = racing.node.rooms.get(view.heat.class_id)
    assert room is not None
    racing.node.rooms.beat()
    snapshot = room.snapshot(world.clock.wall_ms())
    assert view_of(room.live).team_rule == "sum"
    await racing.due(view)
    await world.advance(SWEEP_MS / 1_000)
    await racing.due(view)
    table = await racing.challenges.table(riders[0], view.id)
    assert [(view_of(room.live).teams[row.team], row.rank, row.figure) for row in snapshot.teams] == [
        (line.team, line.rank, round(line.value / 60_000, 1)) for line in table.teams
    ]
    assert {line.value for line in table.teams} != {0}


def _finish(stream: StreamId, samples: int) -> StreamFinish:
    return StreamFinish(stream=stream, samples=samples)


async def test_late_data_moves_the_table_by_a_revision_until_the_heat_is_closed(racing: Racing, world: World) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.heat(ada, bob)
    phone, stream = await racing.rides(racing.node, view, ada)
    racing.node.send(phone, stream, 0, (Sample(0, 150),))
    await racing.begun(view, ada, bob)
    await world.advance(80)
    await racing.due(view)
    await world.advance(SWEEP_MS / 1_000)
    await racing.due(view)
    assert shown(await racing.challenges.table(bob, view.id)) == [(1, "Ada", 0), (1, "Bob", 0)]
    # The phone comes out of the dead zone with what was measured while the heat was ridden.
    before = (await racing.challenges.table(bob, view.id)).revision
    racing.node.send(phone, stream, 1, tuple(Sample(second * 1_000, 150) for second in range(1, 81)))
    await world.advance(1)
    finished = await racing.node.streams.finish(phone, _finish(stream, 81))
    await racing.summarised(ada, finished.workout)
    table = await racing.challenges.table(bob, view.id)
    assert shown(table) == [(1, "Ada", 3 * 60_000), (2, "Bob", 0)]
    assert table.revision == before + 1
    await racing.summarised(ada, finished.workout)
    assert (await racing.challenges.table(bob, view.id)).revision == table.revision, "it says nothing new"


async def test_when_everything_was_down_meanwhile_the_end_is_that_of_the_clock_and_phones_get_their_time(
    racing: Racing, world: World
) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.begun(await racing.heat(ada, bob), ada, bob)
    assert view.heat is not None
    await world.advance(6 * 3_600)
    await racing.due(view)
    async with racing.transactions() as stores:
        live = await stores.classes.by_id(view.heat.class_id)
    assert live is not None
    assert live.ended_ms == view.heat.ends_ms
    seen = await racing.challenges.by_id(ada, view.id)
    assert (seen.finished_ms, seen.closes_ms) == (None, world.clock.wall_ms() + SETTLE_MS)
    await world.advance(SETTLE_MS / 1_000)
    await racing.due(view)
    assert (await racing.challenges.by_id(ada, view.id)).finished_ms == world.clock.wall_ms()


async def test_a_heat_that_nobody_starts_is_closed_and_with_it_its_room(racing: Racing, world: World) -> None:
    ada = await world.person("Ada")
    view = await racing.heat(ada)
    assert view.heat is not None
    await racing.heats.ready(ada, view.id, ready=True)
    assert (await racing.challenges.by_id(ada, view.id)).finished_ms is None, "one alone waits for others"
    await world.advance(GATHER_MS / 1_000)
    await racing.due(view)
    with pytest.raises(ChallengeOver):
        await racing.heats.start(ada, view.id)
    async with racing.transactions() as stores:
        live = await stores.classes.by_id(view.heat.class_id)
    assert live is not None
    assert live.over


async def test_a_heat_that_begins_shortly_before_it_would_be_closed_is_ridden_to_its_end(
    racing: Racing, world: World
) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.heat(ada, bob, minutes=60)
    await world.advance(GATHER_MS / 1_000 - 300)
    view = await racing.begun(view, ada, bob)
    assert view.heat is not None
    async with racing.transactions() as stores:
        assert await stores.schedule.waiting() == 1, "its end, and no longer that nobody began it"
    for seconds in (301, 3_600 - 301 - 20):  # told before it began, handled in the middle and in the last minute
        await world.advance(seconds)
        await racing.due(view)
        assert await racing.room_ended_ms(view) is None
    await world.advance(60)
    await racing.due(view)
    assert await racing.room_ended_ms(view) == view.heat.ends_ms


async def test_times_that_a_clock_ahead_of_ours_has_told_come_again_at_ours(racing: Racing, world: World) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    view = await racing.begun(await racing.heat(ada, bob), ada, bob)
    await world.advance(COUNTDOWN_MS / 1_000 + 40)
    await racing.due(view, ahead_s=30)
    assert await racing.room_ended_ms(view) is None
    await world.advance(20)
    await racing.due(view)
    assert await racing.room_ended_ms(view) is not None
    await world.advance(SETTLE_MS / 1_000 - 10)
    await racing.due(view, ahead_s=30)
    assert (await racing.challenges.by_id(ada, view.id)).finished_ms is None
    await world.advance(10)
    async with racing.transactions() as stores:
        assert await stores.schedule.tell(stores.outbox, utc(world.clock.wall_ms()), 10), "it is told once more"
    await racing.due(view)
    assert (await racing.challenges.by_id(ada, view.id)).finished_ms == world.clock.wall_ms()


async def test_nobody_leads_it_and_only_its_maker_begins_before_all_are_ready(racing: Racing, world: World) -> None:
    ada, bob, eve = await world.person("Ada", coach=True), await world.person("Bob"), await world.person("Eve")
    view = await racing.heat(ada, bob)
    assert view.heat is not None
    for command in (Start(), Pause()):
        phone = racing.node.connect(ada)
        await racing.node.join(phone, view.heat.class_code)
        with pytest.raises(Forbidden):
            await racing.node.timelines.control(ada, view.heat.class_id, command, None)
    with pytest.raises(Forbidden):
        await racing.node.join(racing.node.connect(ada), view.heat.class_code, "coach")
    with pytest.raises(Forbidden):
        await racing.node.classes.end(ada, view.heat.class_id)
    with pytest.raises(Forbidden):
        await racing.heats.start(bob, view.id)
    for refused in (racing.heats.start(eve, view.id), racing.heats.ready(eve, view.id, ready=True)):
        with pytest.raises(ChallengeNotFound):
            await refused
    begun = await racing.heats.start(ada, view.id)
    assert begun.heat is not None
    assert begun.heat.starts_ms is not None


async def test_its_room_opens_to_members_only_however_they_came_by_its_code(racing: Racing, world: World) -> None:
    ada, eve = await world.person("Ada"), await world.person("Eve")
    view = await racing.heat(ada)
    assert view.heat is not None
    phone = racing.node.connect(eve)
    with pytest.raises(ClassNotFound) as unseen:
        await racing.node.join(phone, view.heat.class_code)
    with pytest.raises(ClassNotFound) as missing:
        await racing.node.join(phone, "ZZZZZZ")
    assert (unseen.value.message, unseen.value.path) == (missing.value.message, missing.value.path)
    with pytest.raises(ClassNotFound):
        await racing.node.open(phone, view.heat.class_code)


async def test_who_comes_late_is_let_in_or_refused_as_was_said_and_nobody_after_the_end(
    racing: Racing, world: World
) -> None:
    ada, bob, eve = [await world.person(name) for name in ("Ada", "Bob", "Eve")]
    strict, lenient = await racing.heat(ada, bob, late="refused"), await racing.heat(ada, bob)
    for view in (strict, lenient):
        await racing.begun(view, ada, bob)
    assert not (await racing.challenges.invitation(eve, strict.code)).open
    with pytest.raises(HeatBegun):
        await racing.challenges.join(eve, strict.code, "UTC", None)
    assert (await racing.challenges.join(eve, lenient.code, "UTC", None)).you == 3
    await world.advance(COUNTDOWN_MS / 1_000 + 60)
    with pytest.raises(ChallengeOver):
        await racing.challenges.join(await world.person("Dan"), lenient.code, "UTC", None)


async def test_two_heats_of_the_same_people_are_two_and_a_stream_counts_in_its_own(
    racing: Racing, world: World
) -> None:
    ada, bob = await world.person("Ada"), await world.person("Bob")
    one, other = await racing.heat(ada, bob), await racing.heat(bob, ada)
    phone, stream = await racing.rides(racing.node, one, ada)
    for view in (one, other):
        await racing.begun(view, ada, bob)
    for second in range(75):
        racing.node.send(phone, stream, second, (Sample(second * 1_000, 150),))
        await world.advance(1)
    finished = await racing.node.streams.finish(phone, _finish(stream, 75))
    await racing.summarised(ada, finished.workout)
    values = [shown(await racing.challenges.table(bob, view.id))[0] for view in (one, other)]
    assert values == [(1, "Ada", 3 * 60_000), (1, "Bob", 0)]


async def test_what_one_may_have_open_is_bounded_and_a_challenge_over_days_has_no_start(
    racing: Racing, world: World
) -> None:
    ada = await world.person("Ada")
    for _ in range(MOST_HEATS):
        await racing.heat(ada)
    with pytest.raises(TooManyChallenges):
        await racing.heat(ada)
    today = utc(world.clock.wall_ms()).date()
    week = await racing.challenges.create(
        ada, title="A day", kind="count", first_day=today, last_day=today, ties="first", from_zone=None, teams=()
    )
    with pytest.raises(BadShape):
        await racing.heats.start(ada, week.id)
