"""The carrier between nodes: a way to say something on a channel to whoever follows it.

What every broker promises, and no more:

* a hint, **at most once**: a message may be lost, never repeated by the broker; in order per channel from one publisher
  while nothing breaks. Truth is elsewhere (stored data, whole shares) and heals what is lost here.
* `publish`, `follow` and `unfollow` never wait and never fail. They are called between two awaits of the sample path.
* The outgoing queue is bounded. Full means: the *oldest* message is dropped and counted, because a newer share makes an
  older one superfluous.
* `on_gap(channels)` is called each time the broker begins, or begins again, to hear channels: whatever was said before may
  have been missed. The first time counts too, so one reaction serves both.
* A publisher that follows a channel hears itself on it.
* `healthy()` turns False when messages are not known to come through, and True again by itself.

`InMemoryBroker` is the real thing for one process (and for tests with several nodes in one): same promises, no network.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

OUTGOING_MESSAGES: Final = 10_000
"""Messages that may wait to be published. About ten seconds of a node with a thousand rooms; by feeling."""

OUTGOING_BYTES: Final = 16 * 1024 * 1024
"""Bytes that may wait, whatever their number: shares of large classes are tens of kilobytes each."""

Message = tuple[float, str, bytes]
"""When it was said (monotonic s), on which channel, and what."""

Deliver = Callable[[str, bytes], None]
OnGap = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """Since start: messages `published` (given to the carrier), `dropped` (queue full, or the carrier away), `delivered`;
    `reconnects` of the listening side. Now: `waiting` to be published, `following` channels, and whether it is `healthy`."""

    published: int
    dropped: int
    delivered: int
    reconnects: int
    waiting: int
    following: int
    healthy: bool


class Broker(Protocol):
    """See the module: the promises are the interface. `deliver` and `on_gap` are set by the node before `run`."""

    deliver: Deliver
    on_gap: OnGap

    def publish(self, channel: str, data: bytes) -> None:
        """Say `data` on a channel."""
        ...

    def follow(self, channel: str) -> None:
        """Begin to hear a channel, soon."""
        ...

    def unfollow(self, channel: str) -> None:
        """Hear it no longer."""
        ...

    async def run(self) -> None:
        """Carry, until cancelled. Survives the loss of whatever carries."""
        ...

    def healthy(self) -> bool:
        """Whether messages are known to come through."""
        ...

    def statistics(self) -> BrokerStatistics:
        """Counters for the probes."""
        ...


def deliver_to_nobody(channel: str, data: bytes) -> None:
    """Where messages go before a node has said where."""


def gap_for_nobody(channels: tuple[str, ...]) -> None:
    """Nobody asked to hear of gaps."""


class Waiting:
    """Messages that wait, oldest first, bounded in number and bytes. Full means: the oldest go, and are counted."""

    __slots__ = ("_bytes", "_limit", "_limit_bytes", "_messages", "dropped")

    def __init__(self, limit: int = OUTGOING_MESSAGES, limit_bytes: int = OUTGOING_BYTES) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._limit: Final = limit
        self._limit_bytes: Final = limit_bytes
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, now: float, channel: str, data: bytes) -> None:
        """Queue a message that came in at `now`."""
        self._messages.append((now, channel, data))
        self._bytes += len(data)
        while len(self._messages) > self._limit or self._bytes > self._limit_bytes:
            self._take()
            self.dropped += 1

    def take(self, count: int, nbytes: int, not_before: float = 0.0) -> list[Message]:
        """Up to `count` messages of about `nbytes` together, leaving out (and counting) those older than `not_before`."""
        self.forget(not_before)
        taken: list[Message] = []
        size = 0
        while self._messages and len(taken) < count and size < nbytes:
            message = self._take()
            taken.append(message)
            size += len(message[2])
        return taken

    def forget(self, before: float) -> None:
        """Drop, and count, what came in before an instant."""
        while self._messages and self._messages[0][0] < before:
            self._take()
            self.dropped += 1

    def _take(self) -> Message:
        message = self._messages.popleft()
        self._bytes -= len(message[2])
        return message


class MemoryBus:
    """What the in-memory brokers of one process share: who follows what."""

    def __init__(self) -> None:
        self._followers: dict[str, dict[InMemoryBroker, None]] = {}

    def send(self, channel: str, data: bytes) -> None:
        """Hand a message to every follower's inbox."""
        for broker in tuple(self._followers.get(channel, ())):
            broker.receive(channel, data)

    def add(self, channel: str, broker: "InMemoryBroker") -> None:
        self._followers.setdefault(channel, {})[broker] = None

    def remove(self, channel: str, broker: "InMemoryBroker") -> None:
        followers = self._followers.get(channel, {})
        followers.pop(broker, None)
        if not followers:
            self._followers.pop(channel, None)


class InMemoryBroker:
    """A broker between nodes of one process. Delivers from `run`, never inside `publish`, as a network would."""

    def __init__(self, bus: MemoryBus | None = None, *, limit: int = OUTGOING_MESSAGES) -> None:
        self.deliver: Deliver = deliver_to_nobody
        self.on_gap: OnGap = gap_for_nobody
        self._bus: Final = bus or MemoryBus()
        self._incoming: Final = Waiting(limit)
        self._begun: dict[str, None] = {}
        self._following: set[str] = set()
        self._wake: Final = asyncio.Event()
        self._running = False
        self._published = 0
        self._delivered = 0

    def publish(self, channel: str, data: bytes) -> None:
        self._published += 1
        self._bus.send(channel, data)

    def receive(self, channel: str, data: bytes) -> None:
        """A message from the bus: queued for `run`."""
        self._incoming.put(0.0, channel, data)
        self._wake.set()

    def follow(self, channel: str) -> None:
        if channel not in self._following:
            self._following.add(channel)
            self._bus.add(channel, self)
            self._begun[channel] = None
            self._wake.set()

    def unfollow(self, channel: str) -> None:
        self._following.discard(channel)
        self._begun.pop(channel, None)
        self._bus.remove(channel, self)

    async def run(self) -> None:
        self._running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._begun:
                    begun, self._begun = tuple(self._begun), {}
                    told_of_gap(self.on_gap, begun)
                while taken := self._incoming.take(1, 1):
                    _, channel, data = taken[0]
                    self._hand_over(channel, data)
        finally:
            self._running = False

    def healthy(self) -> bool:
        return self._running

    def statistics(self) -> BrokerStatistics:
        return BrokerStatistics(
            published=self._published,
            dropped=self._incoming.dropped,
            delivered=self._delivered,
            reconnects=0,
            waiting=len(self._incoming),
            following=len(self._following),
            healthy=self.healthy(),
        )

    def _hand_over(self, channel: str, data: bytes) -> None:
        if channel in self._following:
            self._delivered += 1
            delivered(self.deliver, channel, data)


def delivered(deliver: Deliver, channel: str, data: bytes) -> None:
    """Hand over one message; the fault of one receiver is logged and does not stop the carrier."""
    try:
        deliver(channel, data)
    except Exception:
        log.exception("broker.receiver_failed", channel=channel)


def told_of_gap(on_gap: OnGap, channels: tuple[str, ...]) -> None:
    """Tell that these channels are heard from now on; a fault there is logged and does not stop the carrier."""
    try:
        on_gap(channels)
    except Exception:
        log.exception("broker.gap_handler_failed", channels=len(channels))
