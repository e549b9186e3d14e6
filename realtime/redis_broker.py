"""The broker over Redis pub/sub, built for the day that Redis is not well.

Approach. Two sides that never wait for each other. *Publishing*: a bounded queue and one task that sends it in pipelines,
gives Redis 250 ms, and after a failure pauses (a short breaker) instead of piling up. *Listening*: one subscriber connection
with one task that reads and one that brings its subscriptions into line with what is wanted, in batches. Both sides use one
client each for as long as `run` lives, so nothing is left open however often Redis comes and goes.

What the library hides is made visible here. A subscriber that reconnects has missed what was said meanwhile, so each
confirmed subscription is told as a gap. A subscriber can also go deaf: its connection is open, nothing arrives, no error
ever comes. So the broker speaks to itself every two seconds over the ordinary path; a probe that Redis accepted and that is
not heard within four seconds makes it subscribe anew, and ten seconds without hearing one make it unhealthy.

Nor may the library keep `run` from ending. On Python 3.11 `asyncio.wait_for`, which redis-py wraps around every write, loses
a cancellation that arrives in the turn in which the write completes; a task that is waited for after that is waited for
without end. So the tasks here belong to a `Crew`, which tells its end by a flag as well, cancels again whoever goes on, and
does not wait for ever.

Invariants. `publish`, `follow` and `unfollow` only touch memory. `_wanted` is what the node wants to hear, `_asked` what
this life of the subscriber has asked for. A message that was handed to a connection which then failed is not sent again:
at most once. Each loop asks `crew.over` after whatever it awaits of the library.
"""

import asyncio
import random
import secrets
from collections.abc import Iterable
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from realtime.broker import (
    BrokerStatistics,
    Deliver,
    OnGap,
    Waiting,
    deliver_to_nobody,
    delivered,
    gap_for_nobody,
    told_of_gap,
)
from realtime.crew import Crew, done
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_S: Final = 0.25
"""What Redis may take to answer a batch. Locally it takes well under a millisecond."""
LISTEN_TIMEOUT_S: Final = 2.0
"""What Redis may take to accept a subscriber."""
MAX_AGE_S: Final = 2.0
"""Older messages are not sent any more: a later share has said it better."""
PAUSE_S: Final = (0.05, 2.0)
"""First and longest pause after a failure; doubles in between, and each is spread over half to all of itself."""
PROBE_EVERY_S: Final = 2.0
DEAF_AFTER_S: Final = 4.0
"""A probe that Redis has accepted and that is not heard this long means deaf."""
UNHEALTHY_AFTER_S: Final = 10.0
END_WITHIN_S: Final = 5.0
"""How long `run` waits for its tasks to end, and half of that for those of one life of the subscriber. Both are above the
timeout of every call below, so that a call which ends by nothing else is still waited for."""
CLOSE_WITHIN_S: Final = 3.0
"""How long `run` then waits for its clients to close."""
BATCH_MESSAGES: Final = 128
BATCH_BYTES: Final = 256 * 1024
BATCH_CHANNELS: Final = 512

_Trouble = (RedisError, OSError, TimeoutError)


class _Deaf(Exception):  # noqa: N818 - a state of the subscriber, not an error of a caller
    """Probes are accepted and not heard."""


class RedisBroker:
    """Carries messages over a Redis server. `url` as redis-py takes it (redis://, rediss://, unix://); `prefix` keeps the
    channels of several installations on one server apart."""

    def __init__(self, url: str, clock: Clock, *, prefix: str = "paceline:") -> None:
        self.deliver: Deliver = deliver_to_nobody
        self.on_gap: OnGap = gap_for_nobody
        self._url: Final = url
        self._clock: Final = clock
        self._prefix: Final = prefix
        self._probe_channel: Final = f"probe:{secrets.token_hex(8)}"
        self._waiting: Final = Waiting()
        self._to_publish: Final = asyncio.Event()
        self._wanted: dict[str, None] = {self._probe_channel: None}
        self._asked: set[str] = set()
        self._to_adjust: Final = asyncio.Event()
        self._probe = 0
        self._heard = 0
        self._heard_at: float | None = None
        self._unheard_since: float | None = None
        self._published = 0
        self._failed = 0
        self._delivered = 0
        self._lives = 0

    # -- what the node calls --------------------------------------------------------------------------------------

    def publish(self, channel: str, data: bytes) -> None:
        self._waiting.put(self._clock.monotonic(), channel, data)
        self._to_publish.set()

    def follow(self, channel: str) -> None:
        self._wanted[channel] = None
        self._to_adjust.set()

    def unfollow(self, channel: str) -> None:
        self._wanted.pop(channel, None)
        self._to_adjust.set()

    def healthy(self) -> bool:
        return self._heard_at is not None and self._clock.monotonic() - self._heard_at < UNHEALTHY_AFTER_S

    def statistics(self) -> BrokerStatistics:
        return BrokerStatistics(
            published=self._published,
            dropped=self._waiting.dropped + self._failed,
            delivered=self._delivered,
            reconnects=max(self._lives - 1, 0),
            waiting=len(self._waiting),
            following=len(self._wanted) - 1,
            healthy=self.healthy(),
        )

    async def run(self) -> None:
        """Carry, until cancelled; ends within `END_WITHIN_S` and `CLOSE_WITHIN_S` of that. Raises `ExceptionGroup` when one
        of its loops fails, which is a fault of ours: what Redis does is answered inside."""
        crew = Crew("broker", END_WITHIN_S)
        speaker, listener = self._client(PUBLISH_TIMEOUT_S), self._client(LISTEN_TIMEOUT_S)
        try:
            await crew.live(
                publish=self._keep_publishing(speaker, crew),
                listen=self._keep_listening(listener, crew),
                probe=self._keep_probing(),
            )
        finally:
            self._heard_at = None
            if await _closed(speaker, listener):
                raise asyncio.CancelledError

    # -- publishing -----------------------------------------------------------------------------------------------

    async def _keep_publishing(self, client: Redis, crew: "Crew") -> None:
        pause = _Pause()
        while not crew.over:
            await self._to_publish.wait()
            self._to_publish.clear()
            while not crew.over and (batch := self._next_batch()):
                try:
                    await self._send(client, batch)
                except _Trouble as trouble:
                    self._failed += len(batch)
                    if pause.first():
                        log.warning("broker.publish_failed", messages=len(batch), trouble=repr(trouble))
                    await self._clock.sleep(pause.next_s())
                else:
                    if pause.over():
                        log.info("broker.publish_recovered", failed=self._failed)

    def _next_batch(self) -> list[tuple[str, bytes]]:
        return self._waiting.take(BATCH_MESSAGES, BATCH_BYTES, self._clock.monotonic() - MAX_AGE_S)

    async def _send(self, client: Redis, batch: list[tuple[str, bytes]]) -> None:
        pipeline = client.pipeline(transaction=False)
        for channel, data in batch:
            pipeline.publish(self._prefix + channel, data)
        await pipeline.execute()
        self._published += len(batch)
        self._accepted(int(data) for channel, data in batch if channel == self._probe_channel)

    # -- listening ------------------------------------------------------------------------------------------------

    async def _keep_listening(self, client: Redis, crew: "Crew") -> None:
        pause = _Pause()
        while not crew.over:
            self._lives += 1
            heard_before = self._heard
            try:
                await self._listen(client, crew)
            except* (*_Trouble, _Deaf) as troubles:
                if self._heard > heard_before:
                    pause.over()
                if pause.first():
                    log.warning("broker.listener_lost", trouble=repr(troubles.exceptions[0]))
            if not crew.over:
                await self._clock.sleep(pause.next_s())

    async def _listen(self, client: Redis, crew: "Crew") -> None:
        """One life of the subscriber. Raises what is wrong with its connection, or an exception group of `_Deaf`."""
        self._asked.clear()
        self._unheard_since = None
        async with client.pubsub() as pubsub:
            # The first subscription opens the connection, which the reader needs.
            await self._adjust(pubsub)
            if crew.over:
                return
            life = Crew("broker", END_WITHIN_S / 2)
            await life.live(
                adjust=self._keep_adjusting(pubsub, life), read=self._keep_reading(pubsub, life), watch=self._watch()
            )

    async def _keep_reading(self, pubsub: PubSub, life: "Crew") -> None:
        while not life.over:
            message = await pubsub.get_message(timeout=1.0)
            if message is None or life.over:
                continue
            channel = message["channel"].decode().removeprefix(self._prefix)
            if message["type"] == "subscribe":
                self._confirmed(channel)
            elif message["type"] == "message" and channel in self._wanted:
                self._received(channel, message["data"])

    def _confirmed(self, channel: str) -> None:
        if channel == self._probe_channel:
            # Do not wait for the next round to know that this life hears.
            self._send_probe()
        elif channel in self._wanted:
            told_of_gap(self.on_gap, (channel,))

    def _received(self, channel: str, data: bytes) -> None:
        if channel == self._probe_channel:
            self._heard = int(data)
            self._heard_at = self._clock.monotonic()
            self._unheard_since = None
            return
        self._delivered += 1
        delivered(self.deliver, channel, data)

    async def _keep_adjusting(self, pubsub: PubSub, life: "Crew") -> None:
        while not life.over:
            await self._to_adjust.wait()
            await self._adjust(pubsub)

    async def _adjust(self, pubsub: PubSub) -> None:
        self._to_adjust.clear()
        for batch in _batches(channel for channel in self._wanted if channel not in self._asked):
            # Before the command: a channel that is unfollowed while it is under way must be found here next time.
            self._asked.update(batch)
            await pubsub.subscribe(*(self._prefix + channel for channel in batch))
        for batch in _batches(channel for channel in self._asked if channel not in self._wanted):
            self._asked.difference_update(batch)
            await pubsub.unsubscribe(*(self._prefix + channel for channel in batch))

    # -- hearing oneself ------------------------------------------------------------------------------------------

    async def _keep_probing(self) -> None:
        while True:
            self._send_probe()
            await self._clock.sleep(PROBE_EVERY_S)

    def _send_probe(self) -> None:
        self._probe += 1
        self.publish(self._probe_channel, b"%d" % self._probe)

    def _accepted(self, probes: Iterable[int]) -> None:
        for probe in probes:
            if probe > self._heard and self._unheard_since is None:
                self._unheard_since = self._clock.monotonic()

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(PROBE_EVERY_S / 2)
            if self._unheard_since is not None and self._clock.monotonic() - self._unheard_since > DEAF_AFTER_S:
                raise _Deaf(f"probe {self._probe} was accepted and not heard")

    # -- clients --------------------------------------------------------------------------------------------------

    def _client(self, timeout_s: float) -> Redis:
        # Every default that differs between redis-py's constructors and versions is stated. RESP2, because nothing here
        # needs push frames; no retries, because failures are answered here and not hidden below.
        client: Redis = Redis.from_url(
            self._url,
            protocol=2,
            decode_responses=False,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            health_check_interval=0,
            max_connections=4,
        )
        return client


class _Pause:
    """The growing pause between tries."""

    def __init__(self) -> None:
        self._next = PAUSE_S[0]
        self._failures = 0

    def first(self) -> bool:
        """Note a failure; True when it is the first of a row, the one worth a line in the log."""
        self._failures += 1
        return self._failures == 1

    def next_s(self) -> float:
        """How long to wait now."""
        pause = self._next
        self._next = min(2 * pause, PAUSE_S[1])
        return random.uniform(pause / 2, pause)  # noqa: S311 - spreading load, not secrets

    def over(self) -> bool:
        """Things work; True when they did not before."""
        failed, self._failures, self._next = self._failures > 0, 0, PAUSE_S[0]
        return failed


async def _closed(*clients: Redis) -> bool:
    """Close clients with all their connections, those too that a task left behind still uses. Not in the tasks that use them:
    a second cancellation there would leave a connection open. Returns whether the one who waits was cancelled meanwhile."""
    closing = [asyncio.create_task(client.aclose(), name="broker.close") for client in clients]
    cancelled = await done(closing, CLOSE_WITHIN_S)
    for task in closing:
        if not task.done():
            task.cancel()
            log.error("broker.close_left_behind", waited_s=CLOSE_WITHIN_S)
        elif not task.cancelled() and (trouble := task.exception()):
            log.warning("broker.close_failed", trouble=repr(trouble))
    return cancelled


def _batches(channels: Iterable[str]) -> list[tuple[str, ...]]:
    every = tuple(channels)
    return [every[start : start + BATCH_CHANNELS] for start in range(0, len(every), BATCH_CHANNELS)]


async def ping(url: str) -> str | None:
    """Whether the Redis at `url` answers: None, or what is wrong in a sentence."""
    client = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as problem:
        return f"does not answer: {problem}"
    finally:
        await client.aclose()
    return None
