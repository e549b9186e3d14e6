"""A scripted class in its short form: three minutes, twelve athletes, the same faults as in the long one."""

import pytest

from tests.scripted.offline import Derived, Report, compare, derive, team_lines
from tests.scripted.ride import Ride
from tests.scripted.site import open_site
from tests.scripted.story import story
from tests.support.redis_server import open_redis


async def test_boards_receipts_and_summaries_are_what_the_stored_samples_come_to(fresh_dsn: str) -> None:
    drawn = story(12, 3, seed=15)
    async with open_redis() as server, open_site(fresh_dsn, server.url) as site:
        outcome = await Ride(site, drawn).run()
        report = await compare(fresh_dsn, outcome)
    assert report.differences == []
    assert (report.athletes, report.boards, report.summaries, report.teams) == (12, 3, 12, 9)
    assert report.samples == report.acknowledged > 12 * 60
    assert report.cues > 0
    assert report.frames > 300
    assert len({tape.node for tape in outcome.verdict.tapes}) == 3


async def test_a_site_whose_servers_take_long_is_no_difference(fresh_dsn: str) -> None:
    drawn = story(3, 2, seed=15)
    async with open_redis() as server, open_site(fresh_dsn, server.url) as site:
        outcome = await Ride(site, drawn, lambda _: site.clock.advance(0.75)).run()
        report = await compare(fresh_dsn, outcome)
    assert report.differences == []
    assert outcome.ran_ms % 1_000 == 500


def test_a_story_has_everything_in_it() -> None:
    drawn = story(12, 3, seed=15)
    assert drawn == story(12, 3, seed=15)
    assert drawn.pauses[0][1] < drawn.dies_s < drawn.third_s < drawn.pauses[1][0] < drawn.seconds
    assert any(rider.away for rider in drawn.riders)
    assert any(rider.bare for rider in drawn.riders)
    assert any(end - begin > 5 for rider in drawn.riders for begin, end in rider.off)
    assert any(rider.comes_s > 10 for rider in drawn.riders)
    assert any(rider.hides_s for rider in drawn.riders)
    assert any(rider.leaves_s < drawn.seconds for rider in drawn.riders)


@pytest.mark.parametrize(
    ("samples", "zone_ms"),
    [
        ([(0, 100), (1_000, 100), (2_000, None), (3_000, 180), (4_000, 90)], [0, 2_000, 0, 0, 0, 1_000]),
        ([(0, 100), (9_000, 100)], [0, 5_000, 0, 0, 0, 0]),
        ([(0, 99), (1_000, 100), (500, 100)], [1_000, 0, 0, 0, 0, 0]),
    ],
)
def test_points_are_derived_by_hand(samples: list[tuple[int, int | None]], zone_ms: list[int]) -> None:
    found = derive(1, 200, samples)
    assert found == Derived(1, len(samples), zone_ms, sum(zone * ms for zone, ms in enumerate(zone_ms)))


def test_teams_are_derived_by_hand() -> None:
    weights = [(0, 60_000), (0, 120_000), (1, 90_000), (1, 90_000), (2, 300_000)]
    members = [Derived(n, 0, [], weight, 1, team) for n, (team, weight) in enumerate(weights, start=1)]
    hidden = Derived(9, 0, [], 600_000, 0, 2)
    assert team_lines([*members, hidden]) == [(0, 1, 1.5, 2), (1, 1, 1.5, 2), (2, None, None, 1)]


def test_a_difference_is_said() -> None:
    report = Report()
    report.compare("points", 1, 1)
    report.compare("points", 2, 1)
    assert report.differences == ["points: 2 was seen, 1 derived"]
