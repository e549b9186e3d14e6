"""Each scenario: which server is started, which driver puts the load on it, and when its processes are looked at.

Every run has a fresh server process with a data folder of its own: PostgreSQL with every sync on, the demo class off.
Whatever puts the load on it runs in other processes. Where a peer is measured, ours and the peer take turns, so that a slow
minute of the machine meets both.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from loadtest.scenarios.class_load import ClassLoad
from loadtest.scenarios.durable import Durable
from paceline.settings import Settings
from tests.benchmarks.audience import Heard
from tests.benchmarks.driver import Driver, open_driver
from tests.benchmarks.proc import Used, cores, read, rss_mib, used, wait_for_quiet, watch
from tests.benchmarks.results import ClassRun, DurableRun, FanOutKind, FanOutRun, IdleKind, IdleRun
from tests.benchmarks.scrape import scrape
from tests.support.server import ROOT, free_port, open_server

SETTLE_S: Final = 3.0
"""After connecting, before anything is read: the interpreter and the sockets come to rest."""
FEEDERS: Final = 40
"""Athletes in the watched class: enough that a frame looks like one of a real class. Chosen by feeling; what receiving and
storing their samples costs is taken off by the measurement with few listeners."""


def class_run(athletes: int, seconds: int, *, led: bool = False) -> ClassRun:
    """One class at 1 Hz, with as many boards a second as there are by default. `led`: with an open cockpit, cues and consents."""
    wait_for_quiet()
    board_hz = default_board_hz()
    with open_server(PACELINE_BOARD_HZ=str(board_hz), PACELINE_LOG_LEVEL="warning") as server:
        url = ("--url", server.base_url)
        counts = ("--athletes", str(athletes), "--seconds", str(seconds), *(["--led"] if led else []))
        with open_driver("loadtest.scenarios.class_load", *counts, *url) as driver:
            driver.reach("connecting")
            before = rss_mib(server.pid)
            driver.reach("streaming")
            began = scrape(server.base_url)
            spent = watch(server.pid, seconds)
            ended = scrape(server.base_url)
            after = rss_mib(server.pid)
            load = driver.result("result", ClassLoad)
    return ClassRun(
        athletes=athletes,
        board_hz=board_hz,
        seconds=round(spent.seconds, 2),
        sent=load.sent,
        lost=load.lost,
        wrong=load.wrong_samples,
        passed_over=load.passed_over,
        not_live=load.not_live,
        board_ms=load.board_ms,
        ack_ms=load.ack_ms,
        late_ms=load.late_ms,
        frames=ended.deliveries - began.deliveries,
        frame_bytes=load.mean_frame_bytes,
        beats=ended.beats - began.beats,
        lag_ms=round(ended.lag_ms, 1),
        gateway_s=round(spent.gateway_s, 2),
        postgres_s=round(spent.postgres_s, 2),
        redis_s=round(spent.redis_s, 2),
        clients_s=round(spent.clients_s, 2),
        rss_before_mib=round(before, 1),
        rss_mib=round(after, 1),
        others=round(spent.others, 3),
        led=load.led,
    )


def durable_run(streams: int, samples: int) -> DurableRun:
    """A few streams that send as fast as they are acknowledged."""
    wait_for_quiet()
    with open_server(PACELINE_LOG_LEVEL="warning", PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0") as server:
        counts = ("--streams", str(streams), "--samples", str(samples))
        with open_driver("loadtest.scenarios.durable", *counts, "--url", server.base_url) as driver:
            driver.reach("streaming")
            before = read(server.pid)
            driver.reach("stored")
            spent = used(before, read(server.pid), len(cores()))
            flood = driver.result("result", Durable)
    return DurableRun(
        streams=streams,
        samples=flood.samples,
        seconds=flood.seconds,
        wrong=flood.wrong_samples,
        gateway_s=round(spent.gateway_s, 2),
        postgres_s=round(spent.postgres_s, 2),
        clients_s=round(spent.clients_s, 2),
        others=round(spent.others, 3),
    )


def idle_pair(connections: int, seconds: int) -> tuple[IdleRun, IdleRun]:
    """So many connections that do nothing, on ours and on the peer."""
    wait_for_quiet()
    with open_server(PACELINE_LOG_LEVEL="warning", PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0") as server:
        ours = _idle("ours", server.pid, server.base_url, connections, seconds)
    with open_peer() as peer:
        stock = _idle("stock", peer.pid, peer.base_url, connections, seconds, "--peer")
    return ours, stock


def _idle(kind: IdleKind, pid: int, url: str, connections: int, seconds: int, *more: str) -> IdleRun:
    with open_driver("tests.benchmarks.audience", "--listeners", str(connections), "--url", url, *more) as driver:
        driver.reach("warm")
        watch(pid, SETTLE_S)
        before = rss_mib(pid)
        driver.go("grow")
        driver.reach("holding")
        watch(pid, SETTLE_S)
        after = rss_mib(pid)
        spent = watch(pid, seconds)
    return IdleRun(
        server=kind,
        connections=connections,
        before_mib=round(before, 2),
        with_mib=round(after, 2),
        seconds=round(spent.seconds, 2),
        gateway_s=round(spent.gateway_s, 2),
        others=round(spent.others, 3),
    )


def fan_out_round(listeners: int, seconds: int, large_bytes: int) -> tuple[FanOutRun, FanOutRun, FanOutRun]:
    """A board to a room: ours, the peer with frames of the same size, the peer with frames of `large_bytes` (a class of 500)."""
    wait_for_quiet()
    counts = ("--listeners", str(listeners))
    hz = default_board_hz()
    settings = {"PACELINE_BOARD_HZ": str(hz), "PACELINE_MAX_CONNECTIONS_PER_ACCOUNT": "0"}
    with open_server(PACELINE_LOG_LEVEL="warning", **settings) as server:
        feeders = ("--feeders", str(FEEDERS), "--url", server.base_url)
        with open_driver("tests.benchmarks.audience", *counts, *feeders) as driver:
            driver.reach("warm")
            few = _window(driver, server.pid, seconds)
            _grow(driver, server.pid)
            ours = _fan_out("ours", few, _window(driver, server.pid, seconds))
    size = ours.frame_bytes
    with (
        open_peer() as peer,
        open_driver("tests.benchmarks.audience", *counts, "--peer", "--url", peer.base_url) as driver,
    ):
        driver.reach("warm")
        peer.emit(hz, size)
        watch(peer.pid, SETTLE_S)
        few_small = _window(driver, peer.pid, seconds)
        peer.emit(hz, large_bytes)
        watch(peer.pid, SETTLE_S)
        few_large = _window(driver, peer.pid, seconds)
        _grow(driver, peer.pid)
        large = _fan_out("stock, large frame", few_large, _window(driver, peer.pid, seconds))
        peer.emit(hz, size)
        watch(peer.pid, SETTLE_S)
        small = _fan_out("stock", few_small, _window(driver, peer.pid, seconds))
    return ours, small, large


def _grow(driver: Driver, pid: int) -> None:
    driver.go("grow")
    driver.reach("holding")
    watch(pid, SETTLE_S)


def _window(driver: Driver, pid: int, seconds: int) -> tuple[Heard, Used]:
    """Let the audience listen for so long; what it heard, and what that cost the server."""
    driver.go(f"listen {seconds}")
    driver.reach("listening")
    spent = watch(pid, seconds)
    return driver.result("heard", Heard), spent


def _fan_out(kind: FanOutKind, few: tuple[Heard, Used], many: tuple[Heard, Used]) -> FanOutRun:
    heard, spent = many
    if heard.lost:
        raise RuntimeError(f"{kind}: {heard.lost} connections were lost; this machine is too busy to measure")
    return FanOutRun(
        server=kind,
        listeners=heard.listeners,
        seconds=heard.seconds,
        frames=heard.frames,
        frame_bytes=heard.frame_bytes,
        gateway_s=round(spent.gateway_s, 2),
        few_frames=few[0].frames,
        few_s=round(few[1].gateway_s, 2),
        others=round(spent.others, 3),
    )


def default_board_hz() -> float:
    """Boards per second without being told otherwise. Servers are told all the same: the peer has to keep pace with them."""
    return float(Settings().board_hz)


class PeerServer:
    """The running peer."""

    def __init__(self, pid: int, port: int, commands: IO[str]) -> None:
        self.pid = pid
        self.base_url = f"http://127.0.0.1:{port}"
        self._commands = commands

    def emit(self, hz: float, size: int) -> None:
        """Emit a board of this size to everybody, so many times a second, from now on."""
        self._commands.write(f"emit {hz} {size}\n")
        self._commands.flush()


@contextmanager
def open_peer() -> Iterator[PeerServer]:
    """The peer in a process of its own; gone after the block."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.peer", "--port", str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the peer did not start (code {process.wait()}); its words are above")
        yield PeerServer(process.pid, port, process.stdin)
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
