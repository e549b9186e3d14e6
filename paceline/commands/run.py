"""`paceline run`: the roles of this process, with real PostgreSQL and Redis of its own where no URL names others."""

import argparse
import asyncio
import os
import socket
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog
import uvloop

from paceline import compiled
from paceline.embedded import EmbeddedError, open_embedded
from paceline.logs import configure_logs
from paceline.program import Program, StoppedEarly
from paceline.serving import PortTakenError, listen, serving, show_windows, use_all_descriptors
from paceline.settings import Settings, SettingsError, load_settings
from paceline.tracing import TracingError
from paceline.wiring import Parts, open_parts
from persistence.migrate import MigrationError, migrate
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.sealing import CannotOpen

DESCRIPTION = """
Starts gateway, worker, relay and scheduler in this process (PACELINE_ROLES picks some of them). Without DATABASE_URL and REDIS_URL
it starts a PostgreSQL and a Redis of its own in PACELINE_DATA_DIR, on private sockets, and opens a demo class with simulated
athletes. Ctrl-C stops in order: what was sent is committed, sockets are closed with "come back"; a second Ctrl-C skips the wait.
A start is given up at once, also one that waits for the migrations of another process.
"""

READY_S: Final = 5.0
"""A carrier that is away is not waited for longer: the node starts, works alone, and says so in /readyz."""
DEMO_READY_S: Final = 20.0

log = structlog.get_logger(__name__)


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
    use_all_descriptors()
    limit = configure_logs(settings.log_format, settings.log_level)
    try:
        return uvloop.run(_main(settings, began))
    except (EmbeddedError, PortTakenError, MigrationError, TracingError, CannotOpen) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"\nPaceline could not start: {problem}", file=sys.stderr)
        return 1
    finally:
        limit.report()


async def _main(settings: Settings, began: float) -> int:
    program = Program()
    with program.signals(), suppress(StoppedEarly):
        async with AsyncExitStack() as resources:
            async with program.starting():
                listening, windows = _listen(settings, resources)
                parts = await _start(settings, resources, program)
            async with serving(parts, program, listening):
                if windows is not None:
                    program.start("windows", show_windows(parts, windows))
                await _announce(parts, program, began)
                await program.wait()
    if program.fault is not None:
        print(f"\nStopped because something failed: {program.fault}", file=sys.stderr)
        return 1
    print("Stopped.")
    return 0


def _listen(settings: Settings, resources: AsyncExitStack) -> tuple[list[socket.socket], socket.socket | None]:
    """The socket of the gateway, if this is one, and that of the windows. They come before anything slow: whoever starts it twice
    wants to hear it now."""
    listening: list[socket.socket] = []
    if "gateway" in settings.roles:
        listening.append(resources.enter_context(listen(settings.host, settings.port)))
    windows = None
    if settings.metrics_port:
        windows = resources.enter_context(listen(settings.host, settings.metrics_port, "PACELINE_METRICS_PORT"))
    return listening, windows


async def _start(settings: Settings, resources: AsyncExitStack, program: Program) -> Parts:
    """The parts, on servers that run and a database that has been migrated."""
    clock = SystemClock()
    database_url, redis_url = await _servers(settings, resources, program)
    ran = await migrate(database_url)
    if ran:
        log.info("run.migrated", migrations=len(ran))
    return await resources.enter_async_context(
        open_parts(
            settings,
            database_url=database_url,
            redis_url=redis_url,
            clock=clock,
            ids=Uuid7Ids(clock),
            program=program,
        )
    )


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
    resources.push_async_callback(
        program.end
    )  # who watches them ends before they do, also when nothing else has started
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
    log.info(
        "run.ready",
        node=parts.node.id,
        roles=parts.settings.roles,
        compiled=compiled.in_use(),
        seconds=round(time.monotonic() - began, 2),
    )
    if not program.stopping:
        print(f"{line}\nStop with Ctrl-C.", flush=True)
