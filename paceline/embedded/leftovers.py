"""What a killed run may have left of its PostgreSQL, and how to be rid of it.

Paceline killed outright takes its servers with it, but they need a moment to go, and a machine that lost
power or a container that was thrown away leaves a `postmaster.pid` whose number may by now belong to anybody.
By holding the data folder's lock we know that no Paceline uses the cluster. So: whatever process still sits
in it is a leftover and is told to go; and a pid file whose process is alive but somebody else's is removed,
for PostgreSQL would believe it. Any other pid file stays, because PostgreSQL finds the old shared memory by
it.

Who "sits in" a cluster is asked of /proc (every PostgreSQL process has the data directory as its working
directory). Where there is no /proc, PostgreSQL's own checks have to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from paceline.embedded.errors import ServerFailed
from paceline.embedded.processes import tail_of

_LADDER = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # seconds: immediate shutdown takes milliseconds


async def clear(cluster: Path) -> None:
    """End every process that still works in `cluster`. Raises ServerFailed when one cannot be ended."""
    if not _may_be_in_use(cluster):
        return
    for signum, seconds in _LADDER:
        pids = sitting_in(cluster)
        if not pids:
            break
        await _end(pids, signum, seconds)
    if left := sitting_in(cluster):
        log = cluster.parent / "log" / "postgres.log.1"
        raise ServerFailed("PostgreSQL", f"of an earlier run cannot be ended (processes {left})", log, tail_of(log))
    _disown_pid_file(cluster)


def _may_be_in_use(cluster: Path) -> bool:
    return (cluster / "postmaster.pid").exists() and Path("/proc/self").exists()


def _disown_pid_file(cluster: Path) -> None:
    """Remove a pid file whose number now belongs to somebody else's process."""
    pid_file = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        if _alive(pid_file.read_text("ascii", "replace").split("\n", 1)[0]):
            pid_file.unlink()


def sitting_in(cluster: Path) -> list[int]:
    """Process ids whose working directory is `cluster`."""
    where = str(cluster.resolve())
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            # Gone since the listing, or another user's: neither can be one of ours.
            with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                if os.readlink(f"/proc/{entry.name}/cwd") == where:
                    found.append(int(entry.name))
    return found


async def _end(pids: Iterable[int], signum: signal.Signals, seconds: float) -> None:
    """Signal them all and wait for the kernel to report each gone, up to `seconds` for all."""
    loop = asyncio.get_running_loop()
    handles: dict[int, asyncio.Future[None]] = {}
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                gone = loop.create_future()
                handles[handle] = gone
                loop.add_reader(handle, _mark, gone)
                signal.pidfd_send_signal(handle, signum)
        if handles:
            await asyncio.wait(handles.values(), timeout=seconds)
    finally:
        for handle in handles:
            loop.remove_reader(handle)
            os.close(handle)


def _mark(gone: asyncio.Future[None]) -> None:
    if not gone.done():
        gone.set_result(None)


def _alive(written: str) -> bool:
    """Whether a process with the number in a pid file exists (a postmaster would write its number first)."""
    try:
        os.kill(abs(int(written)), 0)
    except (ValueError, OverflowError, ProcessLookupError, PermissionError):
        return False  # another user's process (PermissionError) does not impress PostgreSQL either
    return True
