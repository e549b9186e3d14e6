"""What a scrape finds about the queues, and that it finds nothing while the bus does not answer."""

import asyncio

from persistence.database import Database
from services.kernel.clock import ManualClock
from tests.support.task_buses import PostgresBench, an_envelope, eventually
from workers.bus import BusUnavailable, OperatedBus
from workers.lookout import LOOK_S, Lookout
from workers.task_statistics import BOUNDS_S, Durations, Overview


async def test_it_looks_again_and_again_and_forgets_what_it_saw_when_the_bus_is_away(database: Database) -> None:
    bench, clock = PostgresBench(database), ManualClock()
    queue = bench.queue()
    async with bench.open() as bus:
        lookout = Lookout(bus, clock)
        looking = asyncio.create_task(lookout.run())
        await eventually(lambda: lookout.seen)
        assert lookout.seen[queue.name].waiting == 0
        await bus.publish(an_envelope())
        await clock.advance(LOOK_S)
        await eventually(lambda: lookout.seen[queue.name].waiting == 1)
        answers = bus.overview

        async def away() -> dict[str, Overview]:
            raise BusUnavailable("cut")

        _replace(bus, away)
        await clock.advance(LOOK_S)
        await eventually(lambda: lookout.seen == {})
        _replace(bus, answers)
        await clock.advance(LOOK_S)
        await eventually(lambda: lookout.seen)
        lookout.stop()
        lookout.stop()
        await looking


def _replace(bus: OperatedBus, overview: object) -> None:
    bus.overview = overview  # type: ignore[method-assign, assignment]


def test_a_duration_is_counted_in_the_first_class_that_holds_it() -> None:
    durations = Durations()
    for seconds in (0.0, 0.005, 0.0051, 30.0, 31.0):
        durations.add(seconds)
    assert durations.counts[:2] == [2, 1]
    assert durations.counts[-2:] == [1, 1]
    assert sum(durations.counts) == 5
    assert len(durations.counts) == len(BOUNDS_S) + 1
    assert round(durations.total_s, 4) == 61.0101
