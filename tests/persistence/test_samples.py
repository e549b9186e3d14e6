"""Samples as columns and back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.samples import CorruptBatch, decode_batch, encode_batch
from services.training.sample import (
    MAX_BPM,
    MAX_CADENCE,
    MAX_DISTANCE_M,
    MAX_POWER_W,
    MAX_T_MS,
    MIN_BPM,
    Motion,
    Sample,
)

motions = st.builds(
    Motion,
    st.none() | st.integers(0, MAX_DISTANCE_M),
    st.none() | st.integers(0, MAX_POWER_W),
    st.none() | st.integers(0, MAX_CADENCE),
).filter(lambda motion: motion != Motion())
samples = st.builds(
    Sample,
    t=st.integers(0, MAX_T_MS),
    bpm=st.none() | st.integers(MIN_BPM, MAX_BPM),
    rr=st.lists(st.integers(1, 65_535), max_size=64).map(tuple),
    motion=st.none() | motions,
)


@given(st.lists(samples, max_size=50))
def test_what_was_encoded_decodes_to_the_same_samples(batch: list[Sample]) -> None:
    assert decode_batch(encode_batch(batch)._asdict()) == tuple(batch)


@given(st.lists(samples, min_size=1, max_size=10), st.sampled_from(["t", "bpm", "rr_n", "distance_m"]))
def test_columns_that_do_not_fit_together_are_refused(batch: list[Sample], column: str) -> None:
    row = encode_batch([*batch, Sample(0, motion=Motion(7))])._asdict()
    row[column] = row[column][:-1]
    with pytest.raises(CorruptBatch):
        decode_batch(row)


def test_intervals_that_belong_to_no_sample_are_refused() -> None:
    row = encode_batch([Sample(0, 60, (1_000,))])._asdict()
    row["rr"] = [1_000, 1_000]
    with pytest.raises(CorruptBatch, match="2 intervals"):
        decode_batch(row)


def test_what_no_sample_says_takes_no_place() -> None:
    assert encode_batch([Sample(0, 60, (1_000,))])[4:] == (None, None, None)
    assert encode_batch([Sample(0, 60), Sample(1_000, 61, (), Motion(None, 150))])[4:] == (None, [None, 150], None)


def test_a_motion_that_says_nothing_is_none() -> None:
    assert decode_batch(encode_batch([Sample(0, 60, (), Motion())])._asdict()) == (Sample(0, 60),)


@given(samples)
def test_a_sample_comes_off_the_wire_as_it_went_on(sample: Sample) -> None:
    assert msgspec.json.decode(msgspec.json.encode(sample), type=Sample) == sample


@pytest.mark.parametrize("sent", [b"[0]", b"[0,60]", b"[0,60,[]]", b"[0,60,[],null]"])
def test_an_old_device_says_less_and_is_understood(sent: bytes) -> None:
    assert msgspec.json.decode(sent, type=Sample) in {Sample(0), Sample(0, 60)}


def test_each_part_of_a_motion_may_be_left_out() -> None:
    for sent, meant in (
        (b"[7]", Motion(7)),
        (b"[null,150]", Motion(None, 150)),
        (b"[null,null,90]", Motion(None, None, 90)),
    ):
        assert msgspec.json.decode(b"[0,60,[]," + sent + b"]", type=Sample) == Sample(0, 60, (), meant)
