"""The Redis servers of an installation, as whoever stores or says something there sees them.

A channel has a home: the server that carries its messages and keeps everything stored under its name, so that one script may
append to a log and publish in one step. `client` is for commands on that home, `key` names what is stored there, `name` is the
channel as it is called on the wire.

Three shapes of an installation, told apart by the URL:

* `redis://host:6379/0` (or rediss://, unix://): one server is everybody's home.
* several of these with commas between: *shards*, servers that know nothing of each other. A channel's home is the one with the
  highest hash of server and channel together (rendezvous hashing, Thaler and Ravishankar 1998). Every node comes to the same
  choice whatever the order of its list; a server that is taken off the list gives away its own channels and moves no others;
  one that is added takes an equal part from each. What counts is the server's address, not its password.
* `redis+cluster://host:port,host:port` (rediss+cluster:// with TLS): some servers of a *Redis Cluster*, which knows the others
  and itself decides who is home of what (realtime/redis_cluster.py). The braces in `name` and `key` are its hash tag: all that
  belongs to a channel lies in one slot.
"""

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from realtime.redis_address import TROUBLE, Address, address_of
from realtime.redis_caller import Fixed, Key, RedisCaller, Settle, Word
from realtime.redis_cluster import SlotMap
from realtime.redis_line import open_line

COMMAND_TIMEOUT_S: Final = 0.25
"""What Redis may take to answer a command. Locally it takes well under a millisecond."""
CONNECTIONS: Final = 16
"""Per server. Full means: whoever needs one more waits for `CONNECTION_WITHIN_S`, and is then refused."""
CONNECTION_WITHIN_S: Final = 1.0
PING_TIMEOUT_S: Final = 3.0
LEARN_AGAIN_S: Final = 1.0
"""How often at most a map of slots that lacks one is learnt again. By feeling: each time all connections are made anew."""
HOMES_REMEMBERED: Final = 65_536

_CLUSTER: Final = re.compile(r"(rediss?)\+cluster://(?:([^@]*)@)?([^@/?]+)/?(\?.*)?")
_NEXT_URL: Final = re.compile(r",(?=[a-z+]+://)")


class RedisServers:
    """Where channels live. `url` see the module; `prefix` keeps the channels and keys of several installations on one server
    apart. Raises `ValueError` for a URL that is none.

    `addresses` are the shards, or the servers of a cluster that the URL names; `clustered` says which.
    """

    def __init__(self, url: str, *, prefix: str = "paceline:") -> None:
        self._prefix: Final = prefix
        urls = tuple(urls_of(url))
        self.addresses: Final[tuple[Address, ...]] = tuple(address_of(one) for one in urls)
        if len({address.name for address in self.addresses}) < len(self.addresses):
            raise ValueError("the same Redis server is named twice")
        self.clustered: Final = _CLUSTER.fullmatch(url) is not None
        self.publish_word: Final = b"SPUBLISH" if self.clustered else b"PUBLISH"
        self._cluster: Final = _cluster(urls) if self.clustered else None
        self._clients: Final = {} if self.clustered else {address_of(one): _client(one) for one in urls}
        self._callers: Final[dict[Address, RedisCaller]] = {}
        self._asking: Final[set[asyncio.Task[Any]]] = set()
        self.home: Final = lru_cache(HOMES_REMEMBERED)(self._highest)

    def client(self, channel: str) -> Redis:
        """For commands on what is kept under this channel's name: commands on one key, and scripts all of whose keys are this
        channel's. (In a cluster it is redis-py's client for clusters, which has the same commands.)"""
        return cast(Redis, self._cluster) if self._cluster is not None else self._clients[self.home(channel)]

    def by_node(self, channels: Iterable[str]) -> list[list[str]]:
        """The channels of each node of a cluster, as far as is known here; those of which it is not known together. Who asks what
        has moved meanwhile is sent on to its new home."""
        found: dict[str, list[str]] = {}
        homes = {} if self._cluster is None else self._cluster.nodes_manager.slots_cache
        for channel in channels:
            home = homes.get(key_slot(self.name(channel).encode()))
            found.setdefault(home[0].name if home else "", []).append(channel)
        return list(found.values())

    async def script(self, channel: str, text: str, keys: Sequence[Key], args: Sequence[Word]) -> Any:
        """Run a script on the home of a channel; its keys are kept under the channel's name. Raises one of `TROUBLE`.

        On servers by list all scripts that one turn of the loop asks for leave together (realtime/redis_caller.py); in a cluster
        the library's client finds the home of a slot.
        """
        if self._cluster is not None:
            names = [key.word if isinstance(key, Fixed) else key for key in keys]
            words = [word.word if isinstance(word, Fixed) else word for word in args]
            return await self._cluster.register_script(text)(keys=names, args=words)
        return await self._caller(channel).script(text, keys, args)

    def begin(self, channel: str, text: str, keys: Sequence[Key], args: Sequence[Word], settle: Settle) -> None:
        """`script` without waiting: `settle` is called once, with the answer or with one of `TROUBLE`. On servers by list that
        costs no task, which is why it is there."""
        if self._cluster is None:
            self._caller(channel).begin(text, keys, args, settle)
            return
        asking = asyncio.get_running_loop().create_task(
            self.script(channel, text, keys, args), name=f"redis.script {channel}"
        )
        self._asking.add(asking)
        asking.add_done_callback(partial(self._asked, settle))

    def name(self, channel: str) -> str:
        """The channel as Redis knows it."""
        return f"{self._prefix}{{{channel}}}"

    def key(self, channel: str, what: str) -> str:
        """The key of `what` is kept under a channel's name. In a cluster it lies in the same slot as the channel."""
        return f"{self._prefix}{{{channel}}}:{what}"

    async def close(self) -> None:
        """Close every client and line; what is under way fails."""
        for asking in self._asking:
            asking.cancel()
        for caller in self._callers.values():
            caller.close()
        for client in self._clients.values():
            await client.aclose()
        if self._cluster is not None:
            await self._cluster.close()

    def _caller(self, channel: str) -> RedisCaller:
        home = self.home(channel)
        caller = self._callers.get(home)
        if caller is None:
            caller = self._callers[home] = RedisCaller(home)
        return caller

    def _asked(self, settle: Settle, asking: "asyncio.Task[Any]") -> None:
        self._asking.discard(asking)
        if asking.cancelled():
            settle(ConnectionAbortedError("it was given up"))
        else:
            settle(asking.exception() or asking.result())

    def _highest(self, channel: str) -> Address:
        """The shard that is a channel's home. Not for a cluster. Remembered, as `home`."""
        if len(self.addresses) == 1:
            return self.addresses[0]
        return max(self.addresses, key=lambda address: _weight(address.name, channel))


def urls_of(url: str) -> Iterator[str]:
    """The URL of each server that `url` names. Raises `ValueError` for one that names no server."""
    cluster = _CLUSTER.fullmatch(url)
    if cluster is None:
        if "+cluster://" in url:
            raise ValueError("a cluster is named as redis+cluster://host:port,host:port, with nothing behind it")
        yield from _NEXT_URL.split(url)
        return
    scheme, login, hosts, options = cluster.groups()
    for host in hosts.split(","):
        yield f"{scheme}://{f'{login}@' if login else ''}{host}{options or ''}"


def _weight(server: str, channel: str) -> bytes:
    return hashlib.blake2b(f"{server}\n{channel}".encode(), digest_size=8).digest()


# Every default that differs between redis-py's constructors and versions is stated below. No retries: a failure is answered
# by whoever asked, who knows whether asking again is safe.
_PLAIN: Final[dict[str, Any]] = {
    "protocol": 2,
    "decode_responses": False,
    "socket_timeout": COMMAND_TIMEOUT_S,
    "socket_connect_timeout": COMMAND_TIMEOUT_S,
    "retry_on_error": [],
    "health_check_interval": 0,
}


def _client(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url, **_PLAIN, retry=Retry(NoBackoff(), 0), max_connections=CONNECTIONS, timeout=CONNECTION_WITHIN_S
    )
    return Redis.from_pool(pool)


class NotWhole(RedisConnectionError):  # noqa: N818 - a state of the cluster
    """Nobody serves a slot that was asked for. Of a pipeline, what belongs to other slots was not asked either."""


class _PatientCluster(RedisCluster):
    """The library's client for clusters, whose pools refuse at once when they are empty and whose own errors are no
    `RedisError`: here a burst waits, and whoever asks has one kind of error to answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._free: Final = asyncio.Semaphore(CONNECTIONS)
        self._learnt_again = -math.inf

    async def initialize(self, *args: Any, **options: Any) -> RedisCluster:
        # The library asks the servers that it found last and forgets those of the URL: when all have come to other addresses, only
        # the names in the URL lead to them. (`dynamic_startup_nodes=False` would forget those that it found.)
        for node in self.startup_nodes:
            self.nodes_manager.startup_nodes.setdefault(node.name, node)
        return await super().initialize(*args, **options)

    async def close(self) -> None:
        """Close every connection for good. `aclose` closes none while it means to learn the slots again."""
        self._initialize = False
        await self.aclose()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with self.patience():
            return await super().execute_command(*args, **options)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        return _PatientPipeline(self, transaction)  # type: ignore[abstract]  # an attribute that the library sets

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """Wait for a connection to be free, shortly. Raises a `RedisError` for whatever goes wrong."""
        try:
            async with asyncio.timeout(CONNECTION_WITHIN_S):
                await self._free.acquire()
        except TimeoutError as full:
            raise RedisConnectionError("no connection became free: too many commands are under way") from full
        try:
            yield
        except RedisClusterException as trouble:
            raise NotWhole(f"the cluster is not whole: {trouble}") from trouble
        except LookupError as trouble:
            # A slot that its map lacks (`KeyError`), or a map of nothing (`IndexError`).
            self._learn_again()
            raise NotWhole(f"the cluster is not whole: no server is known for this: {trouble!r}") from trouble
        finally:
            self._free.release()

    def _learn_again(self) -> None:
        """Have the next command learn who has which slot: for one that is missing the library does so by itself never."""
        now = asyncio.get_running_loop().time()
        if now - self._learnt_again > LEARN_AGAIN_S:
            self._learnt_again = now
            self._initialize = True


class _PatientPipeline(ClusterPipeline):
    def __init__(self, client: _PatientCluster, transaction: Any) -> None:
        super().__init__(client, transaction)
        self._patient: Final = client

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        async with self._patient.patience():
            return await super().execute(raise_on_error, allow_redirections)


def _cluster(urls: tuple[str, ...]) -> _PatientCluster:
    # A slot that nobody serves is the trouble of its channels only. A moved slot is corrected by itself and not by closing
    # every connection, under which other commands may be on their way.
    addresses = [address_of(url) for url in urls]
    options = dict(cast(dict[str, Any], parse_url(urls[0])))
    tls = options.pop("connection_class", None) is not None
    for taken in ("host", "port", "db"):
        options.pop(taken, None)
    options |= _PLAIN | {"ssl": tls}
    return _PatientCluster(
        startup_nodes=[ClusterNode(address.host, address.port) for address in addresses],
        require_full_coverage=False,
        reinitialize_steps=0,
        retry=Retry(NoBackoff(), 0),
        max_connections=CONNECTIONS,
        **options,
    )


async def ping(url: str) -> str | None:
    """Whether the Redis servers that `url` names answer, all masters of a cluster included: None, or what is wrong in a
    sentence."""
    try:
        servers = RedisServers(url)
    except ValueError as fault:
        return f"names no server: {fault}"
    addresses = servers.addresses
    if servers.clustered:
        slots = SlotMap(addresses)
        try:
            await slots.learn()
        except TROUBLE as trouble:
            return f"does not answer as a cluster: {trouble}"
        if not slots.whole:
            return "answers, but the cluster is not whole: some slots have no master"
        addresses = slots.masters
    wrong = [f"{address.name}: {problem}" for address in addresses if (problem := await _problem_of(address))]
    return f"does not answer: {'; '.join(wrong)}" if wrong else None


async def _problem_of(address: Address) -> str | None:
    try:
        line = await open_line(address, PING_TIMEOUT_S)
    except TROUBLE as trouble:
        return str(trouble) or type(trouble).__name__
    try:
        await line.ask(b"PING")
    except TROUBLE as trouble:
        return str(trouble) or type(trouble).__name__
    finally:
        line.cut(ConnectionAbortedError("it has answered"))
    return None
