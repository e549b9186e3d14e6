"""Who needs the coach: what is raised, that it does not flicker, and that the order is one."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.attention import (
    DWELLS,
    NOTHING_KNOWN,
    REASONS,
    Reason,
    Sighting,
    Watch,
    advance,
    is_above,
    reasons_of,
    since_ms,
    urgency,
)
from services.classes.steps import Band

Seen = Sequence[tuple[int, Sighting]]
AIM = Band(140, 150)

sightings = st.builds(
    Sighting,
    present=st.booleans(),
    sensor=st.sampled_from(("live", "stale", "lost", "none")),
    bpm=st.one_of(st.none(), st.integers(100, 200)),
    limit_bpm=st.integers(150, 190),
    above_own=st.sampled_from((None, False, True)),
    aim=st.sampled_from((None, AIM)),
    finished=st.booleans(),
    first=st.booleans(),
)
gaps = st.integers(0, 30_000)


def at_times(steps: Sequence[tuple[int, Sighting]]) -> list[tuple[int, Sighting]]:
    """Sightings, each so long after the one before."""
    times = itertools.accumulate(gap for gap, _ in steps)
    return [(at_ms, seen) for at_ms, (_, seen) in zip(times, steps, strict=True)]


stories = st.lists(st.tuples(gaps, sightings), min_size=1, max_size=30).map(at_times)


def watched(story: Seen) -> Watch:
    watch = NOTHING_KNOWN
    for at_ms, seen in story:
        watch = advance(watch, seen, at_ms)
    return watch


def raised(story: Seen) -> tuple[Reason, ...]:
    return reasons_of(watched(story))


def every_second(seen: Sighting, *, of: range) -> list[tuple[int, Sighting]]:
    return [(second * 1_000, seen) for second in of]


CALM = Sighting(present=True, sensor="live", bpm=145, limit_bpm=180, aim=AIM)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Sighting(present=True, sensor="live", bpm=181, limit_bpm=180), "over_limit"),
        (Sighting(present=True, sensor="live", bpm=150, limit_bpm=180, above_own=True), "over_limit"),
        (Sighting(present=True, sensor="lost"), "lost_sensor"),
        (Sighting(present=True, sensor="live", bpm=154, aim=AIM), "above_target"),
        (Sighting(present=True, sensor="live", bpm=136, aim=AIM), "below_target"),
        (Sighting(present=True, sensor="none"), "no_data"),
        (Sighting(present=True, sensor="live", bpm=100, first=True), "first_class"),
    ],
)
def test_each_reason_is_raised_when_it_has_held_for_its_dwell_and_not_before(seen: Sighting, reason: Reason) -> None:
    dwell_ms = DWELLS[reason].raise_ms
    if dwell_ms:
        assert raised([(0, seen), (dwell_ms - 1, seen)]) == ()
    assert raised([(0, seen), (dwell_ms, seen)]) == (reason,)


@pytest.mark.parametrize(
    "calm",
    [
        CALM,
        Sighting(present=True, sensor="live", bpm=153, aim=AIM),
        Sighting(present=True, sensor="live", bpm=137, aim=AIM),
        Sighting(present=True, sensor="stale"),
        Sighting(present=True, sensor="none", finished=True),
        Sighting(present=False, sensor="lost", first=True),
    ],
)
def test_who_is_well_or_away_or_done_needs_nobody(calm: Sighting) -> None:
    assert raised(every_second(calm, of=range(120))) == ()


def test_a_short_peak_is_none_and_a_short_dip_does_not_take_a_reason_back() -> None:
    high = Sighting(present=True, sensor="live", bpm=160, aim=AIM)
    assert raised([*every_second(high, of=range(14)), *every_second(CALM, of=range(14, 60))]) == ()
    long = every_second(high, of=range(20))
    dipped = [*long, *every_second(CALM, of=range(20, 25)), *every_second(high, of=range(25, 26))]
    assert raised(dipped) == ("above_target",)
    assert since_ms(watched(dipped)) == DWELLS["above_target"].raise_ms
    assert raised([*long, *every_second(CALM, of=range(20, 31))]) == ()


def test_at_the_border_a_heart_that_was_above_is_back_only_inside() -> None:
    border = Sighting(present=True, sensor="live", bpm=152, aim=AIM)
    high = Sighting(present=True, sensor="live", bpm=156, aim=AIM)
    assert raised([*every_second(high, of=range(20)), *every_second(border, of=range(20, 60))]) == ("above_target",)


@given(stories, st.lists(gaps, max_size=10))
def test_it_does_not_matter_how_often_somebody_looks(story: list[tuple[int, Sighting]], looks: list[int]) -> None:
    more = list(story)
    end_ms = story[-1][0]
    for look_ms in sorted(set(itertools.accumulate(looks))):
        if look_ms <= end_ms:
            last = [seen for at_ms, seen in story if at_ms <= look_ms]
            if last:
                more.append((look_ms, last[-1]))
    more.sort(key=lambda look: look[0])
    assert raised(more) == raised(story)


@given(stories)
def test_a_reason_never_comes_and_goes_faster_than_its_dwells(story: list[tuple[int, Sighting]]) -> None:
    watch, since = NOTHING_KNOWN, dict[Reason, int]()
    for at_ms, seen in story:
        before, watch = set(reasons_of(watch)), advance(watch, seen, at_ms)
        after = set(reasons_of(watch))
        for reason in after - before:
            raised_ms = watch[reason].raised_ms
            assert raised_ms is not None
            since[reason] = raised_ms
        for reason in before - after:
            assert at_ms - since[reason] >= DWELLS[reason].clear_ms


@given(st.lists(st.tuples(stories, st.integers(1, 500)), min_size=2, max_size=8, unique_by=lambda one: one[1]))
def test_the_order_is_the_worst_reason_then_the_longest_then_the_number(
    people: list[tuple[list[tuple[int, Sighting]], int]],
) -> None:
    seen = [(reasons_of(watch), since_ms(watch), n) for story, n in people for watch in (watched(story),)]
    in_order = sorted(seen, key=lambda one: urgency(*one))
    backwards = list(reversed(seen))
    backwards.sort(key=lambda one: urgency(*one))
    assert in_order == backwards
    for (sooner, since, n), (later, later_since, m) in itertools.pairwise(in_order):
        worst, next_worst = (REASONS.index(each[0]) if each else len(REASONS) for each in (sooner, later))
        assert worst <= next_worst
        if worst == next_worst:
            assert (since or 0) <= (later_since or 0)
            assert (since or 0) < (later_since or 0) or n < m


def test_who_has_a_limit_of_their_own_is_judged_by_no_other() -> None:
    calm = Sighting(present=True, sensor="live", bpm=195, limit_bpm=180, above_own=False)
    assert raised(every_second(calm, of=range(20))) == ()
    lost = Sighting(present=True, sensor="lost", bpm=None, above_own=True)
    assert raised(every_second(lost, of=range(20))) == ("lost_sensor",)


def test_a_heart_is_above_a_limit_until_it_is_well_below_it() -> None:
    above, told = False, list[bool]()
    for bpm in (160, 161, 160, 158, 157, 160, None):
        above = is_above(bpm, 160, was=above)
        told.append(above)
    assert told == [False, True, True, True, False, False, False]
