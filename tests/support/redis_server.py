"""A real Redis for tests, on a private socket, that can be killed, frozen and started again.

The program is the one that the wheel brings; nothing has to be installed.
"""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from paceline.embedded.redis import program
from tests.support.keeper import keep

START_S = 60.0
ANSWER_S = 60.0
"""What any one wait here may take: a test that waits for ever tells nobody anything."""


class RedisServer:
    """One server on one socket. `start` waits until it answers."""

    def __init__(self, folder: Path, *words: str, program: Path | None = None) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._program = program
        self._words = words
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, again if need be."""
        self._process = await asyncio.create_subprocess_exec(
            str(self._program or program()),
            *("--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"),
            *self._words,
            cwd=self.folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        keep(self._process.pid)
        async with asyncio.timeout(START_S):
            while not await self._answers():
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        process = self._running()
        process.kill()
        async with asyncio.timeout(ANSWER_S):
            await process.wait()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    async def command(self, *words: str) -> str:
        """Send one command of plain words; the first line of the reply. Raises `TimeoutError`."""
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(self.socket)
            try:
                writer.write(" ".join(words).encode() + b"\r\n")
                return (await reader.readline()).decode().strip()
            finally:
                writer.close()

    async def stop(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            await self.kill()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("this Redis is not running")
        return self._process

    async def _answers(self) -> bool:
        try:
            return await self.command("PING") == "+PONG"
        except (FileNotFoundError, ConnectionError):
            return False


@asynccontextmanager
async def open_redis(*words: str, program: Path | None = None) -> AsyncIterator[RedisServer]:
    """A running server of one's own, with more options on its command line, or another program than the wheel's."""
    with tempfile.TemporaryDirectory(prefix="paceline-redis-") as folder:
        server = RedisServer(Path(folder), *words, program=program)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()
