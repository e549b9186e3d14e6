"""The life of the process: started in order, ended in reverse, never limping on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from paceline.program import CoreLoopEndedError, Program, StoppedEarly, closed_within, unless_stopped


class Loop:
    """A core loop that lives until stopped, and says when it ended."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self._name = name
        self._ended = ended
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        try:
            await self.stopped.wait()
        finally:
            self._ended.append(self._name)


async def test_loops_end_in_reverse_order() -> None:
    program, ended = Program(), list[str]()
    for name in ("first", "second", "third"):
        program.start(name, Loop(name, ended).run())
    await asyncio.sleep(0)
    program.stop()
    await program.wait()
    await program.end(grace_s=0.01)
    assert ended == ["third", "second", "first"]
    assert program.fault is None


async def test_a_loop_that_was_asked_to_stop_may_finish() -> None:
    program, ended = Program(), list[str]()
    loop = Loop("polite", ended)
    program.start("polite", loop.run(), loop.stopped.set)
    program.stop()
    await program.wait()
    await program.end(grace_s=60)
    assert ended == ["polite"]


async def test_a_loop_that_does_not_end_when_asked_is_cut() -> None:
    program, ended = Program(), list[str]()
    program.start("deaf", Loop("deaf", ended).run(), lambda: None)
    await asyncio.sleep(0)
    await program.end(grace_s=0.01)
    assert ended == ["deaf"]


async def test_a_core_loop_that_dies_stops_the_program() -> None:
    program = Program()

    async def dies() -> None:
        raise RuntimeError("the disk is gone")

    program.start("recorder", dies())
    assert program.healthy()
    await asyncio.wait_for(program.wait(), 5)
    assert isinstance(program.fault, RuntimeError)
    assert program.loops() == {"recorder": False}
    assert not program.healthy()
    assert program.stopping


async def test_a_core_loop_that_returns_by_itself_is_a_fault_too() -> None:
    program = Program()
    program.start("rooms", asyncio.sleep(0))
    await asyncio.wait_for(program.wait(), 5)
    assert isinstance(program.fault, CoreLoopEndedError)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_program(number: signal.Signals) -> None:
    program = Program()
    with program.signals():
        os.kill(os.getpid(), number)
        await asyncio.wait_for(program.wait(), 5)
    assert program.stopping


async def test_a_second_request_skips_the_wait() -> None:
    program = Program()
    program.stop()
    step = asyncio.ensure_future(program.within(3_600, asyncio.Event().wait(), "drain"))
    await asyncio.sleep(0)
    program.stop()
    await asyncio.wait_for(step, 5)


async def test_who_asks_to_stop_does_not_wait_for_a_start_and_what_it_has_begun_is_tidied_up() -> None:
    program, tidied = Program(), list[str]()

    async def start() -> None:
        async with program.starting():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                tidied.append("in order")

    starting = asyncio.ensure_future(start())
    await asyncio.sleep(0)
    program.stop()
    with pytest.raises(StoppedEarly):
        await asyncio.wait_for(starting, 5)
    assert tidied == ["in order"]


async def test_what_goes_wrong_in_tidying_up_a_start_is_no_failure_of_it() -> None:
    program = Program()

    async def start() -> None:
        async with program.starting():
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("the server does not answer")

    starting = asyncio.ensure_future(start())
    await asyncio.sleep(0)
    program.stop()
    with pytest.raises(StoppedEarly):
        await asyncio.wait_for(starting, 5)


@pytest.mark.parametrize("failure", [OSError, TimeoutError, asyncio.CancelledError])
async def test_a_start_that_fails_by_itself_has_failed(failure: type[BaseException]) -> None:
    with pytest.raises(failure):
        async with Program().starting():
            raise failure


async def test_a_stop_after_the_start_cancels_nothing() -> None:
    program = Program()
    async with program.starting():
        await asyncio.sleep(0)
    program.stop()
    await asyncio.sleep(0)
    assert program.stopping


async def test_a_signal_comes_before_what_a_program_does_alone() -> None:
    async def endless() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    with pytest.raises(StoppedEarly):
        await asyncio.wait_for(unless_stopped(endless()), 5)
    assert await unless_stopped(asyncio.sleep(0, "done")) == "done"


async def test_a_step_that_fails_does_not_keep_the_others_from_being_done() -> None:
    async def fails() -> None:
        raise OSError("no")

    await Program().within(1, fails(), "flush")


async def test_a_dropped_loop_is_no_core_loop_any_more() -> None:
    program, ended = Program(), list[str]()
    program.start("demo", Loop("demo", ended).run())
    await asyncio.sleep(0)
    await program.drop("demo")
    assert ended == ["demo"]
    assert program.healthy()
    assert program.loops() == {}


async def test_a_loop_that_loses_a_cancellation_is_cancelled_again() -> None:
    program = Program()
    lost = 0

    async def careless() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 2:
                    raise

    program.start("careless", careless())
    await asyncio.sleep(0)
    await asyncio.wait_for(program.end(grace_s=2), 5)
    assert lost == 2


# -- what hangs ----------------------------------------------------------------------------------------------------------------


class Hanging:
    """Something that does not hear that it is over until it is let go of."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def run(self) -> None:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue


async def test_loops_that_hang_share_one_limit_and_the_others_are_ended_all_the_same() -> None:
    program, ended, hanging = Program(), list[str](), Hanging()
    program.start("first", Loop("first", ended).run())
    for number in range(7):
        program.start(f"hanging {number}", hanging.run(), lambda: None)
    await asyncio.sleep(0)
    # Each may have an hour, and all of them a second.
    await asyncio.wait_for(program.end(grace_s=3_600, within_s=1.5), 30)
    assert ended == ["first"]
    hanging.let_go.set()
    await asyncio.sleep(0)


async def test_a_loop_to_which_no_turn_comes_any_more_is_asked_before_it_is_cut() -> None:
    program, hanging, asked, finished = Program(), Hanging(), asyncio.Event(), list[str]()

    async def finishing() -> None:
        await asked.wait()
        await asyncio.sleep(0.05)
        finished.append("in order")

    program.start("finishing", finishing(), asked.set)
    program.start("hanging", hanging.run(), lambda: None)
    await asyncio.sleep(0)
    await asyncio.wait_for(program.end(grace_s=3_600, within_s=1.5), 30)
    assert finished == ["in order"]
    hanging.let_go.set()
    await asyncio.sleep(0)


@pytest.mark.parametrize("skippable", [True, False])
async def test_a_step_that_hangs_is_left_behind(skippable: bool) -> None:
    program, hanging = Program(), Hanging()
    await asyncio.wait_for(program.within(0.6, hanging.run(), "http", skippable=skippable), 30)
    hanging.let_go.set()
    await asyncio.sleep(0)


async def test_a_dropped_loop_that_hangs_is_left_behind() -> None:
    program, hanging = Program(), Hanging()
    program.start("demo", hanging.run())
    await asyncio.sleep(0)
    await asyncio.wait_for(program.drop("demo"), 30)
    hanging.let_go.set()
    await asyncio.sleep(0)


@asynccontextmanager
async def resource(name: str, closed: list[str], *, answers: bool) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if not answers:
            await asyncio.Event().wait()
        closed.append(name)


async def test_resources_that_hang_share_one_limit_and_the_others_are_closed_all_the_same() -> None:
    closed = list[str]()
    async with asyncio.timeout(30):
        async with closed_within(1.2) as resources:
            for name, answers in (("traces", True), ("database", False), ("redis", False), ("sockets", True)):
                await resources.enter_async_context(resource(name, closed, answers=answers))
    assert closed == ["sockets", "traces"]


async def test_what_goes_wrong_with_resources_is_raised_as_ever() -> None:
    async def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        async with closed_within(1) as resources:
            resources.push_async_callback(fail)
    with pytest.raises(ZeroDivisionError):
        async with closed_within(1):
            raise ZeroDivisionError
