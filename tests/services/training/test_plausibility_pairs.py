"""Two streams at once: copies and strangers, two hearts, two places, and feet taken for beats."""

import math
import random

from hypothesis import given

from services.training.location import Location
from services.training.plausibility import Judgement
from services.training.plausibility_pairs import (
    REACH_MS,
    Curve,
    Whereabouts,
    cadence_lock,
    copied,
    curve_of,
    distance_km,
    fingerprint,
    likeness_percent,
    two_hearts,
    two_places,
)
from tests.services.training.build import at, recordings


def ride(seed: int, seconds: int = 900) -> list[int | None]:
    """A heart in the intervals that everybody does, with its own level, lag and beat-to-beat unrest."""
    own = random.Random(seed)
    level, lag, drift = own.randint(110, 140), own.uniform(15, 45), 0.0
    bpm, curve = float(level), []
    for second in range(seconds):
        target = level + (35 if second // 120 % 2 else 0)
        bpm += (target - bpm) / lag
        drift = 0.9 * drift + own.uniform(-1.5, 1.5)
        curve.append(round(bpm + drift))
    return [*curve]


def shown(judgement: Judgement) -> list[str]:
    return [finding.rule for finding in judgement.findings]


def test_a_copy_is_found_though_its_clock_is_off_and_its_numbers_are_shaken() -> None:
    mine, shake = ride(1), random.Random(9)
    theirs = [None] * 40 + [bpm and bpm + shake.randint(-1, 1) for bpm in mine]
    assert likeness_percent(mine, theirs) == 100
    assert shown(copied(mine, theirs)) == ["copied"]


def test_strangers_in_one_class_are_not_taken_for_copies() -> None:
    rides = [ride(seed) for seed in range(5)]
    for n, one in enumerate(rides):
        for other in rides[n + 1 :]:
            assert copied(one, other).verdict == "accepted"


def test_two_who_sit_still_prove_nothing() -> None:
    assert likeness_percent([60, 61] * 300, [61, 60] * 300) == 0


def test_too_little_in_common_proves_nothing() -> None:
    assert likeness_percent(ride(1, 239), ride(1, 239)) == 0
    assert likeness_percent(ride(1, 240), ride(1, 240)) == 100


def test_likeness_is_mutual() -> None:
    for one, other in ((1, 1), (1, 2), (3, 4)):
        assert likeness_percent(ride(one, 300), ride(other, 250)) == likeness_percent(ride(other, 250), ride(one, 300))


def test_a_copy_has_the_fingerprint_of_its_original_wherever_it_begins() -> None:
    mine = ride(1)
    sparse: Curve = [bpm for bpm in mine for _ in range(2)]
    assert fingerprint([None] * 7 + mine) == fingerprint(mine) == fingerprint(sparse)
    assert fingerprint(ride(2)) != fingerprint(mine)
    assert fingerprint([]) == fingerprint([None])


def test_a_curve_holds_readings_as_everywhere() -> None:
    assert curve_of([at(0, 100), at(2, 110), at(3, None), at(5, 120), at(12, 130)]) == [
        100, 100, 110, None, None, 120, 120, 120, 120, 120, None, None, 130,
    ]  # fmt: skip
    assert curve_of([]) == []
    assert curve_of([at(0.4, 100), at(1.4, 101), at(2.4, 102)]) == [None, 100, 101]


@given(recordings())
def test_a_curve_has_no_rate_that_was_not_measured(samples: list[object]) -> None:
    rates = {sample.bpm for sample in samples} | {None}  # type: ignore[attr-defined]
    usual = [sample for sample in samples if sample.t < 7_200_000]  # type: ignore[attr-defined]
    assert set(curve_of(usual)) <= rates  # type: ignore[arg-type]


def test_one_account_has_one_heart() -> None:
    mine = ride(1)
    assert two_hearts(mine, [bpm and bpm + 3 for bpm in mine]).verdict == "accepted"
    assert shown(two_hearts(mine, [bpm and bpm + 25 for bpm in mine])) == ["two_hearts"]
    assert two_hearts(mine[:200], [200] * 200).verdict == "accepted"


BERLIN = Whereabouts(Location(52.52, 13.405), 0)
SYDNEY = Whereabouts(Location(-33.868, 151.209), 1_800_000)
HOUR_MS = 3_600_000


def test_nobody_is_in_two_places_at_once() -> None:
    assert round(distance_km(BERLIN.location, SYDNEY.location), -2) == 16_100
    (finding,) = two_places(BERLIN, SYDNEY).findings
    assert (finding.rule, round(finding.figure, -2)) == ("two_places", 32_200)
    (at_once,) = two_places(BERLIN, SYDNEY._replace(at_ms=0)).findings
    assert at_once.figure // 60 == distance_km(BERLIN.location, SYDNEY.location) // 1, (
        "no two clocks are nearer than a minute"
    )
    assert two_places(BERLIN, BERLIN).verdict == "accepted"


def test_a_flight_between_two_workouts_takes_its_time() -> None:
    def sydney_after(hours: int) -> Whereabouts:
        return SYDNEY._replace(at_ms=hours * HOUR_MS)

    assert shown(two_places(BERLIN, sydney_after(10))) == ["two_places"]
    assert shown(two_places(sydney_after(10), BERLIN)) == ["two_places"]
    assert two_places(BERLIN, sydney_after(22)).verdict == "accepted"


def test_whoever_is_farther_in_time_than_the_reach_may_be_anywhere() -> None:
    antipodes = Whereabouts(Location(-52.52, -166.595), REACH_MS)
    assert two_places(BERLIN, antipodes).verdict == "accepted"
    assert shown(two_places(BERLIN, antipodes._replace(at_ms=REACH_MS - HOUR_MS))) == ["two_places"]


def test_neighbours_and_both_ends_of_the_day_line_are_one_place() -> None:
    assert two_places(BERLIN, Whereabouts(Location(52.9, 13.4), 0)).verdict == "accepted"
    assert two_places(Whereabouts(Location(0.0, 179.9), 0), Whereabouts(Location(0.0, -179.9), 0)).verdict == "accepted"


def steps(seconds: int) -> list[int | None]:
    return [round(165 + 8 * math.sin(second / 10)) for second in range(seconds)]


def test_a_sensor_that_counts_steps_is_found() -> None:
    feet = steps(200)
    locked = [120] * 50 + [pace and pace + (second % 2) for second, pace in enumerate(feet[50:130])] + [120] * 70
    (finding,) = cadence_lock(locked, feet).findings
    assert (finding.rule, finding.figure) == ("cadence_lock", 80)


def test_a_heart_that_crosses_the_cadence_or_stands_beside_it_is_not_suspected() -> None:
    feet = steps(200)
    assert cadence_lock([120 + second // 4 for second in range(200)], feet).verdict == "accepted"
    assert cadence_lock(feet[:50] + [120] * 150, feet).verdict == "accepted"
    assert cadence_lock([166 + second % 2 for second in range(200)], [166] * 200).verdict == "accepted"
    assert cadence_lock([], []).verdict == "accepted"
