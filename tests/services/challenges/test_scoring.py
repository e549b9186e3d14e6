"""What workouts are worth, alone and together."""

import random
import uuid
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.challenges.challenge import Entrant, Kind, Rules
from services.challenges.scoring import Contribution, Score, contribution_of, score_of, value_of
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, WorkoutId
from services.training.sample import Motion, Sample
from services.training.summary import summarise
from services.training.workouts import Workout
from tests.services.challenges.build import FIRST, HOUR, WEEK, workout
from tests.support.world import BODY, steady

NOON = to_wall_ms(datetime(2026, 12, 1, 12, tzinfo=UTC))
ADA = Entrant(1, AccountId(uuid.UUID(int=1)), "Europe/Vienna", None, NOON, None, 0, 0, 2)
RIDE = Workout(
    id=WorkoutId(uuid.UUID(int=7)),
    account_id=AccountId(uuid.UUID(int=1)),
    class_id=None,
    sport="run",
    physiology=BODY,
    created_at_ms=NOON,
    finished_at_ms=NOON + 700_000,
    revision=2,
    summary=summarise(steady(701), BODY),
)


def rules(kind: Kind, from_zone: int | None = None) -> Rules:
    return msgspec.structs.replace(WEEK, kind=kind, from_zone=from_zone)


def test_a_workout_is_worth_what_the_kind_counts() -> None:
    summary = RIDE.summary
    assert summary is not None
    times = summary.ms_in_zone
    assert value_of(rules("effort"), summary) == sum(zone * ms for zone, ms in enumerate(times)) > 0
    assert value_of(rules("zone_time", 1), summary) == 700_000
    assert value_of(rules("zone_time", 5), summary) == times[5]
    short = summarise(steady(600), BODY)  # 599 seconds with a known heart rate
    for kind in ("count", "streak"):
        assert (value_of(rules(kind), summary), value_of(rules(kind), short)) == (1, 0)


def test_a_distance_is_what_was_measured_and_nothing_where_nobody_did() -> None:
    ridden = summarise([Sample(1_000 * n, 140, (), Motion(8 * n)) for n in range(61)], BODY)
    assert value_of(rules("distance"), ridden) == 480
    assert value_of(rules("distance"), summarise(steady(701), BODY)) == 0


def test_a_strap_beside_a_bike_does_not_take_its_distance() -> None:
    strap, bike = workout(1, 0, hour=8), workout(2, 20_000, hour=8)
    assert score_of("distance", [strap, bike]).value == 20_000


def test_what_is_not_finished_not_summarised_or_from_before_the_entry_brings_nothing() -> None:
    found = contribution_of(WEEK, ADA, RIDE)
    assert found is not None
    assert (found.revision, found.day, found.began_ms, found.ended_ms) == (2, date(2026, 12, 1), NOON, NOON + 700_000)
    for change in ({"summary": None}, {"finished_at_ms": None}, {"created_at_ms": NOON - 1}):
        assert contribution_of(WEEK, ADA, msgspec.structs.replace(RIDE, **change)) is None


def test_the_first_and_the_last_day_count_whole_where_the_member_lives() -> None:
    early = msgspec.structs.replace(ADA, joined_ms=0)

    def day_of(hours: datetime) -> date | None:
        found = contribution_of(WEEK, early, msgspec.structs.replace(RIDE, created_at_ms=to_wall_ms(hours)))
        return None if found is None else found.day

    assert day_of(datetime(2026, 11, 30, 22, 59, tzinfo=UTC)) is None
    assert day_of(datetime(2026, 11, 30, 23, 0, tzinfo=UTC)) == FIRST
    assert day_of(datetime(2026, 12, 7, 22, 59, tzinfo=UTC)) == date(2026, 12, 7)
    assert day_of(datetime(2026, 12, 7, 23, 0, tzinfo=UTC)) is None


def test_a_score_is_reached_with_the_end_of_the_last_workout_that_brought_something() -> None:
    first, last, nothing = workout(1, 5), workout(2, 3, day=2), workout(3, 0, day=4)
    assert score_of("effort", [nothing, last, first]) == Score(8, last.ended_ms)
    assert score_of("effort", [nothing]) == score_of("streak", []) == Score()


def test_of_workouts_that_overlap_the_one_that_began_first_counts() -> None:
    first, inside = workout(1, 5, hour=8), workout(2, 50, hour=8)
    inside = msgspec.structs.replace(inside, began_ms=inside.began_ms + 1)
    after = workout(3, 7, hour=9)
    assert score_of("effort", [inside, after, first]) == Score(12, after.ended_ms)
    idle = msgspec.structs.replace(first, value=0)
    assert score_of("effort", [inside, idle]) == Score(50, inside.ended_ms), "one that is worth nothing hides none"


def test_a_streak_is_the_longest_run_of_days_and_reached_when_it_was_first_that_long() -> None:
    days = [workout(day, day=day) for day in (0, 1, 3, 4, 6)]
    assert score_of("streak", days) == Score(2, days[1].ended_ms)
    twice = workout(9, day=1, hour=20)
    assert score_of("streak", [*days, twice]) == Score(2, days[1].ended_ms), "a second workout makes no second day"
    mended = workout(8, day=2, hour=5)
    assert score_of("streak", [*days, mended]) == Score(5, days[3].ended_ms)


@given(
    st.lists(
        st.builds(
            workout,
            st.integers(1, 9),
            st.integers(0, 3 * HOUR),
            day=st.integers(0, 6),
            hour=st.integers(0, 23),
        ),
        unique_by=lambda one: one.workout,
    ),
    st.randoms(),
    st.sampled_from(["count", "zone_time", "effort", "streak", "distance"]),
)
def test_the_order_of_workouts_does_not_matter(one: list[Contribution], chance: random.Random, kind: Kind) -> None:
    other = list(one)
    chance.shuffle(other)
    assert score_of(kind, one) == score_of(kind, other)


@pytest.mark.parametrize("kind", ["count", "zone_time", "effort", "distance"])
def test_a_workout_more_never_makes_a_score_less(kind: Kind) -> None:
    some = [workout(n, n, hour=n) for n in range(1, 6)]
    assert score_of(kind, some).value >= score_of(kind, some[:-1]).value
