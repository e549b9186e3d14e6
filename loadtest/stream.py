"""The device side of a stream: every sample is kept until the server says that it is stored.

The whole promise is in `Window` (what to send next) and in one loop here: wait for a connection, open the
stream on it, send what the window gives, and when the connection is lost or the server asks to wait, begin
again. The stream's number is made by the device and never changes, so it does not matter how often that
happens, which node answers, or whether the server was killed in between.

The loop ends well with `finish()`, which returns only when every sample is stored. It ends badly when another
device takes the stream, when the server refuses it for good, or when the link gives up; `append` and `finish`
then raise that cause.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from loadtest.api import Refusal
from loadtest.link import Answered, LinkLost, ok_of
from loadtest.patience import Patience
from loadtest.window import Batch, Window
from realtime.wire import (
    MAX_UNACKED_SAMPLES,
    SampleBatch,
    SamplesStored,
    StreamFinish,
    StreamFinished,
    StreamOpen,
    StreamOpened,
    StreamTaken,
)
from services.kernel.clock import Clock
from services.kernel.ids import StreamId
from services.kernel.problems import ProblemView
from services.training.sample import Sample

T = TypeVar("T")

ASKS_TO_OPEN: Final = frozenset({"stream_not_open", "stream_finished"})
"""Problems that opening the stream again cures."""


class Wire(Protocol):
    """What a stream needs of its connection; `Link` is one."""

    @property
    def connection(self) -> int | None: ...

    async def opened(self) -> int: ...

    async def request(self, event: str, payload: msgspec.Struct, answered: Answered) -> None: ...

    async def call(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T: ...

    def on(self, event: str, handler: Callable[..., None]) -> Callable[[], None]: ...

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]: ...


class StreamLost(Exception):  # noqa: N818 - a state of the world
    """Another device has opened this stream, or its loop was stopped; nothing more can be sent."""


class DeviceStream:
    """One stream of one device. Start `run()` as a task, then `append`, and `finish` at the end.

    `keep` bounds the samples in memory: `append` waits when that many are not yet acknowledged. `on_stored` is
    called with the number of stored samples whenever it has grown.
    """

    def __init__(
        self,
        wire: Wire,
        opening: StreamOpen,
        *,
        clock: Clock,
        rng: random.Random,
        keep: int = MAX_UNACKED_SAMPLES,
        on_stored: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._wire = wire
        self._opening = opening
        self._clock = clock
        self._keep = keep
        self._on_stored = on_stored
        self._window = Window()
        self._patience = Patience(clock, rng)
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._moved = asyncio.Event()
        self._finishing = False
        self._reopen = False
        self._hold: tuple[str, int | None] | None = None  # the server asked to wait: why, and for how many ms
        self._asking = False  # an opening is under way
        self._gap_at = -1  # what was stored when the last gap was reported
        self._fault: Exception | None = None
        self._opened: StreamOpened | None = None
        self._finished: StreamFinished | None = None

    @property
    def id(self) -> StreamId:
        """The number the device gave its stream."""
        return self._opening.stream

    @property
    def stored(self) -> int:
        """How many samples the server has acknowledged."""
        return self._window.stored

    @property
    def appended(self) -> int:
        """How many samples the device has made."""
        return self._window.end

    @property
    def opening(self) -> StreamOpened | None:
        """The server's answer to the newest opening."""
        return self._opened

    # -- the device's side --------------------------------------------------------------------------------------

    async def append(self, sample: Sample) -> None:
        """Add a sample; waits while `keep` of them are unacknowledged. Raises what ended the stream."""
        while self._window.kept >= self._keep and self._fault is None:
            self._room.clear()
            await self._room.wait()
        self._raise_fault()
        if self._finishing:
            raise StreamLost("the stream is being finished; nothing can be added")
        self._window.append(sample)
        self._wake.set()

    async def wait_opened(self) -> StreamOpened:
        """Wait for the first opening: the server knows the stream. Raises what ended the stream."""
        return await self._until(lambda: self._opened)

    async def finish(self) -> StreamFinished:
        """No more samples: returns when all are stored and the server has finished the workout."""
        self._finishing = True
        self._wake.set()
        return await self._until(lambda: self._finished)

    async def _until(self, found: Callable[[], T | None]) -> T:
        while True:
            value = found()
            if value is not None:
                return value
            self._raise_fault()
            self._moved.clear()
            await self._moved.wait()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    # -- the loop -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send until the stream is finished. Never raises but on cancellation: the cause goes to `append` and `finish`."""
        unwatch = self._wire.watch(self._wake.set)
        forget = self._wire.on("stream.taken", self._on_taken)
        try:
            while self._finished is None:
                try:
                    await self._on_one_connection(await self._wire.opened())
                except LinkLost:
                    continue
        except asyncio.CancelledError:
            self._fault = StreamLost("the stream was stopped")
            raise
        except Exception as error:  # the loop's one exit for faults: handed to whoever waits
            self._fault = error
        finally:
            unwatch()
            forget()
            self._room.set()
            self._moved.set()

    async def _on_one_connection(self, connection: int) -> None:
        await self._open()
        while self._wire.connection == connection:
            self._raise_fault()
            if self._hold is not None:
                (why, after_ms), self._hold = self._hold, None
                await self._patience.wait(why, after_ms)
            elif self._reopen:
                await self._open()
            elif (batch := self._window.take()) is not None:
                await self._send(batch)
            elif self._finishing and self._window.kept == 0:
                if await self._finish():
                    return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _open(self) -> None:
        self._asking = True
        try:
            opened = await self._ask("stream.open", self._opening, StreamOpened)
        finally:
            self._asking = False
        if opened is None:
            self._reopen = True
            return
        self._reopen = False
        self._hold = None
        self._opened = opened
        self._window.opened(opened.next_seq, opened.max_batch, opened.max_unacked)
        self._progressed()

    async def _finish(self) -> bool:
        payload = StreamFinish(stream=self.id, samples=self._window.end)
        self._finished = await self._ask("stream.finish", payload, StreamFinished)
        self._moved.set()
        return self._finished is not None

    async def _ask(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T | None:
        """The reply, or None when the server said "later" or "open it again": the loop then does that."""
        try:
            return await self._wire.call(event, payload, shape)
        except Refusal as refusal:
            self._refused(refusal.problem, refusal)
            return None

    async def _send(self, batch: Batch) -> None:
        payload = SampleBatch(stream=self.id, seq=batch.seq, samples=batch.samples)

        def answered(raw: msgspec.Raw | None) -> None:
            if raw is not None:  # None: the connection is lost, and the next opening tells what was stored
                self._answered(batch, raw)

        await self._wire.request("stream.samples", payload, answered)

    def _answered(self, batch: Batch, raw: msgspec.Raw) -> None:
        """What the server said about a batch. Called by the connection's reader, so nothing may escape."""
        try:
            try:
                stored = ok_of(raw, SamplesStored, "stream.samples")
            except Refusal as refusal:
                self._batch_refused(batch, refusal)
            else:
                self._window.acknowledge(stored.next_seq)
                self._patience.succeeded()
                self._progressed()
        except Exception as error:  # a broken promise or a broken answer ends this stream, not the reader of all
            self._fault = error
        self._wake.set()

    def _batch_refused(self, batch: Batch, refusal: Refusal) -> None:
        problem = refusal.problem
        expected = problem.data.get("expected") if problem.code == "sequence_gap" and problem.data else None
        go_back_to = expected if isinstance(expected, int) else None
        if not self._window.refused(batch, go_back_to):
            return  # an answer to what was sent before the last fall-back
        if go_back_to is None or self._window.stored == self._gap_at:
            self._refused(problem, refusal)  # a second gap without progress waits, instead of going round in circles
        self._gap_at = self._window.stored

    def _refused(self, problem: ProblemView, refusal: Refusal) -> None:
        """Decide what a problem means for the loop: wait, open again, or the end."""
        if problem.code in ASKS_TO_OPEN:
            self._reopen = True
        elif problem.retry:
            self._hold = (str(refusal), problem.retry_after_ms)
        elif problem.code == "stream_taken_over":
            if not self._asking:  # else it is our own opening that ended the older one
                self._fault = StreamLost(problem.message)
        else:
            self._fault = refusal

    def _progressed(self) -> None:
        self._room.set()
        self._moved.set()
        self._on_stored(self._window.stored)

    def _on_taken(self, taken: StreamTaken) -> None:
        # While we are opening it ourselves, the word is about our own opening; a real loss shows in the next refusal.
        if taken.stream == self.id and not self._asking and self._opened and taken.epoch >= self._opened.epoch:
            self._fault = StreamLost("another device has opened this stream; send it from one of them")
            self._wake.set()
