"""One connection to one Redis server, spoken without a future, a task or a timer per command.

A library's client answers a question: it sends one command and waits for its reply. A broker does not ask questions. It
writes thousands of messages a second whose replies say only "taken", and hears thousands that nobody asked for. So this is a
protocol on asyncio's transport with the library's parser (hiredis) under it: whoever owns a line writes many commands at
once, says how many answers they will have, and gets everything that one read brought as one list.

Two bounds. An answer that is owed longer than the line's patience cuts it: Redis is away, or so slow that it makes no
difference. And a message that is still not whole after `MOST_BYTES` cuts it too, because nothing of ours is near as large.
The patience is in real seconds, as it is for every real connection: it measures another program and not our own plans.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from realtime.redis_address import Address, RedisRefusedError

MOST_BYTES: Final = 32 * 1024 * 1024
"""Bytes of one unfinished message. The largest that is said between nodes, a whole share of a very large class, is a tenth."""

Heard = Callable[[list[object]], None]

_CLIENT_NAME: Final = b"paceline"


def packed(*words: bytes) -> bytes:
    """A command as it goes over the line."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


class RedisLine:
    """A connection; `open_line` makes one. `heard` gets what each read brought, in order: replies, pushes, and errors as
    values. `lost` is done once the connection is gone and holds the reason. An `asyncio.Protocol` in what it does and not by
    inheritance: what is compiled inherits only from what is."""

    def __init__(self, patience_s: float) -> None:
        self.clear = False
        self.owed = 0
        self.heard: Heard = _nobody
        self._loop: Final = asyncio.get_running_loop()
        self.lost: Final[asyncio.Future[Exception]] = self._loop.create_future()
        self._patience_s: Final = patience_s
        self._reader: Final = hiredis.Reader()
        self._unfinished = 0
        self._owed_since: Final[deque[list[float]]] = deque()  # [answers still owed, when they were asked for]
        self._look: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._reason: Exception | None = None

    # -- speaking -------------------------------------------------------------------------------------------------

    def send(self, data: bytes, answers: int) -> None:
        """Write packed commands that will have so many answers. Does nothing on a line that is going."""
        if self._transport is None or self._transport.is_closing():
            return
        self.owed += answers
        self._owed_since.append([answers, self._loop.time()])
        if self._look is None:
            self._look = self._loop.call_later(self._patience_s, self._look_at_patience)
        self._transport.write(data)

    def answered(self, count: int) -> None:
        """So many of the owed answers have come."""
        self.owed -= count
        while count and self._owed_since:
            oldest = self._owed_since[0]
            if oldest[0] > count:
                oldest[0] -= count
                return
            count -= int(oldest[0])
            self._owed_since.popleft()

    async def ask(self, *words: bytes) -> Any:
        """One command and its answer, for the opening and for rare questions; nothing else may be under way. Raises
        `RedisRefusedError` for an error, and what ended the line when it went."""
        answer: asyncio.Future[object] = self._loop.create_future()

        def take(replies: list[object]) -> None:
            self.answered(len(replies))
            if not answer.done():
                answer.set_result(replies[0])

        self.heard = take
        self.send(packed(*words), 1)
        try:
            await asyncio.wait((answer, self.lost), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.heard = _nobody
        if not answer.done():
            raise self.lost.result()
        reply = answer.result()
        if isinstance(reply, Exception):
            raise RedisRefusedError(f"{words[0].decode()}: {reply}")
        return reply

    def cut(self, reason: Exception) -> None:
        """End it at once. The first reason counts."""
        if self._reason is None:
            self._reason = reason
        if self._look is not None:
            self._look.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- what the transport calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.clear = True
        if self._reason is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        replies: list[object] = []
        try:
            self._reader.feed(data)
            gets = self._reader.gets
            while (reply := gets()) is not False:
                replies.append(reply)
        except hiredis.HiredisError as fault:
            # What came before it on the same read may have been whole, but who knows where the fault began?
            self.cut(ConnectionError(f"this is not how Redis speaks: {fault}"))
            return
        self._unfinished = 0 if replies else self._unfinished + len(data)
        if self._unfinished > MOST_BYTES:
            self.cut(ConnectionError(f"a message of more than {MOST_BYTES} bytes"))
        elif replies:
            self.heard(replies)

    def eof_received(self) -> None:
        """Nothing more comes: the transport closes."""

    def pause_writing(self) -> None:
        self.clear = False

    def resume_writing(self) -> None:
        self.clear = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.clear = False
        self.cut(exc if isinstance(exc, OSError) else ConnectionResetError(f"Redis closed the connection: {exc}"))
        if not self.lost.done() and self._reason is not None:
            self.lost.set_result(self._reason)

    def _look_at_patience(self) -> None:
        # One timer for all that is owed: it looks at the oldest, and again when the next could be overdue.
        self._look = None
        if not self._owed_since:
            return
        left = self._owed_since[0][1] + self._patience_s - self._loop.time()
        if left <= 0:
            self.cut(TimeoutError(f"no answer within {self._patience_s} s"))
        else:
            self._look = self._loop.call_later(left, self._look_at_patience)


async def open_line(address: Address, patience_s: float) -> RedisLine:
    """A line that is introduced and ready. Raises one of `TROUBLE`: not there, not allowed, not in time."""
    line = RedisLine(patience_s)
    protocol = cast(asyncio.Protocol, line)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience_s):
            if address.path:
                await loop.create_unix_connection(lambda: protocol, address.path)
            else:
                await loop.create_connection(lambda: protocol, address.host, address.port, ssl=address.tls)
            if address.password is not None:
                words = (address.username, address.password) if address.username else (address.password,)
                await line.ask(b"AUTH", *(word.encode() for word in words))
            if address.db:
                await line.ask(b"SELECT", b"%d" % address.db)
            await line.ask(b"CLIENT", b"SETNAME", _CLIENT_NAME)
    except BaseException:
        line.cut(ConnectionAbortedError("it was not opened"))
        raise
    return line


def _nobody(replies: list[object]) -> None:
    """Before an owner listens, nothing comes that was not asked for."""
