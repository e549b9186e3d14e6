"""A connection that dies at COMMIT leaves the worker in doubt, and the effect is there once all the same, on each bus (PG3)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest

from persistence.database import Database, open_database
from persistence.stores import Stores, Transactions
from services.kernel.clock import SystemClock
from services.kernel.facts import AnyFact, WorkoutFinished
from services.kernel.ids import Uuid7Ids
from tests.support.proxy import Proxy, Upstream, open_proxy
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import AmqpBench, Bench, PostgresBench, an_envelope, consuming, eventually
from tests.support.world import World
from workers.consumer import Consumer

pytest_plugins = ["tests.support.rabbitmq", "tests.support.postgres"]


@pytest.fixture
async def proxy(fresh_dsn: str) -> AsyncIterator[Proxy]:
    """A network in front of the database."""
    async with open_proxy(_upstream(fresh_dsn)) as proxy:
        yield proxy


def _upstream(dsn: str) -> Upstream:
    parts = urlsplit(dsn)
    folder = parse_qs(parts.query).get("host")
    if folder is None:
        return parts.port or 5432
    return Path(folder[0]) / f".s.PGSQL.{parts.port or 5432}"


def _through(dsn: str, port: int) -> str:
    parts = urlsplit(dsn)
    user = f"{parts.username}@" if parts.username else ""
    return f"postgresql://{user}127.0.0.1:{port}{parts.path}?sslmode=disable"


@pytest.fixture(params=["postgres", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> RabbitMQ | None:
    """The broker, or None for the bus on Postgres."""
    found: RabbitMQ | None = request.getfixturevalue("rabbitmq") if request.param == "rabbitmq" else None
    return found


@pytest.mark.parametrize("lost", ["the commit", "its answer"])
async def test_a_connection_that_dies_at_commit_means_one_effect(
    fresh_dsn: str, database: Database, proxy: Proxy, broker: RabbitMQ | None, lost: Literal["the commit", "its answer"]
) -> None:
    world, envelope = World(database), an_envelope()
    clock = SystemClock()
    tried = 0
    async with open_database(_through(fresh_dsn, proxy.port), size=3) as behind:
        bench: Bench = PostgresBench(behind) if broker is None else AmqpBench(broker.url)
        queue = bench.queue()

        async def effect(stores: Stores, fact: AnyFact) -> None:
            nonlocal tried
            assert isinstance(fact, WorkoutFinished)
            await stores.outbox.add(fact, fact.workout_id)
            tried += 1
            if tried == 1:  # from here on one direction is dark; the next thing said is COMMIT
                proxy.one_way("to_server" if lost == "its answer" else "to_client")

        consumer = Consumer(queue, effect, Transactions(behind, clock, Uuid7Ids(clock)), clock)
        async with bench.open() as bus:
            await bus.publish(envelope)
            async with consuming(bus, queue, consumer):
                await eventually(lambda: tried == 1)
                if lost == "its answer":

                    async def committed() -> bool:
                        return await world.told() == [envelope.fact]

                    await eventually(committed)
                proxy.cut()
                proxy.heal()
                await eventually(lambda: bus.statistics().of(queue).handled or _gone(broker, lost))

                async def nothing_left() -> bool:
                    seen = (await bus.overview())[queue.name]
                    return seen.waiting + seen.retrying + (seen.running or 0) == 0

                await eventually(nothing_left)
        if isinstance(bench, AmqpBench):
            await bench.remove()
    assert await world.told() == [envelope.fact]
    assert tried == (1 if lost == "its answer" else 2)
    assert consumer.statistics.effects + consumer.statistics.duplicates == (0 if _gone(broker, lost) else 1)


def _gone(broker: RabbitMQ | None, lost: str) -> bool:
    """On Postgres the task ends with the effect: after a commit whose answer was lost there is nothing to deliver again."""
    return broker is None and lost == "its answer"
