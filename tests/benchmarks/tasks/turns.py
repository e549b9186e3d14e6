"""One turn of one peer: a fresh database, two workers, a producer; as fast as it goes, then one at a time, then at half of that.

Everybody gets as many hands: `HANDS` tasks at once in each of two workers, `HANDS` orders at once in the producer. Celery's
workers are one program with a process for each hand, because its tasks wait where they are.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import asyncpg
import uvloop

from loadtest.scenarios.crew import spread_of
from tests.benchmarks.machine import ROOT
from tests.benchmarks.proc import cores, read_parts, used_parts
from tests.benchmarks.tasks.build import HERE
from tests.benchmarks.tasks.results import Latency, Run
from tests.benchmarks.tasks.servers import Servers
from tests.support.server import free_port

HANDS: Final = 8
START_S: Final = 40.0
STOP_S: Final = 10.0
DONE_S: Final = 60.0
LOOK_EVERY_S: Final = 0.02
PEERS_FOLDER: Final = HERE / "peers"
READY: Final = ('"ready"', "Stop with Ctrl-C.")


class Failed(Exception):  # noqa: N818 - the run is, not the program
    """A turn without a figure; the text says why."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: tasks as fast as they go, after so many to get warm; seconds of the two timings."""

    tasks: int
    warm: int
    seconds: float
    rest_rate: float = 25.0


FULL: Final = Size(tasks=3_000, warm=300, seconds=6.0)
QUICK: Final = Size(tasks=200, warm=50, seconds=1.0)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: how it is started, how many workers, and whether it needs the broker."""

    name: str
    label: str
    program: Sequence[str]
    workers: int
    amqp: bool
    needs: tuple[str, ...] = ()
    schema: bool = False
    hands: int = HANDS


def peers(python: Path) -> tuple[Peer, ...]:
    """All of them, in the order in which they take their turns."""
    ours = (sys.executable, "-m", "tests.benchmarks.tasks.peers.paceline")
    theirs = (str(python), str(PEERS_FOLDER / "celery_peer.py"))
    other = (str(python), str(PEERS_FOLDER / "procrastinate_peer.py"))
    return (
        Peer("paceline-rabbitmq", "Paceline on RabbitMQ", ours, 2, amqp=True, needs=("rabbitmq",)),
        Peer("celery", "Celery", theirs, 1, amqp=True, needs=("rabbitmq", "peers"), hands=2 * HANDS),
        Peer("paceline-postgres", "Paceline on Postgres", ours, 2, amqp=False),
        Peer("procrastinate", "procrastinate", other, 2, amqp=False, needs=("peers",), schema=True),
    )


class Program:
    """A process that says "ready", takes lines and gives lines. `said` is what it has printed otherwise."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self.said: list[str] = []
        self._settled = threading.Event()  # it is ready, or it has ended
        self._ended = False
        self._answers: list[str] = []
        self._answered = threading.Condition()
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")} | dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises Failed with its last words."""
        if not self._settled.wait(START_S) or self._ended:
            raise Failed(f"it did not start: {' '.join(self.said[-5:])[-500:]}")

    def ask(self, line: object) -> Callable[[], Any]:
        """Give it a line; the function waits for the answer. Raises Failed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

        def answer() -> Any:
            with self._answered:
                if not self._answered.wait_for(lambda: self._answers or self._ended, DONE_S):
                    raise Failed("the producer does not answer")
                if not self._answers:
                    raise Failed(f"the producer has ended: {' '.join(self.said[-5:])[-500:]}")
                return json.loads(self._answers.pop(0))

        return answer

    def end(self) -> None:
        """Ask it to stop, and insist after a while; only this process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)
        self._reader.join(STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self, lines: IO[str] | None) -> None:
        assert lines is not None
        for line in lines:
            if line.startswith(READY):
                self._settled.set()
            elif line.startswith("[["):
                with self._answered:
                    self._answers.append(line)
                    self._answered.notify_all()
            else:
                self.said.append(line)
        self._ended = True  # its output is closed; the system may not have noticed yet that it is gone
        self._settled.set()
        with self._answered:
            self._answered.notify_all()


def turn(servers: Servers, peer: Peer, number: int, size: Size) -> Run:
    """Measure one peer once. A fault of the peer is a result too."""
    try:
        with ExitStack() as stack:
            url = uvloop.run(servers.fresh())
            stack.callback(lambda: uvloop.run(servers.drop(url)))
            return _measured(servers, peer, number, size, url, stack)
    except Failed as fault:
        return Run(peer.name, number, fault=str(fault))


def _measured(servers: Servers, peer: Peer, number: int, size: Size, url: str, stack: ExitStack) -> Run:
    environ = {
        "DATABASE_URL": url,
        "REDIS_URL": servers.redis_url,
        "BENCH_HANDS": str(peer.hands),
        "PACELINE_ROLES": "worker,relay",
        "PACELINE_DEMO": "off",
        "PACELINE_LOG_LEVEL": "warning",
        "PACELINE_DB_POOL": str(HANDS + 6),
        "PACELINE_DATA_DIR": str(servers.folder),
    }
    if peer.amqp:
        environ["AMQP_URL"] = servers.amqp_url
    if peer.schema:
        subprocess.run([*peer.program, "schema"], check=True, env=os.environ | environ, cwd=ROOT, timeout=START_S)
    workers = [
        stack.enter_context(_running([*peer.program, "worker"], environ | {"PACELINE_PORT": str(free_port())}))
        for _ in range(peer.workers)
    ]
    producer = stack.enter_context(_running([*peer.program, "producer"], environ))
    parts = {f"workers {n}": worker.pid for n, worker in enumerate(workers)}
    parts |= {"producer": producer.pid, "postgres": servers.postgres}
    if peer.amqp:
        parts["rabbitmq"] = servers.rabbitmq
    bench = _Bench(url, producer, parts)
    bench.do(size.warm)
    _, seconds, cpu_s, others = bench.do(size.tasks)
    rest = bench.latency(size.rest_rate, size.seconds)
    half = bench.latency(round(size.tasks / seconds / 2, 1), size.seconds)
    return Run(
        peer=peer.name,
        round=number,
        tasks=size.tasks,
        seconds=round(seconds, 3),
        cpu_s={name: round(spent, 2) for name, spent in cpu_s.items()},
        others=round(others, 3),
        rest=rest,
        half=half,
        wrong=bench.wrong(),
    )


@contextmanager
def _running(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[Program]:
    program = Program(words, environ)
    try:
        program.wait_until_ready()
        yield program
    finally:
        program.end()


class _Bench:
    """A peer that runs."""

    def __init__(self, url: str, producer: Program, parts: Mapping[str, int]) -> None:
        self._url: Final = url
        self._producer: Final = producer
        self._parts: Final = parts
        self._made = 0

    def do(self, count: int, rate: float = 0.0) -> tuple[list[tuple[int, int]], float, dict[str, float], float]:
        """Make so many orders and wait until all are done: their commits, the seconds, processor seconds by part, others' share."""
        before, began = read_parts(self._parts), time.monotonic()
        answer = self._producer.ask({"first": self._made + 1, "count": count, "at_once": HANDS, "rate": rate})
        self._made += count
        seconds = uvloop.run(_until_done(self._url, self._made)) - began
        used = used_parts(before, read_parts(self._parts), len(cores()))
        spent = {name: s for name, s in used.parts.items() if not name.startswith("workers")}
        spent["workers"] = sum(s for name, s in used.parts.items() if name.startswith("workers"))
        return answer(), seconds, spent, used.others

    def latency(self, rate: float, seconds: float) -> Latency:
        """Orders at a steady rate, and how late their tasks begin."""
        commits, took, spent, _ = self.do(max(10, int(rate * seconds)), rate)
        started = uvloop.run(_started(self._url))
        # A worker may begin before the producer has heard of its own commit.
        ms = [max(0, started[n] - committed) / 1e6 for n, committed in commits if n in started]
        return Latency(rate, spread_of(ms), round(sum(spent.values()) / took, 2))

    def wrong(self) -> int:
        """Tasks that were not done, or done more than once."""
        return uvloop.run(_wrong(self._url))


async def _until_done(url: str, count: int) -> float:
    """When (monotonic) so many tasks are done. Raises Failed."""
    connection = await asyncpg.connect(url)
    deadline = time.monotonic() + DONE_S
    try:
        while await connection.fetchval("SELECT count(*) FROM bench_done") < count:
            if time.monotonic() > deadline:
                raise Failed(f"not all of {count} tasks are done after {DONE_S:g} s")
            # An event loop sleeps here, the time of which nobody else is charged with.
            time.sleep(LOOK_EVERY_S)
        return time.monotonic()
    finally:
        await connection.close()


async def _started(url: str) -> dict[int, int]:
    connection = await asyncpg.connect(url)
    try:
        return {row["n"]: row["started_ns"] for row in await connection.fetch("SELECT n, started_ns FROM bench_done")}
    finally:
        await connection.close()


async def _wrong(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        n: int = await connection.fetchval(
            """
            SELECT count(*) FROM (
                SELECT 1 FROM bench_orders o FULL JOIN bench_done d USING (n) GROUP BY n
                HAVING count(o.n) <> 1 OR count(d.n) <> 1
            ) AS odd
            """
        )
        return n
    finally:
        await connection.close()
