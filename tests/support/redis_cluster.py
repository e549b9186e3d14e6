"""A real Redis Cluster for tests: three masters on this machine, one of whose slots can be moved and any of which can be killed
and started again.

It needs Redis 7, which knows sharded pub/sub; the wheel's Redis is older.
"""

import asyncio
import contextlib
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import hiredis
from redis.crc import key_slot

from tests.support.keeper import keep
from tests.support.server import free_ports
from tests.support.system_parts import require

SLOTS: Final = 16_384
START_S: Final = 30.0
MEET_S: Final = 2.0
ANSWER_S: Final = 20.0
_GONE_AFTER_MS: Final = 1_000
"""After so long without an answer the others hold a master for failed. Short, because tests wait for it."""


class Master:
    """One server of the cluster."""

    def __init__(self, program: Path, folder: Path, port: int, bus_port: int) -> None:
        self.port = port
        self._bus_port = bus_port
        self._program = program
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *words: str) -> None:
        """Start it, again if need be: it remembers its part in the cluster. `words` are more options on its command line."""
        self._folder.mkdir(exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            str(self._program),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), "--save", ""),
            *("--cluster-enabled", "yes", "--cluster-port", str(self._bus_port)),
            *("--cluster-node-timeout", str(_GONE_AFTER_MS), "--cluster-require-full-coverage", "no"),
            *words,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        keep(self._process.pid)
        async with asyncio.timeout(START_S):
            while not await self._answers():
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self._process is None:
            raise RuntimeError("this Redis is not running")
        self._process.kill()
        async with asyncio.timeout(ANSWER_S):
            await self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def until_copied(self) -> None:
        """Return when its copies have all that it has."""
        async with asyncio.timeout(ANSWER_S):
            while True:
                told = (await self.command("INFO", "replication")).decode()
                top = re.search(r"master_repl_offset:(\d+)", told)
                copies = re.findall(r"slave\d+:.*offset=(\d+)", told)
                if top is not None and copies and all(offset == top[1] for offset in copies):
                    return
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            await self.kill()

    async def command(self, *words: str | bytes | int) -> Any:
        """Send one command; its reply. Raises what Redis answers as an error, and `TimeoutError`."""
        asked = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in asked]
        replies = hiredis.Reader()
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(b"*%d\r\n%b" % (len(parts), b"".join(parts)))
                while (reply := replies.gets()) is False:
                    replies.feed(await reader.read(1 << 16) or b"-ERR closed\r\n")
            finally:
                writer.close()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _answers(self) -> bool:
        try:
            return await self.command("PING") in {b"PONG", "PONG"}
        except (ConnectionError, hiredis.ReplyError):  # it may have a disk to read first
            return False


class Cluster:
    """Three masters, each with a third of the slots."""

    def __init__(self, masters: list[Master]) -> None:
        self.masters = masters
        self.copies: list[Master] = []
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{master.port}" for master in masters)

    async def form(self) -> None:
        """Give out the slots and let the masters meet. Returns when each knows of all."""
        count = len(self.masters)
        for place, master in enumerate(self.masters):
            await master.command("CLUSTER", "ADDSLOTSRANGE", place * SLOTS // count, (place + 1) * SLOTS // count - 1)
            # Different from the start, as `redis-cli --cluster create` does it: else they have to settle it among themselves.
            await master.command("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        async with asyncio.timeout(START_S):
            while not await self._whole():
                # A meeting that has not come about within their patience is forgotten by both: it is asked for again.
                for other in self.masters[1:]:
                    await self.masters[0].command("CLUSTER", "MEET", "127.0.0.1", other.port, other._bus_port)
                with contextlib.suppress(TimeoutError):
                    await self.until_whole(MEET_S)

    async def until_whole(self, within_s: float = START_S) -> None:
        """Return when every master sees every slot served."""
        async with asyncio.timeout(within_s):
            while not await self._whole():
                await asyncio.sleep(0.02)

    async def _whole(self) -> bool:
        for master in self.masters:
            if not await self._sees_all(master):
                return False
        return True

    async def home(self, name: bytes) -> Master:
        """Who has the slot of a channel or key."""
        slot = key_slot(name)
        for first, last, (_, port, *_), *_ in await self.masters[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(master for master in self.masters if master.port == port)
        raise LookupError(f"nobody has slot {slot}")

    async def move(self, name: bytes) -> Master:
        """Move the slot of a channel to another master, as an operator does; the new home."""
        slot, before = key_slot(name), await self.home(name)
        after = self.masters[(self.masters.index(before) + 1) % len(self.masters)]
        ids = {master.port: (await master.command("CLUSTER", "MYID")).decode() for master in (before, after)}
        await after.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[before.port])
        await before.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[after.port])
        while keys := await before.command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            await before.command("MIGRATE", "127.0.0.1", after.port, "", 0, 5_000, "KEYS", *keys)
        await after.command("CLUSTER", "SETSLOT", slot, "NODE", ids[after.port])
        await before.command("CLUSTER", "SETSLOT", slot, "NODE", ids[after.port])
        return after

    async def copy_of(self, master: Master) -> Master:
        """One more server, which follows a master and has all that it has."""
        port, bus_port = free_ports(2)
        copy = Master(master._program, master._folder.with_name(f"copy-{port}"), port, bus_port)
        self.copies.append(copy)
        await copy.start()
        await copy.command("CLUSTER", "MEET", "127.0.0.1", master.port, master._bus_port)
        id_ = await master.command("CLUSTER", "MYID")
        async with asyncio.timeout(START_S):
            while id_ not in await copy.command("CLUSTER", "NODES"):
                await asyncio.sleep(0.02)
            await copy.command("CLUSTER", "REPLICATE", id_)
            while b"master_link_status:up" not in await copy.command("INFO", "replication"):
                await asyncio.sleep(0.02)
        return copy

    async def _sees_all(self, master: Master) -> bool:
        told = (await master.command("CLUSTER", "INFO")).decode()
        return (
            "cluster_state:ok" in told
            and f"cluster_slots_ok:{SLOTS}" in told
            and f"cluster_size:{len(self.masters)}" in told
        )


@asynccontextmanager
async def open_cluster() -> AsyncIterator[Cluster]:
    """A running cluster of one's own. The test is skipped where Redis 7 is missing."""
    program = require("redis")
    with tempfile.TemporaryDirectory(prefix="paceline-cluster-") as folder:
        ports = free_ports(6)
        masters = [Master(program, Path(folder) / str(n), ports[2 * n], ports[2 * n + 1]) for n in range(3)]
        cluster = Cluster(masters)
        try:
            for master in masters:
                await master.start()
            await cluster.form()
            yield cluster
        finally:
            for server in (*cluster.masters, *cluster.copies):
                await server.stop()
