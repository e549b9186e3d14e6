"""What every log of facts promises (workers/fact_log.py), on each of them."""

import asyncio
import uuid

import msgspec
import pytest

from services.kernel.facts import AccountRegistered, AnyFact, ClassEnded, WorkoutFinished, WorkoutSummarised
from services.kernel.ids import AccountId, ClassId, FactId, WorkoutId
from tests.support.fact_logs import CLOCK, IDS, LogBench
from tests.support.task_buses import WAIT_S
from workers.fact_log import CLASSES, TRAINING, FactReader, Page, Position, PositionLost

SHORT_S = 0.05


@pytest.fixture
def bench(fact_log_bench: LogBench) -> LogBench:
    """Each log in turn, empty."""
    return fact_log_bench


def finished(about: uuid.UUID | None = None) -> tuple[AnyFact, uuid.UUID]:
    about = about or IDS.next()
    return WorkoutFinished(WorkoutId(about), AccountId(IDS.next())), about


def summarised(about: uuid.UUID) -> tuple[AnyFact, uuid.UUID]:
    return WorkoutSummarised(WorkoutId(about), AccountId(IDS.next())), about


def ended() -> tuple[AnyFact, uuid.UUID]:
    about = IDS.next()
    return ClassEnded(ClassId(about)), about


async def pages(reader: FactReader, count: int) -> list[Page]:
    """Pages with so many facts."""
    found: list[Page] = []
    async with asyncio.timeout(WAIT_S):
        while sum(len(page.envelopes) for page in found) < count:
            found.append(await reader.page(WAIT_S))
    return found


async def read(reader: FactReader, count: int) -> list[FactId]:
    """The next facts, so many."""
    return [envelope.id for page in await pages(reader, count) for envelope in page.envelopes]


async def position_after(bench: LogBench, count: int) -> Position:
    """Where one stands who has read so many facts about training."""
    async with bench.log.reading(TRAINING) as reader:
        position = (await pages(reader, count))[-1].position
    assert position is not None
    return position


async def test_a_family_is_read_from_the_beginning_and_nothing_else(bench: LogBench) -> None:
    told = await bench.tell(*[finished() for _ in range(300)])
    (of_a_class, _) = await bench.tell(ended(), (AccountRegistered(AccountId(IDS.next())), IDS.next()))
    async with bench.log.reading(TRAINING) as reader, bench.log.reading(CLASSES) as other:
        assert sorted(await read(reader, 300)) == sorted(told)
        assert await read(other, 1) == [of_a_class]
        assert (await reader.page(SHORT_S)).envelopes == ()


async def test_facts_about_one_thing_are_read_in_the_order_of_their_commits(bench: LogBench) -> None:
    things = [IDS.next() for _ in range(5)]
    told = {thing: await bench.tell(finished(thing), summarised(thing), finished(thing)) for thing in things}
    more = await bench.tell(*[summarised(thing) for thing in things])
    async with bench.log.reading(TRAINING) as reader:
        found = await read(reader, 20)
    for thing, last in zip(things, more, strict=True):
        assert [fact for fact in found if fact in {*told[thing], last}] == [*told[thing], last]


async def test_a_fact_comes_with_what_it_is_about(bench: LogBench) -> None:
    thing = IDS.next()
    await bench.tell(finished(thing))
    async with bench.log.reading(TRAINING) as reader:
        ((envelope,),) = [page.envelopes for page in await pages(reader, 1)]
    assert envelope.about == thing
    assert isinstance(envelope.fact, WorkoutFinished)


async def test_reading_goes_on_from_a_position_with_exactly_what_follows(bench: LogBench) -> None:
    await bench.tell(*[finished() for _ in range(20)], ended())
    position = await position_after(bench, 20)
    told = await bench.tell(ended(), *[finished() for _ in range(10)])
    async with bench.log.reading(TRAINING, position) as reader:
        assert sorted(await read(reader, 10)) == sorted(told[1:])
        assert (await reader.page(SHORT_S)).envelopes == ()


async def test_a_reader_at_the_end_waits_for_more(bench: LogBench) -> None:
    await bench.tell(finished())
    async with bench.log.reading(TRAINING, await position_after(bench, 1)) as reader:
        waiting = asyncio.create_task(read(reader, 1))
        assert await bench.tell(finished()) == await waiting
        assert await bench.tell(finished()) == await read(reader, 1)


async def test_a_page_is_empty_when_nothing_comes_or_when_it_is_told_to_stop_waiting(bench: LogBench) -> None:
    await bench.tell(finished())
    position = await position_after(bench, 1)
    stop = asyncio.Event()
    async with bench.log.reading(TRAINING, position) as reader:
        assert await reader.page(SHORT_S) == Page((), position)
        waiting = asyncio.create_task(reader.page(WAIT_S, stop))
        await asyncio.sleep(0)
        stop.set()
        async with asyncio.timeout(WAIT_S / 2):
            assert await waiting == Page((), position)


async def test_an_empty_log_is_read_from_its_first_fact_on(bench: LogBench) -> None:
    async with bench.log.reading(TRAINING) as reader:
        assert (await reader.page(SHORT_S)).envelopes == ()
        assert await bench.tell(finished()) == await read(reader, 1)


async def test_reading_since_an_instant_has_everything_that_became_true_then_or_later(bench: LogBench) -> None:
    await bench.tell(*[finished() for _ in range(5)])
    instant = CLOCK.wall_ms()
    told = await bench.tell(*[finished() for _ in range(5)])
    async with bench.log.reading(TRAINING, since_ms=instant) as reader:
        found: list[FactId] = []
        while not set(told) <= set(found):
            found += await read(reader, 1)
    async with bench.log.reading(TRAINING, since_ms=CLOCK.wall_ms() + 3_600_000) as reader:
        assert (await reader.page(SHORT_S)).envelopes == ()


async def test_readers_do_not_disturb_each_other(bench: LogBench) -> None:
    told = await bench.tell(*[finished() for _ in range(10)])
    async with bench.log.reading(TRAINING) as first, bench.log.reading(TRAINING) as second:
        assert sorted(await read(first, 10)) == sorted(told)
        assert sorted(await read(second, 10)) == sorted(told)


async def test_a_position_of_a_log_that_was_lost_is_lost_too(bench: LogBench) -> None:
    await bench.tell(*[finished() for _ in range(3)])
    position = await position_after(bench, 3)
    await bench.begin_anew()
    await bench.tell(finished())
    with pytest.raises(PositionLost):
        async with bench.log.reading(TRAINING, position) as reader:
            await reader.page(WAIT_S)


@pytest.mark.parametrize("position", ["", "stream:", "stream:-1", "stream:1:x", "outbox:1,2", "outbox:x", "moon:7"])
async def test_a_position_of_another_log_is_refused(bench: LogBench, position: str) -> None:
    with pytest.raises(PositionLost):
        async with bench.log.reading(TRAINING, Position(position)):
            pass


async def test_a_fact_of_a_newer_program_is_not_passed_over(bench: LogBench) -> None:
    (told,) = await bench.tell(finished())
    position = await position_after(bench, 1)
    await bench.put_foreign()
    for _ in range(2):
        with pytest.raises(msgspec.DecodeError):
            async with bench.log.reading(TRAINING, position) as reader:
                await reader.page(WAIT_S)
    async with bench.log.reading(CLASSES) as reader:
        assert (await reader.page(SHORT_S)).envelopes == ()
    assert told
