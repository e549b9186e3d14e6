"""The pitfalls of RabbitMQ and its client, each on the real broker (docs/systems/tasks.md names them)."""

import asyncio
import gc
from collections.abc import AsyncIterator
from functools import partial

import aio_pika
import aiormq
import pytest
import structlog
from pamqp.common import FieldTable

from services.kernel.clock import ManualClock
from services.kernel.facts import ClassEnded, Envelope
from services.kernel.ids import ClassId
from services.kernel.problems import Unavailable
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import (
    CLOCK,
    IDS,
    LADDER,
    WAIT_S,
    AmqpBench,
    Seen,
    an_envelope,
    consuming,
    eventually,
)
from workers import amqp, amqp_consumer, amqp_publisher
from workers.amqp import AmqpBus
from workers.amqp_link import Link, close, connect
from workers.amqp_topology import LossyQueueError, arguments_of, must_keep, parking_queue, work_queue
from workers.bus import HELD_S, BusUnavailable, Delivery, Queue

pytest_plugins = ["tests.support.rabbitmq"]


@pytest.fixture
async def bench(rabbitmq: RabbitMQ) -> AsyncIterator[AmqpBench]:
    """A bench whose queues are taken away afterwards."""
    made = AmqpBench(rabbitmq.url)
    yield made
    await made.remove()


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[Link]:
    """The links that consumers make, in order."""
    made: list[Link] = []

    async def remembered(url: str, purpose: str) -> Link:
        made.append(await connect(url, purpose))
        return made[-1]

    monkeypatch.setattr(amqp, "connect", remembered)
    return made


@pytest.fixture
def publishers(monkeypatch: pytest.MonkeyPatch) -> list[Link]:
    """The links that publishers make, in order."""
    made: list[Link] = []

    async def remembered(url: str, purpose: str) -> Link:
        made.append(await connect(url, purpose))
        return made[-1]

    monkeypatch.setattr(amqp_publisher, "connect", remembered)
    return made


async def forget_subscriptions(link: Link) -> None:
    """Let the broker forget a consumer without the consumer knowing."""
    channel = await link.channel.get_underlay_channel()
    assert isinstance(channel, aiormq.Channel)
    for tag in tuple(channel.consumers):
        await channel.basic_cancel(tag)


# -- Q1: alarms ---------------------------------------------------------------------------------------------------


async def test_under_a_memory_alarm_publishing_ends_in_time_acknowledging_goes_on_and_what_came_late_is_known_by_its_id(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, waiting, late = bench.queue(), [an_envelope() for _ in range(5)], an_envelope()
    seen = Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, publish_timeout_s=1.0)
    await eventually(partial(takes, bus, *waiting))  # its first second may go by while it connects and declares
    await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(BusUnavailable) as refused:
                await bus.publish(late)
        assert refused.value.taken == frozenset()
        async with consuming(AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER), queue, seen):
            await seen.times(5)  # whoever only takes is not stopped
    finally:
        await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "absolute", "512MB")

    await eventually(partial(takes, bus, late))
    async with bench.open() as other, consuming(other, queue, seen):
        await seen.until(lambda each: any(one.envelope.id == late.id for one in each))
    assert set(seen.ids()) == {envelope.id for envelope in (*waiting, late)}
    await bus.close()


async def test_nothing_is_written_to_a_broker_that_has_said_it_has_an_alarm_and_what_waited_is_taken_once_it_is_over(
    bench: AmqpBench, rabbitmq: RabbitMQ, publishers: list[Link]
) -> None:
    queue, first, others, last = bench.queue(), an_envelope(), [an_envelope() for _ in range(20)], an_envelope()
    seen = Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, publish_timeout_s=1.0)
    await eventually(partial(takes, bus, an_envelope()))  # its first second may go by while it connects and declares
    await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "absolute", "1")
    try:
        with pytest.raises(BusUnavailable):
            await bus.publish(first)  # nobody has been told yet
        await eventually(lambda: is_held_off(publishers[-1]))
        with pytest.raises(BusUnavailable) as refused:
            await bus.publish(*others)
        assert refused.value.taken == frozenset()
    finally:
        await asyncio.to_thread(rabbitmq.control, "set_vm_memory_high_watermark", "absolute", "512MB")

    await eventually(partial(takes, bus, last))
    async with bench.open() as other, consuming(other, queue, seen):
        await seen.until(lambda each: any(one.envelope.id == last.id for one in each))
        assert not set(seen.ids()) & {envelope.id for envelope in others}
    await bus.close()


async def takes(bus: AmqpBus, *envelopes: Envelope) -> bool:
    """Whether the broker takes these now."""
    try:
        await bus.publish(*envelopes)
    except BusUnavailable:
        return False
    return True


async def is_held_off(link: Link) -> bool:
    """Whether the broker has said here that it reads nothing."""
    try:
        async with asyncio.timeout(0):
            await link.admitted()
    except TimeoutError:
        return True
    return False


# -- Q3, Q12: what is gone without a word -------------------------------------------------------------------------


async def test_a_broker_that_freezes_is_noticed_by_a_consumer_that_asks(
    bench: AmqpBench, rabbitmq: RabbitMQ, links: list[Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "ASK_TIMEOUT_S", 0.3)
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, watch_s=0.05)
    async with bench.open() as publisher, consuming(bus, queue, seen):
        await publisher.publish(an_envelope())
        await seen.times(1)
        rabbitmq.freeze()
        try:
            await eventually(lambda: links[0].lost.is_set())
        finally:
            rabbitmq.thaw()
        await eventually(lambda: len(links) > 1)

        async def published() -> bool:
            try:
                await publisher.publish(envelope)
            except BusUnavailable:
                return False
            return True

        await eventually(published)
        await seen.until(lambda each: any(one.envelope.id == envelope.id for one in each))
    await bus.close()


async def test_a_consumer_that_the_broker_has_forgotten_is_noticed_and_subscribes_again(
    bench: AmqpBench, rabbitmq: RabbitMQ, links: list[Link]
) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, watch_s=0.2)
    async with consuming(bus, queue, seen):
        await bus.publish(an_envelope())
        await seen.times(1)
        await forget_subscriptions(links[0])
        await bus.publish(envelope)
        await seen.times(2)
        assert (await bus.overview())[queue.name].consumers == 1
    assert seen.ids()[1] == envelope.id
    await bus.close()


async def test_a_consumer_that_is_fed_nothing_while_messages_wait_subscribes_again_although_another_is_subscribed(
    bench: AmqpBench, rabbitmq: RabbitMQ, links: list[Link]
) -> None:
    queue, envelopes, seen = bench.queue(), [an_envelope() for _ in range(3)], Seen()
    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, watch_s=0.2)
    async with consuming(bus, queue, seen):
        await bus.publish(envelopes[0])
        await seen.times(1)
        greedy = await connect(rabbitmq.url, "greedy")  # takes one message and never answers
        await greedy.channel.set_qos(prefetch_count=1)
        work = await greedy.channel.get_queue(work_queue(queue), ensure=False)
        held: asyncio.Queue[object] = asyncio.Queue()
        await work.consume(held.put)
        await forget_subscriptions(links[0])
        await bus.publish(*envelopes[1:])
        async with asyncio.timeout(WAIT_S):
            await held.get()
        await seen.times(2)
        await close(greedy)
        await seen.times(3)
    assert set(seen.ids()) == {envelope.id for envelope in envelopes}
    await bus.close()


async def test_after_all_connections_were_closed_again_and_again_everything_is_handled_and_one_consumer_is_there(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, seen = bench.queue(concurrency=2, prefetch=4), Seen()
    told = [an_envelope() for _ in range(30)]

    async def publish(bus: AmqpBus, numbers: range) -> None:
        for number in numbers:

            async def published(number: int = number) -> bool:
                try:
                    await bus.publish(told[number])
                except BusUnavailable:
                    return False
                return True

            await eventually(published)

    bus = AmqpBus(rabbitmq.url, CLOCK, (queue,), ladder=LADDER, alone_poll_s=0.05)
    async with consuming(bus, queue, seen):
        for start in (0, 10, 20):
            closing = asyncio.create_task(asyncio.to_thread(rabbitmq.control, "close_all_connections", "cut"))
            await publish(bus, range(start, start + 10))
            await closing
        await seen.until(lambda each: {one.envelope.id for one in each} == {envelope.id for envelope in told})

        async def one_consumer() -> bool:
            return (await bus.overview())[queue.name].consumers == 1

        await eventually(one_consumer)
        assert await bus.parked(queue) == []
    await bus.close()


# -- Q6: a queue that could lose something ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        "x-queue-type",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-overflow",
        "x-delivery-limit",
    ],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_a_queue_without_dead_letters_is_refused(lost: str, *, ordered: bool) -> None:
    queue = Queue("summaries", wants=(ClassEnded,), ordered=ordered)
    arguments = arguments_of(queue, LADDER)[work_queue(queue)]
    must_keep("whole", arguments, last=False)
    lacking: FieldTable = {name: value for name, value in arguments.items() if name != lost}
    with pytest.raises(LossyQueueError, match=lost):
        must_keep("lacking", lacking, last=False)


def test_a_parking_queue_that_looking_could_empty_is_refused() -> None:
    with pytest.raises(LossyQueueError, match="x-delivery-limit"):
        must_keep("parked", {"x-queue-type": "quorum", "x-delivery-limit": 20}, last=True)


# -- Q14: what takes long -----------------------------------------------------------------------------------------


async def test_no_handler_and_no_wait_in_place_is_longer_than_the_broker_waits_for_an_answer(
    rabbitmq: RabbitMQ,
) -> None:
    told = await asyncio.to_thread(rabbitmq.evaluate, "application:get_env(rabbit, consumer_timeout)")
    assert told == "{ok,1800000}"
    assert HELD_S * 1.25 < 1_800
    with pytest.raises(ValueError, match="write a row"):
        Queue("too-long", wants=(ClassEnded,), time_limit_s=HELD_S + 1)


async def test_the_first_of_an_ordered_queue_is_put_back_when_it_was_held_for_long_and_comes_first_again(
    bench: AmqpBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "HELD_S", 0.2)
    put_back: list[object] = []
    really = amqp_consumer.Consumption._put_back

    async def counted(self: amqp_consumer.Consumption, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        put_back.append(message)
        await really(self, message)

    monkeypatch.setattr(amqp_consumer.Consumption, "_put_back", counted)
    queue, first, second = bench.queue(ordered=True), an_envelope(), an_envelope()
    seen = Seen(lambda _: Unavailable("the database is away") if len(put_back) < 2 else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(first, second)
        await eventually(lambda: bus.statistics().of(queue).handled == 2)
    assert set(seen.ids()[:-1]) == {first.id}
    assert seen.ids()[-1] == second.id
    assert len(put_back) == 2


# -- Q15: what lies there with other arguments --------------------------------------------------------------------


async def test_a_queue_with_other_arguments_is_told_loudly_with_its_cure_keeps_nobody_else_up_and_is_tried_seldom(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    foreign, good = bench.queue(), bench.queue(ClassEnded)
    link = await connect(rabbitmq.url, "test")
    await link.channel.declare_queue(work_queue(foreign), durable=True, arguments={"x-queue-type": "classic"})
    clock = ManualClock()
    bus = AmqpBus(rabbitmq.url, clock, (foreign, good), ladder=LADDER)
    seen, seen_good = Seen(), Seen()
    wanted = an_envelope(ClassEnded(class_id=ClassId(IDS.next())))

    def noises(logs: list[structlog.typing.EventDict]) -> int:
        return sum(entry["event"] == "bus.foreign_queue" and entry["log_level"] == "error" for entry in logs)

    with structlog.testing.capture_logs() as logs:
        async with consuming(bus, foreign, seen), consuming(bus, good, seen_good):
            await bus.publish(wanted)
            await seen_good.times(1)
            await eventually(lambda: noises(logs) == 2)  # the publisher's and the consumer's
            await clock.advance(9)
            assert noises(logs) == 2
            await clock.advance(2)
            await eventually(lambda: noises(logs) == 3)
            await link.channel.queue_delete(work_queue(foreign))

            async def mended() -> bool:
                await clock.advance(11)
                return (await bus.overview())[foreign.name].consumers == 1

            await eventually(mended)
            envelope = an_envelope()
            await bus.publish(envelope)
            await seen.times(1)
            bus.stop()
            await clock.advance(1)
    problem = next(entry["problem"] for entry in logs if entry["event"] == "bus.foreign_queue")
    assert work_queue(foreign) in problem
    assert "rabbitmqctl delete_queue" in problem
    await bus.close()
    await close(link)


async def test_a_deleted_queue_is_made_again_with_the_same_arguments(bench: AmqpBench, rabbitmq: RabbitMQ) -> None:
    queue, seen = bench.queue(), Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(an_envelope())
        await seen.times(1)
        link = await connect(rabbitmq.url, "test")
        for name in (work_queue(queue), parking_queue(queue)):
            await link.channel.queue_delete(name)
        await eventually(lambda: bus.statistics().reconnects)

        async def same() -> bool:
            other = await connect(rabbitmq.url, "test")
            try:
                for name, arguments in arguments_of(queue, LADDER).items():
                    await other.channel.declare_queue(name, durable=True, passive=True)
                    await other.channel.declare_queue(name, durable=True, arguments=arguments)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False
            finally:
                await close(other)
            return True

        await eventually(same)
        await close(link)


# -- Q17: what the library holds weakly ---------------------------------------------------------------------------


async def test_collecting_garbage_takes_no_connection_channel_or_subscription_away(bench: AmqpBench) -> None:
    queue, seen = bench.queue(), Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        for count in range(1, 6):
            gc.collect()
            await bus.publish(an_envelope())
            gc.collect()
            await seen.times(count)
        assert bus.statistics().reconnects == 0


# -- prefetch -----------------------------------------------------------------------------------------------------


async def test_no_more_messages_are_fetched_than_the_queue_says_and_no_more_run_than_it_allows(
    bench: AmqpBench, rabbitmq: RabbitMQ
) -> None:
    queue, go_on, running = bench.queue(concurrency=2, prefetch=5), asyncio.Event(), []
    most = 0

    async def handle(delivery: Delivery) -> None:
        nonlocal most
        running.append(delivery)
        most = max(most, len(running))
        await go_on.wait()
        running.remove(delivery)

    async with bench.open() as bus, consuming(bus, queue, handle):
        await bus.publish(*[an_envelope() for _ in range(12)])

        async def waiting() -> bool:
            return (await bus.overview())[queue.name].waiting == 7 and len(running) == 2

        await eventually(waiting)
        go_on.set()
        await eventually(lambda: bus.statistics().of(queue).handled == 12)
    assert most == 2
