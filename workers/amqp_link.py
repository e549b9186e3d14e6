"""One connection to RabbitMQ, and every way it has of telling that it is gone.

Nothing here trusts the client library to restore anything: a link that is lost is thrown away, and the loop that needs
one makes a new one. What the library answers to a dying connection differs: an `AMQPError`, a `RuntimeError`, a timeout,
even `CancelledError` in a task nobody cancelled. `broker_faults` turns all of it into `BusUnavailable`.

A `Link` holds the only strong references to its connection and channel; the library itself may forget a channel.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from workers.bus import BusUnavailable

HEARTBEAT_S: Final = 10
"""A dead peer is noticed by a line at rest after three of these and a look of the library, 38 s; by one that waits for an answer,
when that is due."""
CONNECT_TIMEOUT_S: Final = 10.0
OPEN_TIMEOUT_S: Final = 30.0
"""For all that is declared before a link is of use. Measured: above 5 s on a broker that was just killed and started on a busy
machine."""
CLOSE_TIMEOUT_S: Final = 2.0

Send = Callable[[str, aio_pika.Message], Awaitable[None]]
"""Puts a message into one of the broker's queues and returns when it is safe there. Raises `BusUnavailable`."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Link:
    """An open connection with one channel, and `lost`, which is set when either is of no use any more."""

    connection: AbstractConnection
    channel: AbstractChannel
    lost: asyncio.Event

    def alive(self) -> bool:
        return not (self.lost.is_set() or self.connection.is_closed or self.channel.is_closed)

    async def admitted(self) -> None:
        """Return when the broker reads what is published here: at once, unless it has an alarm and has said so. It says so to who
        publishes, so the first one under an alarm is admitted and gets no answer."""
        underlay = await self.channel.get_underlay_channel()
        await underlay.connection.ready()


async def connect(url: str, purpose: str) -> Link:
    """A link to the broker at `url`; `purpose` is what the broker's own tools show. Raises whatever the library raises:
    call it inside `broker_faults`."""
    lost = asyncio.Event()
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        connection = await aio_pika.connect(
            str(URL(url).update_query(heartbeat=HEARTBEAT_S)),
            client_properties={"connection_name": f"paceline {purpose}"},
        )
        try:
            channel = connection.channel(publisher_confirms=True, on_return_raises=True)
            await channel.initialize()
            connection.close_callbacks.add(lambda *_: lost.set())
            channel.close_callbacks.add(lambda *_: lost.set())
            underlay = await channel.get_underlay_channel()
            # The broker may end a subscription by itself, and says so once, here.
            underlay.on_consumer_cancel_callbacks.add(lambda *_: lost.set())
        except BaseException:
            await connection.close()
            raise
    return Link(connection, channel, lost)


async def close(link: Link) -> None:
    """Close without waiting long: the other end may be gone."""
    try:
        with broker_faults("closing failed"):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await link.connection.close()
    except BusUnavailable as problem:
        log.info("bus.close", problem=str(problem))


@contextmanager
def broker_faults(what: str) -> Iterator[None]:
    """Turn every way the library has of saying "the broker is away" into `BusUnavailable`."""
    try:
        yield
    except asyncio.CancelledError as cause:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BusUnavailable(f"{what}: the connection died") from cause
    except (aio_pika.exceptions.AMQPError, OSError, TimeoutError, RuntimeError) as cause:
        # RuntimeError is what the library raises for a connection that is closed or not open yet.
        raise BusUnavailable(f"{what}: {cause!r}") from cause
    except Exception as cause:
        # A question that waits for its answer when the connection is lost ends with this very class.
        if type(cause) is not Exception:
            raise
        raise BusUnavailable(f"{what}: the connection died") from cause


def heed_cancellation() -> None:
    """Be cancelled after all, if this task was asked to: what the library does in a task of its own while we wait for an answer can
    end in peace although our waiting was cancelled, and nobody asks twice. For loops that ask again and again."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
