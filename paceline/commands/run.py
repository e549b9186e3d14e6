"""`paceline run`: the roles of this process, with real PostgreSQL and Redis of its own where no URL names others."""

import argparse
import asyncio
import errno
import gc
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog
import uvloop
from aiohttp import web

from gateway.http.server import GatewayRunner
from paceline.embedded import EmbeddedError, open_embedded
from paceline.logs import configure_logs
from paceline.program import Program
from paceline.settings import Settings, SettingsError, load_settings
from paceline.wiring import Parts, open_parts, start_loops
from persistence.migrate import MigrationError, migrate
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids

DESCRIPTION = """
Starts gateway, worker, relay and scheduler in this process (PACELINE_ROLES picks some of them). Without DATABASE_URL and REDIS_URL
it starts a PostgreSQL and a Redis of its own in PACELINE_DATA_DIR, on private sockets, and opens a demo class with simulated
athletes. Ctrl-C stops in order: what was sent is committed, sockets are closed with "come back"; a second Ctrl-C skips the wait.
"""

FLUSH_S: Final = 5.0
DRAIN_S: Final = 8.0
DRAIN_WAVES: Final = 10
SOCKETS_PER_WAVE: Final = 100
"""A handful of sockets may go at once; thousands must not come back to the other nodes in the same instant."""
HTTP_SHUTDOWN_S: Final = 1.0
"""Sockets are closed by then; what is left are requests of seconds."""
READY_S: Final = 5.0
"""A carrier that is away is not waited for longer: the node starts, works alone, and says so in /readyz."""
DEMO_READY_S: Final = 20.0
GC_THRESHOLD: Final = (50_000, 20, 50)
"""A full collection walks every connection's objects. Rare and after `gc.freeze`, ping and connect cost a third to a quarter on
10 000 connections of the stock engine (measured in the reference; this node's own figures are in docs/performance/)."""

log = structlog.get_logger(__name__)


class PortTakenError(Exception):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program. Stop that one, or choose another port: "
            f"PACELINE_PORT={port + 1 if port < 65_535 else 8080} paceline run (make run PORT=…); 0 takes any free one."
        )


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    commands.add_parser("run", help="run this node, everything included by default", description=DESCRIPTION)


def run(args: argparse.Namespace) -> int:
    """Run until stopped. 0 after an orderly stop, 1 when something failed, 2 when the settings are wrong."""
    began = time.monotonic()
    try:
        settings = load_settings(os.environ)
    except SettingsError as wrong:
        print(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", file=sys.stderr)
        return 2
    limit = configure_logs(settings.log_format, settings.log_level)
    try:
        return uvloop.run(_main(settings, began))
    except (EmbeddedError, PortTakenError, MigrationError) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"\nPaceline could not start: {problem}", file=sys.stderr)
        return 1
    finally:
        limit.report()


async def _main(settings: Settings, began: float) -> int:
    clock = SystemClock()
    program = Program()
    with program.signals():
        async with AsyncExitStack() as resources:
            listening = None
            if "gateway" in settings.roles:
                # Before anything slow: whoever starts it twice wants to hear it now.
                listening = await resources.enter_async_context(_listen(settings))
            database_url, redis_url = await _servers(settings, resources, program)
            ran = await migrate(database_url)
            if ran:
                log.info("run.migrated", migrations=len(ran))
            parts = await resources.enter_async_context(
                open_parts(
                    settings,
                    database_url=database_url,
                    redis_url=redis_url,
                    clock=clock,
                    ids=Uuid7Ids(clock),
                    program=program,
                )
            )
            start_loops(parts, program)
            door = parts.sockets.eio.behind_door
            runner = GatewayRunner(parts.app, door, handle_signals=False, shutdown_timeout=HTTP_SHUTDOWN_S)
            try:
                if listening is not None:
                    await runner.setup()
                    parts.port = listening.getsockname()[1]
                    await web.SockSite(runner, listening).start()
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLD)
                await _announce(parts, program, began)
                await program.wait()
            finally:
                await _stop(parts, program)
                await program.within(2 * HTTP_SHUTDOWN_S + 1, runner.cleanup(), "http")
    if program.fault is not None:
        print(f"\nStopped because something failed: {program.fault}", file=sys.stderr)
        return 1
    print("Stopped.")
    return 0


@asynccontextmanager
async def _listen(settings: Settings) -> AsyncIterator[socket.socket]:
    """The listening socket, bound before anything else is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
            # Two sockets may bind one address while neither listens.
            listening.listen(1024)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortTakenError(settings.host, settings.port) from problem
            if problem.errno == errno.EACCES:
                raise OSError(
                    f"port {settings.port} needs more rights than this user has: choose one above 1023"
                ) from problem
            raise OSError(
                f"PACELINE_HOST={settings.host} is not an address of this machine ({problem.strerror})"
            ) from problem
        listening.setblocking(False)
        yield listening
    finally:
        listening.close()


async def _servers(settings: Settings, resources: AsyncExitStack, program: Program) -> tuple[str, str | None]:
    """URLs of PostgreSQL and Redis: the given ones, or those of servers started here."""
    if not (settings.embedded_postgres or settings.embedded_redis):
        return settings.database_url, settings.redis_url
    embedded = await resources.enter_async_context(
        open_embedded(
            settings.data_dir,
            want_postgres=settings.embedded_postgres,
            want_redis=settings.embedded_redis,
            tell=lambda line: print(line, file=sys.stderr),
        )
    )

    async def watch() -> None:
        raise await embedded.died()

    program.start("local servers", watch())
    return settings.database_url or embedded.database_url or "", settings.redis_url or embedded.redis_url


async def _announce(parts: Parts, program: Program, began: float) -> None:
    """Wait until this node hears the others, open the demo class, then say where to look and how to stop."""
    watch = ""
    await program.within(READY_S, parts.node.until_ready(), "ready")
    if "gateway" in parts.settings.roles:
        if parts.settings.runs_demo:
            program.start("demo", parts.demo.run())
            opened = asyncio.ensure_future(parts.demo.opened())
            stopped = asyncio.ensure_future(program.wait())
            await asyncio.wait({opened, stopped}, timeout=DEMO_READY_S, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if opened.done():
                watch = f" (a live class is on: {parts.base_url}/board?code={opened.result()})"
            else:
                opened.cancel()
        line = f"Open {parts.base_url}/{watch}"
    else:
        line = f"Running: {', '.join(parts.settings.roles)}"
    log.info("run.ready", node=parts.node.id, roles=parts.settings.roles, seconds=round(time.monotonic() - began, 2))
    if not program.stopping:
        print(f"{line}\nStop with Ctrl-C.", flush=True)


async def _stop(parts: Parts, program: Program) -> None:
    """Unready, commit what was sent, tell the other nodes, let sockets go in waves, end the loops."""
    parts.draining = True
    await program.drop("demo")
    if "gateway" in parts.settings.roles:
        await program.within(FLUSH_S, parts.streams.recorder.flush(), "flush")
        parts.rooms.share_whole()
        waves = min(DRAIN_WAVES, 1 + len(parts.node.hub) // SOCKETS_PER_WAVE)
        await program.within(DRAIN_S, parts.sockets.drain(waves=waves), "drain")
    await program.end()
