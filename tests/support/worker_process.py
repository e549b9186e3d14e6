"""Starting, signalling and listening to `killable_worker`. It dies with the test that started it."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from tests.support.keeper import keep
from tests.support.killable_worker import Order
from tests.support.task_buses import WAIT_S

ROOT: Final = Path(__file__).parents[2]


class WorkerProcess:
    """A running worker; `lines` is what it has said."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process: Final = process
        self.lines: Final[list[str]] = []

    def done(self) -> list[str]:
        """The ids of the facts it has handled, in order."""
        return [line.removeprefix("done ") for line in self.lines if line.startswith("done ")]

    async def says(self, line: str) -> None:
        """Return when it has said this line. Fails when it ends first."""
        while line not in self.lines:
            assert await self._listen(), f"it ended without saying {line!r}: {self.lines}"

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        while await self._listen():
            pass
        return await asyncio.to_thread(self._process.wait, WAIT_S)

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        self._process.send_signal(number)

    async def _listen(self) -> bool:
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await asyncio.to_thread(self._process.stdout.readline)
        if line:
            self.lines.append(line.strip())
        return bool(line)


@asynccontextmanager
async def worker_process(order: Order) -> AsyncIterator[WorkerProcess]:
    """A worker that does what it is ordered; killed on leaving if it still lives."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.killable_worker", msgspec.json.encode(order).decode()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    keep(process.pid)
    try:
        yield WorkerProcess(process)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        assert process.stdout is not None
        process.stdout.close()
