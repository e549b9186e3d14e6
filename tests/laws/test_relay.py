"""Whatever relays, bus and network do: every fact arrives, and what is told about one thing first arrives in the order in which it
was committed. Several relays on a real database, a bus that refuses, forgets to answer and answers late, and deaths at any
moment."""

import asyncio
import random
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from persistence.database import open_database
from persistence.stores import Stores
from services.kernel.facts import ClassEnded, Envelope
from services.kernel.ids import ClassId, FactId
from tests.support.postgres import PostgresServer
from tests.support.world import World
from workers import held_back
from workers.bus import BusStatistics, BusUnavailable, Handle, Parked, Queue
from workers.relay import Relay

Step = Literal["tell", "begin", "commit", "relay", "race", "hang", "answer", "kill", "wait"]
STEPS: Final[list[Step]] = ["tell", "tell", "begin", "commit", "relay", "race", "hang", "answer", "kill", "wait"]
RELAYS: Final = 3
THINGS: Final = 5
WAIT_S: Final = 30.0


class FickleBus:
    """Keeps what arrives, takes a part of it by chance, and lets some of what it does not take arrive all the same."""

    def __init__(self, arrived: list[FactId], chance: random.Random) -> None:
        self.arrived: Final = arrived
        self.chance: Final = chance
        self.trouble = True
        self.asked: Final = asyncio.Event()
        self.answering: Final = asyncio.Event()
        self.answering.set()

    async def publish(self, *envelopes: Envelope) -> None:
        fate = {envelope.id: self._fate() for envelope in envelopes}
        early = self.chance.random() < 0.5
        if early:
            self._arrive(fate)
        self.asked.set()
        await self.answering.wait()
        if not early:
            self._arrive(fate)
        taken = frozenset(fact for fact, how in fate.items() if how == "taken")
        if len(taken) < len(envelopes):
            raise BusUnavailable("it did not feel like it", taken)

    def _fate(self) -> str:
        return (
            self.chance.choice(("taken", "taken", "refused", "arrives and is not confirmed"))
            if self.trouble
            else "taken"
        )

    def _arrive(self, fate: dict[FactId, str]) -> None:
        self.arrived.extend(fact for fact, how in fate.items() if how != "refused")

    async def consume(self, queue: Queue, handle: Handle) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    async def parked(self, queue: Queue, limit: int = 100) -> list[Parked]:
        raise NotImplementedError

    async def replay(self, queue: Queue, fact_id: FactId) -> bool:
        raise NotImplementedError

    def statistics(self) -> BusStatistics:
        raise NotImplementedError


@dataclass
class Open:
    """A transaction that has told something about one thing and not committed."""

    thing: int
    facts: list[FactId]
    resources: AsyncExitStack


@dataclass
class Node:
    """A relay with its line to the bus, and the batch it hangs in."""

    relay: Relay
    bus: FickleBus
    batch: asyncio.Task[int] | None = None


@dataclass
class Town:
    """Things that happen, and who takes the news of it."""

    world: World
    chance: random.Random
    arrived: list[FactId] = field(default_factory=list)
    committed: dict[int, list[FactId]] = field(default_factory=lambda: defaultdict(list))
    open: list[Open] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Two of the things share a shard.
        self.things = [uuid.UUID(int=(n + 1) << 64 | n % (THINGS - 1)) for n in range(THINGS)]
        self.nodes = [self._node() for _ in range(RELAYS)]

    def _node(self) -> Node:
        bus = FickleBus(self.arrived, self.chance)
        relay = Relay(
            self.world.transactions, bus, self.world.clock, batch=self.chance.randint(1, 12), shards_at_once=2
        )
        return Node(relay, bus)

    async def do(self, step: Step) -> None:
        thing, node = self.chance.randrange(THINGS), self.chance.randrange(RELAYS)
        match step:
            case "tell" if not any(each.thing == thing for each in self.open):
                await self.begin(thing)
                await self.commit(self.open[-1])
            case "begin" if len(self.open) < 2 and not any(each.thing == thing for each in self.open):
                await self.begin(thing)
            case "commit" if self.open:
                await self.commit(self.chance.choice(self.open))
            case "relay":
                await self.batch(self.nodes[node])
            case "race":
                await asyncio.gather(*(self.batch(each) for each in self.nodes))
            case "hang" if self.nodes[node].batch is None:
                await self.hang(self.nodes[node])
            case "answer":
                await self.answer(self.nodes[node])
            case "kill":
                await self.kill(node)
            case "wait":
                await self.world.clock.advance(self.chance.choice((0.3, 2, held_back.MOST_S)))

    async def begin(self, thing: int) -> None:
        resources = AsyncExitStack()
        stores: Stores = await resources.enter_async_context(self.world.transactions())
        # What locking the thing's row is to everybody else: nobody else tells of it before this has committed.
        await stores.tx.execute("SELECT pg_advisory_xact_lock($1)", thing)
        about = self.things[thing]
        told = [await stores.outbox.add(ClassEnded(ClassId(about)), about) for _ in range(self.chance.randint(1, 4))]
        self.open.append(Open(thing, told, resources))

    async def commit(self, which: Open) -> None:
        self.open.remove(which)
        await which.resources.aclose()
        self.committed[which.thing] += which.facts

    async def batch(self, node: Node) -> int:
        await self.answer(node)
        try:
            return await node.relay.relay()
        except BusUnavailable:
            return 0

    async def hang(self, node: Node) -> None:
        node.bus.answering.clear()
        node.bus.asked.clear()
        node.batch = asyncio.create_task(node.relay.relay())
        asked = asyncio.create_task(node.bus.asked.wait())
        await asyncio.wait((asked, node.batch), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    async def answer(self, node: Node) -> None:
        node.bus.answering.set()
        if node.batch is not None:
            await asyncio.gather(node.batch, return_exceptions=True)
            node.batch = None

    async def kill(self, which: int) -> None:
        """The process ends wherever it is, and another one starts."""
        node = self.nodes[which]
        if node.batch is not None:
            node.batch.cancel()
            await asyncio.gather(node.batch, return_exceptions=True)
        self.nodes[which] = self._node()

    async def peace(self) -> None:
        """Everybody commits, the bus takes everything, and the relays work until nothing is left."""
        while self.open:
            await self.commit(self.open[0])
        for node in self.nodes:
            node.bus.trouble = False
            await self.answer(node)
        # A relay that has just passed something over looks at it in its next turn but one.
        for _ in range(3):
            await self.world.clock.advance(held_back.MOST_S)
            while any([await self.batch(node) for node in self.nodes]):
                pass

    async def judge(self) -> None:
        first = list(dict.fromkeys(self.arrived))
        for thing, facts in self.committed.items():
            assert [fact for fact in first if fact in facts] == facts, f"thing {thing}"
        assert set(first) == {fact for facts in self.committed.values() for fact in facts}
        await self._judge_log()

    async def _judge_log(self) -> None:
        """The positions of each shard count without a hole, and in the order of the commits."""
        async with self.world.database.connection() as connection:
            rows = await connection.fetch("SELECT shard, position, id FROM outbox ORDER BY shard, position")
        shards: dict[int, list[FactId]] = defaultdict(list)
        for row in rows:
            shards[row["shard"]].append(row["id"])
            assert row["position"] == len(shards[row["shard"]])
        for thing, facts in self.committed.items():
            assert [fact for fact in shards[self.things[thing].int % 16] if fact in facts] == facts


@asynccontextmanager
async def town(dsn: str, seed: int) -> AsyncIterator[Town]:
    """A town in which nothing has happened yet."""
    async with open_database(dsn, size=8) as database:
        async with database.tx() as tx:
            await tx.execute("TRUNCATE outbox; UPDATE outbox_shards SET position = 0")
        made = Town(World(database), random.Random(seed))
        try:
            yield made
        finally:
            for which in range(RELAYS):
                await made.kill(which)
            while made.open:
                await made.commit(made.open[0])


def test_whatever_happens_facts_arrive_and_arrive_in_order(postgres: PostgresServer) -> None:
    dsn = asyncio.run(postgres.fresh())

    @given(st.lists(st.sampled_from(STEPS), min_size=10, max_size=40), st.integers(min_value=0, max_value=2**32))
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @example(["tell", "tell", "tell", "hang", "tell", "relay", "kill", "relay", "race"], 1)
    @example(["begin", "tell", "relay", "commit", "tell", "hang", "tell", "answer", "relay"], 7)
    def holds(steps: list[Step], seed: int) -> None:
        asyncio.run(asyncio.wait_for(_live(dsn, steps, seed), WAIT_S))

    holds()
    asyncio.run(postgres.drop(dsn))


async def _live(dsn: str, steps: list[Step], seed: int) -> None:
    async with town(dsn, seed) as made:
        for step in steps:
            await made.do(step)
        await made.peace()
        await made.judge()
