"""The device side of a stream against a server that is cut, killed, busy and slow: every sample once, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.api import Refusal
from loadtest.link import LinkEnded
from loadtest.stream import DeviceStream, StreamLost
from loadtest.window import PromiseBroken
from realtime.wire import StreamOpen, StreamTaken
from services.kernel.clock import ManualClock
from services.kernel.ids import StreamId
from services.kernel.problems import BadShape, Busy, ClassOver, Problem, SequenceGap, StreamNotOpen, WindowFull
from services.training.sample import Sample
from tests.loadtest.fake_server import MAX_UNACKED, FakeServer

STREAM = StreamId(UUID(int=7))
ACTIONS = ("append", "arrive", "commit", "answer", "cut", "kill", "connect", "busy", "full", "gap", "forget", "time")


async def settle() -> None:
    """Let the device's loop come to rest."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def device(server: FakeServer, clock: ManualClock, *, keep: int = 1_000) -> AsyncIterator[DeviceStream]:
    opening = StreamOpen(stream=STREAM, started_at_ms=0)
    stream = DeviceStream(server, opening, clock=clock, rng=random.Random(1), keep=keep)
    task = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kindly(server: FakeServer, clock: ManualClock, wanted: "asyncio.Task[object]") -> None:
    """From now on the server does everything a device may hope for, until what is wanted has happened."""
    for _ in range(2_000):
        server.connect()
        server.arrive()
        server.commit()
        server.answer()
        await settle()
        if wanted.done():
            return
        if server.idle:
            await clock.advance(15)
    raise AssertionError("the device has not come to an end")


async def act(action: str, server: FakeServer, stream: DeviceStream, clock: ManualClock) -> None:
    problems: dict[str, Callable[[], Problem]] = {
        "busy": Busy,
        "full": lambda: WindowFull(expected=len(server.durable), retry_after_ms=500),
        "gap": lambda: SequenceGap(expected=len(server.durable)),
        "forget": StreamNotOpen,
    }
    if action == "append":
        await stream.append(Sample(t=1000 * stream.appended, bpm=60 + stream.appended % 100))
    elif action == "time":
        await clock.advance(1)
    elif action in problems:
        server.refuse(problems[action]())
    else:
        getattr(server, action)()
    await settle()


@settings(max_examples=300)
@given(st.lists(st.sampled_from(ACTIONS), max_size=120), st.integers(0, 1000), st.integers(0, 40))
def test_whatever_is_lost_cut_killed_or_reordered_every_sample_is_stored_once_in_order(
    actions: list[str], seed: int, more: int
) -> None:
    async def story() -> None:
        server, clock = FakeServer(seed), ManualClock()
        async with device(server, clock) as stream:
            for action in [*actions, *["append"] * more]:
                await act(action, server, stream, clock)
            finishing = asyncio.create_task(stream.finish())
            await kindly(server, clock, finishing)
            finished = finishing.result()
            made = stream.appended
        assert server.durable == [Sample(t=1000 * n, bpm=60 + n % 100) for n in range(made)]
        assert finished.next_seq == made
        assert server.finished
        assert server.most_under_way <= MAX_UNACKED

    asyncio.run(story())


async def opened(server: FakeServer, stream: DeviceStream) -> None:
    server.connect()
    await settle()
    server.arrive()
    server.answer()
    await settle()
    assert stream.opening is not None


async def append(stream: DeviceStream, count: int) -> None:
    for _ in range(count):
        await stream.append(Sample(t=1000 * stream.appended, bpm=100))
    await settle()


async def test_a_sample_leaves_at_once_and_the_next_does_not_wait_for_its_acknowledgement() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        before = server.requests
        await append(stream, 1)
        assert server.requests == before + 1
        await append(stream, 1)
        assert server.requests == before + 2


async def test_append_waits_while_as_many_as_it_may_keep_are_unacknowledged() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock, keep=8) as stream:
        await append(stream, 8)
        ninth = asyncio.create_task(stream.append(Sample(t=9_000)))
        await settle()
        assert not ninth.done()
        await kindly(server, clock, ninth)
        assert stream.appended == 9


async def test_progress_is_told_as_it_is_stored() -> None:
    server, clock = FakeServer(), ManualClock()
    told: list[int] = []
    opening = StreamOpen(stream=STREAM, started_at_ms=0)
    stream = DeviceStream(server, opening, clock=clock, rng=random.Random(1), on_stored=told.append)
    task = asyncio.create_task(stream.run())
    await append(stream, 20)
    finishing = asyncio.create_task(stream.finish())
    await kindly(server, clock, finishing)
    await task
    assert told == sorted(told)
    assert told[-1] == stream.stored == 20


async def test_a_busy_server_is_given_the_time_it_asks_for() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        await append(stream, 3)
        server.refuse(Busy(retry_after_ms=4_000))
        server.answer()
        await settle()
        before = server.requests
        await clock.advance(1.9)
        assert server.requests == before
        await clock.advance(4.2)
        assert server.requests > before


async def test_gaps_reported_without_any_progress_do_not_make_it_go_round_in_circles() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        await append(stream, 3)
        for _ in range(50):
            server.refuse(SequenceGap(expected=0))
            server.answer()
            await settle()
        assert server.requests <= 6


async def test_another_device_that_takes_the_stream_ends_it_here() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        server.tell("stream.taken", StreamTaken(stream=STREAM, epoch=1))
        await settle()
        with pytest.raises(StreamLost, match="another device"):
            await stream.append(Sample(t=0))


async def test_word_of_another_stream_being_taken_does_not_concern_it() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        server.tell("stream.taken", StreamTaken(stream=StreamId(UUID(int=8)), epoch=9))
        await append(stream, 1)


async def ends_with(problem: Problem, waiting: Callable[[DeviceStream], Awaitable[object]]) -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        server.connect()
        await settle()
        server.refuse(problem)
        server.answer()
        await settle()
        await waiting(stream)


async def test_a_class_that_is_over_is_told_to_whoever_waits_for_the_opening() -> None:
    with pytest.raises(Refusal, match="class_over"):
        await ends_with(ClassOver(), lambda stream: stream.wait_opened())


async def test_a_refusal_for_good_is_told_to_whoever_appends() -> None:
    with pytest.raises(Refusal, match=r"bad_shape at \$\.seq"):
        await ends_with(BadShape(path="$.seq"), lambda stream: stream.append(Sample(t=0)))


async def test_a_server_that_lost_acknowledged_samples_is_told_as_a_broken_promise() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        await append(stream, 4)
        for _ in range(4):
            server.arrive()
            server.commit()
            server.answer()
        assert stream.stored > 0
        server.durable.clear()
        server.kill()
        await settle()
        await opened(server, stream)
        with pytest.raises(PromiseBroken):
            await stream.finish()


async def test_a_link_that_gives_up_ends_the_stream_with_its_reason() -> None:
    server, clock = FakeServer(), ManualClock()
    async with device(server, clock) as stream:
        await opened(server, stream)
        server.end(RuntimeError("five minutes are over"))
        with pytest.raises(LinkEnded, match="five minutes"):
            await stream.finish()
