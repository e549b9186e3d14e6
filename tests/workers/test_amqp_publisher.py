"""What the publisher does when the broker takes longer to get ready than a publish may take."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.kernel.facts import WorkoutFinished
from tests.support.proxy import Proxy, open_proxy
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import CLOCK, LADDER, WAIT_S, AmqpBench, an_envelope, eventually
from workers.amqp import AmqpBus
from workers.bus import BusUnavailable

pytest_plugins = ["tests.support.rabbitmq"]

SLOW_MS = 20.0
"""Each way: two dozen declarations, one after the other, take a second."""
PUBLISH_S = 0.4


@pytest.fixture
async def bench(rabbitmq: RabbitMQ) -> AsyncIterator[AmqpBench]:
    """A bench whose queues are taken away afterwards."""
    made = AmqpBench(rabbitmq.url)
    yield made
    await made.remove()


@pytest.fixture
async def slow(rabbitmq: RabbitMQ) -> AsyncIterator[Proxy]:
    """A network that makes every question to the broker late."""
    async with open_proxy(rabbitmq.port) as proxy:
        proxy.latency(SLOW_MS)
        yield proxy


async def test_a_connection_that_takes_longer_than_a_publish_is_made_all_the_same(
    bench: AmqpBench, slow: Proxy
) -> None:
    queues = tuple(bench.queue(WorkoutFinished) for _ in range(4))
    bus = AmqpBus(
        f"amqp://guest:guest@127.0.0.1:{slow.port}/", CLOCK, queues, ladder=LADDER, publish_timeout_s=PUBLISH_S
    )
    refused = 0

    async def published() -> bool:
        nonlocal refused
        try:
            await bus.publish(an_envelope())
        except BusUnavailable:
            refused += 1
            return False
        return True

    await eventually(published)
    assert refused > 0, "it was not slow enough to show anything"
    assert slow.accepted == 1, "every publish began again at the beginning"
    await bus.close()


async def test_a_bus_that_is_closed_while_it_connects_leaves_nothing_behind(bench: AmqpBench, slow: Proxy) -> None:
    bus = AmqpBus(
        f"amqp://guest:guest@127.0.0.1:{slow.port}/", CLOCK, (bench.queue(),), ladder=LADDER, publish_timeout_s=0.05
    )
    with pytest.raises(BusUnavailable):
        await bus.publish(an_envelope())
    await bus.close()
    async with asyncio.timeout(WAIT_S):
        while slow.open_upstream:
            await asyncio.sleep(0.02)
