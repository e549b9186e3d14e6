"""One supervised server process: started, watched, stopped by a ladder of signals, explained when it dies.

Each server runs in a process group of its own, so that Ctrl-C in the terminal reaches Paceline alone and the
order of stopping stays Paceline's. If Paceline is killed outright, the kernel sends the server its death
signal (see launch.py). The kernel ties that promise to the *thread* that started the child, so start servers
from a thread that lives as long as they should: the main one.

Output goes to a file, not to a pipe: a pipe needs somebody reading, and a server must not stall because our
loop is busy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paceline.embedded import launch

_TAIL_BYTES = 4096
_TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class Account:
    """Who a server runs as. `reach`: it must walk through folders that are closed to it."""

    uid: int
    gid: int
    reach: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of stopping: send `signum`, then wait up to `seconds` for the process to end."""

    signum: signal.Signals
    seconds: float


class Child:
    """A running server. Made by `start`; `stop` may be awaited any number of times."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._ended = asyncio.ensure_future(process.wait())
        self._stopping = False

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        death_signal: signal.Signals,
        account: Account | None = None,
        env: dict[str, str] | None = None,
    ) -> Child:
        """Run `command` with its output appended to `log`. Raises OSError when it cannot be run at all."""
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *launcher(death_signal, account),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=env,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def ended_within(self, seconds: float) -> bool:
        """True as soon as the process has ended, False after `seconds` of life."""
        done, _ = await asyncio.wait({self._ended}, timeout=seconds)
        return bool(done)

    async def died(self) -> None:
        """Return once the process has ended without being asked to; never return otherwise."""
        await asyncio.shield(self._ended)
        if self._stopping:
            await asyncio.get_running_loop().create_future()  # asked for: nothing to tell

    async def stop(self, ladder: Sequence[Step]) -> None:
        """End the process, more firmly with every rung; SIGKILL to the whole group is the last one."""
        self._stopping = True
        for step in ladder:
            if self._ended.done():
                return
            self._send(step.signum)
            if await self.ended_within(step.seconds):
                return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._ended

    def _send(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)

    def how_it_ended(self) -> str:
        """In words: `ended with code 1`, or `was killed by SIGKILL (…)`."""
        code = self.returncode
        if code is None or code >= 0:
            return f"ended with code {code}"
        name = signal.Signals(-code).name
        hint = " (often: the machine ran out of memory)" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"

    def tail(self) -> str:
        """The last lines the server wrote."""
        return tail_of(self.log)


def launcher(death_signal: signal.Signals, account: Account | None) -> list[str]:
    """The words to put in front of a command so that it goes through launch.py."""
    uid, gid, reach = (account.uid, account.gid, int(account.reach)) if account else (-1, -1, 0)
    words = (os.getpid(), int(death_signal), uid, gid, reach)
    return [sys.executable, "-I", "-S", launch.__file__, *(str(word) for word in words)]


def tail_of(log: Path) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def fresh_log(log: Path) -> None:
    """Begin a new log and keep the one before it beside it, so that a tail speaks of this start only."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
