"""Several gateways on one port, under gunicorn: `gunicorn -c deploy/gunicorn.conf.py paceline.gunicorn_app:application`.

The master holds the port, starts workers and starts another one when one dies. Each worker is a whole node: a name, parts and a
loop of its own; it shares nothing with its neighbours but the port, Postgres and Redis. So everything that holds between
machines holds between workers.

What differs from `paceline run`:

* It is a gateway and nothing else, unless PACELINE_ROLES says so: scheduler, relay and worker belong into `paceline run`
  processes, which can be stopped without dropping a socket.
* Postgres and Redis are given by URL: a local server would die with the worker that started it.
* With more than one worker there is no long-polling. Its requests come over any number of connections, and the kernel gives
  each to whichever worker is quick. For polling start one process per port (docs/howto/run-several-nodes.md).
* The master migrates, once, before there is a worker.

**A stop** goes through `Program`, as everywhere. aiohttp's own worker would stop reading before it closes the sockets, and gunicorn
would kill it with all of them open. SIGTERM asks to stop, and only its first word counts: the master repeats it every second to a
worker it has no more use for. SIGINT and SIGQUIT ask too, and a second word of theirs skips the waiting; the master sends
SIGQUIT when it is itself told to hurry. Meanwhile the master goes on hearing the heartbeat. A worker whose master is gone
stops in the same order.

**A reload** (SIGHUP) starts new workers first. A worker that stops then leaves the shared port to them and closes its sockets
in waves, so nobody meets a closed door. It renews workers, and reads anew what lies in files: the configuration of gunicorn and the
settings that name one (`X_FILE`). The code is what the master has imported, its environment what it was started with, and
migrations run before the first worker only; all three need a new start.

**A number** from 1 up tells a worker from those beside it: it chooses the port of its windows (PACELINE_METRICS_PORT + number).
During a reload two workers have the same one, and the newer has the port when the older is gone.
"""

import asyncio
import os
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import FrameType
from typing import Any, Final

import structlog
from aiohttp.worker import GunicornUVLoopWebWorker

from paceline import compiled
from paceline.keys import admin_token, sealing_keys, signing_key, vapid_key
from paceline.logs import configure_logs
from paceline.program import Program, StoppedEarly, unless_stopped
from paceline.serving import WITHOUT_DRAIN_S, PortTakenError, listen, serving, show_windows, use_all_descriptors
from paceline.settings import Fault, Settings, SettingsError, read_settings
from paceline.wiring import Parts, open_parts
from persistence.database import AWAY
from persistence.migrate import MigrationError, migrate
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import Unavailable

HEARTBEAT_S: Final = 1.0
TRY_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


def settings_for(environ: Mapping[str, str], workers: int) -> Settings:
    """The settings of each of so many workers. Raises SettingsError with every fault in it."""
    usual = {"PACELINE_ROLES": "gateway", "PACELINE_TRANSPORTS": "websocket" if workers > 1 else "websocket,polling"}
    reading = read_settings({**usual, **{name: value for name, value in environ.items() if value}})
    faults = (*_faults(environ, workers), *_window_faults(reading.settings, workers))
    if faults or reading.settings is None:
        raise SettingsError(
            faults + tuple(fault for fault in reading.faults if not faults or fault.variable != "PACELINE_ROLES")
        )
    return reading.settings


def _faults(environ: Mapping[str, str], workers: int) -> Iterable[Fault]:
    """What cannot be under gunicorn."""
    for variable, what in (("DATABASE_URL", "PostgreSQL"), ("REDIS_URL", "Redis")):
        if not environ.get(variable) and not environ.get(f"{variable}_FILE"):
            yield Fault(
                variable,
                f"it is empty, and a local {what} belongs to one process, which gunicorn may end at any time",
                f"Give {variable}, or start `paceline run`, which brings its own",
            )
    if workers > 1 and "polling" in environ.get("PACELINE_TRANSPORTS", "").lower():
        yield Fault(
            "PACELINE_TRANSPORTS",
            f"the requests of one polling client would reach any of the {workers} workers on this port",
            "Set it to websocket; or WEB_CONCURRENCY=1, one gunicorn per port, and a balancer that finds the process by what "
            "the id begins with",
        )
    roles = environ.get("PACELINE_ROLES", "").lower()
    if roles and "gateway" not in roles:
        yield Fault("PACELINE_ROLES", "gunicorn is for gateways", "Add gateway, or start `paceline run` for the others")
    if environ.get("PACELINE_DEMO", "").lower() == "on":
        yield Fault("PACELINE_DEMO", "the demo class belongs to one process", "Set it to off, or start `paceline run`")


def _window_faults(settings: Settings | None, workers: int) -> Iterable[Fault]:
    """What cannot be because each worker has windows of its own."""
    if settings is None or not settings.metrics_port:
        return
    last = settings.metrics_port + workers
    if settings.metrics_port < settings.port <= last:
        yield Fault(
            "PACELINE_METRICS_PORT",
            f"the windows of {workers} workers are on the ports {settings.metrics_port + 1} to {last}, and the gateway"
            f" listens on {settings.port}",
            f"Give another one, so that PACELINE_PORT is none of the {workers} after it",
        )


def settings_or_exit(environ: Mapping[str, str], workers: int = 1) -> Settings:
    """The settings; with faults, they are printed and the process ends with code 2."""
    try:
        return settings_for(environ, workers)
    except SettingsError as wrong:
        print(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", file=sys.stderr)
        sys.exit(2)


def graceful_timeout_s(settings: Settings) -> int:
    """How long gunicorn must wait for a worker that stops before it kills it, seconds: longer than a stop can take."""
    return round(settings.drain_delay_s + settings.drain_s + WITHOUT_DRAIN_S) + 1


def prepare(workers: int) -> None:
    """What the master does once before there is a worker: settings, keys, migrations. Ends the process when one fails, or a signal
    comes first."""
    settings = settings_or_exit(os.environ, workers)
    configure_logs(settings.log_format, settings.log_level)
    try:
        # Made here, lest each worker make its own.
        signing_key(settings)
        admin_token(settings)
        vapid_key(settings)
        sealing_keys(settings)
        ran = asyncio.run(unless_stopped(migrate(settings.database_url)))
    except StoppedEarly:
        # The master does not listen to signals yet.
        print("Stopped.")
        sys.exit(0)
    except (MigrationError, OSError, TimeoutError) as problem:
        print(f"\nPaceline could not start: {problem}", file=sys.stderr)
        sys.exit(1)
    if ran:
        log.info("gunicorn.migrated", migrations=len(ran))


# -- what deploy/gunicorn.conf.py hands to the master --------------------------------------------------------------------


def on_starting(server: Any) -> None:
    """Before there is anything."""
    prepare(server.cfg.workers)


def pre_fork(server: Any, worker: Any) -> None:
    """Before each worker."""
    worker.number = number_for((one.number for one in server.WORKERS.values()), server.num_workers)


@asynccontextmanager
async def application(settings: Settings, program: Program, number: int) -> AsyncIterator[Parts]:
    """The parts of one worker."""
    clock = SystemClock()
    async with open_parts(
        settings,
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        clock=clock,
        ids=Uuid7Ids(clock),
        program=program,
        instance=f"{number}-{secrets.token_hex(3)}",
    ) as parts:
        yield parts


def number_for(taken: Iterable[int], workers: int) -> int:
    """The number of the next worker: the lowest that the fewest have."""
    held = Counter(taken)
    return min(range(1, max(1, workers) + 1), key=lambda number: (held[number], number))


class GatewayWorker(GunicornUVLoopWebWorker):
    """See the module. `number` is set by the master before the fork."""

    number = 1

    def init_process(self) -> None:
        """Begin in the new process."""
        self.program = Program()
        use_all_descriptors()
        super().init_process()

    async def _run(self) -> None:
        settings = settings_or_exit(os.environ, self.cfg.workers)
        limit = configure_logs(settings.log_format, settings.log_level)
        beating = asyncio.create_task(self._beat(), name="worker.heartbeat")
        try:
            await self._live(settings)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            limit.report()
        self.exit_code = 0 if self.program.fault is None else 1

    async def _live(self, settings: Settings) -> None:
        """Be a node until somebody asks to stop. While Postgres is away, or lets it in and answers nothing, the node waits for it:
        a worker that does not come up would take the master and all the others with it."""
        while not self.program.stopping:
            try:
                async with AsyncExitStack() as resources:
                    async with self.program.starting():
                        parts = await resources.enter_async_context(self.wsgi(settings, self.program, self.number))
                    await self._serve(parts)
            except StoppedEarly:
                return
            except (*AWAY, Unavailable) as away:
                if self.booted:
                    raise
                log.warning("gunicorn.postgres_away", number=self.number, problem=repr(away))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.program.wait(), TRY_AGAIN_S)

    async def _serve(self, parts: Parts) -> None:
        # Gunicorn's wrappers are no sockets to uvloop, which would close their descriptors behind their back.
        listening = [wrapper.sock for wrapper in self.sockets]
        async with serving(parts, self.program, listening, shared=True):
            self.booted = True
            if parts.settings.metrics_port:
                self.program.start("windows", _windows(parts, parts.settings.metrics_port + self.number))
            log.info("gunicorn.serving", node=parts.node.id, number=self.number, compiled=compiled.in_use())
            saying = asyncio.create_task(self._say_when_ready(parts), name="gunicorn.ready")
            try:
                await self.program.wait()
            finally:
                saying.cancel()

    async def _say_when_ready(self, parts: Parts) -> None:
        """A worker serves before it hears the other nodes, and for as long as it does not; `/readyz` says 503 until it does."""
        await parts.node.until_ready()
        log.info("gunicorn.ready", node=parts.node.id, number=self.number)

    async def _beat(self) -> None:
        """Tell the master that this process lives, and stop when there is no master."""
        while True:
            self.notify()
            if self.ppid != os.getppid() and not self.program.stopping:
                log.warning("gunicorn.master_gone")
                self.program.stop()
            await asyncio.sleep(HEARTBEAT_S)

    # -- signals --------------------------------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM."""
        self.alive = False
        if not self.program.stopping:
            self.program.stop()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT, SIGQUIT."""
        self.alive = False
        self.cfg.worker_int(self)
        self.program.stop()


async def _windows(parts: Parts, port: int) -> None:
    """The windows of this worker, from the moment on when its port is free."""
    waits = False
    while True:
        try:
            with listen(parts.settings.host, port, "PACELINE_METRICS_PORT") as listening:
                await show_windows(parts, listening)
        except PortTakenError:
            if not waits:
                waits = True  # mostly for the worker before this one, which drains
                log.info("gunicorn.windows_wait", port=port)
            await parts.clock.sleep(TRY_AGAIN_S)
