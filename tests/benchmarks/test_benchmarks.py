"""The measuring itself, without measuring: reading /proc, ranges, and the page that figures end up on. Nothing here is timed."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from loadtest.scenarios.crew import Spread, spread_of
from loadtest.scenarios.lead import Led
from realtime.wire import NAMESPACE
from tests.benchmarks.__main__ import PAGE, faults_of
from tests.benchmarks.board import EVENT, board
from tests.benchmarks.machine import Machine, Stamp, parse_cpu, parse_file_system, parse_memory_gib, spanning
from tests.benchmarks.proc import (
    TICK_S,
    PartsReading,
    Process,
    Reading,
    parse_busy,
    parse_rss_mib,
    parse_stat,
    split,
    split_parts,
    used,
    used_parts,
)
from tests.benchmarks.ranges import range_of, ratios
from tests.benchmarks.render import BEGIN, END, led_verdict, page, render, verdict
from tests.benchmarks.results import (
    AnnounceRun,
    ClassRun,
    DurableRun,
    FanOutRun,
    IdleRun,
    ReplayRun,
    Results,
    Scenario,
    StartRun,
    joined,
    load,
    save,
)
from tests.benchmarks.scrape import parse

MACHINE = Machine(
    cpu="Abacus 3000",
    cores=2,
    cores_there=8,
    memory_gib=16.0,
    disk="ext4",
    kernel="Linux 6.1",
    python="CPython 3.11.7",
    libraries={"aiohttp": "3.14.5"},
)
STAMP = Stamp(at="2026-11-21 00:00 UTC", commit="0123456789")


def class_run(p99: float = 200.0, lost: int = 0, others: float = 0.0) -> ClassRun:
    latencies = Spread(n=15_000, p50=100.0, p90=180.0, p99=p99, max=p99 + 5)
    return ClassRun(
        athletes=500,
        board_hz=4.0,
        seconds=30.0,
        sent=15_000,
        lost=lost,
        wrong=0,
        passed_over=0,
        not_live=0,
        board_ms=latencies,
        ack_ms=latencies,
        late_ms=latencies,
        frames=60_120,
        frame_bytes=11_500,
        beats=120,
        lag_ms=12.0,
        gateway_s=9.0,
        postgres_s=3.0,
        redis_s=0.3,
        clients_s=4.0,
        rss_before_mib=100.0,
        rss_mib=150.0,
        others=others,
    )


def results(**scenarios: Scenario) -> Results:
    return Results("make bench", MACHINE, scenarios)


def process(pid: int, name: str, parent: int, cpu_s: float, reaped_s: float = 0.0) -> Process:
    return Process(pid, name, parent, cpu_s, reaped_s, 0.0)


# -- /proc ------------------------------------------------------------------------------------------------------


def test_a_process_may_have_spaces_and_brackets_in_its_name() -> None:
    line = "42 (a (very) odd) name) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 4355 298426368 24384 1 2 3"

    found = parse_stat(line)

    assert (found.pid, found.name, found.parent) == (42, "a (very) odd) name", 7)
    assert found.cpu_s == pytest.approx(200 * TICK_S)
    assert found.reaped_s == pytest.approx(50 * TICK_S)
    assert found.started_s == pytest.approx(4355 * TICK_S)


def test_our_own_line_is_understood() -> None:
    found = parse_stat(Path("/proc/self/stat").read_text("utf-8"))

    assert (found.pid, found.parent) == (os.getpid(), os.getppid())


def test_busy_counts_only_the_cores_in_use_and_neither_idling_nor_waiting_for_a_disk() -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 5 1000 70 2 3 4 0 0\ncpu1 100 0 0 0 0 0 0 0 0 0\nintr 5"

    assert parse_busy(stat, frozenset({0})) == pytest.approx(25 * TICK_S)
    assert parse_busy(stat, frozenset({0, 1})) == pytest.approx(125 * TICK_S)


def test_resident_memory_is_read_in_mib_and_a_process_without_any_is_refused() -> None:
    assert parse_rss_mib("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n") == 2.0
    with pytest.raises(ValueError, match="has ended"):
        parse_rss_mib("Name:\tkthreadd\n")


def test_processor_time_is_split_between_gateway_its_servers_and_the_clients() -> None:
    processes = {
        one.pid: one
        for one in (
            process(1, "python", 0, 1.0),  # the benchmark
            process(2, "python", 1, 20.0),  # the gateway
            process(3, "postgres", 2, 3.0, reaped_s=0.5),
            process(4, "postgres", 3, 0.25),  # a backend
            process(5, "redis-server", 2, 0.125),
            process(6, "python", 1, 4.0),  # a driver
            process(7, "python", 6, 2.0),  # its swarm
            process(8, "somebody", 0, 99.0),
            process(9, "postgres", 8, 99.0),  # somebody else's
        )
    }

    assert split(processes, server=2, top=1) == (20.0, 3.75, 0.125, 7.0)


def test_what_nobody_of_ours_used_was_used_by_others() -> None:
    before = Reading(at_s=10, gateway_s=1, postgres_s=1, redis_s=1, clients_s=1, busy_s=100)
    after = Reading(at_s=20, gateway_s=3, postgres_s=2, redis_s=1, clients_s=2, busy_s=108)

    spent = used(before, after, cores=2)

    assert (spent.seconds, spent.gateway_s, spent.postgres_s, spent.clients_s) == (10, 2, 1, 1)
    assert spent.others == pytest.approx(4 / 20)


def test_the_parts_of_an_installation_are_told_apart_from_clients_and_from_servers_that_were_killed() -> None:
    processes = {
        one.pid: one
        for one in (
            process(1, "python", 0, 1.0, reaped_s=50.0),  # the benchmark, which has killed a gateway
            process(2, "python", 1, 20.0),  # a gateway
            process(3, "python", 1, 10.0),  # another
            process(4, "postgres", 1, 3.0, reaped_s=0.5),
            process(5, "postgres", 4, 0.25),  # a backend
            process(6, "python", 1, 4.0, reaped_s=0.5),  # a driver
            process(7, "somebody", 0, 99.0),
        )
    }

    spent, clients = split_parts(processes, {"first": 2, "second": 3, "postgres": 4, "gone": 8}, top=1)

    assert spent == {"first": 20.0, "second": 10.0, "postgres": 3.75, "gone": 0}
    assert clients == 5.5


def test_what_no_part_and_no_client_used_was_used_by_others() -> None:
    before = PartsReading(at_s=10, parts={"first": 1, "redis": 1}, clients_s=1, busy_s=100)
    after = PartsReading(at_s=20, parts={"first": 3, "redis": 1.5}, clients_s=2, busy_s=107.5)

    spent = used_parts(before, after, cores=2)

    assert (spent.seconds, spent.parts, spent.clients_s) == (10, {"first": 2, "redis": 0.5}, 1)
    assert spent.others == pytest.approx(4 / 20)


def test_coarse_ticks_never_make_the_share_of_others_negative() -> None:
    before = Reading(0, 0, 0, 0, 0, 0)

    assert used(before, Reading(1, 1, 0, 0, 0, 0.9), cores=2).others == 0


# -- the machine ------------------------------------------------------------------------------------------------


def test_the_machine_is_named_from_what_linux_says() -> None:
    assert parse_cpu("processor\t: 0\nmodel name\t: Abacus 3000 @ 1 Hz\n") == "Abacus 3000 @ 1 Hz"
    assert parse_cpu("processor\t: 0\nBogoMIPS\t: 50\n") == os.uname().machine
    assert parse_memory_gib("MemTotal:       16777216 kB\nMemFree: 1 kB\n") == 16.0


def test_the_file_system_is_that_of_the_deepest_mount() -> None:
    mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/my\\040data xfs rw 0 0\n"

    assert parse_file_system(mounts, Path("/home/me")) == "ext4"
    assert parse_file_system(mounts, Path("/tmp/other")) == "tmpfs"
    assert parse_file_system(mounts, Path("/tmp/my data/x")) == "xfs"


def test_code_that_changed_while_it_was_measured_is_told() -> None:
    later = Stamp(at="2026-11-21 00:30 UTC", commit="fedcba9876")

    assert spanning(STAMP, msgspec.structs.replace(later, commit=STAMP.commit)) == STAMP
    assert spanning(STAMP, later).commit == "0123456789 to fedcba9876"


# -- figures ----------------------------------------------------------------------------------------------------


def test_a_range_shows_its_median_and_its_ends() -> None:
    assert range_of([3, 1, 2]).shown() == "2.0 (1.0 to 3.0)"
    assert range_of([4, 2]).median == 3
    assert range_of([1234.4, 1234.4]).shown(0) == "1,234"


def test_a_range_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        range_of([])


def test_ratios_are_taken_run_by_run() -> None:
    assert ratios([1, 10], [2, 30]).shown() == "2.5 (2.0 to 3.0)"
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [3])


def test_what_a_server_does_anyway_is_not_charged_to_a_delivery() -> None:
    run = FanOutRun(
        server="ours",
        listeners=1_020,
        seconds=10,
        frames=20_400,
        frame_bytes=1_000,
        gateway_s=1.4,
        few_frames=400,
        few_s=0.4,
        others=0,
    )

    assert run.us_each == pytest.approx(50)
    assert run.us_in_all == pytest.approx(68.6, abs=0.1)


def test_the_peers_board_has_the_size_that_was_asked_for() -> None:
    for size in (300, 1_000, 11_500):
        frame = f"42{NAMESPACE}," + json.dumps([EVENT, board(size)], separators=(",", ":"))
        assert size <= len(frame) < size + 45


def test_the_gateways_own_counts_are_read_from_its_page() -> None:
    text = (
        "# HELP x y\npaceline_frames_delivered_total 12.0\npaceline_board_beats_total 1e3\n"
        'paceline_events_total{event="a b"} 1.0\npaceline_loop_lag_max_seconds 0.25\npaceline_broker_delivered_total 7.0\n'
    )

    found = parse(text)

    assert (found.deliveries, found.beats, found.lag_ms, found.received) == (12, 1000, 250, 7)
    assert found.decoded is None, "what is not counted is not none"
    text += "# TYPE paceline_peer_messages_total counter\n"
    assert parse(text).decoded == 0
    text += 'paceline_peer_messages_total{message="Heartbeat"} 9.0\npaceline_peer_messages_total{message="Share"} 3.0\n'
    assert parse(text).decoded == 3


# -- the page ---------------------------------------------------------------------------------------------------


def test_the_requirement_is_judged_by_the_slowest_run() -> None:
    assert "**Met**" in verdict([class_run(p99=240), class_run(p99=249.9)])
    assert "**Not met**" in verdict([class_run(p99=100), class_run(p99=250)])


def test_a_lost_sample_fails_the_requirement_however_fast_it_was() -> None:
    assert "**Not met**" in verdict([class_run(p99=20, lost=1)])


def test_a_class_that_is_led_is_judged_by_its_slowest_cue_and_by_members_who_stayed_visible() -> None:
    led = Led(
        cue_ms=spread_of([10.0]), hidden_ms=spread_of([40.0]), unheard=0, shown=0, cockpit_frames=9, cockpit_bytes=64
    )
    assert "**Met**" in led_verdict([led])
    assert "**Not met**" in led_verdict([led, msgspec.structs.replace(led, cue_ms=spread_of([201.0]))])
    assert "**Not met**" in led_verdict([led, msgspec.structs.replace(led, hidden_ms=spread_of([1_001.0]))])
    seen = msgspec.structs.replace(led, shown=1)
    assert "**Not met**" in led_verdict([led, seen])
    run = msgspec.structs.replace(class_run(), led=seen)
    assert "frames to the cockpit" in render(Results("make bench", MACHINE, {"led": Scenario(STAMP, classes=(run,))}))
    (fault,) = faults_of(Results("make bench", MACHINE, {"led": Scenario(STAMP, classes=(run,))}))
    assert "stayed on it" in fault


def test_every_kind_of_run_has_its_table() -> None:
    idle = IdleRun("ours", 1_000, 90.0, 115.0, 10.0, 0.1, 0.0)
    fan_out = FanOutRun("ours", 1_020, 10, 20_400, 1_000, 1.4, 400, 0.4, 0)
    text = render(
        results(
            start=Scenario(STAMP, starts=(StartRun("cold", 3.0, 1.5, 1.2, 0.3, 0.6),)),
            durable=Scenario(STAMP, durables=(DurableRun(4, 400_000, 8.0, 0, 2.0, 2.0, 1.0, 0.0),)),
            idle=Scenario(STAMP, idles=(idle, msgspec.structs.replace(idle, server="stock", with_mib=140.0))),
            fan=Scenario(STAMP, fan_outs=(fan_out, msgspec.structs.replace(fan_out, server="stock", gateway_s=2.4))),
            room=Scenario(STAMP, classes=(class_run(),)),
            announcement=Scenario(STAMP, announces=(AnnounceRun(10_000, 4.0, 40.0, 0, 30.0, 20.0, 90.0, 110.0, 0.0),)),
            replay=Scenario(STAMP, replays=(ReplayRun(200, 60, 5.0, 6.0, 16.4, 360, 0, 0.3, 2.0, 4.0, 0.0),)),
        )
    )

    assert "Abacus 3000, 2 of 8 cores used" in text
    assert "| cold | 1 | 3.00 | 1.50 | 1.20 | 0.30 | 0.60 |" in text
    assert "| per processor second of gateway and PostgreSQL | 100,000 |" in text
    assert "| memory per connection, KiB | 25.6 | 51.2 | 2.00 |" in text
    assert "| one more delivery, µs of the server's processor time | 50.0 | 100.0 | 2.00 |" in text
    assert "| memory per streaming connection, KiB | 102.4 |" in text
    assert "| the worker's processor time per person, ms | 3.00 |" in text
    assert "| 200 | 5.0 | 6.0 | 16.4 | 1,200 | 200 times | 2.0 | 4.0 | 0 |" in text


def test_a_noisy_run_says_so() -> None:
    assert "noise" in render(results(room=Scenario(STAMP, classes=(class_run(), class_run(others=0.3)))))
    assert "noise" not in render(results(room=Scenario(STAMP, classes=(class_run(others=0.02),))))


def test_only_what_stands_between_the_markers_is_made_anew() -> None:
    text = page(f"mine\n{BEGIN}\nold\n{END}\nalso mine\n", results())

    assert text.startswith(f"mine\n{BEGIN}\n\nCommand: `make bench`.")
    assert text.endswith(f"{END}\nalso mine\n")
    assert "old" not in text
    assert page(text, results()) == text


def test_a_page_without_markers_is_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match="put back these lines"):
        page("no markers", results())


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    kept = results(room=Scenario(STAMP, classes=(class_run(),)))

    save(kept, tmp_path / "performance" / "results.json")

    assert load(tmp_path / "performance" / "results.json") == kept
    assert load(tmp_path / "nothing.json") is None


def test_measuring_one_scenario_again_keeps_the_others() -> None:
    old, new = Scenario(STAMP, classes=(class_run(200),)), Scenario(STAMP, classes=(class_run(100),))

    assert joined(results(a=old, b=old), results(b=new)).scenarios == {"a": old, "b": new}
    assert joined(None, results(b=new)).scenarios == {"b": new}


def test_a_scenario_that_was_measured_elsewhere_says_where() -> None:
    scenario = Scenario(STAMP, classes=(class_run(200),))
    name, version = next(iter(MACHINE.libraries.items()))
    libraries = MACHINE.libraries | {name: "0.1"}
    elsewhere = msgspec.structs.replace(MACHINE, cpu="Abacus 4000", libraries=libraries)

    both = joined(results(a=scenario, b=scenario), Results("make bench", elsewhere, {"b": scenario}))
    assert (both.machine, both.scenarios["a"].machine, both.scenarios["b"].machine) == (elsewhere, MACHINE, None)
    of_a, of_b = render(both).split("### a")[1].split("### b")
    assert f"On another machine: {MACHINE.cpu}" in of_a
    assert f"{name} {version}" in of_a
    assert "machine" not in of_b
    assert list(both.scenarios) == ["a", "b"]

    back = joined(both, results(b=scenario))
    assert (back.machine, back.scenarios["a"].machine, back.scenarios["b"].machine) == (MACHINE, None, None)


def test_the_published_page_says_what_the_published_results_say() -> None:
    published = load()
    assert published is not None, "docs/performance/results.json is missing: make bench"

    text = PAGE.read_text("utf-8")

    assert page(text, published) == text
