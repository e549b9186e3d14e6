"""Two gateways and a worker as processes of their own, on one Postgres and one Redis, behind the real edge; and what a story
needs to look at them: who has how many connections, what was stored, whether newcomers are let in.

Clients know one address, that of the edge. A gateway is called by the tag that the ids of its links begin with.
"""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import aiohttp

from loadtest.api import Api
from loadtest.client import PacelineClient, account_tokens, open_client
from loadtest.tokens import Tokens
from paceline.embedded import embedded_for_tests
from realtime.wire import BoardSnapshot, RoomRef
from services.kernel.ids import ClassId, WorkoutId
from services.training.sample import Sample
from tests.support.edge import Edge, open_edge
from tests.support.server import Server, free_port, shared_keys

T = TypeVar("T")
DELAYS_S: Final = {"g1": 3.0, "g2": 0.0}
"""The gateways by the tags of their links, and how long each stays open after it has said that it stops: one as deploy/compose.yaml
has it, and one that refuses at once."""
TAGS: Final = tuple(DELAYS_S)
ADMIN_TOKEN: Final = "kettle-moss-anchor-violet-2031"
WAIT_S: Final = 30.0
POLL_S: Final = 0.05
BEAT_S: Final = 0.5
MOST_CLIENTS: Final = 12
PASSWORD: Final = "a sentence nobody guesses"


class Processes:
    """What an operator has started: the edge, the gateways by their tags, the worker."""

    def __init__(self, edge: Edge, gateways: dict[str, Server]) -> None:
        self.edge = edge
        self.gateways = gateways


class Stand:
    """The processes, and a client's way in, for one test."""

    def __init__(self, processes: Processes, http: aiohttp.ClientSession) -> None:
        self.edge = processes.edge
        self.gateways = processes.gateways
        self.http = http
        self.api = Api(http, self.edge.base_url, patience_s=60)

    async def person(self, name: str, role: str = "member") -> Tokens:
        """A new account."""
        email = f"{secrets.token_hex(6)}@example.org"
        return await account_tokens(self.api, email, PASSWORD, name, "coach" if role == "coach" else "member")

    async def live_class(self) -> tuple[Tokens, str, ClassId]:
        """A coach's tokens, and the code and id of a class that is on."""
        coach = await self.person("Mia", "coach")
        live = await self.api.create_class(await coach.current(), "Behind the proxy")
        return coach, live.code, live.id

    async def connections(self) -> dict[str, int]:
        """Authenticated connections by gateway, as each counts its own; a gateway that is down has none."""
        return {tag: await self._connections(gateway) for tag, gateway in self.gateways.items()}

    async def whole(self) -> None:
        """Start what a test before has left down."""
        for tag, row in (await self.edge.gateways()).items():
            if row["status"] != "UP":
                await self.start(tag)

    async def empty(self) -> None:
        """Wait until nobody of the test before is connected any more."""
        await until(self._empty, "the connections of the test before to be gone")

    async def on_both(self, opens: Callable[[int], Awaitable[T]]) -> list[T]:
        """Open clients, numbered from 0, until each gateway has got one of them: the edge shares out by what is open, roughly."""
        before = await self.connections()
        opened: list[T] = []
        while not all(now > before[tag] for tag, now in (await self.connections()).items()):
            assert len(opened) < MOST_CLIENTS, f"the edge gives all to one gateway: {await self.connections()}"
            opened.append(await opens(len(opened)))
        return opened

    async def stop(self, tag: str) -> int:
        """SIGTERM; the exit code. The loop goes on meanwhile."""
        return await asyncio.to_thread(self.gateways[tag].stop)

    async def start(self, tag: str) -> None:
        """Start a gateway again; returns when the edge sends it clients."""
        gateway = self.gateways[tag]
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(gateway.start)
        await self.edge.sees(tag, "UP")

    async def ready(self, tag: str) -> bool:
        """What a gateway itself says to whoever asks from inside."""
        async with self.http.get(f"{self.gateways[tag].base_url}/readyz") as answer:
            return answer.status == 200

    async def peers(self) -> set[str]:
        """From where the sockets of all gateways come, as far as the gateways know."""
        found = set()
        for gateway in self.gateways.values():
            url = f"{gateway.base_url}/v1/operations/sockets"
            async with self.http.get(url, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as answer:
                found |= {line["peer"] for line in (await answer.json())["lines"]}
        return found

    async def _empty(self) -> bool:
        return not any((await self.connections()).values())

    async def _connections(self, gateway: Server) -> int:
        try:
            async with self.http.get(f"{gateway.base_url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
        except aiohttp.ClientConnectionError:
            return 0
        return int(next(float(line.split()[1]) for line in lines if line.startswith("paceline_connections ")))


class Device:
    """One athlete with a strap, from the first sample to the summary. `marks` are the acknowledgements on the way."""

    def __init__(self, samples: int) -> None:
        self.sent = tuple(Sample(t=1_000 * second, bpm=110 + second % 60) for second in range(samples))
        self.marks: list[int] = []
        self.stored: list[Sample] = []
        self.connections = 0

    async def train(self, stand: Stand, code: str, pace_s: float) -> None:
        """Stream everything, whatever happens to the gateways, and read back what was stored."""
        tokens = await stand.person("Athlete")
        async with open_client(stand.api, tokens) as client:
            await client.join(code)
            async with client.open_stream(class_code=code, on_stored=self.marks.append) as stream:
                for sample in self.sent:
                    await stream.append(sample)
                    await asyncio.sleep(pace_s)  # a strap has a pace of its own
                finished = await stream.finish()
            self.connections = client.link.connection or 0
            self.stored = await stand.api.samples(await tokens.current(), finished.workout)
            await client.workout_summary(WorkoutId(finished.workout))

    @property
    def acknowledged(self) -> int:
        return self.marks[-1] if self.marks else 0


class Watcher:
    """Somebody in a room who looks at its board. `heard` are the moments at which it moved."""

    def __init__(self, client: PacelineClient, class_id: ClassId) -> None:
        self.client = client
        self.class_id = class_id
        self.heard: list[float] = []
        self.ended = False
        for event in ("board.changes", "board.snapshot"):
            client.link.on_raw(event, lambda _: self.heard.append(time.monotonic()))
        client.link.on("class.ended", self._over)

    async def board(self) -> BoardSnapshot:
        """The board as the gateway of this watcher has it."""
        return await self.client.call("board.get", RoomRef(class_id=self.class_id), BoardSnapshot)

    def longest_silence_s(self) -> float:
        """The longest time without a word between the first and the last."""
        return max((late - early for early, late in zip(self.heard, self.heard[1:], strict=False)), default=0.0)

    def _over(self, _: object) -> None:
        self.ended = True


class Newcomers:
    """Somebody who knocks all the time: at the sockets, and for a page. `refused` is what was not answered as it should be."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self.let_in = 0
        self.refused: list[str] = []

    async def knock(self) -> None:
        """Until cancelled."""
        sockets = f"{self._stand.edge.base_url}/socket.io/?EIO=4&transport=websocket"
        while True:
            try:
                async with self._stand.http.ws_connect(sockets) as ws:
                    await ws.receive(timeout=WAIT_S)
                async with self._stand.http.get(f"{self._stand.edge.base_url}/board") as page:
                    page.raise_for_status()
                    await page.read()
            except aiohttp.ClientError as fault:
                self.refused.append(repr(fault))
            else:
                self.let_in += 1
            await asyncio.sleep(POLL_S)


@contextmanager
def open_processes(dsn: str) -> Iterator[Processes]:
    """Everything but Postgres, on this database; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-stand-"))
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        redis = stack.enter_context(embedded_for_tests(folder / "redis", want_postgres=False))
        common = {
            "DATABASE_URL": dsn,
            "REDIS_URL": redis.redis_url or "",
            **shared_keys(),
            "PACELINE_COMMIT_INTERVAL_MS": "50",
        }
        gateways = {
            tag: Server(
                folder / tag,
                free_port(),
                {
                    **common,
                    "PACELINE_ROLES": "gateway",
                    "PACELINE_NODE_ID": tag,
                    "PACELINE_ADMIN_TOKEN": ADMIN_TOKEN,
                    "PACELINE_TRUSTED_PROXIES": "127.0.0.1",
                    "PACELINE_DRAIN_DELAY_S": str(delay_s),
                },
            )
            for tag, delay_s in DELAYS_S.items()
        }
        worker = Server(folder / "worker", free_port(), {**common, "PACELINE_ROLES": "worker,relay,scheduler"})
        for process in (*gateways.values(), worker):
            process.start()
            stack.callback(process.kill)
        edge = stack.enter_context(open_edge({tag: one.port for tag, one in gateways.items()}))
        yield Processes(edge, gateways)


@asynccontextmanager
async def open_stand(processes: Processes) -> AsyncIterator[Stand]:
    """The processes for one test, all of them up."""
    async with aiohttp.ClientSession() as http:
        stand = Stand(processes, http)
        await stand.whole()
        yield stand


@asynccontextmanager
async def watching(stand: Stand, tokens: Tokens, code: str, class_id: ClassId) -> AsyncIterator[Watcher]:
    """Somebody who watches a class, as its coach."""
    async with open_client(stand.api, tokens) as client:
        watcher = Watcher(client, class_id)
        await client.join(code, "coach")
        yield watcher


@asynccontextmanager
async def streaming(stand: Stand, code: str, bpm: int) -> AsyncIterator[None]:
    """An athlete whose strap says this, again and again, from now until the end."""
    clock = stand.api.clock
    async with open_client(stand.api, await stand.person(f"Athlete {bpm}")) as client:
        await client.join(code)
        async with client.open_stream(class_code=code) as stream:

            async def beat() -> None:
                since = clock.monotonic()
                while True:
                    await stream.append(Sample(t=round(1_000 * (clock.monotonic() - since)), bpm=bpm))
                    await clock.sleep(BEAT_S)

            heart = asyncio.create_task(beat(), name="a heart")
            try:
                yield
            finally:
                heart.cancel()
                await asyncio.gather(heart, return_exceptions=True)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it holds: for what happens in other processes, of which no event tells."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not await holds():
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"waited {WAIT_S:g} s for {what}") from None
