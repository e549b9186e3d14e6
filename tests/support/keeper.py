"""Servers that tests start end with the process that started them, however that ends.

Whoever is killed runs no `finally`, and what it had started would go on, on its ports, beside everything that is measured later.
The death signal of Linux (paceline/embedded/launch.py) will not do here: it comes when the *thread* ends that started a server,
and tests start theirs from threads that end long before them. So each process that starts servers has a keeper: a small process
that reads their ids from a pipe, and when the pipe ends because nobody is left who could write, kills those that still live.

A process whose id was given to another one since is known by the instant at which it began. Between the start of a server and
`keep` lie some microseconds in which it is nobody's. Where there is no /proc, nothing is kept.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

_lock = threading.Lock()
_pipe: dict[int, int] = {}
"""Where this process writes to its keeper, by the process's own id: a copy of it has a keeper of its own."""


def keep(pid: int) -> None:
    """End this process, with its group if it leads one, when the calling process is gone."""
    began = began_at(pid)
    if began is None:
        return
    with _lock:
        if os.getpid() not in _pipe:
            _pipe[os.getpid()] = _keeper()
        os.write(_pipe[os.getpid()], f"{pid} {began}\n".encode())


def began_at(pid: int) -> str | None:
    """When a process began, in the clock ticks of its system; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _keeper() -> int:
    """Start one; where to write to it."""
    reading, writing = os.pipe()
    # In a group of its own, where Ctrl-C does not come.
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", __file__],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
        setpgroup=0,
    )
    os.close(reading)
    return writing


def _end(kept: Iterable[str]) -> None:
    for line in kept:
        pid, began = line.split()
        if began_at(int(pid)) == began:
            with contextlib.suppress(ProcessLookupError):
                _kill(int(pid))


def _kill(pid: int) -> None:
    if os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _end(list(sys.stdin))
