"""Scripts on one Redis server, many under way at once, over one line.

redis-py takes a connection out of its pool for every command and waits for it there and back. Here all that a turn of the loop
asks leaves in one write, and what one read brings is given to whoever asked, in order: a future each, nothing else.

The line is opened when it is first needed and again after it was lost. Whatever was under way then has failed and nobody knows
whether it was done. A server that does not answer within the patience of the line has lost it. No more than `MOST` commands are
under way: full means that one more is refused at once, because Redis would not come to it in time.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from redis.exceptions import ResponseError

from realtime.redis_line import TROUBLE, Address, RedisLine, open_line, packed

PATIENCE_S: Final = 0.25
"""What Redis may take to answer. Locally it takes well under a millisecond."""
MOST: Final = 1_024
"""Commands under way. By feeling: more than a node with a thousand rooms says within the patience."""

Word = str | bytes | int


class RedisCaller:
    """See the module. `call` and `script` raise one of `TROUBLE`."""

    def __init__(self, address: Address) -> None:
        self._address: Final = address
        self._line: RedisLine | None = None
        self._opening: Final = asyncio.Lock()
        self._asked: deque[asyncio.Future[object]] = deque()
        self._unsent: list[bytes] = []
        self._failures = 0
        self._loop: Final = asyncio.get_running_loop()

    async def script(self, text: str, keys: Sequence[str], args: Sequence[Word]) -> object:
        """Run a script: by its digest, with its text where the server does not know it (yet, or any more)."""
        words = (b"%d" % len(keys), *(_word(key) for key in keys), *(_word(arg) for arg in args))
        try:
            return await self.call(b"EVALSHA", _digest(text), *words)
        except ResponseError as refused:
            if not str(refused).startswith("NOSCRIPT"):
                raise
            return await self.call(b"EVAL", text.encode(), *words)

    async def call(self, *words: bytes) -> object:
        """One command and its answer."""
        if self._line is None:
            await self._open()
        if len(self._asked) >= MOST:
            raise ConnectionError(f"{MOST} commands wait for Redis already")
        answer: asyncio.Future[object] = self._loop.create_future()
        self._asked.append(answer)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(packed(*words))
        reply = await answer
        if isinstance(reply, Exception):
            raise ResponseError(str(reply)) from reply
        return reply

    def close(self) -> None:
        """Cut the line; what is under way fails."""
        if self._line is not None:
            self._line.cut(ConnectionAbortedError("it is closed"))

    async def _open(self) -> None:
        before = self._failures
        async with self._opening:
            if self._line is not None:
                return
            if self._failures != before:
                # A hall full of people who wait here must not wait for one time-out after the other.
                raise ConnectionError("Redis could not be reached just now")
            try:
                line = await open_line(self._address, PATIENCE_S)
            except TROUBLE:
                self._failures += 1
                raise
            line.heard = self._heard
            self._line = line
            line.lost.add_done_callback(self._lost)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._line is not None and unsent:
            self._line.send(b"".join(unsent), len(unsent))

    def _heard(self, replies: list[object]) -> None:
        if self._line is None:
            return
        self._line.answered(len(replies))
        if len(replies) > len(self._asked):
            self._line.cut(ConnectionError("Redis answered what nobody had asked"))
            return
        for reply in replies:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(reply)

    def _lost(self, lost: "asyncio.Future[Exception]") -> None:
        self._line = None
        asked, self._asked = self._asked, deque()
        self._unsent.clear()
        for answer in asked:
            if not answer.done():
                answer.set_exception(ConnectionResetError(f"Redis is away: {lost.result()}"))


@lru_cache(64)
def _digest(text: str) -> bytes:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()


def _word(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word
