"""The comparison of task paths without measuring: orders are made as told, figures become a page, and the page is the one kept."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

from loadtest.scenarios.crew import Spread
from tests.benchmarks.machine import Machine, Stamp
from tests.benchmarks.tasks.__main__ import PAGE
from tests.benchmarks.tasks.build import REQUIREMENTS, versions
from tests.benchmarks.tasks.peers.orders import Order, produce, produce_in_threads
from tests.benchmarks.tasks.render import BEGIN, END, LABELS, PAIRS, against, page, render
from tests.benchmarks.tasks.results import FILE, Latency, Results, Run, load, save
from tests.benchmarks.tasks.servers import open_servers
from tests.benchmarks.tasks.turns import Failed, Program, Size, peers, turn

MACHINE = Machine("Abacus 3000", 2, 8, 16.0, "ext4", "Linux 6.1", "CPython 3.11.7", {"asyncpg": "0.32.0"})


def run(peer: str, number: int = 0, seconds: float = 10.0, *, others: float = 0.0, wrong: int = 0) -> Run:
    timing = Latency(25.0, Spread(n=150, p50=2.0, p90=3.0, p99=4.0, max=5.0), 0.25)
    cpu_s = {"producer": 1.0, "workers": 2.0, "postgres": 1.0}
    return Run(peer, number, 1_000, seconds, cpu_s, others, timing, timing, wrong)


def results(*runs: Run, lacking: dict[str, str] | None = None) -> Results:
    stamp = Stamp("2026-11-28 05:00 UTC", "0123456789")
    return Results("make bench", stamp, MACHINE, {"celery": "5.7.0"}, 120.0, runs, lacking or {})


# -- orders -----------------------------------------------------------------------------------------------------------


async def test_every_order_is_made_once_by_as_many_hands_as_there_shall_be() -> None:
    made: list[int] = []
    busy, most = 0, 0

    async def one(n: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        made.append(n)
        busy -= 1

    committed = await produce(Order(first=5, count=20, at_once=3, rate=0), one)
    assert sorted(made) == sorted(n for n, _ in committed) == list(range(5, 25))
    assert most == 3


def test_threads_make_the_same_orders() -> None:
    committed = produce_in_threads(Order(first=5, count=20, at_once=3, rate=0), lambda n: n * 10)
    assert sorted(committed) == [(n, n * 10) for n in range(5, 25)]


def test_spaced_orders_are_due_one_after_the_other() -> None:
    order = Order(first=100, count=3, at_once=1, rate=4)
    assert [order.due_s(n) for n in order.numbers()] == [0.0, 0.25, 0.5]


async def test_commits_have_the_time_of_a_clock_that_all_processes_share() -> None:
    async def one(_: int) -> None:
        pass

    before = time.monotonic_ns()
    ((_, at_ns),) = await produce(Order(1, 1, 1, 0), one)
    assert before <= at_ns <= time.monotonic_ns()


# -- peers ------------------------------------------------------------------------------------------------------------


def test_every_peer_has_a_name_on_the_page_and_another_to_be_compared_with() -> None:
    names = [peer.name for peer in peers(Path("python"))]
    assert names == list(LABELS) == [name for pair in PAIRS for name in pair]


def test_all_peers_have_as_many_hands() -> None:
    assert {peer.workers * peer.hands for peer in peers(Path("python"))} == {16}


def test_the_peers_environment_is_pinned_with_hashes() -> None:
    text = REQUIREMENTS.read_text("utf-8")
    assert set(versions(text)) == {"celery", "kombu", "procrastinate", "psycopg"}
    pinned = [line for line in text.splitlines() if "==" in line and line[0].isalpha()]
    assert all(line.endswith("\\") for line in pinned), "a package without a hash"
    assert "http" not in text


# -- the page -----------------------------------------------------------------------------------------------------------


def test_a_peer_is_compared_with_paceline_on_the_same_server_within_a_round() -> None:
    measured = results(
        *(run("paceline-rabbitmq", 0, 10), run("celery", 0, 20), run("paceline-rabbitmq", 1, 40), run("celery", 1, 20)),
        run("paceline-postgres", 0, 5),
    )
    assert against(measured, "celery", lambda one: one.per_s) == "1.25 (0.50 to 2.00)"
    assert against(measured, "paceline-postgres", lambda one: one.per_s) == "1"
    assert against(measured, "procrastinate", lambda one: one.per_s) == ""


def test_figures_are_per_task_and_per_second_of_all_processors() -> None:
    one = run("celery")
    assert (one.per_s, one.per_cpu_s) == (100.0, 250.0)
    assert "| Celery on the same RabbitMQ | 1,000 | 2,000 | 1,000 | 0 | 4,000 |" in render(results(one))


def test_a_run_beside_other_programs_is_called_noise() -> None:
    assert "This is noise" in render(results(run("celery", others=0.2)))
    assert "This is noise" not in render(results(run("celery", others=0.05)))


def test_what_is_missing_failed_or_wrong_is_said() -> None:
    text = render(
        results(
            Run("celery", 0, fault="it did not start"),
            run("paceline-postgres", wrong=3),
            lacking={"procrastinate": "no wheel for this machine"},
        )
    )
    assert "**Celery on the same RabbitMQ, round 1, has no figure:** it did not start" in text
    assert "3 tasks were not done once" in text
    assert "procrastinate on the same Postgres is missing: no wheel for this machine." in text


def test_only_the_part_between_the_markers_is_replaced() -> None:
    text = page(f"before\n{BEGIN}\nold\n{END}\nafter\n", results(run("celery")))
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="lost its markers"):
        page("no markers", results())


def test_results_are_kept_as_they_are(tmp_path: Path) -> None:
    kept = results(run("celery"), Run("celery", 1, fault="it hangs"))
    save(kept, tmp_path / "tasks.json")
    assert load(tmp_path / "tasks.json") == kept
    assert load(tmp_path / "none.json") is None


def test_the_page_is_that_of_the_results_kept() -> None:
    text, kept = PAGE.read_text("utf-8"), load(FILE)
    if kept is None:
        assert text.partition(BEGIN)[2].partition(END)[0].strip() == "", "figures that nobody measured"
    else:
        assert text == page(text, kept), "run: python -m tests.benchmarks.tasks --page"


# -- a turn -------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_a_turn_of_ours_does_every_order_once_and_says_what_it_cost() -> None:
    ours = next(peer for peer in peers(Path("python")) if peer.name == "paceline-postgres")
    with open_servers(broker=False) as servers:
        measured = turn(servers, ours, 0, Size(tasks=40, warm=10, seconds=0.5))
    assert (measured.fault, measured.wrong, measured.tasks) == ("", 0, 40)
    assert set(measured.cpu_s) == {"producer", "workers", "postgres"}
    assert measured.rest is not None
    assert measured.rest.ms.n == 12
    assert measured.half is not None


def test_a_peer_that_does_not_start_is_a_fault_with_its_last_words() -> None:
    program = Program([sys.executable, "-c", "import sys; sys.exit('no such role')"], {})
    with pytest.raises(Failed, match="no such role"):
        program.wait_until_ready()
    program.end()
