"""What an intake gives out is exactly the stream, whatever way it came in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.intake import MAX_AHEAD, Intake
from services.kernel.problems import SequenceGap
from services.training.sample import Sample


def samples(count: int, start: int = 0) -> tuple[Sample, ...]:
    return tuple(Sample(t=1_000 * n, bpm=60 + n % 100) for n in range(start, start + count))


def test_samples_in_order_come_out_as_they_are() -> None:
    intake = Intake(0)
    assert intake.accept(0, samples(3)) == samples(3)
    assert intake.accept(3, samples(2, start=3)) == samples(2, start=3)
    assert intake.next_seq == 5


def test_a_repeated_batch_gives_nothing() -> None:
    intake = Intake(0)
    intake.accept(0, samples(3))
    assert intake.accept(0, samples(3)) == ()
    assert intake.next_seq == 3


def test_of_an_overlap_only_the_new_part_comes_out() -> None:
    intake = Intake(0)
    intake.accept(0, samples(3))
    assert intake.accept(1, samples(4, start=1)) == samples(2, start=3)


def test_the_first_of_two_different_tellings_wins() -> None:
    intake = Intake(0)
    intake.accept(0, (Sample(t=0, bpm=100),))
    assert intake.accept(0, (Sample(t=0, bpm=180), Sample(t=1_000, bpm=181))) == (Sample(t=1_000, bpm=181),)


def test_an_early_batch_waits_for_the_one_before_it() -> None:
    intake = Intake(0)
    assert intake.accept(3, samples(2, start=3)) == ()
    assert intake.accept(0, samples(3)) == samples(5)


def test_a_batch_too_far_ahead_is_refused_with_the_place_to_go_on_from() -> None:
    intake = Intake(7)
    with pytest.raises(SequenceGap) as refusal:
        intake.accept(8 + MAX_AHEAD, samples(1))
    assert refusal.value.view().data == {"expected": 7}
    assert intake.next_seq == 7


def test_the_shelf_of_early_batches_is_bounded() -> None:
    intake = Intake(0)
    intake.accept(1, samples(MAX_AHEAD - 1, start=1))
    with pytest.raises(SequenceGap):
        intake.accept(2, samples(2, start=2))


@given(total=st.integers(1, 200), seed=st.integers(0, 2**32), repeats=st.integers(1, 3))
def test_any_order_overlap_and_repetition_gives_the_stream_once(total: int, seed: int, repeats: int) -> None:
    rng = random.Random(seed)
    whole = samples(total)
    batches = []
    start = 0
    while start < total:
        end = min(total, start + rng.randint(1, 20))
        overlap = rng.randint(0, 5)
        batches += [(max(0, start - overlap), whole[max(0, start - overlap) : end])] * repeats
        start = end
    rng.shuffle(batches)
    intake = Intake(0)
    out: list[Sample] = []
    for seq, batch in batches:
        out += intake.accept(seq, batch)
    assert tuple(out) == whole
