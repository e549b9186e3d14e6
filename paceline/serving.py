"""A node at work: what happens between the moment its parts are made and the moment they are closed, whoever started it.

`paceline run` and a gunicorn worker (paceline/gunicorn_app.py) do the same here. Stopping has an order, and each step a limit:
unready first, and a wait if balancers need one to see it; then newcomers are refused, what was sent is committed, whole
shares go to the other nodes, sockets are closed in waves, loops end, and the web server's hooks run last. Somebody who insists
skips the waits and none of the steps.
"""

import contextlib
import errno
import gc
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from gateway.app import build_windows
from gateway.http.server import GatewayRunner
from gateway.sockets.engine.drain import HURRY_S
from paceline.program import CLOSING_S, LOOPS_S, Program
from paceline.wiring import Parts, start_loops
from realtime.disconnect import DRAINING, RESTART

FLUSH_S: Final = 5.0
HTTP_SHUTDOWN_S: Final = 1.0
"""Sockets are closed by then; what is left are requests of seconds."""
HTTP_S: Final = 2 * HTTP_SHUTDOWN_S + 1
"""aiohttp may take the time twice."""
OVERTIME_S: Final = 1.0
"""What the drain, which keeps its own time, may take more than that before it is cut. The delay is a sleep, and takes none."""
WITHOUT_DRAIN_S: Final = FLUSH_S + OVERTIME_S + HURRY_S + LOOPS_S + HTTP_S + CLOSING_S
"""What a stop may take at most besides the delay and the drain, whatever hangs: no step of it takes longer than stands here. Local
servers, which `paceline run` stops last, are not in it."""
BACKLOG: Final = 1_024
MOST_DESCRIPTORS: Final = 1 << 20
"""What the limit on descriptors is raised to, where that is allowed: ten times the sockets one process is good for."""
GC_THRESHOLD: Final = (50_000, 20, 50)
"""A full collection walks every connection's objects. Rare and after `gc.freeze`, ping and connect cost a third to a quarter on
10 000 connections of the stock engine (measured in the reference; this node's own figures are in docs/performance/)."""

log = structlog.get_logger(__name__)


class PortTakenError(Exception):
    """Another program listens on the port; `variable` is the option that chooses it."""

    def __init__(self, host: str, port: int, variable: str = "PACELINE_PORT") -> None:
        super().__init__(
            f"Port {port} on {host} is taken by another program. Stop that one, or choose another port: "
            f"{variable}={port + 1 if port < 65_535 else 8080} paceline run"
            + (" (make run PORT=…); 0 takes any free one." if variable == "PACELINE_PORT" else ".")
        )


@contextlib.contextmanager
def listen(host: str, port: int, variable: str = "PACELINE_PORT") -> Iterator[socket.socket]:
    """A listening socket. Raises PortTakenError, and OSError with the cure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            # Two sockets may bind one address while neither listens.
            listening.listen(BACKLOG)
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortTakenError(host, port, variable) from problem
            if problem.errno == errno.EACCES:
                raise OSError(f"port {port} needs more rights than this user has: choose one above 1023") from problem
            raise OSError(f"PACELINE_HOST={host} is not an address of this machine ({problem.strerror})") from problem
        listening.setblocking(False)
        yield listening
    finally:
        listening.close()


def use_all_descriptors() -> None:
    """Raise the soft limit on descriptors to the hard one: the soft one is for programs that use `select`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


@asynccontextmanager
async def serving(
    parts: Parts, program: Program, listening: Sequence[socket.socket], *, shared: bool = False
) -> AsyncIterator[None]:
    """The node works while inside, and stops in order on leaving.

    `listening` are the sockets of its gateway. `shared`: other processes accept on them too, so that a node that stops should
    leave newcomers to them rather than refuse.
    """
    start_loops(parts, program)
    runner = GatewayRunner(
        parts.app, parts.sockets.eio.behind_door, handle_signals=False, shutdown_timeout=HTTP_SHUTDOWN_S
    )
    sites: list[web.SockSite] = []
    try:
        if listening:
            await runner.setup()
            parts.port = listening[0].getsockname()[1]
            # aiohttp listens once more, and would make the queue of those who knock a tenth as long.
            sites += [web.SockSite(runner, one, backlog=BACKLOG) for one in listening]
            for site in sites:
                await site.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        yield
    finally:
        await _stop(parts, program, sites if shared else [])
        await program.within(HTTP_S, runner.cleanup(), "http", skippable=False)


async def _stop(parts: Parts, program: Program, leaving: Sequence[web.SockSite]) -> None:
    """Everything of a stop but the web server's own end; `leaving` are the places to accept no more at."""
    settings, clock = parts.settings, parts.clock
    parts.draining = True
    await program.drop("demo")
    if "gateway" in settings.roles:
        began, held = time.monotonic(), len(parts.sockets.eio.links)
        if settings.drain_delay_s and program.fault is None:
            await program.within(
                settings.drain_delay_s + OVERTIME_S, clock.sleep(settings.drain_delay_s), "drain delay"
            )
        parts.sockets.refuse()
        for site in leaving:
            await site.stop()
        await program.within(FLUSH_S, parts.streams.recorder.flush(), "flush")
        parts.rooms.share_whole()
        parts.players.stop()
        ending = DRAINING if program.fault is None else RESTART
        if settings.drain_s:
            drained = parts.sockets.drain(limit_s=settings.drain_s, ending=ending)
            await program.within(settings.drain_s + OVERTIME_S, drained, "drain")
        await parts.sockets.hurry(ending=ending)
        cut = parts.sockets.eio.cut["grace"] + parts.sockets.eio.cut["drain"]
        log.info("node.drained", sockets=held, cut=cut, seconds=round(time.monotonic() - began, 2))
    await program.end()


async def show_windows(parts: Parts, listening: socket.socket) -> None:
    """Serve `/livez`, `/readyz` and `/metrics` of this process on a port of their own, until cancelled."""
    runner = web.AppRunner(build_windows(parts.app), access_log=None, shutdown_timeout=HTTP_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        while True:
            await parts.clock.sleep(3_600)
    finally:
        await runner.cleanup()
