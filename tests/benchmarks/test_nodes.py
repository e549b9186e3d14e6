"""The scenarios of many nodes: once each, small and on real servers, and what is made of their figures. No figure is judged."""

import random
from pathlib import Path

import msgspec

from loadtest.scenarios.crew import Spread
from tests.benchmarks.__main__ import faults_of
from tests.benchmarks.nodes import back_run, nodes_run
from tests.benchmarks.redis_calls import rates
from tests.benchmarks.render import render
from tests.benchmarks.results import BackRun, NodesRun, Scenario, load, save
from tests.benchmarks.returning import BackOff, Crowd, Phone, Seat, report_of
from tests.benchmarks.test_benchmarks import STAMP, class_run, results

SECOND = 1_000_000_000


def nodes(p99: float = 200.0, decoded: int | None = 0) -> NodesRun:
    return NodesRun(
        room=class_run(p99=p99),
        far_ms=Spread(n=7_500, p50=110.0, p90=180.0, p99=p99, max=p99),
        gateways_s=(5.0, 4.0),
        idle_s=0.1,
        worker_s=0.5,
        received=(600, 540),
        idle_received=45,
        idle_decoded=decoded,
        calls={"publish": 14.0, "evalsha": 1.5},
        calls_before={"publish": 3.5},
    )


def back(missing: int = 0, disturbed: int = 0) -> BackRun:
    spread = Spread(n=2_000, p50=1_000.0, p90=1_500.0, p99=2_000.0, max=2_500.0)
    return BackRun(
        clients=2_000,
        stayed=200,
        rooms=20,
        missing=missing,
        disturbed=disturbed,
        lost_ms=spread,
        inside_ms=spread,
        back_ms=spread,
        handshakes=2_100,
        refused=100,
        timed_out=3,
        joins_refused=7,
        seconds=2.6,
        gateway_s=2.0,
        postgres_s=1.0,
        redis_s=0.1,
        clients_s=0.5,
        lag_ms=20.0,
        others=0.0,
    )


# -- real runs, small ------------------------------------------------------------------------------------------------------------


def test_a_class_over_two_gateways_is_measured_and_a_third_one_hears_nothing_of_it() -> None:
    run = nodes_run(athletes=6, seconds=4, quiet_s=4)  # nodes hear themselves every second or two

    assert (run.room.sent, run.room.lost, run.room.wrong) == (24, 0, 0)
    assert run.room.board_ms.n + run.room.passed_over == 24
    assert 0 < run.far_ms.n < run.room.board_ms.n, "half of them are on the watcher's own gateway"
    assert min(run.received) > run.idle_received, "who has no members gets no shares"
    assert not run.idle_decoded
    assert sum(run.calls.values()) > sum(run.calls_before.values()) > 0


def test_everybody_is_back_after_the_death_of_their_gateway_and_nobody_else_is_disturbed() -> None:
    run = back_run(clients=20)

    assert (run.missing, run.disturbed, run.timed_out) == (0, 0, 0)
    assert run.back_ms.n == 20
    assert run.handshakes >= 20
    assert run.inside_ms.p50 is not None
    assert run.back_ms.p50 is not None
    assert 500 <= run.inside_ms.p50 <= run.back_ms.p50, "nobody comes before the shortest wait of the official client"


# -- how phones come back --------------------------------------------------------------------------------------------------------


def test_the_waits_are_those_of_the_official_client() -> None:
    back_off = BackOff(random.Random(1))

    waits = [back_off.next_s() for _ in range(6)]

    for wait, middle in zip(waits, (1, 2, 4, 8, 16, 32), strict=True):
        assert min(middle / 2, 5) <= wait <= min(middle * 1.5, 5)
    back_off.succeeded()
    assert 0.5 <= back_off.next_s() <= 1.5


def test_only_who_came_back_after_the_kill_is_back() -> None:
    crowd = Crowd(["http://127.0.0.1:1", "http://127.0.0.1:2"])
    phones = [Phone(n, Seat("token", "CODE", n // 3), crowd, random.Random(n)) for n in range(4)]
    killed_ns = 100 * SECOND
    for phone, entered_s in zip(phones[:3], (99, 101, 103), strict=True):
        phone.lost_ns, phone.inside_ns, phone.entered_ns = killed_ns + 1, entered_s * SECOND, entered_s * SECOND
    undisturbed = report_of(phones, crowd, killed_ns)
    phones[3].lost_ns = killed_ns + 1

    assert (undisturbed.missing, undisturbed.disturbed) == (1, 0)
    assert (undisturbed.back_ms.n, undisturbed.back_ms.p50, undisturbed.back_ms.max) == (2, 1_000.0, 3_000.0)
    assert report_of(phones, crowd, killed_ns).disturbed == 1


def test_calls_of_redis_are_told_per_second_and_what_was_not_called_is_left_out() -> None:
    assert rates({"publish": 10, "ping": 4}, {"publish": 40, "ping": 4, "evalsha": 5}, 10) == {
        "evalsha": 0.5,
        "publish": 3.0,
    }


# -- the page --------------------------------------------------------------------------------------------------------------------


def test_a_class_over_two_gateways_has_the_table_of_a_class_and_one_of_its_own() -> None:
    text = render(results(nodes=Scenario(STAMP, nodes=(nodes(),))))

    assert "| sensor to board p99, ms | 200.0 |" in text
    assert "**Met**: p99 200 ms in the slowest run" in text
    assert "| the gateways one by one, processor seconds | 5.00; 4.00 |" in text
    assert "| messages from other nodes, per gateway and second | 19.0 (18.0 to 20.0) |" in text
    assert "| messages it decoded | 0; must be none: met |" in text
    assert "| Redis commands per room and second | 12.0 |" in text
    assert "| which, in the class, per second | publish 14.0, evalsha 1.5 |" in text


def test_a_message_that_a_gateway_without_members_decoded_fails_the_requirement() -> None:
    assert "5; must be none: **not met**" in render(results(nodes=Scenario(STAMP, nodes=(nodes(), nodes(decoded=5)))))
    assert "not counted by this version" in render(results(nodes=Scenario(STAMP, nodes=(nodes(decoded=None),))))


def test_the_way_back_has_its_table() -> None:
    text = render(results(back=Scenario(STAMP, backs=(back(),))))

    assert "2,000 phones in 20 rooms, their gateway killed; 200 more on the other" in text
    assert "| all are back in their rooms after, s | 2.50 |" in text
    assert "| handshakes refused | 100 |" in text
    assert "| surviving gateway, ms per phone | 1.00 |" in text


def test_a_noisy_run_of_many_nodes_says_so_too() -> None:
    noisy = msgspec.structs.replace(nodes(), room=class_run(others=0.3))

    assert "noise" in render(results(nodes=Scenario(STAMP, nodes=(noisy,))))
    assert "noise" not in render(results(back=Scenario(STAMP, backs=(back(),))))


def test_lost_samples_and_lost_phones_are_faults_whatever_the_figures_are() -> None:
    lossy = msgspec.structs.replace(nodes(), room=class_run(lost=2))
    good = results(nodes=Scenario(STAMP, nodes=(nodes(),)), back=Scenario(STAMP, backs=(back(),)))
    bad = results(nodes=Scenario(STAMP, nodes=(lossy,)), back=Scenario(STAMP, backs=(back(1, 3),)))

    assert list(faults_of(good)) == []
    assert list(faults_of(bad)) == [
        "2 samples were lost or stored wrong",
        "1 phones did not come back",
        "3 phones lost a gateway that nobody had killed",
    ]


def test_runs_of_many_nodes_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    kept = results(nodes=Scenario(STAMP, nodes=(nodes(decoded=None),)), back=Scenario(STAMP, backs=(back(),)))

    save(kept, tmp_path / "results.json")

    assert load(tmp_path / "results.json") == kept
