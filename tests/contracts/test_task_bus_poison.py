"""Messages that nobody can handle (F-23): each is parked with its reason and takes nobody along, on each bus."""

import asyncio
import functools
import signal

import msgspec
import pytest

from services.kernel.facts import ClassEnded, LoginEnded
from services.kernel.ids import AccountId, ClassId, FactId, LoginId
from tests.support.killable_worker import Order, share_of
from tests.support.task_buses import CLOCK, IDS, Bench, Seen, an_envelope, consuming, eventually
from tests.support.worker_process import WorkerProcess, worker_process
from workers.bus import BODY_LENGTH, Delivery

pytest_plugins = ["tests.support.rabbitmq", "tests.support.task_bench"]


def body(**parts: object) -> str:
    """An envelope as JSON, with some of its parts replaced."""
    whole: dict[str, object] = {"id": str(IDS.next()), "at_ms": CLOCK.wall_ms(), "fact": {"type": "class.ended"}}
    return msgspec.json.encode(whole | parts).decode()


UNREADABLE = {
    "JSON of another type": "[1, 2, 3]",
    "a number": "17",
    "an envelope without an id": '{"at_ms": 1, "fact": {"type": "class.ended"}}',
    "an id that is none": body(id="seventeen"),
    "a fact without its fields": body(),
    "a fact of no type": body(fact={"moon": 1}),
    "a fact of a newer program": body(fact={"type": "moon.eclipsed", "moon": 1}),
    "nested without end": body(more="MORE").replace('"MORE"', "[" * 5_000 + "]" * 5_000),
    "8 MB": body(fact={"type": "moon.eclipsed", "moon": "o" * 8_000_000}),
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_is_no_envelope_is_parked_with_its_reason_and_the_queue_flows(bench: Bench, what: str) -> None:
    queue, neighbours, seen = bench.queue(concurrency=2), [an_envelope() for _ in range(4)], Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(*neighbours[:2])
        await bench.put(queue, FactId(IDS.next()), UNREADABLE[what])
        await bus.publish(*neighbours[2:])
        await seen.times(4)
        await eventually(lambda: bus.parked(queue))
        (parked,) = await bus.parked(queue)
        await eventually(lambda: bus.statistics().of(queue).handled == 4)
    assert "nobody here can read it" in parked.reason
    assert parked.envelope is None
    assert 0 < len(parked.body) <= BODY_LENGTH
    assert set(seen.ids()) == {envelope.id for envelope in neighbours}


async def test_a_fact_of_8_mb_that_can_be_read_is_handled_as_any_other(bench: Bench) -> None:
    queue, seen = bench.queue(LoginEnded), Seen()
    large = an_envelope(
        LoginEnded(account_id=AccountId(IDS.next()), login_id=LoginId(IDS.next()), reason="o" * 8_000_000)
    )
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(large)
        await seen.times(1)
    assert seen.deliveries[0].envelope == large


async def test_a_handler_that_never_ends_is_stopped_at_its_time_limit_and_tried_again(bench: Bench) -> None:
    queue, envelope, neighbour = bench.queue(max_attempts=2, time_limit_s=0.1), an_envelope(), an_envelope()
    stopped: list[int] = []

    async def hangs(delivery: Delivery) -> None:
        if delivery.envelope.id == neighbour.id:
            return
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(delivery.attempt)

    async with bench.open() as bus, consuming(bus, queue, hangs):
        await bus.publish(envelope, neighbour)
        await eventually(lambda: bus.parked(queue))
        (parked,) = await bus.parked(queue)
        await eventually(lambda: bus.statistics().of(queue).handled)
    assert stopped == [1, 2]
    assert (parked.key, "TookTooLong" in parked.reason) == (str(envelope.id), True)


async def test_a_handler_that_says_it_was_cancelled_has_failed_like_any_other(bench: Bench) -> None:
    queue, envelope = bench.queue(max_attempts=2), an_envelope()

    async def lets_down(_: Delivery) -> None:
        raise asyncio.CancelledError

    async with bench.open() as bus, consuming(bus, queue, lets_down):
        await bus.publish(envelope)
        await eventually(lambda: bus.parked(queue))
        (parked,) = await bus.parked(queue)
    assert "Interrupted" in parked.reason


async def test_a_message_that_kills_its_process_is_parked_and_neither_its_neighbours_nor_those_of_other_queues(
    bench: Bench,
) -> None:
    deadly, other = bench.queue(concurrency=4, prefetch=4), bench.queue(ClassEnded, concurrency=2, prefetch=4)
    neighbours, killer = [an_envelope() for _ in range(6)], an_envelope()
    others = [an_envelope(ClassEnded(class_id=ClassId(IDS.next()))) for _ in range(3)]
    kind, url = bench.where()
    order = Order(kind, url, [share_of(deadly), share_of(other)], kills=[str(killer.id)], slow_ms=30)
    everybody = {str(envelope.id) for envelope in (*neighbours, *others)}
    done: set[str] = set()
    deaths = 0
    async with bench.open() as bus:
        await bus.publish(*neighbours[:2], killer, *neighbours[2:], *others)
        while not (await bus.parked(deadly) and done == everybody):
            async with worker_process(order) as worker:
                ending = asyncio.create_task(worker.ended())

                async def over(worker: WorkerProcess, ending: "asyncio.Task[int]", before: frozenset[str]) -> bool:
                    return ending.done() or bool(await bus.parked(deadly) and before | set(worker.done()) == everybody)

                await eventually(functools.partial(over, worker, ending, frozenset(done)))
                if ending.done():
                    deaths += 1
                    assert await ending == 9
            await ending
            done |= set(worker.done())
            assert deaths <= 7, f"it kills for ever; done so far: {done}"
        (parked,) = await bus.parked(deadly)
        assert await bus.parked(other) == []
    assert parked.key == str(killer.id)
    assert "its worker died each time" in parked.reason
    # RabbitMQ counts each delivery without an answer, also one that a dying connection took along before anybody handled it:
    # then it takes fewer deaths, and never more.
    assert deaths == 5 if kind == "postgres" else 3 <= deaths <= 7


async def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_gives_the_rest_back_at_once(bench: Bench) -> None:
    queue, envelopes = bench.queue(concurrency=1, prefetch=4), [an_envelope() for _ in range(6)]
    kind, url = bench.where()
    order = Order(kind, url, [share_of(queue)], slow_ms=300, lease_s=600)
    async with bench.open() as bus:
        await bus.publish(*envelopes)
        async with worker_process(order) as worker:
            await worker.says(f"began {envelopes[0].id}")
            worker.send(signal.SIGTERM)
            assert await worker.ended() == 0
            assert worker.done() == [str(envelopes[0].id)]
        seen = Seen()
        async with consuming(bus, queue, seen):
            await seen.times(5)
            await eventually(lambda: bus.statistics().of(queue).handled == 5)
    assert set(seen.ids()) == {envelope.id for envelope in envelopes[1:]}


async def test_a_handler_that_does_not_end_is_cut_when_the_worker_stops_and_another_begins_it_at_once(
    bench: Bench,
) -> None:
    queue, envelope = bench.queue(), an_envelope()
    kind, url = bench.where()
    order = Order(kind, url, [share_of(queue)], holds=[str(envelope.id)], lease_s=600)
    async with bench.open() as bus:
        await bus.publish(envelope)
        async with worker_process(order) as worker:
            await worker.says(f"began {envelope.id}")
            worker.send(signal.SIGTERM)
            assert await worker.ended() == 0
        seen = Seen()
        async with consuming(bus, queue, seen):
            await seen.times(1)
            await eventually(lambda: bus.statistics().of(queue).handled)
    assert [each.attempt for each in seen.deliveries] == [1]
