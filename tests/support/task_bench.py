"""The fixture `bench`: each task bus in turn, for suites that every bus must pass."""

from collections.abc import AsyncIterator

import pytest

from persistence.database import Database
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import AmqpBench, Bench, PostgresBench


@pytest.fixture(params=["postgres", "rabbitmq"])
def under_the_bus(request: pytest.FixtureRequest) -> Database | RabbitMQ:
    """What lies under the bus. Apart from `bench`, because servers cannot be started inside a running loop."""
    found: Database | RabbitMQ = request.getfixturevalue("database" if request.param == "postgres" else "rabbitmq")
    return found


@pytest.fixture
async def bench(under_the_bus: Database | RabbitMQ) -> AsyncIterator[Bench]:
    """Each bus in turn."""
    if isinstance(under_the_bus, Database):
        yield PostgresBench(under_the_bus)
        return
    amqp = AmqpBench(under_the_bus.url)
    yield amqp
    await amqp.remove()
