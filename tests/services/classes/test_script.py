"""What a script is, and which ones are refused."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.script import (
    MAX_LAID_OUT,
    Block,
    CadenceTarget,
    Interval,
    Laid,
    ReserveTarget,
    Script,
    ScriptCue,
    ZoneTarget,
    checked,
    cues_between,
    duration_ms,
    interval_at,
    laid_out,
)
from services.classes.steps import Below, InZone, Rounds, Step
from services.kernel.problems import BadShape
from tests.services.classes.scripts import interval, script


def test_a_repeated_block_is_written_out_in_class_time() -> None:
    laps = Script(blocks=(Block((interval(60),)), Block((interval(20), interval(10)), repeat=2)))
    assert laid_out(laps) == (
        Laid(0, 0, 0, 0, 60_000),
        Laid(1, 0, 0, 60_000, 80_000),
        Laid(1, 0, 1, 80_000, 90_000),
        Laid(1, 1, 0, 90_000, 110_000),
        Laid(1, 1, 1, 110_000, 120_000),
    )
    assert duration_ms(laps) == 120_000


def test_a_border_belongs_to_the_interval_that_begins_there() -> None:
    laid = laid_out(script(60, 30))
    assert [interval_at(laid, at) for at in (0, 59_999, 60_000, 89_999, 90_000)] == [
        laid[0], laid[0], laid[1], laid[1], None,
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.lists(st.integers(5, 90), min_size=1, max_size=4), st.integers(1, 4)), min_size=1, max_size=5
    ),
    st.integers(0, 2_000_000),
)
def test_laid_out_there_is_no_hole_and_every_class_time_is_in_one_interval(
    blocks: list[tuple[list[int], int]], at_ms: int
) -> None:
    made = Script(tuple(Block(tuple(interval(each) for each in lengths), repeat=times) for lengths, times in blocks))
    laid = laid_out(checked(made))
    assert laid[0].begins_ms == 0
    assert all(one.ends_ms == other.begins_ms for one, other in itertools.pairwise(laid))
    assert laid[-1].ends_ms == duration_ms(made)
    assert [each for each in laid if each.begins_ms <= at_ms < each.ends_ms] == [
        each for each in (interval_at(laid, at_ms),) if each is not None
    ]


def test_each_cue_is_due_once_however_class_time_is_cut_into_pieces() -> None:
    made = script(60, cues=(0, 10, 20, 59))
    seen = [cue.at_ms for after in range(-1_000, 60_000, 500) for cue in cues_between(made, after, after + 500)]
    assert seen == [0, 10_000, 20_000, 59_000]


def test_what_is_shown_is_one_clean_line() -> None:
    made = Script((Block((Interval(5_000, title=" Hill\n1 "),), title="Warm\tup"),), (ScriptCue(0, " Go \u202e! "),))
    clean = checked(made)
    assert (clean.blocks[0].title, clean.blocks[0].intervals[0].title, clean.cues[0].text) == (
        "Warm up",
        "Hill 1",
        "Go !",
    )
    assert checked(clean) == clean


def step(goal: Below | InZone, for_s: int, within_s: int) -> Step:
    return Step(goal, for_s * 1_000, within_s * 1_000)


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (script(60, cues=(60,)), "$.cues[0].at_ms"),
        (script(60, cues=(20, 10)), "$.cues[1].at_ms"),
        (script(60, cues=(10, 10)), "$.cues[1].at_ms"),
        (Script((Block((interval(60),)),), (ScriptCue(0, "\u202e"),)), "$.cues[0].text"),
        (Script((Block((interval(5, ZoneTarget(3, 2)),)),)), "$.blocks[0].intervals[0].targets[0]"),
        (
            Script(
                (Block((interval(5), interval(5, ZoneTarget(1, 2), CadenceTarget(80, 90), ReserveTarget(50, 60)))),)
            ),
            "$.blocks[0].intervals[1].targets[2]",
        ),
        (
            Script((Block((interval(5, CadenceTarget(80, 90), CadenceTarget(60, 70)),)),)),
            "$.blocks[0].intervals[0].targets[1]",
        ),
        (Script((Block((interval(7_200),), repeat=4),)), "$.blocks"),
        (Script((Block((interval(5),) * 50, repeat=MAX_LAID_OUT // 50 + 1),)), "$.blocks"),
        (
            Script((Block((Interval(60_000, steps=(step(Below(120), 10, 5),)),)),)),
            "$.blocks[0].intervals[0].steps[0].within_ms",
        ),
        (
            Script((Block((Interval(60_000, steps=(step(Below(120), 61, 61),)),)),)),
            "$.blocks[0].intervals[0].steps[0].for_ms",
        ),
        (
            Script((Block((Interval(60_000, steps=(Rounds((step(InZone(3, 2), 5, 9),), 2),)),)),)),
            "$.blocks[0].intervals[0].steps[0].steps[0].goal",
        ),
        (
            Script((Block((Interval(60_000, steps=(Rounds((step(Below(120), 5, 9),), 2, InZone(4, 1)),)),)),)),
            "$.blocks[0].intervals[0].steps[0].until",
        ),
    ],
)
def test_a_script_that_contradicts_itself_is_refused_with_the_place(made: Script, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        checked(made)
    assert refused.value.path == path


def test_it_is_read_strictly_and_comes_back_as_it_was_written() -> None:
    text = (
        b'{"blocks":[{"intervals":[{"duration_ms":60000,"targets":[{"type":"power","low":90,"high":95},'
        b'{"type":"rpe","low":6,"high":7}],"steps":[{"type":"rounds","steps":[{"type":"step","goal":{"type":"below",'
        b'"bpm":120},"for_ms":10000,"within_ms":30000}],"at_most":3}]}]}],"cues":[{"at_ms":0,"text":"Go"}]}'
    )
    made = msgspec.json.decode(text, type=Script)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Script) == made
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text.replace(b"60000", b"4999"), type=Script)
