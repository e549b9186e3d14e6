"""What every task bus promises (workers/bus.py), on each of them."""

import asyncio
from collections import Counter

from services.kernel.facts import ClassEnded, ClassSummarised, Envelope, WorkoutFinished
from services.kernel.ids import ClassId, FactId
from services.kernel.problems import Unavailable
from tests.support.task_buses import (
    CLOCK,
    IDS,
    WAIT_S,
    Bench,
    Seen,
    an_envelope,
    consuming,
    eventually,
    foreign_body,
)
from workers.bus import Delivery
from workers.retry import PATIENCE_MS, Unprocessable

pytest_plugins = ["tests.support.rabbitmq", "tests.support.task_bench"]


async def test_every_envelope_reaches_every_queue_that_wants_it_and_no_other(bench: Bench) -> None:
    first, second = bench.queue(WorkoutFinished), bench.queue(WorkoutFinished, ClassEnded, concurrency=4)
    third = bench.queue(ClassSummarised)
    workouts = [an_envelope() for _ in range(30)]
    ended = an_envelope(ClassEnded(class_id=ClassId(IDS.next())))
    summarised = an_envelope(ClassSummarised(class_id=ClassId(IDS.next())))
    seen_first, seen_second, seen_third = Seen(), Seen(), Seen()
    async with bench.open() as bus:
        await bus.publish(*workouts, ended, summarised)
        async with (
            consuming(bus, first, seen_first),
            consuming(bus, second, seen_second),
            consuming(bus, third, seen_third),
        ):
            await seen_first.times(30)
            await seen_second.times(31)
            await seen_third.times(1)
    assert set(seen_first.ids()) == {envelope.id for envelope in workouts}
    assert set(seen_second.ids()) == {envelope.id for envelope in (*workouts, ended)}
    assert seen_third.ids() == [summarised.id]


async def test_an_envelope_arrives_as_it_was_sent_on_its_first_attempt(bench: Bench) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await publish_elsewhere(bench, envelope)
        await seen.times(1)
    assert seen.deliveries[0].envelope == envelope
    assert seen.deliveries[0].attempt == 1


async def test_what_was_published_before_anybody_consumed_waits(bench: Bench) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    async with bench.open() as before:
        await before.publish(envelope)
    async with bench.open() as after, consuming(after, queue, seen):
        await seen.times(1)
    assert seen.ids() == [envelope.id]


async def test_a_fact_that_nobody_wants_is_taken_and_forgotten(bench: Bench) -> None:
    queue = bench.queue(ClassEnded)
    async with bench.open() as bus:
        await bus.publish(an_envelope(ClassSummarised(class_id=ClassId(IDS.next()))))
        assert await bus.parked(queue) == []
        assert bus.statistics().published == 1


async def test_a_worker_that_dies_between_effect_and_acknowledgement_causes_a_second_delivery(bench: Bench) -> None:
    queue, envelope = bench.queue(), an_envelope()
    effects: list[FactId] = []
    done = asyncio.Event()

    async def dies(delivery: Delivery) -> None:
        effects.append(delivery.envelope.id)
        done.set()
        await asyncio.Event().wait()

    async with bench.open() as doomed:
        await doomed.publish(envelope)
        worker = asyncio.create_task(doomed.consume(queue, dies))
        async with asyncio.timeout(WAIT_S):
            await done.wait()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert worker.cancelled()
    seen = Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await seen.times(1)
    assert [*effects, *seen.ids()] == [envelope.id, envelope.id]


async def test_a_failing_handler_climbs_the_ladder_and_parks_with_its_reason_but_not_its_neighbours(
    bench: Bench,
) -> None:
    queue = bench.queue(concurrency=2)
    poison, *neighbours = [an_envelope() for _ in range(6)]

    def fails(delivery: Delivery) -> Exception | None:
        return ValueError("no legs to stand on") if delivery.envelope.id == poison.id else None

    seen = Seen(fails)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(*neighbours[:3], poison, *neighbours[3:])
        await seen.times(5 + 5)
        await eventually(lambda: bus.parked(queue))
        (parked,) = await bus.parked(queue)
        statistics = bus.statistics().of(queue)
    assert parked.key == str(poison.id)
    assert parked.attempt == 5
    assert "failed 5 times" in parked.reason
    assert "ValueError: no legs to stand on" in parked.reason
    assert [d.attempt for d in seen.deliveries if d.envelope.id == poison.id] == [1, 2, 3, 4, 5]
    assert Counter(seen.ids()) == {poison.id: 5} | {envelope.id: 1 for envelope in neighbours}
    assert (statistics.handled, statistics.retried, statistics.parked) == (5, 4, 1)


async def test_a_handler_that_recovers_is_done_with_its_message(bench: Bench) -> None:
    queue, envelope = bench.queue(), an_envelope()
    seen = Seen(lambda delivery: ValueError("not yet") if delivery.attempt < 3 else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope)
        await seen.times(3)
        await eventually(lambda: bus.statistics().of(queue).handled)
        assert await bus.parked(queue) == []
    assert [delivery.attempt for delivery in seen.deliveries] == [1, 2, 3]


async def test_what_cannot_be_processed_parks_at_once(bench: Bench) -> None:
    queue, envelope = bench.queue(), an_envelope()
    seen = Seen(lambda _: Unprocessable("it is upside down"))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope)
        await eventually(lambda: bus.parked(queue))
        (parked,) = await bus.parked(queue)
    assert len(seen.deliveries) == 1
    assert "it is upside down" in parked.reason


async def test_a_fact_of_a_newer_program_parks_with_its_reason_and_lets_others_pass(bench: Bench) -> None:
    queue, foreign, envelope, seen = bench.queue(), FactId(IDS.next()), an_envelope(), Seen()
    async with bench.open() as bus:
        await bus.publish(an_envelope())  # makes sure that the queue is there
        await bench.put(queue, foreign, foreign_body(foreign))
        await bus.publish(envelope)
        async with consuming(bus, queue, seen):
            await seen.until(lambda seen: any(delivery.envelope.id == envelope.id for delivery in seen))
            await eventually(lambda: bus.parked(queue))
            (parked,) = await bus.parked(queue)
    assert "moon.eclipsed" in parked.body
    assert "nobody here can read it" in parked.reason
    assert foreign not in seen.ids()


async def test_when_the_house_is_away_a_message_keeps_its_attempts(bench: Bench) -> None:
    queue, envelope = bench.queue(max_attempts=2), an_envelope()
    outage = iter([True] * 4)
    seen = Seen(lambda _: Unavailable("the database is away") if next(outage, False) else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope)
        await seen.times(5)
        await eventually(lambda: bus.statistics().of(queue).handled)
        assert await bus.parked(queue) == []
    assert [delivery.attempt for delivery in seen.deliveries] == [1] * 5


async def test_an_old_message_that_makes_the_house_fail_parks_in_the_end(bench: Bench) -> None:
    queue = bench.queue(max_attempts=2)
    fresh = an_envelope()
    old = type(fresh)(id=fresh.id, at_ms=CLOCK.wall_ms() - PATIENCE_MS - 1, fact=fresh.fact)
    seen = Seen(lambda _: Unavailable("it takes too long"))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(old)
        await eventually(lambda: bus.parked(queue))
    assert [delivery.attempt for delivery in seen.deliveries] == [1, 2]


async def test_an_envelope_published_twice_is_known_by_its_id(bench: Bench) -> None:
    queue, envelope, seen = bench.queue(), an_envelope(), Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope)
        await seen.times(1)
        await eventually(lambda: bus.statistics().of(queue).handled)
        await bus.publish(envelope)
        await seen.times(2)
    assert seen.ids() == [envelope.id, envelope.id]


async def test_a_polite_stop_finishes_what_runs_and_begins_nothing_new(bench: Bench) -> None:
    queue, envelopes = bench.queue(), [an_envelope() for _ in range(3)]
    begun, finish = asyncio.Event(), asyncio.Event()
    finished: list[FactId] = []

    async def slow(delivery: Delivery) -> None:
        begun.set()
        await finish.wait()
        finished.append(delivery.envelope.id)

    async with bench.open() as bus:
        await bus.publish(*envelopes)
        consumer = asyncio.create_task(bus.consume(queue, slow))
        async with asyncio.timeout(WAIT_S):
            await begun.wait()
            bus.stop()
            bus.stop()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not consumer.done()
            finish.set()
            await consumer
    assert len(finished) == 1
    seen = Seen()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await seen.times(2)
        await eventually(lambda: bus.statistics().of(queue).handled == 2)
    assert {*finished, *seen.ids()} == {envelope.id for envelope in envelopes}
    assert not set(finished) & set(seen.ids())


async def test_as_many_handlers_run_at_once_as_the_queue_allows(bench: Bench) -> None:
    queue = bench.queue(concurrency=3)
    running, most, go_on = 0, 0, asyncio.Event()

    async def handle(_: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            go_on.set()
        await go_on.wait()
        running -= 1

    async with bench.open() as bus, consuming(bus, queue, handle):
        await bus.publish(*[an_envelope() for _ in range(12)])
        await eventually(lambda: bus.statistics().of(queue).handled == 12)
    assert most == 3


async def test_two_workers_share_a_queue_without_doing_anything_twice(bench: Bench) -> None:
    queue, envelopes = bench.queue(concurrency=2), [an_envelope() for _ in range(40)]
    first, second = Seen(), Seen()
    async with (
        bench.open() as one,
        bench.open() as other,
        consuming(one, queue, first),
        consuming(other, queue, second),
    ):
        await one.publish(*envelopes)
        await eventually(lambda: len(first.deliveries) + len(second.deliveries) >= 40)
        await eventually(lambda: one.statistics().of(queue).handled + other.statistics().of(queue).handled == 40)
    assert Counter([*first.ids(), *second.ids()]) == {envelope.id: 1 for envelope in envelopes}


async def test_a_parked_message_can_be_replayed_with_all_its_attempts(bench: Bench) -> None:
    queue, envelope, other = bench.queue(max_attempts=1), an_envelope(), an_envelope()
    seen = Seen(lambda _: ValueError("broken"))
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope, other)

        async def both_parked() -> bool:
            return len(await bus.parked(queue)) == 2

        await eventually(both_parked)
    mended = Seen()
    async with bench.open() as bus, consuming(bus, queue, mended):
        assert not await bus.replay(queue, str(IDS.next()))
        assert await bus.replay(queue, str(envelope.id))
        await mended.times(1)
        await eventually(lambda: bus.statistics().of(queue).handled)
        assert [parked.key for parked in await bus.parked(queue)] == [str(other.id)]
        assert not await bus.replay(queue, str(envelope.id))
    assert [(delivery.envelope, delivery.attempt) for delivery in mended.deliveries] == [(envelope, 1)]


async def test_all_that_is_parked_is_replayed_once_although_it_fails_again_meanwhile(bench: Bench) -> None:
    queue, envelopes = bench.queue(max_attempts=1), [an_envelope() for _ in range(7)]
    seen, told = Seen(lambda _: ValueError("still broken")), list[int]()
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(*envelopes)

        async def all_parked() -> bool:
            return len(await bus.parked(queue)) == 7

        async def let_go_again() -> bool:
            return (await bus.overview())[queue.name].parked == 7  # a look holds them for a moment

        await eventually(all_parked)
        await eventually(let_go_again)
        assert await bus.replay_all(queue, told.append) == 7
        await seen.times(14)
        await eventually(all_parked)
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert Counter(seen.ids()) == {envelope.id: 2 for envelope in envelopes}


async def test_a_parked_message_can_be_dropped_and_what_waits_or_is_unknown_cannot(bench: Bench) -> None:
    queue, envelope, other = bench.queue(max_attempts=1), an_envelope(), an_envelope()
    async with bench.open() as bus:
        await bus.publish(envelope, other)
        assert await bus.drop(queue, str(envelope.id)) == 0  # it waits
    async with bench.open() as bus, consuming(bus, queue, Seen(lambda _: ValueError("broken"))):

        async def both_parked() -> bool:
            return len(await bus.parked(queue)) == 2

        await eventually(both_parked)
        assert await bus.drop(queue, "seventeen") == 0
        assert await bus.drop(queue, str(envelope.id)) == 1
        assert [parked.key for parked in await bus.parked(queue)] == [str(other.id)]


async def test_what_lies_in_each_queue_is_told_and_telling_it_changes_nothing(bench: Bench) -> None:
    queue, idle = bench.queue(max_attempts=1, concurrency=2), bench.queue(ClassEnded, ordered=True)
    inside, go_on = asyncio.Event(), asyncio.Event()
    broken = an_envelope()

    async def handle(delivery: Delivery) -> None:
        if delivery.envelope.id == broken.id:
            raise ValueError("broken")
        inside.set()
        await go_on.wait()

    async with bench.open(lease_s=WAIT_S) as bus:
        await bus.publish(broken, *[an_envelope() for _ in range(5)])
        async with consuming(bus, queue, handle):
            async with asyncio.timeout(WAIT_S):
                await inside.wait()

            async def settled() -> bool:
                seen = (await bus.overview())[queue.name]
                return (seen.waiting, seen.parked) == (3, 1)

            await eventually(settled)
            for _ in range(30):  # more often than a queue may deliver in vain
                seen = await bus.overview()
            assert set(seen) >= {queue.name, idle.name}
            assert (seen[idle.name].waiting, seen[idle.name].oldest_s) == (0, 0.0)
            assert seen[queue.name].running in {2, None}
            assert seen[queue.name].consumers in {1, None}
            oldest_s = seen[queue.name].oldest_s
            assert oldest_s is not None
            assert 0 < oldest_s < 2 * WAIT_S
            go_on.set()
            await eventually(lambda: bus.statistics().of(queue).handled == 5)
        assert (await bus.overview())[queue.name].waiting == 0
        assert len(await bus.parked(queue)) == 1


async def test_every_attempt_is_counted_by_its_outcome_and_its_time(bench: Bench) -> None:
    queue, envelope = bench.queue(), an_envelope()
    seen = Seen(lambda delivery: ValueError("not yet") if delivery.attempt == 1 else None)
    async with bench.open() as bus, consuming(bus, queue, seen):
        await bus.publish(envelope)
        await seen.times(2)
        await eventually(lambda: bus.statistics().of(queue).handled)
        statistics = bus.statistics().of(queue)
    assert statistics.outcomes() == {"handled": 1, "retried": 1, "parked": 0, "lost": 0}
    assert sum(statistics.seconds.counts) == 2
    assert statistics.seconds.total_s >= 0


async def publish_elsewhere(bench: Bench, envelope: Envelope) -> None:
    """Publish from another process than the one that consumes."""
    async with bench.open() as publisher:
        await publisher.publish(envelope)
