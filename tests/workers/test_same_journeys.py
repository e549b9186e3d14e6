"""The journeys that go through the task bus, once more on RabbitMQ: the same stories, told to servers that have AMQP_URL."""

from collections.abc import Iterator

import aio_pika
import pytest

from tests.journeys.test_announcement import *  # noqa: F403
from tests.journeys.test_inbox import test_an_inbox_on_two_nodes_and_in_a_browser as test_an_inbox_on_two_nodes
from tests.journeys.test_long_tasks import test_cancelled_over_the_socket_a_task_stops_and_says_so
from tests.journeys.test_official_client import test_the_official_client_gets_through_the_whole_story
from tests.journeys.test_receivers import *  # noqa: F403
from tests.support.rabbitmq import RabbitMQ
from tests.support.server import Server, open_server
from tests.support.task_buses import eventually
from workers.amqp_topology import work_queue
from workers.handlers import QUEUES

__all__ = [
    "test_an_inbox_on_two_nodes",
    "test_cancelled_over_the_socket_a_task_stops_and_says_so",
    "test_the_official_client_gets_through_the_whole_story",
]


@pytest.fixture(autouse=True)
def through_rabbitmq(monkeypatch: pytest.MonkeyPatch, rabbitmq: RabbitMQ) -> None:
    """What starts a server or a command of ours passes this on."""
    monkeypatch.setenv("AMQP_URL", rabbitmq.url)


@pytest.fixture
def paceline_server(through_rabbitmq: None) -> Iterator[Server]:
    """As in the journeys, but new for each of them, because the variable is."""
    with open_server(PACELINE_BOARD_HZ="4", PACELINE_COMMIT_INTERVAL_MS="50") as server:
        yield server


async def test_they_did_go_through_rabbitmq(paceline_server: Server, rabbitmq: RabbitMQ) -> None:
    """Somebody takes from every queue: a server that knew nothing of the broker would have passed all of the above."""
    async with await aio_pika.connect(rabbitmq.url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:

            async def taken(name: str = work_queue(queue)) -> bool:
                found = await channel.declare_queue(name, passive=True)
                return bool(found.declaration_result.consumer_count)

            await eventually(taken)
