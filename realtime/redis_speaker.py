"""Saying messages to one Redis server: a bounded queue, and a line that is written to once per turn of the event loop.

Redis has 250 ms to answer what it got, and no more than `WINDOW_MESSAGES` are under way, so that a slow Redis fills the queue
(which drops the oldest) and not a socket. After a failure the line pauses, a short breaker, and is opened anew; what had been
written to it is not said again: at most once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import structlog

from realtime.broker import Message, Waiting
from realtime.pause import Pause
from realtime.redis_address import TROUBLE, Address
from realtime.redis_line import RedisLine, open_line
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_S: Final = 0.25
"""What Redis may take to answer a message. Locally it takes well under a millisecond."""
MAX_AGE_S: Final = 2.0
"""Older messages are not sent any more: a later share has said it better."""
WINDOW_MESSAGES: Final = 1_024
"""Messages under way to Redis. Full means: the others wait in the queue."""
BATCH_BYTES: Final = 256 * 1024
NAMES_REMEMBERED: Final = 65_536

Answered = Callable[[Message, object], None]
"""Told each message that Redis has answered, with the answer: a number, or an error."""
Lost = Callable[[Exception], None]
"""Told why a line is away."""


class RedisSpeaker:
    """Says messages. `word` publishes, `name` is a channel as Redis knows it. Messages that were written and not answered count
    as `failed`."""

    def __init__(
        self,
        address: Address,
        clock: Clock,
        *,
        word: bytes,
        name: Callable[[str], bytes],
        answered: Answered,
        lost: Lost,
    ) -> None:
        self.waiting: Final = Waiting()
        self.failed = 0
        self.line: RedisLine | None = None
        self._address: Final = address
        self._clock: Final = clock
        self._word: Final = word
        self._name: Final = name
        self._told: Final = answered
        self._lost: Final = lost
        self._head: Final = lru_cache(NAMES_REMEMBERED)(self._head_of)
        self._under_way: Final[deque[Message]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_asked = False
        self._pause: Final = Pause()

    def say(self, message: Message) -> None:
        """Queue a message; it leaves when this turn is over."""
        self.waiting.put(*message)
        if self._loop is not None and not self._flush_asked:
            self._flush_asked = True
            self._loop.call_soon(self._flush)

    def forget_old(self) -> None:
        """Drop what has waited too long for a line to leave by."""
        self.waiting.forget(self._clock.monotonic() - MAX_AGE_S)

    async def run(self) -> None:
        """Keep a line open, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                self.line = await open_line(self._address, PUBLISH_TIMEOUT_S)
                try:
                    await self._speak(self.line)
                finally:
                    self._hang_up()
            except TROUBLE as trouble:
                if self._pause.first():
                    log.warning("broker.speaker_lost", server=self._address.name, trouble=repr(trouble))
                self._lost(trouble)
            await self._clock.sleep(self._pause.next_s())

    async def _speak(self, line: RedisLine) -> None:
        """One life of the line. Raises what ended it."""
        line.heard = self._answered
        self._flush()
        raise await line.lost

    def _hang_up(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.cut(ConnectionAbortedError("no longer needed"))
        self.failed += len(self._under_way)
        self._under_way.clear()

    def _flush(self) -> None:
        """Write what is waiting, as much as may be under way."""
        self._flush_asked = False
        line, room = self.line, WINDOW_MESSAGES - len(self._under_way)
        if line is None or not (room and line.clear and self.waiting):
            return
        batch = self.waiting.take(room, BATCH_BYTES, self._clock.monotonic() - MAX_AGE_S)
        if not batch:
            return
        parts: list[bytes] = []
        for _, channel, data in batch:
            parts += (self._head(channel), b"$%d\r\n" % len(data), data, b"\r\n")
        self._under_way.extend(batch)
        line.send(b"".join(parts), len(batch))

    def _head_of(self, channel: str) -> bytes:
        """A publishing command up to where the data begins."""
        name = self._name(channel)
        return b"*3\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(self._word), self._word, len(name), name)

    def _answered(self, replies: list[object]) -> None:
        if self.line is None:
            return
        if len(replies) > len(self._under_way):
            self.line.cut(ConnectionError("Redis answered more than it was asked"))
            return
        self.line.answered(len(replies))
        for reply in replies:
            self._told(self._under_way.popleft(), reply)
        if self._pause.over():
            log.info("broker.speaker_recovered", server=self._address.name, failed=self.failed)
        if self.waiting:
            self._flush()
