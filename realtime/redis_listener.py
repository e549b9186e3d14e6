"""Hearing channels of one Redis server: a line whose subscriptions are brought into line with what is wanted.

What is wanted and what was asked for are compared once per turn of the event loop, and only where they may differ; commands are
batched. A push goes from the read that brought it to whoever follows the channel, without a task in between. A subscriber
that begins anew has missed what was said meanwhile, so each confirmed subscription is told as begun.

Invariants. `_wanted` is what is to be heard, `_asked` what this life of the line has asked for; a name for which they may differ
is in `_doubtful`. Names in `_leaving` are about to be confirmed as ended; any other end is the server's own doing.

In a cluster (`SHARDED`) the words differ and a command may name channels of one slot only. A server that loses a slot says so
by ending the subscriptions in it, or by refusing them.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from redis.crc import key_slot

from realtime.pause import Pause
from realtime.redis_address import TROUBLE, Address, SlotLost
from realtime.redis_line import RedisLine, open_line, packed
from realtime.sparingly import Sparingly
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

LISTEN_TIMEOUT_S: Final = 2.0
"""What Redis may take to accept a subscriber, and each batch of its subscriptions."""
BATCH_CHANNELS: Final = 512


@dataclass(frozen=True, slots=True)
class Words:
    """How publishing and subscribing are called."""

    publish: bytes
    subscribe: bytes
    unsubscribe: bytes
    message: bytes
    subscribed: bytes
    unsubscribed: bytes
    one_slot: bool


PLAIN: Final = Words(b"PUBLISH", b"SUBSCRIBE", b"UNSUBSCRIBE", b"message", b"subscribe", b"unsubscribe", False)
SHARDED: Final = Words(b"SPUBLISH", b"SSUBSCRIBE", b"SUNSUBSCRIBE", b"smessage", b"ssubscribe", b"sunsubscribe", True)


class Ear(Protocol):
    """Who hears. Synchronous."""

    def opened(self) -> None:
        """A line begins its life, subscribed to nothing yet."""
        ...

    def heard(self, channel: str, data: bytes) -> None:
        """A message came."""
        ...

    def begun(self, channels: tuple[str, ...]) -> None:
        """These channels are heard from now on."""
        ...

    def lost(self, error: Exception) -> None:
        """The server is away, or does not serve a channel that is asked of it."""
        ...


@dataclass(slots=True)
class _Command:
    """A command under way, with the number of names that it still has to confirm."""

    word: bytes
    names: tuple[bytes, ...]
    left: int


class RedisListener:
    """Hears what is wanted. `lives` counts the lines that were opened, or tried to."""

    def __init__(self, address: Address, clock: Clock, words: Words, ear: Ear) -> None:
        self.lives = 0
        self.line: RedisLine | None = None
        self._address: Final = address
        self._clock: Final = clock
        self._words: Final = words
        self._ear: Final = ear
        self._log: Final = Sparingly(log, clock.monotonic)
        self._wanted: Final[dict[bytes, str]] = {}
        self._asked: Final[set[bytes]] = set()
        self._doubtful: dict[bytes, None] = {}
        self._leaving: Final[Counter[bytes]] = Counter()
        self._commands: Final[deque[_Command]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._adjust_asked = False
        self._pause: Final = Pause()

    def want(self, name: bytes, channel: str) -> None:
        """Begin to hear a channel, soon; `name` is how Redis knows it."""
        self._wanted[name] = channel
        self._doubtful[name] = None
        self.adjust()

    def want_no_longer(self, name: bytes) -> None:
        """Undo `want`."""
        self._wanted.pop(name, None)
        self._doubtful[name] = None
        self.adjust()

    def adjust(self) -> None:
        """Ask for what is wanted and not asked for, when this turn is over."""
        if self._loop is not None and not self._adjust_asked and self._doubtful:
            self._adjust_asked = True
            self._loop.call_soon(self._adjust)

    def works(self) -> None:
        """Something was heard: a failure that comes now is a new one."""
        if self._pause.over():
            log.info("broker.listener_recovered", server=self._address.name)

    async def run(self) -> None:
        """Keep a line open, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            self.lives += 1
            try:
                self.line = await open_line(self._address, LISTEN_TIMEOUT_S)
                try:
                    await self._hear(self.line)
                finally:
                    self._hang_up()
            except TROUBLE as trouble:
                if self._pause.first():
                    log.warning("broker.listener_lost", server=self._address.name, trouble=repr(trouble))
                self._ear.lost(trouble)
            await self._clock.sleep(self._pause.next_s())

    async def _hear(self, line: RedisLine) -> None:
        """One life of the line. Raises what ended it."""
        self._asked.clear()
        self._leaving.clear()
        self._commands.clear()
        self._doubtful = dict.fromkeys(self._wanted)
        line.heard = self._received
        self._ear.opened()
        self._adjust()
        raise await line.lost

    def _hang_up(self) -> None:
        line, self.line = self.line, None
        if line is not None:
            line.cut(ConnectionAbortedError("no longer needed"))

    def _adjust(self) -> None:
        self._adjust_asked = False
        line = self.line
        if line is None:
            return
        doubtful, self._doubtful = self._doubtful, {}
        asking = [name for name in doubtful if name in self._wanted and name not in self._asked]
        leaving = [name for name in doubtful if name in self._asked and name not in self._wanted]
        self._asked.update(asking)
        self._asked.difference_update(leaving)
        self._leaving.update(leaving)
        written: list[bytes] = []
        for word, names in ((self._words.subscribe, asking), (self._words.unsubscribe, leaving)):
            for batch in self._batches(names):
                self._commands.append(_Command(word, batch, len(batch)))
                written.append(packed(word, *batch))
        if written:
            line.send(b"".join(written), len(asking) + len(leaving))

    def _batches(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
        together: dict[int, list[bytes]] = {}
        for name in names:
            together.setdefault(key_slot(name) if self._words.one_slot else 0, []).append(name)
        for group in together.values():
            for start in range(0, len(group), BATCH_CHANNELS):
                yield tuple(group[start : start + BATCH_CHANNELS])

    def _received(self, replies: list[object]) -> None:
        message_word, wanted, ear = self._words.message, self._wanted, self._ear
        begun: list[str] = []
        for reply in replies:
            if type(reply) is not list:
                self._command_refused(reply)
            elif reply[0] == message_word:
                if begun:
                    ear.begun(tuple(begun))
                    begun.clear()
                channel = wanted.get(reply[1])
                if channel is not None:
                    ear.heard(channel, reply[2])
            elif reply[0] == self._words.subscribed:
                self._confirmed()
                if reply[1] in wanted:
                    begun.append(wanted[reply[1]])
            elif reply[0] == self._words.unsubscribed:
                self._ended(reply[1])
        if begun:
            ear.begun(tuple(begun))

    def _ended(self, name: bytes) -> None:
        """Redis no longer hears for us on this name: as asked, or because it lost the slot."""
        if self._leaving[name] > 0:
            self._leaving[name] -= 1
            self._confirmed()
        elif name in self._asked:
            self._asked.discard(name)
            self._doubtful[name] = None
            self._ear.lost(SlotLost(f"the server ended the subscription of {name!r}"))
        if not self._leaving[name]:
            del self._leaving[name]

    def _confirmed(self) -> None:
        """One more channel of the oldest command under way has been answered."""
        if self.line is None or not self._commands:
            return
        self.line.answered(1)
        self._commands[0].left -= 1
        if not self._commands[0].left:
            self._commands.popleft()

    def _command_refused(self, reply: object) -> None:
        """An error answers a whole command: all its channels are still to be asked for."""
        if self.line is None or not self._commands or not isinstance(reply, Exception):
            return
        command = self._commands.popleft()
        self.line.answered(command.left)
        self._doubtful.update(dict.fromkeys(command.names))
        if command.word == self._words.subscribe:
            self._asked.difference_update(command.names)
        else:
            self._leaving.subtract(command.names)
        self._log.warning(
            "broker.subscription_refused",
            server=self._address.name,
            channels=len(command.names),
            error=str(reply),
        )
        self._ear.lost(reply)
