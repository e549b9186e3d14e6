"""The stand: a small installation of real processes with a breakable network around each of them.

    clients ── front a ── gateway a ──┬── redis, by a's own proxy ───── Redis
            └─ front b ── gateway b ──┼── postgres, by a's own proxy ── Postgres
                          worker ─────┘

Two gateways (`paceline run`, by tests/faults/gateway.py) and one worker, a Postgres and a Redis of their own. Every gateway sees
each service through a proxy of its own, so that one of them can be cut off and the other not; clients see each gateway through its
front. With a broker (`open_stand(broker=…)`) the task bus is on RabbitMQ, and there are two workers (tests/faults/worker.py), each
with a proxy of its own before it. Only processes started here are ever signalled, by their pid.

`whole()` undoes whatever a case has done: it heals the networks, thaws and starts what was frozen or killed, and takes back what
was set on Redis. So one stand serves many cases.
"""

import asyncio
import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from paceline.embedded import open_embedded
from realtime.peer import EVERY_NODE
from services.accounts.keyring import make_key
from tests.faults import ledger
from tests.faults.balancer import Balancer, open_balancer
from tests.faults.history import History, Ready
from tests.faults.process import Gateway, Process, Worker
from tests.support.proxy import open_proxy
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis_server import RedisServer
from tests.support.server import PROGRAM, Server, free_port, shared_keys
from tests.support.system_parts import redis as redis_7

LOOK_EVERY_S: Final = 0.1
LOAD_EVERY_S: Final = 0.5
READY_S: Final = 60.0
LAG_MS: Final = 500.0
"""How far the replica is behind in F-16."""


@dataclass
class Stand:
    """The running installation. `database_url` leads to Postgres directly, for whoever reads the truth."""

    gateways: list[Gateway]
    workers: list[Worker]
    database_url: str
    redis: RedisServer
    token_key: str
    http: aiohttp.ClientSession
    folder: Path
    environ: dict[str, str]
    ping_s: float = 25.0
    primary: RedisServer = field(init=False)
    primary_port: int = 0
    replica: RedisServer | None = None
    broker: RabbitMQ | None = None
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.primary = self.redis

    @property
    def processes(self) -> tuple[Process, ...]:
        """All of Paceline that runs here."""
        return (*self.gateways, *self.workers)

    # -- Redis's own knobs ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def knobs(self) -> AsyncIterator[Redis]:
        """A client of the Redis in use, for what only an operator does."""
        async with _knobs_of(self.redis) as client:
            yield client

    async def subscribers(self) -> dict[str, int]:
        """How many connections listen to each channel, by its name in Redis."""
        async with self.knobs() as client:
            channels = await client.pubsub_channels()
            counted = await client.pubsub_numsub(*channels) if channels else []
            return {str(channel): count for channel, count in counted}

    async def channel_of_all(self) -> str:
        """The channel that every node listens to, as Redis knows it."""
        return next(name for name in await self.subscribers() if EVERY_NODE in name)

    async def listeners(self) -> int:
        """How many connections listen to it; 0 when Redis does not say."""
        with contextlib.suppress(RedisError, OSError):
            for name, count in (await self.subscribers()).items():
                if EVERY_NODE in name:
                    return count
        return 0

    async def promote_replica(self) -> None:
        """Kill the primary, whose replica is `LAG_MS` behind, promote that, and lead every gateway to it. See `with_replica`."""
        if self.replica is None:
            raise RuntimeError("there is no replica to promote: enter `with_replica` first")
        await self.primary.kill()
        async with _knobs_of(self.replica) as client:
            await client.replicaof("NO", "ONE")
        self._lead_to(self.replica)

    @asynccontextmanager
    async def with_replica(self) -> AsyncIterator[RedisServer]:
        """A replica of Redis behind a slow network; back on an empty primary afterwards."""
        folder = self.folder / f"replica-{secrets.token_hex(3)}"
        folder.mkdir()
        replica = self.replica = RedisServer(folder, program=redis_7())
        async with open_proxy(self.primary_port) as slow:
            slow.latency(LAG_MS)
            await replica.start()
            try:
                async with _knobs_of(replica) as client:
                    await client.replicaof("127.0.0.1", str(slow.port))
                    async with asyncio.timeout(30):
                        while (await client.info("replication"))["master_link_status"] != "up":
                            await asyncio.sleep(LOOK_EVERY_S)
                yield replica
            finally:
                await self._back_to_primary()
                await replica.stop()
                self.replica = None

    async def _back_to_primary(self) -> None:
        if self.redis is self.primary:
            return
        with contextlib.suppress(RuntimeError):  # it was killed already
            await self.primary.kill()
        await self.primary.start()
        self._lead_to(self.primary)

    def _lead_to(self, server: RedisServer) -> None:
        self.redis = server
        for process in self.processes:
            process.redis.upstream = server.socket
            process.redis.cut()

    # -- more processes ---------------------------------------------------------------------------------------------------

    async def open_gateway(
        self, name: str, resources: AsyncExitStack, *, descriptors_at_most: int | None = None, **environ: str
    ) -> Gateway:
        """One more gateway, started, ended with `resources`."""
        door = self.folder / f"{name}.door"
        program: tuple[str, ...] = (sys.executable, "-m", "tests.faults.gateway", str(door))
        if descriptors_at_most is not None:
            program = ("sh", "-c", f'ulimit -n {descriptors_at_most}; exec "$@"', "sh", *program)
        postgres_at, role, database = _postgres_socket(self.database_url)
        redis = await resources.enter_async_context(open_proxy(self.redis.socket, seed=1))
        postgres = await resources.enter_async_context(open_proxy(postgres_at, seed=2))
        urls = {
            "DATABASE_URL": f"postgresql://{role}@127.0.0.1:{postgres.port}/{database}?sslmode=disable",
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
            "PACELINE_ROLES": "gateway",
            "PACELINE_NODE_ID": name,
        }
        port = free_port()
        server = Server(self.folder / name, port, self.environ | urls | environ, program)
        front = await resources.enter_async_context(open_proxy(port, seed=3))
        gateway = Gateway(name, server, door, front, redis, postgres)
        resources.push_async_callback(_ended, server)
        await gateway.start()
        return gateway

    @asynccontextmanager
    async def behind_haproxy(self) -> AsyncIterator[Balancer]:
        """A real HAProxy in front of both gateways. Raises NotOnThisMachine."""
        async with open_balancer(self.folder, self.gateways) as balancer:
            yield balancer

    async def open_worker(self, name: str, resources: AsyncExitStack, **environ: str) -> Worker:
        """One more process for all that is done later, started, ended with `resources`."""
        door = self.folder / f"{name}.door"
        redis = await resources.enter_async_context(open_proxy(self.redis.socket))
        amqp = None
        environ = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
            "PACELINE_ROLES": "worker,relay,scheduler",
            "PACELINE_NODE_ID": name,
            **environ,
        }
        program: tuple[str, ...] = PROGRAM
        if self.broker is not None:
            amqp = await resources.enter_async_context(open_proxy(self.broker.port))
            environ["AMQP_URL"] = f"amqp://guest:guest@127.0.0.1:{amqp.port}/"
            program = (sys.executable, "-m", "tests.faults.worker", str(door))
        server = Server(self.folder / name, free_port(), self.environ | environ, program)
        worker = Worker(name, server, door, redis, amqp)
        resources.push_async_callback(_ended, server)
        await worker.start()
        return worker

    # -- whole and at rest ------------------------------------------------------------------------------------------------

    async def whole(self) -> None:
        """Everything as it was at first: see the module."""
        for process in self.processes:
            if process.frozen:
                process.thaw()
        for gateway in self.gateways:
            for network in (gateway.front, gateway.redis, gateway.postgres):
                network.heal()
        await self._broker_whole()
        await self._back_to_primary()
        if not await self._redis_answers():
            await self.primary.start()
        async with self.knobs() as client:
            await client.config_set("maxmemory", "0")
            await client.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        await asyncio.gather(*(process.start() for process in self.processes if not process.server.runs))
        await self.ready()

    async def _broker_whole(self) -> None:
        if self.broker is None:
            return
        if not self.broker.runs:
            self.broker.launch()
        await asyncio.to_thread(self.broker.wait)
        for worker in self.workers:
            worker.lead_to(self.broker)
            worker.network.heal()

    def ended(self) -> list[str]:
        """Processes that have ended though nobody ended them, with their last words."""
        return [
            f"{process.name} has ended by itself: {' '.join(process.server.output[-3:]).strip()[:300]}"
            for process in self.processes
            if not process.server.runs
        ]

    async def _redis_answers(self) -> bool:
        try:
            async with self.knobs() as client:
                return bool(await client.ping())
        except (RedisError, OSError):
            return False

    async def ready(self, within_s: float = READY_S) -> None:
        """Wait until every gateway says that it is ready. Raises TimeoutError."""
        try:
            async with asyncio.timeout(within_s):
                while not await self.is_ready():
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError as late:
            states = {gateway.name: await self.readiness(gateway) for gateway in self.gateways}
            raise TimeoutError(f"after {within_s:g} s these checks still fail: {states}") from late

    async def is_ready(self) -> bool:
        """Whether every gateway says so right now."""
        return all([await self.readiness(gateway) == [] for gateway in self.gateways])

    async def readiness(self, gateway: Gateway) -> list[str]:
        """The checks that fail; "down" when nobody answers in a second."""
        try:
            url = f"{gateway.server.base_url}/readyz"
            async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=1)) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return ["down"]
        if answer.status == 200:
            return []
        return sorted(name for name, said in (body.get("checks") or {"?": "unready"}).items() if said != "ok") or ["?"]

    async def metric(self, gateway: Gateway, name: str, **labels: str) -> float:
        """A figure of its /metrics page, 0 when it is not there."""
        wanted = f"paceline_{name}" + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else "")
        async with self.http.get(f"{gateway.server.base_url}/metrics") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith(f"{wanted} "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    async def watch(self) -> None:
        """Note every change of readiness and, now and then, what the nodes hold; until cancelled."""
        told: dict[str, list[str]] = {}
        history, next_load = self.history, 0.0
        while True:
            if history is not self.history:
                history, next_load = self.history, 0.0
                told.clear()
            for gateway in self.gateways:
                failing = await self.readiness(gateway)
                if told.get(gateway.name) != failing and history is self.history:
                    told[gateway.name] = failing
                    history.note(Ready(t=history.now(), who=gateway.name, ready=not failing, failing=failing))
            if history.now() >= next_load:
                next_load = history.now() + LOAD_EVERY_S
                for gateway in self.gateways:
                    with contextlib.suppress(OSError):  # it was killed
                        history.note(gateway.load(history.now()))
            await asyncio.sleep(LOOK_EVERY_S)

    def note_warm(self) -> None:
        """Note the most that the gateways will have needed: what they keep of it is no leak, what comes on top is."""
        for gateway in self.gateways:
            self.history.note(gateway.load(self.history.now(), warm=True))

    async def note_rest(self, looks: int = 1) -> None:
        """Note what every gateway holds while nothing is done to it: of each kind of task the most that was seen in so many looks,
        because a loop has others while it does something than while it waits."""
        for gateway in self.gateways:
            held = Counter[str]()
            for look in range(looks):
                await asyncio.sleep(LOOK_EVERY_S if look else 0)
                held |= Counter(await gateway.ask("tasks"))
            # One for each HTTP connection that is kept open, and the stand itself keeps some.
            held.pop("RequestHandler.start", None)
            self.history.note(gateway.load(self.history.now(), tasks=dict(held), rest=True))


@asynccontextmanager
async def _knobs_of(server: RedisServer) -> AsyncIterator[Redis]:
    client: Redis = Redis(unix_socket_path=str(server.socket), decode_responses=True, socket_timeout=20)
    try:
        yield client
    finally:
        await client.aclose()


async def _ended(server: Server) -> None:
    if server.runs:
        server.send(signal.SIGCONT)
    await asyncio.to_thread(server.kill)


def _postgres_socket(url: str) -> tuple[Path, str, str]:
    """Where the server behind a DSN listens, the role and the database."""
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    return Path(asked["host"][0]) / f".s.PGSQL.{asked['port'][0]}", parts.username or "", parts.path.strip("/")


@asynccontextmanager
async def open_stand(
    *, ping_s: float | None = None, broker: RabbitMQ | None = None, **workers_environ: str
) -> AsyncIterator[Stand]:
    """A running stand. `ping_s`: seconds between pings, None for what is shipped; `broker`: a RabbitMQ that runs, for the task bus;
    `workers_environ`: what workers are told besides."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-faults-"))
    folder.chmod(0o711)
    async with AsyncExitStack() as resources:
        resources.callback(shutil.rmtree, folder, ignore_errors=True)
        embedded = await resources.enter_async_context(
            open_embedded(folder / "postgres", want_redis=False, durable=False)
        )
        assert embedded.database_url is not None
        (folder / "redis").mkdir()
        redis_port = free_port()  # replicas speak TCP
        redis = RedisServer(folder / "redis", "--bind", "127.0.0.1", "--port", str(redis_port), program=redis_7())
        await redis.start()
        resources.push_async_callback(redis.stop)
        http = await resources.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        key = make_key().decode()
        environ = {**shared_keys(key), "PACELINE_ADMIN_TOKEN": secrets.token_urlsafe(32)}
        if ping_s is not None:
            environ["BENCH_PING_S"] = str(ping_s)
        stand = Stand([], [], embedded.database_url, redis, key, http, folder, environ, ping_s or 25.0, broker=broker)
        stand.primary_port = redis_port
        # The workers first: they migrate the database, and the gateways need not wait for each other.
        if broker is not None:
            await ledger.prepare(embedded.database_url)
        for name in ("worker",) if broker is None else ("worker-1", "worker-2"):
            stand.workers.append(await stand.open_worker(name, resources, **workers_environ))
        for name in ("a", "b"):
            stand.gateways.append(await stand.open_gateway(name, resources))
        await stand.ready()
        watching = asyncio.create_task(stand.watch(), name="the stand is watched")
        try:
            yield stand
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
