"""Whatever the bus refuses, and for however long: all else leaves soon, what was refused leaves when it is taken again,
and what is told about one thing leaves in its order. A model of a flood in small: a relay that can remember three
things and reads a few facts at a time, on a real database."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence.database import open_database
from services.kernel.facts import ClassEnded, Envelope
from services.kernel.ids import ClassId, FactId
from tests.support.postgres import PostgresServer
from tests.support.world import World
from tests.workers.test_relay import ScriptedBus
from workers import held_back
from workers.bus import BusUnavailable
from workers.relay import POLL_S, RETRY_FIRST_S, Relay

THINGS: Final = 12
SHARDS: Final = 3
ABOUT: Final = [uuid.UUID(int=(n + 1) << 64 | n % SHARDS) for n in range(THINGS)]
Told: TypeAlias = list[int]
"""Facts, each about one of the things."""


class Picky(ScriptedBus):
    """A bus that takes nothing about some things."""

    def __init__(self) -> None:
        super().__init__()
        self.sick: Collection[uuid.UUID] = ()

    async def publish(self, *envelopes: Envelope) -> None:
        self.poison = {envelope.id for envelope in envelopes if envelope.about in self.sick}
        await super().publish(*envelopes)


class Flood:
    """One relay, its bus, and what was told."""

    def __init__(self, world: World, batch: int) -> None:
        self.world: Final = world
        self.bus: Final = Picky()
        self.relay: Final = Relay(world.transactions, self.bus, world.clock, batch=batch, shards_at_once=2)
        self.told: Final[dict[int, list[FactId]]] = defaultdict(list)

    async def tell(self, things: Told) -> None:
        async with self.world.transactions() as stores:
            for thing in things:
                fact = await stores.outbox.add(ClassEnded(ClassId(ABOUT[thing])), ABOUT[thing])
                self.told[thing].append(fact)

    async def rounds(self, count: int) -> None:
        """So many batches, with the pauses of the loop."""
        for _ in range(count if self.waiting else 0):
            try:
                if not await self.relay.relay():
                    await self.world.clock.advance(POLL_S)
            except BusUnavailable:
                await self.world.clock.advance(RETRY_FIRST_S)

    def left(self, thing: int) -> list[FactId]:
        return [fact for fact in self.bus.published if fact in self.told[thing]]

    @property
    def waiting(self) -> int:
        return sum(map(len, self.told.values())) - len(self.bus.published)


FACTS: Final = st.lists(st.integers(0, THINGS - 1), max_size=40)
SICK: Final = st.frozensets(st.integers(0, THINGS - 2))  # the last is always well


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_back, "MOST_KEPT", 3)
    monkeypatch.setattr(held_back, "FEW", 1)


def test_what_is_refused_keeps_nothing_else_from_leaving_and_leaves_at_last_in_order(
    postgres: PostgresServer, small: None
) -> None:
    dsn = asyncio.run(postgres.fresh())

    @given(st.integers(1, 12), st.lists(st.tuples(SICK, FACTS, st.integers(0, 6)), min_size=1, max_size=4))
    @settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
    def holds(batch: int, phases: list[tuple[frozenset[int], Told, int]]) -> None:
        asyncio.run(_live(dsn, batch, phases))

    holds()
    asyncio.run(postgres.drop(dsn))


async def _live(dsn: str, batch: int, phases: list[tuple[frozenset[int], Told, int]]) -> None:
    async with open_database(dsn, size=2) as database:
        async with database.tx() as tx:
            await tx.execute("TRUNCATE outbox; UPDATE outbox_shards SET position = 0")
        flood, ever = Flood(World(database), batch), set[int]()
        for sick, things, count in phases:
            flood.bus.sick = {ABOUT[thing] for thing in sick}
            ever |= sick
            await flood.tell(things)
            await flood.rounds(count)
            in_order(flood)
        await flood.tell(list(range(THINGS)))
        await flood.rounds(SHARDS * (flood.waiting + 4))
        for thing in set(range(THINGS)) - ever:
            assert flood.left(thing) == flood.told[thing], f"thing {thing} is well, and held up"
        flood.bus.sick = ()
        await world_passes(flood)
        in_order(flood)
        assert flood.waiting == 0
        assert len(set(flood.bus.published)) == len(flood.bus.published)


async def world_passes(flood: Flood) -> None:
    """The longest time that something is left alone, and some batches more."""
    for _ in range(3):
        if not flood.waiting:
            return
        await flood.world.clock.advance(held_back.MOST_S)
        await flood.rounds(flood.waiting + 2 * SHARDS)


def in_order(flood: Flood) -> None:
    for thing, told in flood.told.items():
        left = flood.left(thing)
        assert left == told[: len(left)], f"thing {thing}"
