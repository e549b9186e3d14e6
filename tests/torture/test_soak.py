"""Twenty seconds of the soak: long enough to see that nobody well-behaved notices, too short to judge a slope."""

from collections.abc import Callable

import msgspec
import pytest

from gateway.sockets.engine.ring import open_ring
from tests.torture.process import open_process
from tests.torture.soak import OUT, Report, Sample, slope, soak, told, usual_slope
from tests.torture.soak_page import lows, page, picture


async def test_mixed_abuse_leaves_the_neighbours_alone_and_nothing_behind() -> None:
    with open_process(ping_interval_s=3.0, ping_timeout_s=3.0) as process:  # who vanishes is missed sooner
        report = await soak(process, seconds=20.0, seed=7)
    assert (report.faults, report.neighbours.faults, report.tracebacks) == ([], [], 0), told(report)
    assert report.neighbours.served > 100
    assert report.neighbours.told > 100
    assert "internal_fault" not in report.endings
    assert len(report.curve) >= 10
    assert isinstance(report.statistics["in_bulk"], int)
    assert report.statistics["in_bulk"] > 0 or open_ring() is None, "the room is large enough"
    assert "kB per minute" in told(report)


def test_the_page_and_the_picture_are_those_of_the_curve() -> None:
    report = msgspec.json.decode(OUT.read_bytes(), type=Report)
    anew = "run: python -m tests.torture.soak --page"
    assert OUT.with_suffix(".md").read_text("utf-8") == page(report), anew
    assert OUT.with_suffix(".svg").read_text("utf-8") == picture(report), anew
    assert (report.neighbours.faults, report.tracebacks) == ([], 0)


@pytest.mark.parametrize(
    ("points", "steep"), [([(0, 5), (1, 7), (2, 9)], 2.0), ([(0, 1), (1, 1)], 0.0), ([(3, 1), (3, 9)], 0.0), ([], 0.0)]
)
def test_a_slope_is_that_of_the_line_through_the_points(points: list[tuple[float, float]], steep: float) -> None:
    assert slope(points) == pytest.approx(steep)


def test_one_step_tilts_the_line_but_not_what_is_usual_and_a_leak_tilts_both() -> None:
    step = [(float(n), 100.0 if n < 7 else 150.0) for n in range(10)]
    leak = [(float(n), 3.0 * n + n % 2) for n in range(10)]
    assert slope(step) > 5
    assert usual_slope(step) == 0
    assert usual_slope(leak) == pytest.approx(3.0, rel=0.1)


def test_the_lowest_values_show_a_leak_in_every_part_and_a_step_in_one() -> None:
    def curve(kb: Callable[[int], int]) -> list[Sample]:
        return [
            Sample(t=float(s), rss_kb=kb(s) + s % 7 * 100, fds=1, tasks=1, links=1, connections=1, log_lines=0)
            for s in range(1_800)
        ]

    assert lows(curve(lambda s: 102_400)) == [100.0] * 5
    assert lows(curve(lambda s: 102_400 if s < 1_100 else 103_424)) == [100.0, 100.0, 100.0, 101.0, 101.0]
    assert lows(curve(lambda s: 102_400 if s > 100 else 50_000)) == [100.0] * 5, "it is filling"
    leak = lows(curve(lambda s: 102_400 + s))
    assert leak == sorted(set(leak))
