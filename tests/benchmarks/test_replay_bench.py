"""The benchmark of tapes in its small form: that it does what it says. Nothing here is timed."""

from persistence.tapes import Piece
from tests.benchmarks.replay import measure, ride, tell


def test_a_small_class_is_recorded_and_every_frame_comes_out_the_same() -> None:
    figures = measure(5, seconds=6)
    assert figures.frames > 0
    assert figures.differ == 0
    assert figures.sample_bytes > 0


async def test_a_player_tells_as_many_boards_as_its_speed_lets_through() -> None:
    pieces: list[Piece] = []
    ride(5, 12, pieces)
    life, fast = await tell(pieces, 5, 1.0), await tell(pieces, 5, 16.0)
    assert life > 10 > fast > 0
