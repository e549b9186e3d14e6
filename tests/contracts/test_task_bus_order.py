"""What every task bus promises about a queue that is ordered (workers/bus.py), on each of them."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from persistence.database import Database
from services.kernel.facts import Envelope, WorkoutFinished
from services.kernel.problems import Unavailable
from tests.support.killable_worker import Order, share_of
from tests.support.rabbitmq import RabbitMQ
from tests.support.task_buses import WAIT_S, Bench, Seen, an_envelope, consuming, eventually, published
from tests.support.worker_process import worker_process
from workers.bus import HELD_S, Delivery, Queue, TaskTaken
from workers.retry import IN_PLACE_MOST_S, Unprocessable

pytest_plugins = ["tests.support.rabbitmq", "tests.support.task_bench"]


def fails(envelope: Envelope, times: int) -> Callable[[Delivery], Exception | None]:
    """Fail this envelope so often."""
    left = iter(range(times))

    def act(delivery: Delivery) -> Exception | None:
        if delivery.envelope.id == envelope.id and next(left, None) is not None:
            return ValueError("not yet")
        return None

    return act


async def test_an_ordered_queue_is_handled_one_at_a_time_in_the_order_of_publishing_by_all_workers_together(
    bench: Bench,
) -> None:
    queue, envelopes = bench.queue(ordered=True), [an_envelope() for _ in range(40)]
    handled: list[Envelope] = []
    running, most = 0, 0

    async def handle(delivery: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        handled.append(delivery.envelope)
        running -= 1

    async with (
        bench.open() as one,
        bench.open() as other,
        consuming(one, queue, handle),
        consuming(other, queue, handle),
    ):
        await published(one, *envelopes[:20])
        for envelope in envelopes[20:]:
            await published(other, envelope)
        await eventually(lambda: len(handled) >= 40)
        await eventually(lambda: one.statistics().of(queue).handled + other.statistics().of(queue).handled == 40)
    assert handled == envelopes
    assert most == 1


async def test_a_message_that_fails_is_tried_again_in_its_place_while_the_others_wait(bench: Bench) -> None:
    queue, envelopes = bench.queue(ordered=True), [an_envelope() for _ in range(4)]
    seen = Seen(fails(envelopes[1], 2))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await published(bus, *envelopes)
        await seen.times(6)
        await eventually(lambda: bus.statistics().of(queue).handled == 4)
        assert bus.statistics().of(queue).retried == 2
    a, b, c, d = (envelope.id for envelope in envelopes)
    assert seen.ids() == [a, b, b, b, c, d]
    assert [each.attempt for each in seen.deliveries] == [1, 1, 2, 3, 1, 1]


async def test_a_message_that_always_fails_is_parked_and_the_queue_flows_on(bench: Bench) -> None:
    queue, envelopes = bench.queue(ordered=True, max_attempts=3), [an_envelope() for _ in range(3)]
    seen = Seen(fails(envelopes[0], 9))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await published(bus, *envelopes)
        await seen.times(5)
        await eventually(lambda: bus.statistics().of(queue).handled == 2)
        (parked,) = await bus.parked(queue)
    a, b, c = (envelope.id for envelope in envelopes)
    assert seen.ids() == [a, a, a, b, c]
    assert (parked.key, parked.attempt) == (str(a), 3)
    assert "failed 3 times" in parked.reason


async def test_what_cannot_be_processed_leaves_the_queue_at_once(bench: Bench) -> None:
    queue, envelopes = bench.queue(ordered=True), [an_envelope() for _ in range(2)]
    seen = Seen(lambda each: Unprocessable("upside down") if each.envelope.id == envelopes[0].id else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await published(bus, *envelopes)
        await seen.times(2)
        await eventually(lambda: bus.statistics().of(queue).handled)
    assert seen.ids() == [envelope.id for envelope in envelopes]


async def test_when_the_house_is_away_the_others_wait_and_it_uses_no_attempt(bench: Bench) -> None:
    queue, envelopes = bench.queue(ordered=True, max_attempts=2), [an_envelope() for _ in range(2)]
    outage = iter([True] * 4)
    seen = Seen(lambda _: Unavailable("the database is away") if next(outage, False) else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await published(bus, *envelopes)
        await seen.times(6)
        await eventually(lambda: bus.statistics().of(queue).handled == 2)
        assert await bus.parked(queue) == []
    assert seen.ids() == [envelopes[0].id] * 5 + [envelopes[1].id]


async def test_a_replayed_message_comes_after_everything_that_waits(bench: Bench) -> None:
    queue, envelopes = bench.queue(ordered=True, max_attempts=1), [an_envelope() for _ in range(3)]
    seen = Seen(fails(envelopes[0], 1))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await published(bus, envelopes[0])
        await eventually(lambda: bus.parked(queue))
    later = Seen()
    async with bench.open() as bus:
        await published(bus, *envelopes[1:])
        assert await bus.replay(queue, str(envelopes[0].id)) == 1
        async with consuming(bus, queue, later):
            await later.times(3)
            await eventually(lambda: bus.statistics().of(queue).handled == 3)
    assert later.ids() == [envelopes[1].id, envelopes[2].id, envelopes[0].id]


async def test_a_worker_that_stops_politely_gives_its_place_to_another_which_begins_with_the_same(
    bench: Bench,
) -> None:
    queue, envelopes = bench.queue(ordered=True), [an_envelope() for _ in range(3)]
    first, second = Seen(lambda _: Unavailable("not here")), Seen()
    async with bench.open() as one, consuming(one, queue, first):
        await published(one, *envelopes)
        await first.times(1)
    async with bench.open() as other, consuming(other, queue, second):
        await second.times(3)
        await eventually(lambda: other.statistics().of(queue).handled == 3)
    assert set(first.ids()) == {envelopes[0].id}
    assert second.ids() == [envelope.id for envelope in envelopes]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_that_dies_hands_over_to_one_that_waits_and_nothing_is_out_of_order(
    bench: Bench, how: signal.Signals
) -> None:
    queue, envelopes = bench.queue(ordered=True), [an_envelope() for _ in range(5)]
    bus_kind, url = bench.where()
    order = Order(bus_kind, url, [share_of(queue)], holds=[str(envelopes[2].id)])
    seen = Seen()
    async with bench.open() as bus, worker_process(order) as doomed:
        await published(bus, *envelopes)
        await doomed.says(f"began {envelopes[2].id}")
        async with consuming(bus, queue, seen):
            doomed.send(how)
            await seen.times(3)
            await eventually(lambda: bus.statistics().of(queue).handled == 3)
        await doomed.ended()
    assert doomed.done() == [str(envelope.id) for envelope in envelopes[:2]]
    assert seen.ids() == [envelope.id for envelope in envelopes[2:]]


async def test_a_worker_that_was_deposed_cannot_end_its_task(
    bench: Bench, database: Database, under_the_bus: Database | RabbitMQ
) -> None:
    queue, envelope = bench.queue(ordered=True), an_envelope()
    inside, go_on = asyncio.Event(), asyncio.Event()
    ends: list[Exception | None] = []

    async def late(delivery: Delivery) -> None:
        if ends:
            return
        inside.set()
        await go_on.wait()
        try:
            async with database.tx() as tx:
                await delivery.settle(tx)
        except TaskTaken as taken:
            ends.append(taken)
            raise
        ends.append(None)

    seen = Seen()
    async with bench.open() as old:
        await published(old, envelope)
        async with consuming(old, queue, late):
            async with asyncio.timeout(WAIT_S):
                await inside.wait()
            if isinstance(under_the_bus, RabbitMQ):  # on Postgres it is enough that the lease runs out
                await asyncio.to_thread(under_the_bus.control, "close_all_connections", "deposed")
            async with bench.open() as new, consuming(new, queue, seen):
                await seen.times(1)
                await eventually(lambda: new.statistics().of(queue).handled)
            go_on.set()
            await eventually(lambda: ends)
            await eventually(lambda: old.statistics().of(queue).lost)
    assert isinstance(ends[0], TaskTaken)
    assert old.statistics().of(queue).handled == 0


@pytest.mark.parametrize(
    ("concurrency", "prefetch", "max_attempts", "time_limit_s"),
    [(2, 0, 5, 20), (1, 2, 5, 20), (1, 1, int(HELD_S / IN_PLACE_MOST_S), 20), (1, 1, 5, HELD_S / 5)],
)
def test_an_ordered_queue_that_would_run_two_at_once_or_hold_its_first_too_long_is_refused(
    concurrency: int, prefetch: int, max_attempts: int, time_limit_s: float
) -> None:
    with pytest.raises(ValueError, match="'late'"):
        Queue("late", (WorkoutFinished,), concurrency, max_attempts, prefetch, ordered=True, time_limit_s=time_limit_s)
