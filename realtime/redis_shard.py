"""One Redis server as a carrier of messages: a speaker, a listener, and the wish to know that both work.

The two never wait for each other, each has a line of its own and opens it anew when it is lost. That does not find every
trouble: a listener can also go deaf, its line is open, nothing arrives, no error ever comes. So the shard speaks to itself every
two seconds over the ordinary path; a probe that Redis accepted and that is not heard within four seconds cuts the listener's
line, and six seconds in which none is heard after one was sent make the shard unhealthy. Counted from the sending: a loop that
stood still for long has asked nothing, and its silence says nothing about Redis.

`publish`, `follow` and `unfollow` only touch memory. A message that Redis refused was not said, and goes back to the owner, who
may know a better place for it.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from realtime.broker import Message
from realtime.redis_address import Address
from realtime.redis_listener import RedisListener, Words
from realtime.redis_speaker import RedisSpeaker
from realtime.sparingly import Sparingly
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

PROBE_EVERY_S: Final = 2.0
DEAF_AFTER_S: Final = 4.0
"""A probe that Redis has accepted and that is not heard this long means deaf."""
UNHEALTHY_AFTER_S: Final = 6.0
"""A probe that is not heard this long, nor any later one: two may be lost. What breaks right after a probe waits 2 s for the next,
and 1.5 s for the look of the node (realtime/watchdog.py): people are told within 10 s."""


class Owner(Protocol):
    """Whom a shard tells what comes of it. Synchronous."""

    def name(self, channel: str) -> bytes:
        """The channel as Redis knows it."""
        ...

    def heard(self, channel: str, data: bytes) -> None:
        """A message came."""
        ...

    def begun(self, channels: tuple[str, ...]) -> None:
        """These channels are heard from now on."""
        ...

    def refused(self, shard: "RedisShard", message: Message, error: Exception) -> bool:
        """Redis answered a message with an error; whether the owner finds another way for it."""
        ...

    def lost(self, shard: "RedisShard", error: Exception) -> None:
        """The shard is away, or does not serve a channel that is asked of it."""
        ...


class Deaf(ConnectionError):  # noqa: N818 - a state of the subscriber, not an error of a caller
    """Probes are accepted and not heard."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Since start; as in `BrokerStatistics`."""

    published: int = 0
    dropped: int = 0
    delivered: int = 0
    reconnects: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.published + other.published,
            self.dropped + other.dropped,
            self.delivered + other.delivered,
            self.reconnects + other.reconnects,
        )


class RedisShard:
    """Carries messages over one server. `probe` is the channel on which it speaks to itself."""

    def __init__(self, address: Address, clock: Clock, owner: Owner, words: Words, probe: str) -> None:
        self.address: Final = address
        self.probe: Final = probe
        self.speaker: Final = RedisSpeaker(
            address, clock, word=words.publish, name=owner.name, answered=self._answered, lost=self.lost
        )
        self.listener: Final = RedisListener(address, clock, words, self)
        self._clock: Final = clock
        self._owner: Final = owner
        self._log: Final = Sparingly(log, clock.monotonic)
        self._published = 0
        self._refused = 0
        self._delivered = 0
        self._probes = 0
        self._probe_heard = 0
        self._hears = False
        self._asked_at: float | None = None  # the first probe since one was heard
        self._unheard_since: float | None = None
        self.listener.want(owner.name(probe), probe)

    # -- what the owner calls -------------------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """Say something."""
        self.speaker.say(message)

    def follow(self, channel: str) -> None:
        """Begin to hear a channel, soon."""
        self.listener.want(self._owner.name(channel), channel)

    def unfollow(self, channel: str) -> None:
        """Hear it no longer."""
        self.listener.want_no_longer(self._owner.name(channel))

    def healthy(self) -> bool:
        """Whether messages are known to come through."""
        asked_at = self._asked_at
        return self._hears and (asked_at is None or self._clock.monotonic() - asked_at < UNHEALTHY_AFTER_S)

    def send_probe(self) -> None:
        """Say something that should be heard here."""
        self._probes += 1
        now = self._clock.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        self.publish((now, self.probe, b"%d" % self._probes))

    def watch(self) -> None:
        """Cut the listener's line if it is deaf, ask again for what was refused, and forget what is too old to be said. To be
        called every second or so."""
        self.listener.adjust()
        self.speaker.forget_old()
        since, line = self._unheard_since, self.listener.line
        if since is not None and line is not None and self._clock.monotonic() - since > DEAF_AFTER_S:
            line.cut(Deaf(f"probe {self._probes} was accepted and not heard"))

    def unsaid(self) -> list[Message]:
        """Take back what waits to be said, when the shard is given up."""
        waiting = self.speaker.waiting.take(len(self.speaker.waiting), 1 << 62)
        return [message for message in waiting if message[1] != self.probe]

    def counts(self) -> Counts:
        """What it has done. Its first life is no reconnect."""
        dropped = self.speaker.waiting.dropped + self.speaker.failed + self._refused
        return Counts(self._published, dropped, self._delivered, max(self.listener.lives - 1, 0))

    async def run(self) -> None:
        """Carry, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.speaker.run(), name=f"broker.speak {self.address.name}")
                group.create_task(self.listener.run(), name=f"broker.hear {self.address.name}")
        finally:
            self._hears = False

    # -- what speaker and listener call ---------------------------------------------------------------------------

    def _answered(self, message: Message, reply: object) -> None:
        if not isinstance(reply, Exception):
            self._published += 1
            if message[1] == self.probe:
                self._probe_accepted(int(message[2]))
        elif not self._owner.refused(self, message, reply):
            self._refused += 1
            self._log.warning("broker.message_refused", server=self.address.name, channel=message[1], error=str(reply))

    def opened(self) -> None:
        self._unheard_since = None

    def heard(self, channel: str, data: bytes) -> None:
        if channel == self.probe:
            self._probe_came(data)
        else:
            self._delivered += 1
            self._owner.heard(channel, data)

    def begun(self, channels: tuple[str, ...]) -> None:
        if self.probe in channels:
            # Do not wait for the next round to know that this life hears.
            self.send_probe()
            channels = tuple(channel for channel in channels if channel != self.probe)
        if channels:
            self._owner.begun(channels)

    def lost(self, error: Exception) -> None:
        self._owner.lost(self, error)

    # -- hearing oneself ------------------------------------------------------------------------------------------

    def _probe_accepted(self, probe: int) -> None:
        if probe > self._probe_heard and self._unheard_since is None:
            self._unheard_since = self._clock.monotonic()

    def _probe_came(self, data: bytes) -> None:
        # Anybody may say anything on any channel of a Redis: only what was sent is a probe.
        if not data.isdigit() or not self._probe_heard < int(data[:20]) <= self._probes:
            return
        self._probe_heard = int(data)
        self._hears = True
        self._asked_at = self._unheard_since = None
        self.listener.works()
