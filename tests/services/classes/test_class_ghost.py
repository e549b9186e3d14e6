"""A ghost of a past class is what its board showed, by class time, of whoever may be seen now."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.database import Database
from services.classes.class_clock import ClassClock, Paused, Resumed, Started, folded
from services.classes.class_ghost import MOST_STEPS, STEP_MS, ClassTrace, class_axis, median_of, spread
from services.classes.ghosts import ClassGhosts
from services.classes.ranking import weight
from services.classes.summary import ClassStanding, ClassSummary
from services.kernel.clock import utc
from services.kernel.problems import ClassNotFound, Forbidden, GhostNotReady, NotFound
from services.training.sample import Sample
from services.training.summary import summarise
from tests.support.world import BODY, World, steady

MINUTE = 60_000


def traced(samples: list[Sample], clocks: tuple[ClassClock, ...]) -> tuple[int, ...]:
    axis = class_axis(clocks)
    assert axis is not None
    trace = ClassTrace(axis)
    trace.add(samples, BODY.max_hr, 0)
    return trace.scores()


def test_a_curve_goes_by_class_time_and_ends_at_what_was_earned() -> None:
    ran = folded(10 * MINUTE, [Started(0, 0)])
    scores = traced(steady(61), ran)
    assert scores == tuple(3 * STEP_MS * step for step in range(13))
    assert scores[-1] == weight(summarise(steady(61), BODY).ms_in_zone)


def test_what_is_ridden_in_a_countdown_or_a_pause_is_there_when_the_class_goes_on() -> None:
    early = folded(10 * MINUTE, [Started(0, 20_000)])
    assert traced(steady(31), early)[:2] == (0, 3 * 25_000)
    paused = folded(10 * MINUTE, [Started(0, 0), Paused(10_000), Resumed(30_000, 30_000)])
    assert traced(steady(41), paused)[:4] == (0, 15_000, 30_000, 3 * 35_000)


def test_who_comes_late_has_nothing_until_then() -> None:
    assert traced(steady(11, start=60), folded(10 * MINUTE, [Started(0, 0)]))[11:14] == (0, 0, 15_000)


def test_a_class_whose_clock_never_ran_has_no_class_time() -> None:
    assert class_axis(()) is None
    assert class_axis(folded(MINUTE, [])) is None


@given(st.lists(st.lists(st.integers(0, 10**9).map(int), max_size=12).map(sorted), max_size=9))
def test_the_median_never_goes_back_and_lies_within_the_curves(curves: list[list[int]]) -> None:
    pacer = median_of(curves)
    assert list(pacer) == sorted(pacer)
    assert len(pacer) == max((len(curve) for curve in curves), default=0)
    assert not pacer or pacer[-1] <= max(max(curve, default=0) for curve in curves)


def test_a_large_class_is_paced_by_some_from_the_first_to_the_last() -> None:
    assert spread(range(1, 6), 21) == (1, 2, 3, 4, 5)
    some = spread(range(1, 501), 21)
    assert (len(some), some[0], some[10], some[-1]) == (21, 1, 251, 500)


def test_a_curve_is_cut_and_of_workouts_that_overlap_the_first_counts() -> None:
    trace = ClassTrace(lambda at_ms: at_ms * 1_000)
    trace.add(steady(61), BODY.max_hr, 0)
    assert (len(trace.scores()), trace.cut) == (MOST_STEPS, True)
    twice = ClassTrace(lambda at_ms: at_ms)
    for _ in range(2):
        twice.add(steady(61), BODY.max_hr, 0)
    assert twice.scores()[-1] == 3 * MINUTE


async def test_only_who_was_in_a_class_races_it_and_only_those_who_may_be_seen_now(database: Database) -> None:
    world = World(database)
    mia, ada, bob, eve = [await world.account(name, "member", "coach") for name in ("Mia", "Ada", "Bob", "Eve")]
    live = await world.live_class(mia)
    for caller, bpm in ((ada, 150), (bob, 180)):
        await world.enter(live, caller)
        await world.workout(caller, steady(61, bpm), live=live)
    ghosts = ClassGhosts(world.transactions)
    with pytest.raises(GhostNotReady):
        await ghosts.ghost(ada, live.id, "leader")
    await world.end(live)

    async def table(*standings: ClassStanding) -> None:
        summary = ClassSummary(class_id=live.id, title="Hills", duration_ms=1, athletes=2, standings=standings)
        async with world.transactions() as stores:
            await stores.classes.store_summary(live.id, summary, utc(world.clock.wall_ms()))

    first = ClassStanding(n=2, rank=1, name="Bob", effort=5.0, zone_ms=(0, 0, 0, 0, 0, MINUTE))
    second = ClassStanding(n=1, rank=2, name="Ada", effort=3.0, zone_ms=(0, 0, 0, MINUTE, 0, 0))
    await table(first, second)
    leader = await ghosts.ghost(ada, live.id, "leader")
    assert (leader.axis, leader.name, leader.scores[-1]) == ("own", None, 5 * MINUTE)
    assert (await ghosts.ghost(ada, live.id, "2")).name == "Bob"
    assert (await ghosts.ghost(mia, live.id, "median")).scores[-1] == 3 * MINUTE
    # Bob hides: the table is made anew without him, and he cannot be raced any more.
    await table(second)
    with pytest.raises(NotFound):
        await ghosts.ghost(ada, live.id, "2")
    assert (await ghosts.ghost(ada, live.id, "leader")).scores[-1] == 3 * MINUTE
    for who in ("leader", "1"):
        with pytest.raises(ClassNotFound):
            await ghosts.ghost(eve, live.id, who)
    screen = msgspec.structs.replace(eve, roles=frozenset({"display"}), class_id=live.id)
    with pytest.raises(Forbidden):
        await ghosts.ghost(screen, live.id, "leader")
