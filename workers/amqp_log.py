"""The log of facts on RabbitMQ: a stream per family.

    paceline.training.stream.v1    every fact of the family, for a week or a gigabyte

What a relay counts as gone is put into the stream of its family by a follower of the outbox (amqp_feed.py), within a second or as
soon as the stream is well. The streams are not bound to the exchange of facts, because through a stream a fact would always
arrive somewhere, and a queue that is not there would never be noticed. Retention works by whole segments, so these are
small, and a stream that hardly grows keeps more than it must.

Streams over AMQP 0.9.1: no consumer without a prefetch, an acknowledgement is only credit for more, nothing can be put back, and
`x-stream-offset` says where reading begins and, on each message, where it lies.

An offset alone proves nothing. Asked for one that it has forgotten, a stream begins later; asked for one that it does not have
yet, because it was lost and made anew, it waits and passes over all that comes before. So a position also names the fact
that lies there, and reading on begins with that fact, to see that it is still the same.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, NamedTuple

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pamqp.common import FieldTable

from services.kernel import facts
from services.kernel.clock import Clock, pause, utc
from services.kernel.ids import FactId
from workers.amqp_link import Link, broker_faults, close, connect
from workers.bus import BusUnavailable
from workers.fact_log import Family, Page, Position, PositionLost

VERSION: Final = "v1"
MAX_AGE: Final = "7D"
MAX_BYTES: Final = 1 << 30
SEGMENT_BYTES: Final = 16 << 20
"""The step in which a stream forgets: some 40,000 facts. The broker's own 500 MB would keep a quiet family for years."""
PAGE: Final = 500
"""Messages that the broker sends ahead, which is what waits here at most: full means that it waits to be asked."""
OPEN_S: Final = 15.0
"""For declaring and subscribing. Shorter than a follower's lease, which runs meanwhile."""
PROOF_S: Final = 10.0
"""How long the fact at a position may take to come. A stream that has it sends it at once."""
MARGIN: Final = timedelta(minutes=1)
"""How much earlier than asked reading begins: clocks of the broker and of those who tell facts differ."""
_KIND: Final = "stream"


def stream_of(family: Family) -> str:
    """The name of a family's stream."""
    return f"paceline.{family.name}.stream.{VERSION}"


async def declare_stream(channel: AbstractChannel, family: Family) -> None:
    """Make sure that a family has its stream. Raises `BusUnavailable` when something else lies there under its name."""
    arguments: FieldTable = {
        "x-queue-type": "stream",
        "x-max-age": MAX_AGE,
        "x-max-length-bytes": MAX_BYTES,
        "x-stream-max-segment-size-bytes": SEGMENT_BYTES,
    }
    try:
        await channel.declare_queue(stream_of(family), durable=True, arguments=arguments)
    except aio_pika.exceptions.ChannelPreconditionFailed as cause:
        raise BusUnavailable(
            f"{stream_of(family)} lies on the broker with other arguments than this program gives it: {cause}. If an older or "
            "newer Paceline still uses it, stop that one. Else delete it (rabbitmqctl delete_queue); it is soon made anew"
        ) from cause


class AmqpLog:
    """A `FactLog` on the broker at `url` (amqp:// or amqps://)."""

    def __init__(self, url: str, clock: Clock, *, proof_s: float = PROOF_S) -> None:
        self._url: Final = url
        self._clock: Final = clock
        self._proof_s: Final = proof_s

    @asynccontextmanager
    async def reading(
        self, family: Family, after: Position | None = None, *, since_ms: int | None = None
    ) -> AsyncIterator["AmqpReader"]:
        """See `FactLog.reading`."""
        place = None if after is None else _place(after)
        offset: FieldTable = {"x-stream-offset": "first"}
        if place is not None:
            offset = {"x-stream-offset": place.offset}
        elif since_ms is not None:
            offset = {"x-stream-offset": utc(since_ms) - MARGIN}
        with broker_faults("the log cannot be read"):
            link = await connect(self._url, f"log of {family.name}")
        try:
            reader = AmqpReader(self._clock, link)
            with broker_faults("the log cannot be read"):
                async with asyncio.timeout(OPEN_S):  # a stream that is sick may answer never
                    await declare_stream(link.channel, family)
                    await link.channel.set_qos(prefetch_count=PAGE)
                    stream = await link.channel.get_queue(stream_of(family), ensure=False)
                    await stream.consume(reader.arrive, arguments=offset)
            if place is not None:
                await reader.prove(place, self._proof_s)
            yield reader
        finally:
            await close(link)


class AmqpReader:
    """One reading. Made by `AmqpLog.reading`."""

    def __init__(self, clock: Clock, link: Link) -> None:
        self._clock: Final = clock
        self._link: Final = link
        self._at: _Place | None = None
        self._waiting: Final[deque[AbstractIncomingMessage]] = deque()  # at most PAGE: more the broker does not send
        self._arrived: Final = asyncio.Event()
        self._unanswered: AbstractIncomingMessage | None = None

    async def arrive(self, message: AbstractIncomingMessage) -> None:
        """The broker sends a message."""
        self._waiting.append(message)
        self._arrived.set()

    async def prove(self, place: "_Place", within_s: float) -> None:
        """See that the first fact to come is the one that was read last. Raises `PositionLost`."""
        await self._wait(within_s)
        if not self._waiting:
            raise PositionLost(f"the stream has nothing at {place.offset}: it was made anew")
        message = self._waiting.popleft()
        self._unanswered = message
        if _offset(message) != place.offset:
            raise PositionLost(f"the stream was read up to {place.offset} and begins with {_offset(message)}")
        found = facts.decode(message.body).id
        if found != place.fact_id:
            raise PositionLost(f"at {place.offset} the stream has {found}, not {place.fact_id}: it was made anew")
        self._at = place

    async def page(self, wait_s: float, *until: asyncio.Event) -> Page:
        """See `FactReader.page`."""
        if self._unanswered is not None:
            with broker_faults("the broker was not told to send more"):
                await self._unanswered.ack(multiple=True)
            self._unanswered = None
        await self._wait(wait_s, *until)
        envelopes = []
        while self._waiting:
            message = self._waiting.popleft()
            offset, envelope = _offset(message), facts.decode(message.body)
            if self._at is not None and offset != self._at.offset + 1:
                raise PositionLost(f"the stream goes on with {offset} after {self._at.offset}")
            self._at = _Place(offset, envelope.id)
            envelopes.append(envelope)
            self._unanswered = message
        return Page(tuple(envelopes), None if self._at is None else self._at.position())

    async def _wait(self, wait_s: float, *until: asyncio.Event) -> None:
        """Return when there is a message, or no more time. Raises `BusUnavailable`."""
        if not self._waiting:
            self._arrived.clear()
            await pause(self._clock, wait_s, self._arrived, self._link.lost, *until)
        if not self._waiting and not self._link.alive():
            raise BusUnavailable("the connection to the log is lost")


class _Place(NamedTuple):
    """A fact in a stream."""

    offset: int
    fact_id: FactId

    def position(self) -> Position:
        return Position(f"{_KIND}:{self.offset}:{self.fact_id}")


def _place(position: Position) -> _Place:
    kind, _, rest = position.partition(":")
    offset, _, fact = rest.partition(":")
    try:
        if kind == _KIND:
            return _Place(int(offset), FactId(uuid.UUID(fact)))
    except ValueError:
        pass
    raise PositionLost(f"{position!r} is no position in a stream")


def _offset(message: AbstractIncomingMessage) -> int:
    offset = message.headers.get("x-stream-offset")
    if not isinstance(offset, int):
        raise TypeError(f"a message out of a stream has no offset: {offset!r}")
    return offset
