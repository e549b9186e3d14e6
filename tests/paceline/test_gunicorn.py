"""Several gateways on one port, under a real gunicorn, with real Postgres and Redis."""

import asyncio
import contextlib
import os
import runpy
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import asyncpg
import pytest
from aiohttp.web_log import AccessLogger
from gunicorn.config import Config  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from paceline.gunicorn_app import (
    GatewayWorker,
    _windows,
    graceful_timeout_s,
    number_for,
    on_starting,
    pre_fork,
    settings_for,
)
from paceline.program import Program
from paceline.serving import listen
from paceline.settings import Settings, SettingsError
from paceline.wiring import Parts
from tests.support.crowd import Member, new_token, open_crowd
from tests.support.gunicorn import LOOK_EVERY_S, Gunicorn, open_gunicorn
from tests.support.postgres import PostgresServer
from tests.support.proxy import open_proxy
from tests.support.raw_socket import CLOSE, ask, open_raw, text
from tests.support.redis_server import open_redis
from tests.support.server import ROOT, free_port, open_server

SERVERS = {"DATABASE_URL": "postgresql://db/paceline", "REDIS_URL": "redis://cache"}
HOOKED = "tests.paceline.hooked_program:application"
WAIT_S = 30.0


def socket_of(dsn: str) -> Path:
    """Where the Postgres of this DSN listens."""
    asked = dict(parse_qsl(urlsplit(dsn).query))
    return Path(asked["host"]) / f".s.PGSQL.{asked['port']}"


def by_port(dsn: str, port: int) -> str:
    """The way to the same database by a port in front of it."""
    parts = urlsplit(dsn)
    return f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"


class Gate:
    """A TCP port in front of Postgres that can be shut."""

    def __init__(self, dsn: str) -> None:
        self._path = socket_of(dsn)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = free_port()
        self.dsn = by_port(dsn, self.port)

    @property
    def lines(self) -> int:
        """How many connections go through it."""
        return len(self._writers) // 2

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, there = await asyncio.open_unix_connection(self._path)
        self._writers |= {writer, there}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(self._pump(reader, there), self._pump(theirs, writer))
        self._writers -= {writer, there}

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()


@pytest.fixture
async def servers(fresh_dsn: str) -> AsyncIterator[dict[str, str]]:
    """Postgres and Redis of this test."""
    async with open_redis() as redis:
        yield {"DATABASE_URL": fresh_dsn, "REDIS_URL": redis.url, "PACELINE_MAX_CONNECTIONS_PER_ACCOUNT": "0"}


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(LOOK_EVERY_S)


def sockets_of(gunicorn: Gunicorn, *numbers: int) -> list[float]:
    """How many sockets each worker has; -1 for one that does not answer."""
    return [(gunicorn.metrics(number) or {}).get("paceline_connections", -1.0) for number in numbers]


@contextlib.asynccontextmanager
async def open_spread(gunicorn: Gunicorn, token: str) -> AsyncIterator[list[Member]]:
    """A crowd of which both workers have some: the kernel gives a connection to whichever is quick."""
    crowd: list[Member] = []
    async with contextlib.AsyncExitStack() as members:
        while len(crowd) < 40 or min(sockets_of(gunicorn, 1, 2)) < 1:
            assert len(crowd) < 1_000, sockets_of(gunicorn, 1, 2)
            crowd += await members.enter_async_context(open_crowd(gunicorn.port, token, 20))
            count = len(crowd)
            await until(lambda count=count: sum(sockets_of(gunicorn, 1, 2)) == count, "everybody is counted")  # type: ignore[misc]
        yield crowd


async def arrival(port: int, token: str) -> str:
    """Come in and leave again; how that went. Raises `ConnectionError` when nobody is there."""
    async with open_raw(port) as raw:
        answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
        if answer.status != 101:
            return str(answer.status)
        await raw.send(text(f'40/live,{{"token":"{token}"}}'))
        while True:
            frame = await raw.frame()
            if frame.opcode == CLOSE:
                return str(int.from_bytes(frame.payload[:2]))
            if frame.payload.startswith(b'40/live,{"sid":'):
                return "in"


async def endings(crowd: list[Member]) -> "Counter[int]":
    return Counter([ended.code for ended in await asyncio.gather(*(one.ended(WAIT_S) for one in crowd))])


def gone(pids: set[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


async def test_two_workers_are_two_nodes_and_a_stop_closes_the_sockets_of_both_properly(
    servers: dict[str, str],
) -> None:
    with open_gunicorn(servers | {"PACELINE_NODE_ID": "gw"}, application=HOOKED) as gunicorn:
        token = await new_token(gunicorn.base_url)
        await until(
            lambda: all((gunicorn.metrics(n) or {}).get("paceline_peers") == 1.0 for n in (1, 2)),
            "they hear each other",
        )
        async with open_spread(gunicorn, token) as crowd:
            assert all(one.sid.startswith("gw.") for one in crowd)
            workers = gunicorn.workers()
            assert len(workers) == 2
            gunicorn.send(signal.SIGTERM)
            assert await endings(crowd) == {3000: len(crowd)}
        assert await asyncio.to_thread(gunicorn.wait) == 0
        assert gone(workers)
        assert gunicorn.said('"event": "node.drained"') == 2
        assert gunicorn.said("the cleanup hook ran") == gunicorn.said("Worker exiting") == 2
        assert not gunicorn.said("Traceback")
        assert not gunicorn.said("exited with code")


async def test_a_worker_that_is_killed_is_replaced_and_its_neighbour_notices_nothing(servers: dict[str, str]) -> None:
    with open_gunicorn(servers) as gunicorn:
        token = await new_token(gunicorn.base_url)
        async with open_spread(gunicorn, token) as crowd:
            before = sockets_of(gunicorn, 1, 2)
            victim = min(gunicorn.workers())
            listening = [asyncio.create_task(one.ended(WAIT_S)) for one in crowd]
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.ready", 3)
            await until(
                lambda: sorted(sockets_of(gunicorn, 1, 2))[0] == 0, "the new one has the windows of the old one"
            )
            ended = [one.result().code for one in listening if one.done()]
            assert Counter(ended) == {1006: len(ended)}
            assert len(ended) in before
            stayed = len(crowd) - len(ended)
            assert sorted(sockets_of(gunicorn, 1, 2)) == [0, stayed]
            gunicorn.send(signal.SIGTERM)
            codes = Counter(ended.code for ended in await asyncio.gather(*listening))
            assert codes == {1006: len(ended), 3000: stayed}
        assert await asyncio.to_thread(gunicorn.wait) == 0


async def test_a_reload_moves_everybody_and_nobody_meets_a_closed_door(servers: dict[str, str]) -> None:
    with open_gunicorn(servers) as gunicorn:
        token = await new_token(gunicorn.base_url)
        async with open_spread(gunicorn, token) as crowd:
            old = gunicorn.workers()
            gunicorn.send(signal.SIGHUP)
            moving = asyncio.create_task(endings(crowd))
            came: Counter[str] = Counter()
            while not (moving.done() and gone(old)):
                # Several at a time: on a slow machine a reload has time for few one by one.
                came.update(await asyncio.gather(*(arrival(gunicorn.port, token) for _ in range(8))))
            assert await moving == {3000: len(crowd)}
            # Who was just coming in when a worker began to stop is sent on, with a word.
            assert set(came) <= {"in", "3000", "503"}, came
            assert came["in"] > 10
        await until(lambda: sockets_of(gunicorn, 1, 2) == [0, 0], "the new ones have the windows")
        assert len(gunicorn.workers()) == 2
        gunicorn.send(signal.SIGTERM)
        assert await asyncio.to_thread(gunicorn.wait) == 0


async def test_a_reload_reads_files_anew(servers: dict[str, str], tmp_path: Path) -> None:
    given = tmp_path / "database_url"
    given.write_text(servers["DATABASE_URL"])
    environ = {"DATABASE_URL_FILE": str(given), "REDIS_URL": servers["REDIS_URL"]}
    gate = Gate(servers["DATABASE_URL"])
    await gate.open()
    try:
        opened = contextlib.ExitStack()
        gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(environ, workers=1))
        with opened:
            assert not gate.lines
            given.write_text(gate.dsn)
            gunicorn.send(signal.SIGHUP)
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.ready", 2)
            assert gate.lines, "the new worker has gone by the other way"
            gunicorn.send(signal.SIGTERM)
            assert await asyncio.to_thread(gunicorn.wait) == 0
    finally:
        await gate.shut()


def test_a_reload_brings_no_new_code_because_the_master_has_imported_it() -> None:
    """What docs/howto/run-several-nodes.md says of it would be wrong otherwise."""
    look = "import runpy, sys; runpy.run_path('deploy/gunicorn.conf.py'); print('gateway.app' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env=os.environ | SERVERS, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


async def test_a_worker_whose_postgres_answers_nothing_any_more_ends_before_the_master_loses_patience(
    servers: dict[str, str],
) -> None:
    async with open_proxy(socket_of(servers["DATABASE_URL"])) as proxy:
        far = {"DATABASE_URL": by_port(servers["DATABASE_URL"], proxy.port), "PACELINE_DRAIN_S": "1"}
        opened = contextlib.ExitStack()
        gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(servers | far, workers=1))
        with opened:
            token = await new_token(gunicorn.base_url)
            stream = f'"stream":"{uuid.uuid4()}"'
            async with open_crowd(gunicorn.port, token, 5) as (member, *others):
                began = f'"started_at_ms":{round(time.time() * 1_000)}'
                await member.raw.send(text(f'42/live,1["stream.open",{{{stream},{began}}}]'))
                await member.raw.frame()
                proxy.blackhole()
                await member.raw.send(text(f'42/live,2["stream.samples",{{{stream},"seq":0,"samples":[[0,120]]}}]'))
                for one in others:  # handlers that have asked, and hear nothing
                    await one.raw.send(text(f'42/live,1["stream.open",{{"stream":"{uuid.uuid4()}",{began}}}]'))
                await member.raw.send(text('42/live,99["no.such.event",{}]'))
                await member.raw.frame()
                gunicorn.send(signal.SIGTERM)
                assert await asyncio.to_thread(gunicorn.wait) == 0
            assert gunicorn.said("Worker exiting") == 1, "by itself"


async def test_the_masters_repeated_word_does_not_hurry_a_worker_and_an_operators_second_one_does(
    servers: dict[str, str],
) -> None:
    with open_gunicorn(servers | {"PACELINE_DRAIN_DELAY_S": "30"}) as gunicorn:
        token = await new_token(gunicorn.base_url)
        async with open_crowd(gunicorn.port, token, 20) as crowd:
            gunicorn.send(signal.SIGTTOU)
            await asyncio.to_thread(gunicorn.wait_until_said, "Handling signal: ttou")
            leaving = asyncio.create_task(endings(crowd))
            done, _ = await asyncio.wait({leaving}, timeout=3.5)  # the master says it again every second
            assert not done
            assert len(gunicorn.workers()) == 2
            gunicorn.send(signal.SIGTERM)
            await asyncio.to_thread(gunicorn.wait_until_said, "Handling signal: term")
            began = time.monotonic()
            gunicorn.send(signal.SIGINT)
            assert await leaving == {3000: 20}
            assert await asyncio.to_thread(gunicorn.wait) == 0
            assert time.monotonic() - began < 4
        assert gunicorn.said('"event": "node.drained"') == 2


async def test_a_worker_whose_master_is_gone_stops_in_order(servers: dict[str, str]) -> None:
    with open_gunicorn(servers) as gunicorn:
        token = await new_token(gunicorn.base_url)
        async with open_crowd(gunicorn.port, token, 20) as crowd:
            workers = gunicorn.workers()
            gunicorn.send(signal.SIGKILL)
            assert await endings(crowd) == {3000: 20}
            await until(lambda: gone(workers), "the workers have ended")


async def test_a_worker_that_starts_while_postgres_is_away_waits_for_it_and_the_others_go_on(
    servers: dict[str, str],
) -> None:
    gate = Gate(servers["DATABASE_URL"])
    await gate.open()
    try:
        opened = contextlib.ExitStack()
        gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(servers | {"DATABASE_URL": gate.dsn}))
        with opened:
            token = await new_token(gunicorn.base_url)
            await gate.shut()
            os.kill(min(gunicorn.workers()), signal.SIGKILL)
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.postgres_away")
            async with open_crowd(gunicorn.port, token, 3):
                await gate.open()
                await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.ready", 3)
            gunicorn.send(signal.SIGTERM)
            assert await asyncio.to_thread(gunicorn.wait) == 0
            assert gunicorn.said("Worker exiting") == 2, "by themselves"
    finally:
        await gate.shut()


async def test_a_worker_that_starts_while_postgres_lets_it_in_and_answers_nothing_waits_for_it_and_the_others_go_on(
    servers: dict[str, str],
) -> None:
    opened = contextlib.ExitStack()
    gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(servers))
    holder = await asyncpg.connect(servers["DATABASE_URL"])
    try:
        with opened:
            token = await new_token(gunicorn.base_url)
            async with holder.transaction():
                # The first thing that a worker reads. It is let in, asks, and has waited for too long.
                await holder.execute("LOCK TABLE flags IN ACCESS EXCLUSIVE MODE")
                os.kill(min(gunicorn.workers()), signal.SIGKILL)
                await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.postgres_away")
                async with open_crowd(gunicorn.port, token, 3):
                    pass
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.ready", 3)
            gunicorn.send(signal.SIGTERM)
            assert await asyncio.to_thread(gunicorn.wait) == 0
            assert gunicorn.said("Worker exiting") == 2, "by themselves"
    finally:
        await holder.close()


async def test_a_worker_that_starts_while_redis_is_away_serves_and_is_ready_when_redis_is_back(fresh_dsn: str) -> None:
    async with open_redis() as redis:
        environ = {"DATABASE_URL": fresh_dsn, "REDIS_URL": redis.url}
        opened = contextlib.ExitStack()
        gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(environ))
        with opened:
            await redis.kill()
            os.kill(min(gunicorn.workers()), signal.SIGKILL)
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.serving", 3)
            assert gunicorn.said("gunicorn.ready") == 2
            await redis.start()
            await asyncio.to_thread(gunicorn.wait_until_said, "gunicorn.ready", 3)
            gunicorn.send(signal.SIGTERM)
            assert await asyncio.to_thread(gunicorn.wait) == 0


async def test_the_master_migrates_once_and_the_workers_find_it_done(
    servers: dict[str, str], postgres: PostgresServer
) -> None:
    admin = await asyncpg.connect(postgres.dsn)
    try:
        await admin.execute("CREATE DATABASE never_migrated")
        empty = {"DATABASE_URL": postgres.of("never_migrated")}
        gunicorn: Gunicorn
        opened = contextlib.ExitStack()
        gunicorn = await asyncio.to_thread(opened.enter_context, open_gunicorn(servers | empty))
        with opened:
            assert gunicorn.said('"event": "gunicorn.migrated"') == 1
            assert (await ask(gunicorn.port, "GET", "/readyz")).status == 200
            gunicorn.send(signal.SIGTERM)
            assert await asyncio.to_thread(gunicorn.wait) == 0
    finally:
        await admin.execute("DROP DATABASE never_migrated WITH (FORCE)")
        await admin.close()


async def test_the_process_beside_it_that_is_no_gateway_has_windows_too(servers: dict[str, str]) -> None:
    port = free_port()
    others = {"PACELINE_ROLES": "worker,relay,scheduler", "PACELINE_METRICS_PORT": str(port)}
    opened = contextlib.ExitStack()
    server = await asyncio.to_thread(opened.enter_context, open_server(**servers, **others))
    with opened:
        assert (await ask(port, "GET", "/readyz")).status == 200
        assert b"paceline_outbox_waiting" in (await ask(port, "GET", "/metrics")).body
        assert await asyncio.to_thread(server.stop) == 0


async def test_one_worker_serves_polling_clients_too(servers: dict[str, str]) -> None:
    with open_gunicorn(servers | {"PACELINE_NODE_ID": "gateway-3"}, workers=1) as gunicorn:
        url = f"{gunicorn.base_url}/socket.io/?EIO=4&transport=polling"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            assert '"sid":"gateway3.' in await response.text()


async def test_a_worker_that_is_asked_to_stop_while_it_starts_does_not_wait_for_that() -> None:
    begun = asyncio.Event()

    @contextlib.asynccontextmanager
    async def endless(*_: object) -> AsyncIterator[Parts]:
        begun.set()
        await asyncio.Event().wait()
        yield pytest.fail("it was never to start")

    worker = GatewayWorker.__new__(GatewayWorker)
    worker.program, worker.wsgi, worker.booted = Program(), endless, False
    living = asyncio.ensure_future(worker._live(settings_for(SERVERS, 1)))
    await begun.wait()
    worker.program.stop()
    await asyncio.wait_for(living, 5)


# -- what is refused at the start -----------------------------------------------------------------------------------------------


def started(**environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    return subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "paceline.gunicorn_app:application"],
        cwd=ROOT,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_local_servers_are_refused_with_the_cure() -> None:
    ended = started()
    assert ended.returncode == 2
    assert "Give DATABASE_URL" in ended.stderr
    assert "Give REDIS_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_polling_and_several_workers_on_one_port_are_refused_with_the_cure() -> None:
    ended = started(**SERVERS, PACELINE_TRANSPORTS="websocket,polling", WEB_CONCURRENCY="3")
    assert ended.returncode == 2
    assert "any of the 3 workers" in ended.stderr
    assert "Set it to websocket; or WEB_CONCURRENCY=1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_away_at_the_start_is_said_in_a_line() -> None:
    ended = started(
        **SERVERS | {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"}, PACELINE_DATA_DIR="/tmp/paceline-none"
    )
    assert ended.returncode == 1
    assert "Paceline could not start" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_not_said_is_what_fits_gunicorn() -> None:
    several, one = settings_for(SERVERS, 2), settings_for(SERVERS, 1)
    assert (several.roles, several.transports) == (("gateway",), ("websocket",))
    assert (one.roles, one.transports) == (("gateway",), ("websocket", "polling"))
    assert settings_for(SERVERS | {"PACELINE_ROLES": "gateway,relay"}, 2).roles == ("gateway", "relay")


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"PACELINE_ROLES": "worker"}, "PACELINE_ROLES"),
        ({"PACELINE_DEMO": "on"}, "PACELINE_DEMO"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"PACELINE_PORT": "many"}, "PACELINE_PORT"),
        ({"PACELINE_TRANSPORTS": "polling"}, "PACELINE_TRANSPORTS"),
        ({"PACELINE_PORT": "9102", "PACELINE_METRICS_PORT": "9100"}, "PACELINE_METRICS_PORT"),
    ],
)
def test_what_cannot_be_is_a_fault(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_for(SERVERS | environ, 2)
    assert [fault.variable for fault in caught.value.faults] == [variable]


def test_the_windows_of_all_workers_may_lie_beside_the_gateway() -> None:
    for port, windows in (("9103", "9100"), ("9100", "9101")):
        assert settings_for(SERVERS | {"PACELINE_PORT": port, "PACELINE_METRICS_PORT": windows}, 2).port == int(port)


async def test_windows_whose_port_is_taken_say_once_that_they_wait() -> None:
    asked = 0

    async def sleep(_: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise asyncio.CancelledError

    with listen("127.0.0.1", 0) as taken, capture_logs() as lines:
        port = taken.getsockname()[1]
        parts = SimpleNamespace(settings=Settings(), clock=SimpleNamespace(sleep=sleep))
        with pytest.raises(asyncio.CancelledError):
            await _windows(cast(Parts, parts), port)
    assert lines == [{"event": "gunicorn.windows_wait", "port": port, "log_level": "info"}]


def test_the_configuration_keeps_gunicorn_from_what_it_must_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SERVERS | {"PACELINE_HOST": "::1", "PACELINE_PORT": "8123", "PACELINE_DRAIN_S": "60"}).items():
        monkeypatch.setenv(name, value)
    found = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    settings = Config()
    for name in set(found) & set(settings.settings):
        settings.set(name, found[name])
    assert settings.address == [("::1", 8123)]
    assert settings.worker_class is GatewayWorker
    assert settings.control_socket_disable
    assert settings.max_requests == 0
    assert settings.graceful_timeout > 60 + 18
    assert settings.access_log_format == AccessLogger.LOG_FORMAT
    assert settings.on_starting is on_starting
    assert settings.pre_fork is pre_fork


def test_the_master_waits_longer_than_a_stop_can_take() -> None:
    settings = settings_for(SERVERS | {"PACELINE_DRAIN_DELAY_S": "7", "PACELINE_DRAIN_S": "30"}, 1)
    assert 7 + 30 + 18 < graceful_timeout_s(settings) <= 7 + 30 + 20


def test_a_number_is_given_to_the_worker_that_takes_anothers_place() -> None:
    assert number_for([], 3) == 1
    assert number_for([1, 2], 3) == 3
    assert number_for([1, 3], 3) == 2, "killed, and replaced"
    assert number_for([1, 2, 3], 3) == 1, "a reload: the old ones are still there"
    assert number_for([1, 2, 3, 1], 3) == 2
