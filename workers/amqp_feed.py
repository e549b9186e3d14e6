"""What fills the streams: a follower of the outbox whose deed is to publish.

A relay counts a fact as gone when the queues have it. That the stream of its family has it, too, is work of its own, because
a stream can be sick while the queues are well: after a crash of the broker, or when something else lies there under its name.
The outbox keeps what has left, in order and for days, so nothing is lost meanwhile: whoever feeds a stream goes on from the
position behind the last page that was confirmed.

That position commits after the confirms, as with every follower (following.py). A page that was confirmed in part, or whose commit
failed, is published again; a fact may be in a stream twice, which readers expect. Facts about one thing go one by one, so that
what comes first of each is in order, whatever of a page is refused.

A stream that was lost is made again and not filled again: its readers are told, and begin anew (amqp_log.py). A new one, where
RabbitMQ was not used before, begins with what the outbox has.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from persistence.database import Database
from persistence.following import Run
from persistence.stores import Stores
from services.kernel.clock import Clock
from services.kernel.facts import Envelope
from workers.amqp_link import Link, broker_faults, close, connect
from workers.amqp_log import OPEN_S, declare_stream, stream_of
from workers.amqp_topology import message_of
from workers.bus import BusUnavailable
from workers.fact_log import FactLog, FactReader, Family, Position
from workers.following import Follower
from workers.postgres_log import POLL_S, PostgresLog
from workers.wall_watch import WallWatch

NAME: Final = "stream"
"""Of the follower."""
PAGE: Final = 32
"""Facts of one shard in one page; of all of them 512, which are published again when the last one fails. Measured on a machine that
others were busy on: 2,500 facts a second, with 8 of a shard 1,500."""
PUBLISH_S: Final = 4.0
"""For a page, inside its transaction. Shorter than a statement may take: another node that asks for the lease waits that long."""


class StreamFeed:
    """What a `Follower` needs to feed one family's stream: the outbox to read, which is open while the stream is, and the deed."""

    def __init__(self, url: str, family: Family, outbox: FactLog, *, publish_s: float = PUBLISH_S) -> None:
        self._url: Final = url
        self._stream: Final = stream_of(family)
        self._outbox: Final = outbox
        self._publish_s: Final = publish_s
        self._link: Link | None = None

    @asynccontextmanager
    async def reading(
        self, family: Family, after: Position | None = None, *, since_ms: int | None = None
    ) -> AsyncIterator[FactReader]:
        """See `FactLog.reading`: that of the outbox, with the stream at hand."""
        with broker_faults(f"{self._stream} cannot be opened"):
            async with asyncio.timeout(OPEN_S):
                link = await connect(self._url, f"feed of {family.name}")
                try:
                    await declare_stream(link.channel, family)
                except BaseException:
                    await close(link)
                    raise
        self._link = link
        try:
            async with self._outbox.reading(family, after, since_ms=since_ms) as reader:
                yield reader
        finally:
            self._link = None
            await close(link)

    async def __call__(self, stores: Stores, run: Run, envelopes: Sequence[Envelope]) -> int:
        """Put them into the stream; all of them are new to it, as far as this run knows. Raises `BusUnavailable`."""
        link = self._link
        if link is None:
            raise BusUnavailable(f"{self._stream} is not open")
        with broker_faults(f"{self._stream} did not take a fact"):
            async with asyncio.timeout(self._publish_s):
                for wave in waves(envelopes):
                    await self._publish(link, wave)
        return len(envelopes)

    async def _publish(self, link: Link, wave: Sequence[Envelope]) -> None:
        exchange = link.channel.default_exchange
        publishing = (exchange.publish(message_of(envelope), self._stream) for envelope in wave)
        for result in await asyncio.gather(*publishing, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def stream_feed(
    url: str,
    family: Family,
    database: Database,
    transactions: Callable[[], AbstractAsyncContextManager[Stores]],
    clock: Clock,
    holder: uuid.UUID,
    *,
    poll_s: float = POLL_S,
    publish_s: float = PUBLISH_S,
    wall: WallWatch | None = None,
) -> Follower:
    """The follower that feeds one family's stream on the broker at `url`. `holder`, `wall`: as of every `Follower`."""
    feed = StreamFeed(url, family, PostgresLog(database, clock, poll_s=poll_s, page=PAGE), publish_s=publish_s)
    return Follower(NAME, family, feed, feed, transactions, clock, holder, wall=wall)


def waves(envelopes: Sequence[Envelope]) -> list[list[Envelope]]:
    """The first fact about each thing, then the second, and so on. Those that do not say what they are about follow one another."""
    found: list[list[Envelope]] = []
    before: Counter[object] = Counter()
    for envelope in envelopes:
        wave = before[envelope.about]
        before[envelope.about] += 1
        if wave == len(found):
            found.append([])
        found[wave].append(envelope)
    return found
