"""The comparison itself, on real servers and for a moment: that it counts, and that it refuses what must not count.

No figure is judged here; how fast anything is depends on the hour.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from paceline.embedded.redis import program as redis_of_wheel
from tests.benchmarks.machine import Machine, Stamp
from tests.benchmarks.sockets import aiohttp_peer, build, entering, path, saying, targets, writing
from tests.benchmarks.sockets.__main__ import PAGE
from tests.benchmarks.sockets.build import CannotMeasure, Tools, redis_version
from tests.benchmarks.sockets.job import Job
from tests.benchmarks.sockets.peers import BY_NAME as PEERS
from tests.benchmarks.sockets.render import BEGIN, END, asked, page, render, section
from tests.benchmarks.sockets.results import (
    AnotherMachine,
    Measured,
    Results,
    Run,
    Window,
    joined,
    load,
    save,
    sum_of,
)
from tests.benchmarks.sockets.scenarios import BY_NAME as SCENARIOS
from tests.benchmarks.sockets.turns import Bench, bench, turn

STAMP = Stamp(at="2026-11-21 00:00 UTC", commit="0123456789")
MACHINE = Machine(
    cpu="Abacus 3000",
    cores=2,
    cores_there=2,
    memory_gib=16.0,
    disk="ext4",
    kernel="Linux 6.1",
    python="CPython 3.11.7",
    libraries={"aiohttp": "3.14.5"},
)
LOAD_S = 60


def window(done: int = 1_000, server_s: float = 1.0, **more: float) -> Window:
    """A window of a second; `more` as in `Window`."""
    told = {
        "seconds": 1.0,
        "own_s": 0.5,
        "others_s": 0.0,
        "steal_s": 0.0,
        "reads": 1_000,
        "frames": 1_000,
        "bytes": 1,
        "pings": 0,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "max_ms": 3.0,
        "measured": done,
        "rss_before_kib": 0.0,
        "rss_kib": 0.0,
        **more,
    }
    return msgspec.convert({"phase": "result", "done": done, "server_s": server_s, **told}, Window, strict=False)


def measured(*runs: Run, lacking: dict[str, str] | None = None) -> Measured:
    return Measured(STAMP, 60.0, runs, lacking or {})


def results(**scenarios: Measured) -> Results:
    return Results("make bench", MACHINE, {"node": "20.0.0"}, scenarios)


# -- ratios and the page ---------------------------------------------------------------------------------------------------------


def test_ratios_are_taken_within_a_round_and_judged_by_the_median() -> None:
    runs = [Run("paceline", n, window(done)) for n, done in enumerate((900, 800, 2_000))]
    runs += [Run("pysio", n, window(100)) for n in (0, 1)] + [Run("pysio", 2, window(1_000))]
    target = next(t for t in targets.TARGETS if t.scenario == "busy" and t.against == "pysio")

    ratio = target.ratio(measured(*runs))

    assert ratio is not None
    assert (ratio.low, ratio.median, ratio.high) == (2.0, 8.0, 9.0)
    assert not target.met(ratio)


def test_a_cost_has_to_stay_below_its_target() -> None:
    target = next(t for t in targets.TARGETS if t.scenario == "connect" and t.against == "pysio")
    half = measured(Run("paceline", 0, window(server_s=1.0)), Run("pysio", 0, window(server_s=2.5)))

    ratio = target.ratio(half)

    assert ratio is not None
    assert ratio.median == pytest.approx(0.4)
    assert target.met(ratio)


def test_a_round_in_which_one_of_the_two_failed_is_no_pair() -> None:
    target = next(t for t in targets.TARGETS if t.scenario == "busy" and t.against == "pysio")

    assert target.ratio(measured(Run("paceline", 0, window()), Run("pysio", 0, fault="events were lost"))) is None


def test_every_target_is_against_a_peer_that_takes_part_in_its_scenario() -> None:
    for target in targets.TARGETS:
        assert PEERS[target.against].takes_part(SCENARIOS[target.scenario]), target


def test_a_peer_that_is_missing_is_named_with_the_reason() -> None:
    busy = measured(Run("paceline", 0, window()), lacking={"bun": "Bun comes by npm, which is missing"})

    assert "Bun socket.io is missing: Bun comes by npm" in section(SCENARIOS["busy"], busy)
    assert "not measured: Bun comes by npm" in asked(results(busy=busy))


def test_a_fault_stands_where_the_figure_would() -> None:
    text = section(SCENARIOS["busy"], measured(Run("paceline", 0, window()), Run("node", 0, fault="an event twice")))

    assert "**node, round 1, has no figure:** an event twice" in text


def test_the_way_to_the_other_node_has_a_table_of_its_own_where_it_was_measured() -> None:
    half = window(600, p50_ms=0.7, p99_ms=1.5, p999_ms=2.25)
    plain = measured(Run("paceline", 0, window(), window()))
    crossed = measured(Run("paceline", 0, window(), window(), half), Run("pysio", 0, window(), window()))

    text = section(SCENARIOS["redis"], crossed)

    assert "| Paceline | 0.70 | 1.50 | 2.25 | 3.00 | 600 | 100% | 50% |" in text
    assert text.count("| python-socketio |") == 1, "who has no such window is not in that table"
    assert "on the other node" not in section(SCENARIOS["redis"], plain)


def test_a_figure_limited_by_the_load_is_called_a_floor() -> None:
    text = section(SCENARIOS["busy"], measured(Run("floor", 0, window(own_s=0.97))))

    assert "97% (a floor)" in text


def test_loads_side_by_side_are_added_and_are_no_strangers_to_each_other() -> None:
    one = window(10, 0.2, own_s=0.1, others_s=0.35, p99_ms=2.0)
    other = window(20, 0.1, own_s=0.1, others_s=0.35, p99_ms=5.0)

    both = sum_of((one, other))

    assert (both.done, both.p99_ms) == (30, 5.0)
    assert both.server_s == pytest.approx(0.3)
    assert both.others_s == pytest.approx(0.15)


def test_results_survive_the_file_and_do_not_mix_with_another_machine(tmp_path: Path) -> None:
    kept = results(busy=measured(Run("paceline", 0, window())))
    save(kept, tmp_path / "sockets.json")

    assert load(tmp_path / "sockets.json") == kept
    assert load(tmp_path / "nothing.json") is None
    assert set(joined(kept, results(board=measured())).scenarios) == {"busy", "board"}
    with pytest.raises(AnotherMachine, match="measure all"):
        joined(msgspec.structs.replace(kept, versions={"node": "18.0.0"}), kept)


def test_another_redis_makes_nothing_old_but_what_ran_with_it() -> None:
    kept = msgspec.structs.replace(results(busy=measured(), redis=measured()), versions={"redis": "6.2.14"})
    new = msgspec.structs.replace(results(board=measured()), versions={"redis": "7.0.15"})

    assert set(joined(kept, new).scenarios) == {"busy", "board"}
    assert joined(kept, new).versions == {"redis": "7.0.15"}


def test_the_page_says_what_the_results_say() -> None:
    text = PAGE.read_text("utf-8")
    kept = load()
    between = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()

    assert between == ("" if kept is None else render(kept).strip())
    with pytest.raises(ValueError, match="lost its markers"):
        page("nothing", results())


def test_the_version_of_redis_decides_about_sharding() -> None:
    assert redis_version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64") == (7, 0, 15)
    assert redis_version("") is None


def test_letting_somebody_in_is_measured_with_and_without_their_token() -> None:
    costs = entering.measure(rounds=2)
    assert set(costs) == {"token read", "ticket read", "connected, anybody", "connected, token"}
    assert all(cost > 0 for cost in costs.values())


async def test_the_path_of_an_event_is_measured_stage_by_stage_without_a_kernel() -> None:
    stages = await path.measure(rounds=5)
    assert 0 < stages["read"] < stages["decoded"] < stages["answered"]
    assert len(stages) == 8
    assert all(cost > 0 for cost in stages.values())


async def test_a_write_is_measured_with_and_without_a_transport() -> None:
    costs = await writing.measure(lines=10, rounds=3)
    assert set(costs) - {"ring", "as one"} == {"transport", "call"}
    assert all(0 < cost < float("inf") for cost in costs.values())


async def test_an_event_through_the_log_is_measured_with_a_real_redis() -> None:
    assert 0 < await saying.measure(events=20, warm=5) < float("inf")


def test_no_registry_is_named_in_the_lock_file() -> None:
    assert "http" not in (build.JS / "package-lock.json").read_text("utf-8")


# -- real turns ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Load and floor, compiled, with tokens for a few connections. Without a compiler or a second core there is no benchmark."""
    folder = tmp_path_factory.mktemp("sockets")
    try:
        made = Tools(build.compiled("load", folder), build.compiled("floor", folder), {"redis": redis_of_wheel()}, {})
        yield bench(made, folder, tokens=200)
    except CannotMeasure as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem))
        pytest.skip(str(problem))


SMALL = {
    "ingest": replace(SCENARIOS["ingest"], size=5, seconds=0.5, warm_s=0.1),
    "busy": replace(SCENARIOS["busy"], rooms=2, size=5, seconds=0.5, warm_s=0.1),
    "spaced-50": replace(SCENARIOS["spaced-50"], rooms=2, size=5, seconds=0.5, warm_s=0.1),
    "board": replace(SCENARIOS["board"], rooms=2, size=3, seconds=0.6, warm_s=0.1),
    "connect": replace(SCENARIOS["connect"], size=60, warm_s=0.1),
    "idle": replace(SCENARIOS["idle"], size=60, seconds=1.0, ping_s=0.5, warm_s=0.1),
}


@pytest.mark.parametrize("scenario", SMALL)
@pytest.mark.parametrize("peer", ["paceline", "pysio", "aiohttp", "floor"])
def test_every_peer_speaks_the_protocol_of_every_scenario(here: Bench, peer: str, scenario: str) -> None:
    run = turn(here, SMALL[scenario], PEERS[peer], 0)

    assert run.fault == ""
    assert run.result is not None
    assert run.result.done > 0
    assert run.result.server_s > 0
    assert run.result.overtaken == 0


@pytest.mark.parametrize("peer", ["paceline", "pysio"])
def test_at_half_of_the_rate_only_what_came_from_the_other_node_is_timed(here: Bench, peer: str) -> None:
    small = replace(SCENARIOS["redis"], size=6, seconds=0.2, warm_s=0.1, half_s=0.4)

    run = turn(here, small, PEERS[peer], 0)

    assert run.fault == ""
    assert run.result is not None
    assert run.half is not None
    assert run.half.offered == pytest.approx(run.result.done / run.result.seconds / 2, rel=0.1)
    assert run.half.measured == pytest.approx(run.half.done / 2, rel=0.2), "half of the members are on the other node"
    assert 0 < run.half.p50_ms <= run.half.p99_ms <= run.half.p999_ms


@pytest.mark.parametrize("scenario", ["busy", "board"])
@pytest.mark.parametrize("peer", ["floor-merging", "pysio-tuned"])
def test_peers_that_merge_or_batch_lose_nothing(here: Bench, peer: str, scenario: str) -> None:
    run = turn(here, SMALL[scenario], PEERS[peer], 0)

    assert run.fault == ""
    assert run.result is not None
    assert run.result.done > 0


def test_a_server_that_does_not_start_is_a_fault_with_its_last_words(here: Bench) -> None:
    wrong = replace(here, key=here.folder / "no-such-key.pem")

    run = turn(wrong, SMALL["ingest"], PEERS["paceline"], 0)

    assert "did not start" in run.fault
    assert "no-such-key.pem" in run.fault


class _Faulty(aiohttp_peer.Peer):
    """A room server that goes wrong at its tenth event, in a way of choice."""

    def __init__(self, job: Job, way: str) -> None:
        super().__init__(job)
        self._way = way
        self._events = 0

    def _send(self, socket: web.WebSocketResponse, text: str) -> None:
        if not text.startswith(("42/", "43/")) or '{"ok":{}}' in text:
            super()._send(socket, text)
            return
        self._events += 1
        wrong = self._events == 10
        if wrong and self._way == "loses":
            return
        if wrong and self._way == "misroutes":
            text = re.sub(r"-8000-000[01]", "-8000-0007", text)
        if wrong and self._way == "miscounts":
            text = text.replace('"next_seq":', '"next_seq":7')
        super()._send(socket, text)
        if wrong and self._way == "doubles":
            super()._send(socket, text)


@asynccontextmanager
async def _faulty_server(job: Job, way: str) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/socket.io/", _Faulty(job, way).serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("load_word", "way", "said"),
    [
        ("busy", "loses", "events were lost"),
        ("busy", "doubles", "an event twice"),
        ("busy", "misroutes", "an event of another room"),
        ("board", "loses", "a sample was lost"),
        ("board", "doubles", "a sample twice"),
        ("board", "misroutes", "a board of another room"),
        ("ingest", "loses", "an acknowledgement out of turn"),
        ("ingest", "miscounts", "a wrong acknowledgement"),
    ],
)
async def test_a_server_that_goes_wrong_has_no_figure(here: Bench, load_word: str, way: str, said: str) -> None:
    job = Job(0, load_word, here.key, 25.0, "", tuned=False, beat_s=0.25)
    async with _faulty_server(job, way) as port:
        options = f"ports={port} pids={os.getpid()} tokens={here.tokens} rooms=2 size=4 seconds=0.4 warm=0.1"
        process = await asyncio.create_subprocess_exec(
            *(str(here.tools.load), load_word, *options.split()), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, words = await asyncio.wait_for(process.communicate(), LOAD_S)

    assert process.returncode == 2
    assert said in words.decode()
