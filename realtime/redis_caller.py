"""Scripts on one Redis server, many under way at once, over one line.

redis-py takes a connection out of its pool for every command and waits for it there and back. Here all that a turn of the loop
asks leaves in one write, and what one read brings is given to whoever asked, in order: a call each, and where somebody awaits it
a future, nothing else.

The line is opened when it is first needed and again after it was lost; what is asked meanwhile waits for that. Whatever was
under way when a line was lost has failed and nobody knows whether it was done. A server that does not answer within the patience
of the line has lost it. No more than `MOST` commands are under way or wait: full means that one more is refused at once, because
Redis would not come to it in time.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from redis.exceptions import ResponseError

from realtime.redis_address import Address
from realtime.redis_line import RedisLine, open_line, packed

PATIENCE_S: Final = 0.25
"""What Redis may take to answer. Locally it takes well under a millisecond."""
MOST: Final = 1_024
"""Commands under way, or waiting for a line. By feeling: more than a node with a thousand rooms says within the patience."""


class Fixed:
    """A word that comes again and again, kept as it goes over the line."""

    __slots__ = ("packed", "word")

    def __init__(self, word: str) -> None:
        self.word: Final = word
        self.packed: Final = _alone(word)


Word = str | bytes | int | Fixed
Key = str | bytes | Fixed
Settle = Callable[[object], None]
"""Takes what came of a command, once: Redis's answer, or one of `TROUBLE`. Must not raise."""
_CLOSED: Final = "it is closed"


class RedisCaller:
    """See the module. `call` and `script` raise one of `TROUBLE`."""

    def __init__(self, address: Address) -> None:
        self._address: Final = address
        self._line: RedisLine | None = None
        self._opening: asyncio.Task[RedisLine] | None = None
        self._closed = False
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []
        self._loop: Final = asyncio.get_running_loop()

    def begin(self, text: str, keys: Sequence[Key], args: Sequence[Word], settle: Settle) -> None:
        """Run a script, and `settle` what comes of it: by its digest, with its text where the server does not know it (yet, or
        any more)."""
        count, words = len(keys) + len(args), _packed(keys, args)
        self._ask(_run(text, count) + words, _Asked(settle, text, count, words))

    async def script(self, text: str, keys: Sequence[Key], args: Sequence[Word]) -> object:
        """`begin`, and wait for it."""
        answer: asyncio.Future[object] = self._loop.create_future()
        self.begin(text, keys, args, _settler(answer))
        return await answer

    async def call(self, *words: bytes) -> object:
        """One command and its answer."""
        answer: asyncio.Future[object] = self._loop.create_future()
        self._ask(packed(*words), _Asked(_settler(answer)))
        return await answer

    def close(self) -> None:
        """Cut the line; what is under way fails, and so does what is asked later."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
        if self._line is not None:
            self._line.cut(ConnectionAbortedError(_CLOSED))

    def _ask(self, command: bytes, asked: "_Asked") -> None:
        if self._closed:
            asked.settle(ConnectionAbortedError(_CLOSED))
        elif len(self._asked) >= MOST:
            asked.settle(ConnectionError(f"{MOST} commands wait for Redis already"))
        else:
            self._asked.append(asked)
            if self._line is not None:
                if not self._unsent:
                    self._loop.call_soon(self._send)
            elif self._opening is None:
                self._opening = self._loop.create_task(open_line(self._address, PATIENCE_S))
                self._opening.add_done_callback(self._opened)
            self._unsent.append(command)

    def _opened(self, opening: "asyncio.Task[RedisLine]") -> None:
        self._opening = None
        if opening.cancelled():
            self._fail(_CLOSED)
        elif (trouble := opening.exception()) is not None:
            self._fail(f"Redis is away: {trouble!r}")
        else:
            self._line = line = opening.result()
            line.heard = self._heard
            line.lost.add_done_callback(self._lost)
            if self._closed:
                line.cut(ConnectionAbortedError(_CLOSED))
            self._send()

    def _send(self) -> None:
        if self._line is not None and self._unsent:
            unsent, self._unsent = self._unsent, []
            self._line.send(b"".join(unsent), len(unsent))

    def _heard(self, replies: list[object]) -> None:
        if self._line is None:
            return
        self._line.answered(len(replies))
        if len(replies) > len(self._asked):
            self._line.cut(ConnectionError("Redis answered what nobody had asked"))
            return
        for reply in replies:
            asked = self._asked.popleft()
            if not isinstance(reply, Exception):
                asked.settle(reply)
            elif asked.text and str(reply).startswith("NOSCRIPT"):
                taught = _script(b"EVAL", asked.text.encode(), asked.count) + asked.words
                self._ask(taught, _Asked(asked.settle))
            else:
                # An error that the parser made is not yet one of the library's, which everybody else knows.
                asked.settle(ResponseError(str(reply)))

    def _lost(self, lost: "asyncio.Future[Exception]") -> None:
        self._line = None
        self._fail(f"Redis is away: {lost.result()}")

    def _fail(self, why: str) -> None:
        asked, self._asked = self._asked, deque()
        self._unsent.clear()
        for each in asked:
            each.settle(ConnectionResetError(why))


class _Asked:
    """A command under way. A script is known by its `text`, and goes again with that where the server does not know it."""

    __slots__ = ("count", "settle", "text", "words")

    def __init__(self, settle: Settle, text: str = "", count: int = 0, words: bytes = b"") -> None:
        self.settle: Final = settle
        self.text: Final = text
        self.count: Final = count
        self.words: Final = words


def _packed(keys: Sequence[Key], args: Sequence[Word]) -> bytes:
    """How many keys there are, and all the words, as they go over the line."""
    return b"".join([word.packed if isinstance(word, Fixed) else _alone(word) for word in (len(keys), *keys, *args)])


def _alone(word: str | bytes | int) -> bytes:
    text = word if isinstance(word, bytes) else word.encode() if isinstance(word, str) else b"%d" % word
    return b"$%d\r\n%b\r\n" % (len(text), text)


@lru_cache(1_024)
def _run(text: str, words: int) -> bytes:
    """How it begins to have a script run that the server knows, with so many keys and arguments."""
    return _script(b"EVALSHA", hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode(), words)


def _script(command: bytes, what: bytes, words: int) -> bytes:
    return b"*%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (words + 3, len(command), command, len(what), what)


def _settler(answer: "asyncio.Future[object]") -> Settle:
    def settle(reply: object) -> None:
        if answer.done():
            return
        if isinstance(reply, BaseException):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    return settle
