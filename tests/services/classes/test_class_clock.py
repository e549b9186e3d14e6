"""Class time and server time, exact to the ms."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.class_clock import (
    MAX_EVENTS,
    Anchor,
    ClassClock,
    Command,
    Event,
    Extend,
    Pause,
    Programme,
    Rest,
    Resume,
    Skip,
    Start,
    advance,
    class_ms_at,
    decide,
    folded,
    is_done,
    ran_ms_at,
    server_ms_at_programme,
    server_ms_of,
    settled,
)
from services.classes.script import laid_out
from services.kernel.problems import BadShape, ClockRefused
from tests.services.classes.scripts import script

NOON = 1_790_000_000_000
LAID = laid_out(script(60, 30, 90))
LASTS_MS = 180_000


def after(*commands: tuple[int, Command]) -> ClassClock:
    """The clock of a class of three intervals (60, 30 and 90 s), controlled at these ms past noon."""
    clock = ClassClock(LASTS_MS)
    for at_ms, command in commands:
        clock = advance(clock, decide(clock, LAID, command, NOON + at_ms))
    return clock


def test_class_time_runs_from_the_start_and_ends_with_the_script() -> None:
    clock = after((0, Start()))
    assert [class_ms_at(clock, NOON + at) for at in (0, 1, 90_000, 180_000, 999_999)] == [
        0,
        1,
        90_000,
        180_000,
        180_000,
    ]
    assert not is_done(clock, NOON + 179_999)
    assert is_done(clock, NOON + 180_000)


def test_before_a_countdown_is_over_class_time_stands_at_the_beginning() -> None:
    clock = after((0, Start(in_ms=10_000)))
    assert [class_ms_at(clock, NOON + at) for at in (0, 10_000, 10_001)] == [0, 0, 1]
    assert server_ms_of(clock, 0) == NOON + 10_000


def test_a_pause_in_the_countdown_takes_the_start_back() -> None:
    clock = after((0, Start(in_ms=10_000)), (4_000, Pause()), (50_000, Resume()))
    assert class_ms_at(clock, NOON + 50_001) == 1


def test_a_pause_stops_class_time_and_it_goes_on_where_it_stood() -> None:
    clock = after((0, Start()), (12_345, Pause()))
    assert class_ms_at(clock, NOON + 99_999) == 12_345
    clock = advance(clock, decide(clock, LAID, Resume(in_ms=3_000), NOON + 20_000))
    assert [class_ms_at(clock, NOON + at) for at in (22_999, 23_000, 24_000)] == [12_345, 12_345, 13_345]
    assert ran_ms_at(clock, NOON + 24_000) == 13_345


def test_an_extended_interval_rests_in_its_last_ms_and_the_next_begins_so_much_later() -> None:
    clock = after((0, Start()), (30_000, Extend(20_000)))
    assert clock.rests == (Rest(59_999, 20_000),)
    moments = (59_999, 79_998, 79_999, 80_000)
    assert [class_ms_at(clock, NOON + at) for at in moments] == [59_999, 59_999, 59_999, 60_000]
    assert server_ms_of(clock, 60_000) == NOON + 80_000
    assert server_ms_of(clock, 59_999) == NOON + 59_999
    assert ran_ms_at(clock, NOON + 80_000) == 80_000


def test_extended_again_while_it_rests_it_lasts_longer_still() -> None:
    clock = after(
        (0, Start()), (30_000, Extend(20_000)), (70_000, Extend(5_000)), (71_000, Pause()), (100_000, Resume())
    )
    assert server_ms_of(clock, 60_000) == NOON + 85_000 + 29_000


def test_skipping_goes_to_the_next_interval_and_forgets_the_rests_on_the_way() -> None:
    clock = after((0, Start()), (10_000, Extend(5_000)), (20_000, Skip()))
    assert (class_ms_at(clock, NOON + 20_000), clock.rests) == (60_000, ())
    clock = advance(clock, decide(clock, LAID, Skip(to_ms=LASTS_MS), NOON + 21_000))
    assert is_done(clock, NOON + 21_000)


def test_a_place_that_is_not_ahead_is_refused() -> None:
    clock = after((0, Start()))
    for to_ms in (10_000, 9_999, LASTS_MS + 1):
        with pytest.raises(BadShape) as refused:
            decide(clock, LAID, Skip(to_ms=to_ms), NOON + 10_000)
        assert refused.value.path == "$.do.to_ms"


@pytest.mark.parametrize(
    ("clock", "commands", "state"),
    [
        (after(), (Pause(), Resume(), Skip(), Extend(1_000)), "waiting"),
        (after((0, Start())), (Start(), Resume()), "running"),
        (after((0, Start()), (0, Pause())), (Start(), Pause()), "paused"),
        (after((0, Start()), (0, Skip(LASTS_MS))), (Start(), Pause(), Resume(), Skip(), Extend(1_000)), "done"),
    ],
)
def test_what_the_state_does_not_allow_is_refused(clock: ClassClock, commands: tuple[Command, ...], state: str) -> None:
    for command in commands:
        with pytest.raises(ClockRefused) as refused:
            decide(clock, LAID, command, NOON + 1)
        assert refused.value.data == {"state": state}


def test_nobody_can_control_a_class_for_ever() -> None:
    with pytest.raises(ClockRefused):
        decide(msgspec.structs.replace(after((0, Start())), events=MAX_EVENTS), LAID, Pause(), NOON)


def test_an_event_is_never_noted_before_the_one_in_front_of_it() -> None:
    """Two nodes, whose clocks differ by 40 ms."""
    clock = after((0, Start()))
    paused = decide(clock, LAID, Pause(), NOON - 40)
    assert paused.noted_ms == NOON
    assert class_ms_at(advance(clock, paused), NOON + 5_000) == 0


def test_programme_time_tells_when_a_picture_was_taken() -> None:
    clock = after((0, Start()), (5_000, Anchor(at_ms=NOON + 4_900, programme_ms=77_000)))
    assert clock.programme == Programme(NOON + 4_900, 77_000)
    assert server_ms_at_programme(clock.programme, 80_000) == NOON + 7_900
    assert class_ms_at(clock, NOON + 7_900) == 7_900


COMMANDS: st.SearchStrategy[Command] = st.one_of(
    st.builds(Start, in_ms=st.sampled_from([0, 3_000])),
    st.builds(Pause),
    st.builds(Resume, in_ms=st.sampled_from([0, 1_500])),
    st.builds(Skip, to_ms=st.none() | st.integers(0, LASTS_MS)),
    st.builds(Extend, by_ms=st.integers(1_000, 20_000)),
)
STORIES = st.lists(st.tuples(st.integers(0, 40_000), COMMANDS), max_size=12)


def told(story: list[tuple[int, Command]]) -> list[Event]:
    """The events of a story of commands, each so many ms after the one before; what is refused has not happened."""
    clock, now_ms, events = ClassClock(LASTS_MS), NOON, list[Event]()
    for pause_ms, command in [(0, Start()), *story]:
        now_ms += pause_ms
        try:
            event = decide(clock, LAID, command, now_ms)
        except (ClockRefused, BadShape):
            continue
        clock = advance(clock, event)
        events.append(event)
    return events


@given(STORIES, st.integers(0, 400_000), st.integers(0, 400_000))
def test_where_its_anchor_lies_makes_no_difference(story: list[tuple[int, Command]], first: int, second: int) -> None:
    clock = folded(LASTS_MS, told(story))[-1]
    looked, later = clock.noted_ms + min(first, second), clock.noted_ms + max(first, second)
    moved = settled(clock, looked)
    assert class_ms_at(moved, later) == class_ms_at(clock, later)
    assert ran_ms_at(moved, later) == ran_ms_at(clock, later)


@given(STORIES, st.integers(0, LASTS_MS))
def test_server_time_and_class_time_are_each_others_inverse(story: list[tuple[int, Command]], class_ms: int) -> None:
    clock = folded(LASTS_MS, told(story))[-1]
    server_ms = server_ms_of(clock, class_ms)
    if server_ms is None:
        assert clock.state != "running" or class_ms < clock.class_ms
    else:
        assert class_ms_at(clock, server_ms) == class_ms
        assert server_ms == clock.at_ms or class_ms_at(clock, server_ms - 1) < class_ms


@given(STORIES)
def test_class_time_never_goes_back_and_only_a_skip_makes_it_jump(story: list[tuple[int, Command]]) -> None:
    events = told(story)
    clocks = folded(LASTS_MS, events)
    for before, event, then in zip(clocks, events, clocks[1:], strict=False):
        stood, stands = class_ms_at(before, event.noted_ms), class_ms_at(then, event.noted_ms)
        assert stands >= stood
        assert stands == stood or type(event).__name__ == "Skipped"
        assert ran_ms_at(then, event.noted_ms) == ran_ms_at(before, event.noted_ms)


@given(STORIES)
def test_events_that_were_stored_and_read_again_make_the_same_clock(story: list[tuple[int, Command]]) -> None:
    events = told(story)
    again = [msgspec.json.decode(msgspec.json.encode(event), type=Event) for event in events]
    assert folded(LASTS_MS, again) == folded(LASTS_MS, events)
