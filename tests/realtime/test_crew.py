"""Tasks that end together, though what they await loses their cancellation."""

import asyncio
from collections.abc import Callable

import pytest
import structlog

from realtime.crew import Crew

WAIT_S = 15.0


class Loser:
    """A call that loses cancellations: it waits, and when it is cancelled goes on as if nothing had been. Once it has lost
    `times`, or after `release`, it returns."""

    def __init__(self, times: int) -> None:
        self.waiting = asyncio.Event()
        self.lost = 0
        self._left = times
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def call(self) -> None:
        while self._left and not self._released.is_set():
            self.waiting.set()
            try:
                await self._released.wait()
            except asyncio.CancelledError:
                self._left -= 1
                self.lost += 1


async def loop_until_over(crew: Crew, loser: Loser) -> None:
    while not crew.over:
        await loser.call()
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


async def ended(task: "asyncio.Task[None]") -> None:
    _, going = await asyncio.wait([task], timeout=WAIT_S)
    assert not going, "it goes on after it was cancelled"


@pytest.mark.parametrize("times", [1, 5])
async def test_it_ends_when_it_is_cancelled_though_a_call_below_loses_the_cancellation(times: int) -> None:
    loser, crew = Loser(times), Crew("crew", WAIT_S)
    task = asyncio.create_task(crew.live(loses=loop_until_over(crew, loser), waits=forever()))
    await asyncio.wait_for(loser.waiting.wait(), WAIT_S)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    await ended(task)
    assert task.cancelled()
    assert loser.lost == times


async def test_what_never_ends_is_left_behind_and_named() -> None:
    loser, crew = Loser(1_000_000), Crew("crew", 0.5)
    before = asyncio.all_tasks()
    task = asyncio.create_task(crew.live(loses=loop_until_over(crew, loser)))
    await asyncio.wait_for(loser.waiting.wait(), WAIT_S)
    task.cancel()
    with structlog.testing.capture_logs() as lines:
        await ended(task)
    assert task.cancelled()
    assert loser.lost >= 2, "cancelled once, and not again"
    assert [line["task"] for line in lines] == ["crew.loses"]
    # What was left behind ends as soon as the call returns.
    loser.release()
    await until(lambda: asyncio.all_tasks() == before)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0)


async def test_one_that_fails_ends_the_others_and_is_told() -> None:
    async def fails() -> None:
        raise ValueError("at fault")

    with pytest.raises(BaseExceptionGroup) as told:
        await asyncio.wait_for(Crew("crew", WAIT_S).live(fails=fails(), waits=forever()), WAIT_S)
    assert [str(one) for one in told.value.exceptions] == ["at fault"]
