"""A server's end of one stream in memory, by the documented rules, with every nerve exposed.

Nothing happens by itself: a test says when a request arrives, when a commit is made, in which order acknowledgements go out,
when the connection is cut and when the server dies. What is new in a batch is decided by the real `Intake`.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from loadtest.link import Answered, LinkEnded, LinkLost, ok_of
from realtime.wire import SampleBatch, SamplesStored, StreamFinish, StreamFinished, StreamOpen, StreamOpened
from rooms.intake import Intake
from services.kernel.ids import WorkoutId
from services.kernel.problems import Problem, SequenceGap, StreamNotOpen, WindowFull
from services.training.sample import Sample

T = TypeVar("T")

MAX_BATCH = 5
MAX_UNACKED = 12


class FakeServer:
    """One server and the one connection to it; it is a `Wire`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.durable: list[Sample] = []
        self.finished = False
        self.epoch = 0
        self.most_under_way = 0
        self.requests = 0
        self._count = 0
        self._connected = False
        self._ended: Exception | None = None
        self._intake: Intake | None = None
        self._buffer: list[Sample] = []
        self._arriving: list[tuple[str, Any, Answered]] = []
        self._waiting: list[tuple[int, Answered]] = []
        self._leaving: list[tuple[Answered, object]] = []
        self._watchers: list[Callable[[], None]] = []
        self._handlers: dict[str, list[Callable[..., None]]] = {}
        self._openers: list[Callable[[], None]] = []

    # -- the client's side: a Wire ------------------------------------------------------------------------------

    @property
    def connection(self) -> int | None:
        return self._count if self._connected else None

    async def opened(self) -> int:
        while not self._connected:
            if self._ended is not None:
                raise LinkEnded(str(self._ended))
            event = asyncio.Event()
            self._openers.append(event.set)
            await event.wait()
        return self._count

    async def request(self, event: str, payload: msgspec.Struct, answered: Answered) -> None:
        if not self._connected:
            raise LinkLost("not connected")
        self.requests += 1
        # Through bytes and back, as on a real wire.
        self._arriving.append((event, msgspec.json.decode(msgspec.json.encode(payload), type=type(payload)), answered))
        if isinstance(payload, SampleBatch):
            self.most_under_way = max(self.most_under_way, payload.seq + len(payload.samples) - len(self.durable))

    async def call(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T:
        future: asyncio.Future[msgspec.Raw | None] = asyncio.get_running_loop().create_future()
        await self.request(event, payload, future.set_result)
        raw = await future
        if raw is None:
            raise LinkLost("cut")
        return ok_of(raw, shape, event)

    def on(self, event: str, handler: Callable[..., None]) -> Callable[[], None]:
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)
        return lambda: handlers.remove(handler)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # -- the test's side ----------------------------------------------------------------------------------------

    def connect(self) -> None:
        """A connection opens, if there is none."""
        if not self._connected:
            self._count += 1
            self._connected = True
            self._changed()

    def cut(self) -> None:
        """The connection is lost with all that is on the way; what the server had received, it commits."""
        self.commit()
        self._lose_connection()

    def kill(self) -> None:
        """The server dies: only what is committed survives."""
        self._lose_connection()

    def end(self, why: Exception) -> None:
        """The client gives up for good."""
        self._ended = why
        self._lose_connection()

    def arrive(self) -> None:
        """The oldest request reaches the server."""
        if self._arriving:
            event, payload, answered = self._arriving.pop(0)
            try:
                reply = self._handle(event, payload, answered)
            except Problem as problem:
                self._leaving.append((answered, {"problem": problem.view()}))
            else:
                if reply is not None:
                    self._leaving.append((answered, {"ok": reply}))

    def refuse(self, problem: Problem) -> None:
        """The oldest request is answered with a problem instead of being looked at."""
        if self._arriving:
            _, _, answered = self._arriving.pop(0)
            self._leaving.append((answered, {"problem": problem.view()}))

    def commit(self) -> None:
        """What the server holds is committed, and the acknowledgements that waited for it may leave."""
        self.durable += self._buffer
        self._buffer = []
        for end, answered in [item for item in self._waiting if item[0] <= len(self.durable)]:
            reply = SamplesStored(stream=self._stream_id, next_seq=len(self.durable))
            self._leaving.append((answered, {"ok": reply}))
            self._waiting.remove((end, answered))

    def answer(self) -> None:
        """One of the answers that are ready reaches the device; which one is chance."""
        if self._leaving:
            answered, answer = self._leaving.pop(self.rng.randrange(len(self._leaving)))
            answered(msgspec.Raw(msgspec.json.encode(answer)))

    def tell(self, event: str, payload: msgspec.Struct) -> None:
        """An event to the client."""
        for handler in self._handlers.get(event, []):
            handler(payload)

    @property
    def idle(self) -> bool:
        """Nothing is on the way in either direction; what waits for a commit may wait for samples before it."""
        return not (self._arriving or self._leaving)

    def _handle(self, event: str, payload: Any, answered: Answered) -> object | None:
        match event:
            case "stream.open":
                return self._open(payload)
            case "stream.samples":
                self._samples(payload, answered)
                return None
            case "stream.finish":
                return self._finish(payload)
        raise AssertionError(f"a stream does not send {event}")

    def _open(self, opening: StreamOpen) -> StreamOpened:
        self.commit()
        self._stream_id = opening.stream
        self.epoch += 1
        self.finished = False
        self._intake = Intake(len(self.durable))
        return StreamOpened(
            stream=opening.stream,
            workout=cast(WorkoutId, opening.stream),
            epoch=self.epoch,
            next_seq=len(self.durable),
            max_batch=MAX_BATCH,
            max_unacked=MAX_UNACKED,
        )

    def _samples(self, batch: SampleBatch, answered: Answered) -> None:
        if self._intake is None:
            raise StreamNotOpen
        end = batch.seq + len(batch.samples)
        if end - len(self.durable) > MAX_UNACKED:
            raise WindowFull(expected=len(self.durable))
        self._buffer += self._intake.accept(batch.seq, batch.samples)
        self._waiting.append((end, answered))

    def _finish(self, finish: StreamFinish) -> StreamFinished:
        if self._intake is None:
            raise StreamNotOpen
        if finish.samples != len(self.durable):
            raise SequenceGap(expected=len(self.durable))
        self.finished = True
        self._intake = None
        return StreamFinished(stream=finish.stream, workout=cast(WorkoutId, finish.stream), next_seq=len(self.durable))

    def _lose_connection(self) -> None:
        self._connected = False
        self._intake = None
        self._buffer = []
        lost = [answered for _, _, answered in self._arriving]
        lost += [answered for _, answered in self._waiting]
        lost += [answered for answered, _ in self._leaving]
        self._arriving, self._waiting, self._leaving = [], [], []
        for answered in lost:
            answered(None)
        self._changed()

    def _changed(self) -> None:
        openers, self._openers = self._openers, []
        for opener in openers:
            opener()
        for watcher in tuple(self._watchers):
            watcher()
