"""The benchmark of tapes in its small form: that it does what it says. Nothing here is timed."""

from tests.benchmarks.replay import measure


def test_a_small_class_is_recorded_and_every_frame_comes_out_the_same() -> None:
    figures = measure(5, seconds=6)
    assert figures.frames == figures.same > 0
    assert figures.sample_bytes > 0
