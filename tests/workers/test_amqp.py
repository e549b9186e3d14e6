"""What the bus on RabbitMQ does beyond the common contract: its topology, and a broker that dies or freezes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import HeadersType

from services.kernel.clock import ManualClock
from services.kernel.facts import AnyFact, Envelope, Fact, WorkoutFinished
from services.kernel.ids import FactId
from tests.support.rabbitmq import RabbitMQ, first_of_each, open_rabbitmq
from tests.support.system_parts import require
from tests.support.task_buses import (
    CLOCK,
    LADDER,
    WAIT_S,
    AmqpBench,
    Seen,
    an_envelope,
    consuming,
    eventually,
)
from workers import amqp
from workers.amqp import AmqpBus
from workers.amqp_consumer import RETRY_FIRST_S
from workers.amqp_link import HEARTBEAT_S, Link, broker_faults, close, connect
from workers.amqp_topology import arguments_of, copy_of, declare, message_of, parking_queue, work_queue
from workers.bus import BusUnavailable, Delivery, Queue
from workers.handlers import QUEUES
from workers.retry import Ladder

pytest_plugins = ["tests.support.rabbitmq"]


class MoonEclipsed(Fact, frozen=True, tag="moon.eclipsed"):
    """What no queue of a program that uses the same broker wants: it has nowhere to go but where a test lets it."""

    moon: int


@pytest.fixture
async def bench(rabbitmq: RabbitMQ) -> AsyncIterator[AmqpBench]:
    """A bench whose queues are taken away afterwards."""
    made = AmqpBench(rabbitmq.url)
    yield made
    await made.remove()


@pytest.fixture
async def mortal() -> AsyncIterator[RabbitMQ]:
    """A broker to be killed. One that was may stumble later over what it finds on its disk of queues that are gone, so it is not
    that of the other tests."""
    require("rabbitmq")
    with open_rabbitmq() as broker:
        await first_of_each(broker.url)
        yield broker


# -- what lies on the broker --------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: str(queue.name))
def test_no_queue_can_lose_a_message(queue: Queue) -> None:
    ladder = Ladder()
    found = arguments_of(queue, ladder)
    assert len(found) == 3 + len(ladder.delays_s)
    for name, arguments in found.items():
        assert arguments["x-queue-type"] == "quorum"
        if name == parking_queue(queue):
            # The end of the line: nobody consumes it, and looking at it must not use it up.
            assert arguments["x-delivery-limit"] == 1_000_000
            continue
        assert arguments["x-dead-letter-routing-key"] in found
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"
    assert found[work_queue(queue)]["x-delivery-limit"] == 20
    assert found[work_queue(queue)]["x-dead-letter-routing-key"] == parking_queue(queue)


def test_the_delay_is_part_of_a_retry_queues_name() -> None:
    queue = Queue("summaries", wants=(WorkoutFinished,))
    names = [*arguments_of(queue, Ladder((5.0, 60.0)))]
    assert names == [
        "paceline.summaries.parked.v1",
        "paceline.summaries.v1",
        "paceline.summaries.alone.v1",
        "paceline.summaries.retry.5000.v1",
        "paceline.summaries.retry.60000.v1",
    ]


def test_a_message_is_persistent_and_names_its_fact() -> None:
    envelope = an_envelope()
    message = message_of(envelope)
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.type) == (str(envelope.id), "workout.finished")
    assert message.headers == {"x-attempt": 1}


async def test_a_copy_keeps_other_peoples_headers_and_not_the_brokers(bench: AmqpBench, rabbitmq: RabbitMQ) -> None:
    queue = bench.queue()
    link = await connect(rabbitmq.url, "test")
    await declare(link.channel, (queue,), LADDER)
    headers: HeadersType = {"traceparent": "00-1-2-01", "x-death": "old", "x-attempt": 1}
    sent = aio_pika.Message(b"{}", message_id="m", headers=headers)
    await link.channel.default_exchange.publish(sent, work_queue(queue))
    work = await link.channel.get_queue(work_queue(queue), ensure=False)
    message = await work.get()
    assert message is not None
    copy = copy_of(message, {"x-attempt": 2})
    assert copy.headers == {"traceparent": "00-1-2-01", "x-attempt": 2}
    assert copy.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    await message.ack()
    await close(link)


async def test_declaring_what_is_there_changes_nothing(bench: AmqpBench, rabbitmq: RabbitMQ) -> None:
    queue = bench.queue()
    link = await connect(rabbitmq.url, "test")
    for _ in range(2):
        await declare(link.channel, (queue,), LADDER)
    assert link.alive()
    await close(link)


async def test_a_message_that_kills_its_worker_every_time_is_parked_by_the_broker(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, envelope = bench.queue(), an_envelope()
    async with bench.open() as bus:
        await bus.publish(envelope)
        deaths = 0
        while not await bus.parked(queue):
            link = await connect(rabbitmq.url, "test")
            work = await link.channel.get_queue(work_queue(queue), ensure=False)
            if await work.get(fail=False) is not None:
                deaths += 1
            await close(link)  # without an answer
            assert deaths <= 21
        (parked,) = await bus.parked(queue)
    assert deaths == 21
    assert parked.key == str(envelope.id)
    assert "never answered" in parked.reason


# -- a broker that goes away --------------------------------------------------------------------------------------


async def test_a_broker_that_is_killed_loses_nothing_and_the_same_loops_go_on(mortal: RabbitMQ) -> None:
    bench = AmqpBench(mortal.url)
    queue = bench.queue(concurrency=4)
    before, after = [an_envelope() for _ in range(50)], [an_envelope() for _ in range(10)]
    seen, late = Seen(), Seen()
    other = bench.queue(WorkoutFinished)
    async with bench.open() as bus:
        await bus.publish(*before)
        async with consuming(bus, queue, seen):
            await seen.times(50)
            mortal.kill()
            with pytest.raises(BusUnavailable) as refused:
                await bus.publish(*after)
            assert refused.value.taken == frozenset()
            mortal.launch()
            await asyncio.to_thread(mortal.wait)

            async def published() -> bool:
                try:
                    await bus.publish(*after)
                except BusUnavailable:
                    return False
                return True

            await eventually(published)
            await seen.until(lambda seen: {e.id for e in after} <= {each.envelope.id for each in seen})
        assert bus.statistics().reconnects >= 2
    async with bench.open() as bus, consuming(bus, other, late):
        await late.until(lambda seen: len({each.envelope.id for each in seen}) == 60)
    assert {envelope.id for envelope in (*before, *after)} == set(seen.ids()) == set(late.ids())


async def test_a_broker_that_freezes_costs_a_publisher_no_more_than_its_timeout(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, publish_timeout_s=0.3)

    async def published(envelope: Envelope) -> bool:
        try:
            await bus.publish(envelope)
        except BusUnavailable:
            return False
        return True

    first = an_envelope()
    await eventually(lambda: published(first))  # the first one opens the connection, too
    rabbitmq.freeze()
    try:
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(BusUnavailable):
                await bus.publish(envelope)
    finally:
        rabbitmq.thaw()
    await eventually(lambda: published(envelope))
    async with consuming(bus, queue, seen):
        await seen.until(lambda seen: any(each.envelope.id == envelope.id for each in seen))
    await bus.close()


async def test_an_acknowledgement_that_is_lost_means_a_second_delivery_and_no_more(mortal: RabbitMQ) -> None:
    bench = AmqpBench(mortal.url)
    queue, envelope = bench.queue(), an_envelope()
    inside, go_on = asyncio.Event(), asyncio.Event()
    effects: list[FactId] = []

    async def slow(delivery: Delivery) -> None:
        inside.set()
        await go_on.wait()
        effects.append(delivery.envelope.id)

    async with bench.open() as bus, consuming(bus, queue, slow):
        await bus.publish(envelope)
        async with asyncio.timeout(WAIT_S):
            await inside.wait()
        mortal.kill()
        go_on.set()
        mortal.launch()
        await asyncio.to_thread(mortal.wait)
        await eventually(lambda: len(effects) == 2)
    assert effects == [envelope.id, envelope.id]


async def test_a_failed_message_is_not_let_go_of_before_it_is_safe_on_its_rung(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, envelope = bench.queue(), an_envelope()

    class Hindered(AmqpBus):
        refusals = 2

        async def send(self, queue: str, message: aio_pika.Message) -> None:
            if ".retry." in queue and self.refusals:
                self.refusals -= 1
                raise BusUnavailable("memory alarm")
            await super().send(queue, message)

    bus = Hindered(rabbitmq.url, CLOCK, (queue,), ladder=LADDER)
    seen = Seen(lambda delivery: ValueError("first") if delivery.attempt == 1 else None)
    async with consuming(bus, queue, seen):
        await bus.publish(envelope)
        await seen.times(2)
        await eventually(lambda: bus.statistics().of(queue).handled)
    await bus.close()
    assert [delivery.attempt for delivery in seen.deliveries] == [1, 2]
    assert bus.refusals == 0


async def test_a_subscription_that_the_broker_ends_is_made_again(bench: AmqpBench, rabbitmq: RabbitMQ) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    async with bench.open() as bus:
        await bus.publish(an_envelope())
        async with consuming(bus, queue, seen):
            await seen.times(1)
            link = await connect(rabbitmq.url, "test")
            await link.channel.queue_delete(work_queue(queue))
            await close(link)
            await eventually(lambda: bus.statistics().reconnects)

            async def arrives() -> bool:
                with contextlib.suppress(BusUnavailable):  # unroutable until the consumer has made its queue again
                    await bus.publish(envelope)
                return any(each.envelope.id == envelope.id for each in seen.deliveries)

            await eventually(arrives)


async def test_a_fact_that_has_nowhere_to_go_is_not_taken(bench: AmqpBench, rabbitmq: RabbitMQ) -> None:
    queue = bench.queue(MoonEclipsed)
    wanted = an_envelope(cast(AnyFact, MoonEclipsed(1)))
    async with bench.open() as bus:
        await bus.publish(wanted)
        link = await connect(rabbitmq.url, "test")
        await link.channel.queue_delete(work_queue(queue))
        await close(link)
        with pytest.raises(BusUnavailable):
            await bus.publish(wanted)


# -- the library's words ------------------------------------------------------------------------------------------


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    with pytest.raises(BusUnavailable, match="the connection died"), broker_faults("publishing"):
        raise asyncio.CancelledError


async def test_a_cancellation_that_somebody_asked_for_stays_one() -> None:
    async def publishing() -> None:
        with broker_faults("publishing"):
            await asyncio.Event().wait()

    task = asyncio.create_task(publishing())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    bus = AmqpBus("amqp://guest:guest@127.0.0.1:1/", CLOCK, QUEUES)
    with pytest.raises(BusUnavailable):
        await bus.publish(an_envelope())
    with pytest.raises(BusUnavailable):
        await bus.parked(QUEUES[0])
    await bus.close()


async def test_a_consumer_outlasts_a_fault_that_is_not_the_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of the database, which is asked what a queue has lost before it is consumed."""
    tries: list[str] = []

    async def fails(_url: str, purpose: str) -> Link:
        tries.append(purpose)
        raise asyncpg.UndefinedTableError('relation "bus_queues" does not exist')

    monkeypatch.setattr(amqp, "connect", fails)
    clock = ManualClock()
    bus = AmqpBus("amqp://guest:guest@127.0.0.1:1/", clock, QUEUES)
    async with consuming(bus, QUEUES[0], Seen()) as loop:
        await clock.advance(RETRY_FIRST_S - 0.1)
        assert len(tries) == 1
        await clock.advance(0.1 + 2 * RETRY_FIRST_S)
        assert (len(tries), loop.done()) == (3, False)
    assert bus.statistics().reconnects == 3
    await bus.close()


def test_heartbeats_are_short_enough_to_notice_a_dead_peer_within_a_minute() -> None:
    assert 3 * (HEARTBEAT_S + 1) < 60


@pytest.mark.parametrize("said", [Exception(), RuntimeError("closed"), ConnectionResetError(), TimeoutError()])
def test_however_the_library_says_that_the_connection_is_lost_it_is_the_broker_who_is_away(said: Exception) -> None:
    with pytest.raises(BusUnavailable, match="no answer"), broker_faults("no answer"):
        raise said


def test_a_fault_of_ours_is_not_taken_for_one_of_the_broker() -> None:
    with pytest.raises(KeyError), broker_faults("no answer"):
        raise KeyError("ours")
