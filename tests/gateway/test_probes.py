"""Liveness, readiness and what Prometheus reads."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.probes import FAMILIES, Histogram, LoopLag, NotReady, Once, Ready, Spread, Telemetry, UnknownReading
from services.kernel.clock import ManualClock
from services.kernel.problems import Unavailable


async def well() -> None:
    """Nothing is wrong."""


class TestReady:
    async def test_all_is_well_when_every_check_is(self) -> None:
        now = await Ready({"database": well, "broker": well}, ManualClock()).look()
        assert now.ready
        assert now.checks == {"database": None, "broker": None}

    async def test_says_why_in_one_line_and_leaks_nothing(self) -> None:
        async def away() -> None:
            raise Unavailable("the database does not answer right now")

        async def draining() -> None:
            raise NotReady("this node is stopping")

        async def broken() -> None:
            raise RuntimeError("postgresql://user:secret@db/paceline")

        now = await Ready({"a": away, "b": draining, "c": broken, "d": well}, ManualClock()).look()
        assert not now.ready
        assert now.checks == {
            "a": "the database does not answer right now",
            "b": "this node is stopping",
            "c": "RuntimeError",
            "d": None,
        }

    async def test_a_check_that_hangs_is_given_up(self) -> None:
        async def hangs() -> None:
            await asyncio.Event().wait()

        now = await Ready({"hangs": hangs}, ManualClock(), timeout_s=0.01).look()
        assert now.checks == {"hangs": "no answer within 0.01 s"}

    async def test_a_crowd_of_balancers_costs_one_look(self) -> None:
        looks = 0

        async def counted() -> None:
            nonlocal looks
            looks += 1

        clock = ManualClock()
        ready = Ready({"counted": counted}, clock)
        await asyncio.gather(*(ready.look() for _ in range(50)))
        assert looks == 1
        await clock.advance(0.6)
        await ready.look()
        assert looks == 2

    async def test_it_flips_back_by_itself(self) -> None:
        clock, faults = ManualClock(), ["away"]

        async def check() -> None:
            if faults:
                raise NotReady(faults[0])

        ready = Ready({"x": check}, clock)
        assert not (await ready.look()).ready
        faults.clear()
        await clock.advance(1.0)
        assert (await ready.look()).ready


def shown(telemetry: Telemetry) -> dict[str, float]:
    """Every line Prometheus would read, by name and labels."""
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(telemetry.page().decode())
        for sample in family.samples
    }


class TestOnce:
    async def test_what_costs_a_walk_is_walked_once_for_all_that_is_read_of_it(self) -> None:
        clock, walks = ManualClock(), 0

        def walk() -> int:
            nonlocal walks
            walks += 1
            return walks

        once = Once(walk, clock)
        assert [once() for _ in range(15)] == [1] * 15
        await clock.advance(1.0)
        assert once() == 2


class TestTelemetry:
    def test_shows_numbers_labels_and_spreads(self) -> None:
        lines = shown(
            Telemetry(
                {
                    "connections": lambda: 3,
                    "connections_closed": lambda: {"slow_reader": 2, "draining": 1},
                    "samples_stored": lambda: 12_345,
                    "broker_healthy": lambda: True,
                    "commit_seconds": lambda: Spread(4, 0.2, (0.01, 0.02, 0.03, 0.14)),
                }
            )
        )
        assert lines["paceline_connections"] == 3
        assert lines["paceline_connections_closed_total[slow_reader]"] == 2
        assert lines["paceline_samples_stored_total"] == 12_345
        assert lines["paceline_broker_healthy"] == 1
        assert (lines["paceline_commit_seconds_count"], lines["paceline_commit_seconds_sum"]) == (4, 0.2)
        assert (lines["paceline_commit_seconds[0.5]"], lines["paceline_commit_seconds[0.99]"]) == (0.03, 0.14)

    def test_shows_pairs_of_labels_and_histograms(self) -> None:
        page = Telemetry(
            {
                "tasks_attempts": lambda: {("pushes", "handled"): 3, ("pushes", "lost"): 1},
                "tasks_seconds": lambda: {"pushes": Histogram((0.5, 1.0), (2, 0, 1), 7.25)},
            }
        ).page()
        lines = set(page.decode().splitlines())
        assert {
            'paceline_tasks_attempts_total{outcome="handled",queue="pushes"} 3.0',
            'paceline_tasks_attempts_total{outcome="lost",queue="pushes"} 1.0',
            "# TYPE paceline_tasks_seconds histogram",
            'paceline_tasks_seconds_bucket{le="0.5",queue="pushes"} 2.0',
            'paceline_tasks_seconds_bucket{le="1.0",queue="pushes"} 2.0',
            'paceline_tasks_seconds_bucket{le="+Inf",queue="pushes"} 3.0',
            'paceline_tasks_seconds_count{queue="pushes"} 3.0',
            'paceline_tasks_seconds_sum{queue="pushes"} 7.25',
        } <= lines, page.decode()

    def test_shows_nothing_that_nobody_reads(self) -> None:
        assert shown(Telemetry({})) == {}

    def test_a_spread_without_anything_yet_has_no_quantiles(self) -> None:
        assert shown(Telemetry({"commit_seconds": lambda: Spread(0, 0.0)})) == {
            "paceline_commit_seconds_count": 0,
            "paceline_commit_seconds_sum": 0,
        }

    def test_refuses_a_name_that_is_not_in_the_table(self) -> None:
        with pytest.raises(UnknownReading, match="heart_rates"):
            Telemetry({"heart_rates": lambda: 1})

    def test_two_servers_in_one_process_do_not_meet(self) -> None:
        one, two = Telemetry({"rooms": lambda: 1}), Telemetry({"rooms": lambda: 2})
        assert (shown(one), shown(two)) == ({"paceline_rooms": 1}, {"paceline_rooms": 2})

    def test_the_table_names_each_family_once_with_a_sentence(self) -> None:
        assert len({family.name for family in FAMILIES}) == len(FAMILIES)
        assert all(family.doc.endswith(".") for family in FAMILIES)


async def test_a_blocked_loop_is_noticed_and_the_worst_is_told_once() -> None:
    loop = asyncio.get_running_loop()
    lag = LoopLag()
    lag.start()
    try:
        # What a blocked loop looks like from inside: the timer comes with an old due time.
        lag._came(loop, loop.time() - 0.7)
        assert lag.last() >= 0.7
        assert lag.worst() >= 0.7
        assert lag.worst() == 0.0
        assert lag.lately() >= 0.7, "asking for the worst of the last minute takes nothing away"
        assert lag.lately() >= 0.7
    finally:
        lag.stop()
        lag.stop()
