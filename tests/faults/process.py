"""A process of the stand: its signals, the door into it, the networks around it, and what it holds."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.faults.history import Load
from tests.support.census import descriptors, rss_kb
from tests.support.proxy import Line, Proxy
from tests.support.rabbitmq import RabbitMQ
from tests.support.server import Server


def subscriber(line: Line) -> bool:
    """The line on which a gateway listens to Redis, as opposed to those on which it speaks."""
    return line.said(b"subscribe")


class Process:
    """A process, the door into it, and its way to Redis. `name` is its node id; `generation` counts its starts."""

    def __init__(self, name: str, server: Server, door: Path, redis: Proxy) -> None:
        self.name: Final = name
        self.server: Final = server
        self.redis: Final = redis
        self.generation = 0
        self.frozen = False
        self._door: Final = door

    @property
    def who(self) -> str:
        """Its name in a history: another process is another node."""
        return f"{self.name}.{self.generation}"

    @property
    def pid(self) -> int:
        return self.server.pid

    async def start(self) -> None:
        """Start it; returns when it serves."""
        if self.generation:
            await self.kill()  # it has ended; what is left of it is tidied up
        self.generation += 1
        self.frozen = False
        await asyncio.to_thread(self.server.start)

    async def kill(self) -> None:
        """kill -9."""
        await asyncio.to_thread(self.server.kill)

    async def stop(self) -> int:
        """SIGTERM; its exit code once it has ended."""
        return await asyncio.to_thread(self.server.stop)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.server.send(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.server.send(signal.SIGCONT)
        self.frozen = False

    async def ask(self, do: str, **more: Any) -> Any:
        """Ask at the side door: see tests/faults/door.py, worker.py."""
        reader, writer = await asyncio.open_unix_connection(self._door)
        try:
            writer.write(json.dumps({"do": do, **more}).encode() + b"\n")
            return json.loads(await asyncio.wait_for(reader.readline(), 10))
        finally:
            writer.close()

    def cpu_seconds(self) -> float:
        """Processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, t: float, *, tasks: dict[str, int] | None = None, rest: bool = False, warm: bool = False) -> Load:
        """What it holds now. Raises OSError when it is gone."""
        held, fds = rss_kb(self.pid), descriptors(self.pid)
        return Load(t=t, who=self.who, rss_kb=held, fds=fds, tasks=tasks, rest=rest, warm=warm)


class Gateway(Process):
    """A gateway, and the networks around it: its front towards clients, its ways to Redis and Postgres."""

    def __init__(self, name: str, server: Server, door: Path, front: Proxy, redis: Proxy, postgres: Proxy) -> None:
        super().__init__(name, server, door, redis)
        self.front: Final = front
        self.postgres: Final = postgres

    @property
    def url(self) -> str:
        """Where clients reach it: its front."""
        return f"http://127.0.0.1:{self.front.port}"

    def load(self, t: float, *, tasks: dict[str, int] | None = None, rest: bool = False, warm: bool = False) -> Load:
        """What it holds now, without its lines to Postgres: a pool has as many as were ever needed at once, up to its size, and
        lets them go in minutes. Raises OSError when it is gone."""
        held = super().load(t, tasks=tasks, rest=rest, warm=warm)
        return msgspec.structs.replace(held, fds=held.fds - self.postgres.lines())


class Worker(Process):
    """A worker, with its ways to Redis and, where the bus is on RabbitMQ, to the broker; without a broker it has no door."""

    def __init__(self, name: str, server: Server, door: Path, redis: Proxy, amqp: Proxy | None) -> None:
        super().__init__(name, server, door, redis)
        self._amqp: Final = amqp
        self._deliveries: Final = Path(f"{door}.deliveries")

    @property
    def network(self) -> Proxy:
        """Its way to the broker. Raises LookupError where there is none."""
        if self._amqp is None:
            raise LookupError(f"{self.name} has its bus on Postgres")
        return self._amqp

    def lead_to(self, broker: RabbitMQ) -> None:
        """Its broker is this one from now on; lines to another one are cut."""
        if self.network.upstream != broker.port:
            self.network.upstream = broker.port
            self.network.cut()

    def deliveries(self) -> int:
        """How often its handlers were handed something, over all its lives."""
        return self._deliveries.read_bytes().count(b"\n") if self._deliveries.exists() else 0
