"""What a person does on the broker: look at what was given up, give it another try, forget it, and see what lies where.

No plug-in is asked: parked messages are fetched, all of them, and put back in their order. Whoever looks meanwhile sees fewer;
whoever dies while looking loses nothing but that order. Counts come from declaring a queue passively, which changes
nothing and fails where it is not there yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from services.kernel.clock import Clock
from workers.amqp_consumer import ask
from workers.amqp_link import Link, Send, broker_faults, close, connect
from workers.amqp_topology import (
    ATTEMPT,
    alone_queue,
    copy_of,
    key_of,
    parked_of,
    parking_queue,
    retry_queue,
    work_queue,
)
from workers.bus import Parked, Queue, Told
from workers.retry import Ladder
from workers.task_statistics import BusStatistics, Overview

LOOKS_BACK: Final = 50
LOOK_BACK_S: Final = 0.02
"""How often and how many seconds apart somebody looks whether what they put back lies there again. Others may have taken it."""


class Parking:
    """The parked messages of a broker, and a look at everything else on it. Each call makes a link of its own."""

    def __init__(self, url: str, send: Send) -> None:
        self._url: Final = url
        self._send: Final = send

    async def parked(self, queue: Queue, limit: int) -> list[Parked]:
        """See `TaskBus.parked`."""
        found: list[Parked] = []
        async with self._looking() as link:
            async for message in _fetched(link, queue):
                if len(found) < limit:
                    found.append(parked_of(message))
        return found

    async def replay(self, queue: Queue, key: str) -> int:
        """See `TaskBus.replay`."""
        replayed = 0
        async with self._looking() as link:
            async for message in _fetched(link, queue):
                if key_of(message) == key:
                    await self._replay(queue, message)
                    replayed += 1
        return replayed

    async def replay_all(self, queue: Queue, told: Told) -> int:
        """See `TaskBus.replay_all`. Those that fail again meanwhile are not tried a second time."""
        replayed = 0
        async with self._looking() as link:
            async for message in _fetched(link, queue):
                await self._replay(queue, message)
                replayed += 1
                told(replayed)
        return replayed

    async def drop(self, queue: Queue, key: str) -> int:
        """See `TaskBus.drop`."""
        dropped = 0
        async with self._looking() as link:
            async for message in _fetched(link, queue):
                if key_of(message) == key:
                    await message.ack()
                    dropped += 1
        return dropped

    async def _replay(self, queue: Queue, message: AbstractIncomingMessage) -> None:
        """First it is in the work queue, then no longer here: twice rather than never."""
        await self._send(work_queue(queue), copy_of(message, {ATTEMPT: 1}))
        await message.ack()

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Link]:
        with broker_faults("the parked messages cannot be read"):
            link = await connect(self._url, "parked")
            try:
                yield link
            finally:
                await close(link)


class Overseer:
    """Sees what lies in every queue, again and again over the same link."""

    def __init__(
        self, url: str, queues: tuple[Queue, ...], ladder: Ladder, clock: Clock, statistics: BusStatistics
    ) -> None:
        self._url: Final = url
        self._queues: Final = queues
        self._ladder: Final = ladder
        self._clock: Final = clock
        self._statistics: Final = statistics
        self._link: Link | None = None

    async def overview(self) -> dict[str, Overview]:
        """See `TaskBus.overview`."""
        with broker_faults("the broker does not say what lies on it"):
            return {queue.name: await self._of(queue) for queue in self._queues}

    async def close(self) -> None:
        """Let go of the connection."""
        link, self._link = self._link, None
        if link is not None:
            await close(link)

    async def _of(self, queue: Queue) -> Overview:
        waiting, consumers = await self._ask(work_queue(queue))
        parked, _ = await self._ask(parking_queue(queue))
        retrying = 0
        if not queue.ordered:
            waiting += (await self._ask(alone_queue(queue)))[0]
            for delay_s in self._ladder.delays_s:
                retrying += (await self._ask(retry_queue(queue, delay_s)))[0]
        newest_ms = self._statistics.of(queue).newest_ms
        oldest_s = None if newest_ms is None else max(0.0, (self._clock.wall_ms() - newest_ms) / 1_000)
        if waiting + retrying == 0:
            oldest_s = 0.0
        return Overview(waiting, retrying, parked, None, oldest_s, consumers)

    async def _ask(self, name: str) -> tuple[int, int]:
        if self._link is None or not self._link.alive():
            await self.close()
            self._link = await connect(self._url, "overview")
        try:
            return await ask(self._link, name)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            return 0, 0  # nobody has needed it yet


async def _fetched(link: Link, queue: Queue) -> AsyncIterator[AbstractIncomingMessage]:
    """All messages that are parked now, the oldest first. Those that the caller does not acknowledge are put back one by one: the
    broker puts each behind those that were put back before, so their order is kept by whoever goes through all of them."""
    try:
        lying, _ = await ask(link, parking_queue(queue))
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return  # nobody has needed it yet
    parking = await link.channel.get_queue(parking_queue(queue), ensure=False)
    kept: list[int] = []  # not the messages themselves: a great many may lie there
    for _ in range(lying):
        message = await parking.get(fail=False)
        if message is None:
            break
        yield message
        if not message.processed and message.delivery_tag is not None:
            kept.append(message.delivery_tag)
    channel = await link.channel.get_underlay_channel()
    for tag in kept:
        await channel.basic_nack(tag, requeue=True)
    # A quorum queue hears of it a moment later: whoever looks next is to see them all.
    for _ in range(LOOKS_BACK):
        if (await ask(link, parking_queue(queue)))[0] >= len(kept):
            return
        await asyncio.sleep(LOOK_BACK_S)
