"""The broker over Redis pub/sub, built for the day that Redis is not well.

Approach. A channel has a home among the servers (realtime/redis_servers.py), and each server is carried to and from by a
`RedisShard` of its own, with its own lines, queue, probes and pauses: one server's trouble leaves the channels of the others
alone. What is left to do here is to know who carries what.

With one server or several by list that never changes. In a Redis Cluster it does, so there it is learnt from the cluster: at
the start, every 30 s, and whenever a shard reports that it is away or that a channel is no longer served. After that every
channel is followed at its new home, which tells a gap as any beginning does; a message that was refused with `MOVED` was not
said and is handed to the new home at once. Around a move messages may change their order; they are not said twice.

Ending is bounded as well: `run` belongs to a `Crew`, which does not wait for ever for a task that goes on.

Invariants. `publish`, `follow` and `unfollow` only touch memory. `_wanted` holds, for each channel that the node wants to
hear, the shard that hears it; None while nobody is known to be home, as before the cluster has been asked.
"""

import asyncio
import secrets
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import Final

import structlog

from realtime.broker import (
    BrokerStatistics,
    Deliver,
    Message,
    OnGap,
    Waiting,
    deliver_to_nobody,
    delivered,
    gap_for_nobody,
    told_of_gap,
)
from realtime.crew import Crew
from realtime.pause import Pause
from realtime.redis_address import TROUBLE, Address, SlotLost
from realtime.redis_cluster import SlotMap
from realtime.redis_listener import PLAIN, SHARDED
from realtime.redis_servers import RedisServers
from realtime.redis_shard import PROBE_EVERY_S, Counts, RedisShard
from realtime.redis_speaker import MAX_AGE_S, NAMES_REMEMBERED
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

LEARN_EVERY_S: Final = 30.0
"""How often a cluster is asked who is home of what, when nothing has happened."""
LEARN_PAUSE_S: Final = 0.1
"""Between two times of asking: a cluster that is changing answers no better when it is asked without end."""
END_WITHIN_S: Final = 5.0
"""How long `run` waits for its tasks to end."""


class RedisBroker:
    """Carries messages over the servers of an installation."""

    def __init__(self, servers: RedisServers, clock: Clock) -> None:
        self.deliver: Deliver = deliver_to_nobody
        self.on_gap: OnGap = gap_for_nobody
        self._servers: Final = servers
        self._clock: Final = clock
        self._wanted: dict[str, RedisShard | None] = {}
        self._shards: dict[Address, RedisShard] = {}
        self._shards_changed: Final = asyncio.Event()
        self._past = Counts()
        self.name: Final = lru_cache(NAMES_REMEMBERED)(self._name_of)
        # In a cluster only: who is home, a wish to know it better and whom to ask first, and what was said before anybody was
        # known to be home. The latter is bounded as every queue of messages: full means that the oldest go.
        self._slots: Final = SlotMap(servers.addresses) if servers.clustered else None
        self._to_learn: Final = asyncio.Event()
        self._ask_first: Address | None = None
        self._homeless: Final = Waiting()
        if self._slots is None:
            for address in servers.addresses:
                self._shards[address] = RedisShard(address, clock, self, PLAIN, _probe_channel())
            self._shards_changed.set()

    # -- what the node calls --------------------------------------------------------------------------------------

    def publish(self, channel: str, data: bytes) -> None:
        self._say((self._clock.monotonic(), channel, data))

    def follow(self, channel: str) -> None:
        if channel not in self._wanted:
            self._wanted[channel] = home = self._home(channel)
            if home is not None:
                home.follow(channel)

    def unfollow(self, channel: str) -> None:
        home = self._wanted.pop(channel, None)
        if home is not None:
            home.unfollow(channel)

    def healthy(self) -> bool:
        known = self._slots is None or self._slots.whole
        return known and bool(self._shards) and all(shard.healthy() for shard in self._shards.values())

    def statistics(self) -> BrokerStatistics:
        shards = tuple(self._shards.values())
        counts = sum((shard.counts() for shard in shards), self._past)
        return BrokerStatistics(
            published=counts.published,
            dropped=counts.dropped + self._homeless.dropped,
            delivered=counts.delivered,
            reconnects=counts.reconnects,
            waiting=sum(len(shard.speaker.waiting) for shard in shards) + len(self._homeless),
            following=len(self._wanted),
            healthy=self.healthy(),
        )

    async def run(self) -> None:
        """Carry, until cancelled; ends within `END_WITHIN_S` of that. Raises `ExceptionGroup` when one of its loops fails,
        which is a fault of ours: what Redis does is answered inside."""
        loops = {"carry": self._keep_carrying(), "probe": self._keep_probing()}
        if self._slots is not None:
            loops |= {"learn": self._keep_learning(self._slots), "refresh": self._keep_fresh()}
        await Crew("broker", END_WITHIN_S).live(**loops)

    # -- what the shards call -------------------------------------------------------------------------------------

    def heard(self, channel: str, data: bytes) -> None:
        delivered(self.deliver, channel, data)

    def begun(self, channels: tuple[str, ...]) -> None:
        told_of_gap(self.on_gap, channels)

    def refused(self, shard: RedisShard, message: Message, error: Exception) -> bool:
        if self._slots is None:
            return False
        before = self._slots.home(self.name(message[1]))
        moved = self._slots.correct(str(error))
        self._learn(moved)
        if moved is None or message[1] == shard.probe:
            return False
        if moved != before:
            self._find_homes()
        self._say(message)
        return True

    def lost(self, shard: RedisShard, error: Exception) -> None:
        if self._slots is not None:
            # A server that has lost a slot knows who has it now; one that is away is the last to be asked.
            self._learn(shard.address if isinstance(error, SlotLost) else self._slots.correct(str(error)))

    # -- who carries what -----------------------------------------------------------------------------------------

    def _say(self, message: Message) -> None:
        home = self._home(message[1])
        if home is None:
            self._homeless.put(*message)
        else:
            home.publish(message)

    def _home(self, channel: str) -> RedisShard | None:
        if self._slots is None:
            return self._shards[self._servers.home(channel)]
        address = self._slots.home(self.name(channel))
        return None if address is None else self._shards.get(address)

    def _find_homes(self) -> None:
        """Bring shards and channels into line with what is known of the cluster."""
        if self._slots is None:
            return
        for address in self._shards.keys() - set(self._slots.masters):
            self._leave(self._shards.pop(address))
        for address in self._slots.masters:
            shard = self._shards.get(address)
            if shard is None or self._slots.home(self.name(shard.probe)) != address:
                self._replace(address, self._slots)
        for channel, before in self._wanted.items():
            home = self._home(channel)
            if home is not before:
                if before is not None:
                    before.unfollow(channel)
                if home is not None:
                    home.follow(channel)
                self._wanted[channel] = home
        for shard in self._shards.values():
            shard.listener.adjust()
        for message in self._homeless.take(len(self._homeless), 1 << 62):
            self._say(message)

    def _replace(self, address: Address, slots: SlotMap) -> None:
        """A master gets a shard, or a new one when the slot in which it spoke to itself has moved away."""
        if address in self._shards:
            self._leave(self._shards.pop(address))
        probe = next((one for one in _probe_channels() if slots.home(self.name(one)) == address), None)
        if probe is not None:
            self._shards[address] = RedisShard(address, self._clock, self, SHARDED, probe)
            self._shards_changed.set()

    def _leave(self, shard: RedisShard) -> None:
        """A shard carries nothing any more; what still waits in it was not said and finds another way."""
        for message in shard.unsaid():
            self._homeless.put(*message)
        self._past += shard.counts()
        self._shards_changed.set()

    # -- loops ----------------------------------------------------------------------------------------------------

    async def _keep_carrying(self) -> None:
        async with asyncio.TaskGroup() as group:
            carried: dict[RedisShard, asyncio.Task[None]] = {}
            while True:
                await self._shards_changed.wait()
                self._shards_changed.clear()
                shards = set(self._shards.values())
                for gone in carried.keys() - shards:
                    carried.pop(gone).cancel()
                for new in shards - carried.keys():
                    carried[new] = group.create_task(new.run(), name=f"broker.shard {new.address.name}")

    async def _keep_probing(self) -> None:
        while True:
            for shard in self._shards.values():
                shard.send_probe()
            for _ in range(2):
                await self._clock.sleep(PROBE_EVERY_S / 2)
                self._homeless.forget(self._clock.monotonic() - MAX_AGE_S)
                for shard in self._shards.values():
                    shard.watch()

    async def _keep_learning(self, slots: SlotMap) -> None:
        pause = Pause()
        while True:
            self._to_learn.clear()
            first, self._ask_first = self._ask_first, None
            try:
                await slots.learn(first)
            except TROUBLE as trouble:
                if pause.first():
                    log.warning("broker.cluster_unknown", trouble=repr(trouble))
                self._to_learn.set()
                await self._clock.sleep(pause.next_s())
            else:
                self._find_homes()
                if slots.whole and pause.over():
                    log.info("broker.cluster_known", masters=len(slots.masters))
                if not slots.whole:
                    self._to_learn.set()
                await self._clock.sleep(LEARN_PAUSE_S if slots.whole else pause.next_s())
            await self._to_learn.wait()

    async def _keep_fresh(self) -> None:
        while True:
            await self._clock.sleep(LEARN_EVERY_S)
            self._learn(None)

    def _learn(self, first: Address | None) -> None:
        self._ask_first = first
        self._to_learn.set()

    def _name_of(self, channel: str) -> bytes:
        return self._servers.name(channel).encode()


def _probe_channel() -> str:
    return f"probe:{secrets.token_hex(8)}"


def _probe_channels() -> Iterator[str]:
    """Names to try, until one lies in a slot of the right server: as many as there are masters of equal size, on average."""
    own = _probe_channel()
    for number in count():
        if number == 1 << 18:
            return
        yield f"{own}:{number}"
