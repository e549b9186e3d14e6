"""The Redis servers of an installation, as whoever stores or says something there sees them.

A channel has a home: the server that carries its messages and keeps everything stored under its name, so that one script may
append to a log and publish in one step. `client` is for commands on that home, `key` names what is stored there, `name` is the
channel as it is called on the wire.
"""

from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

COMMAND_TIMEOUT_S: Final = 0.25
"""What Redis may take to answer a command. Locally it takes well under a millisecond."""


class RedisServers:
    """Where channels live. `prefix` keeps the channels and keys of several installations on one server apart."""

    def __init__(self, url: str, *, prefix: str = "paceline:") -> None:
        self._prefix: Final = prefix
        self._client: Final = _client(url)
        self.publish_word: Final = b"PUBLISH"

    def client(self, channel: str) -> Redis:
        """For commands on what is kept under this channel's name."""
        return self._client

    def name(self, channel: str) -> str:
        """The channel as Redis knows it."""
        return f"{self._prefix}{{{channel}}}"

    def key(self, channel: str, what: str) -> str:
        """The key of `what` is kept under a channel's name. In a cluster it lies in the same slot as the channel."""
        return f"{self._prefix}{{{channel}}}:{what}"

    async def close(self) -> None:
        """Close every client."""
        await self._client.aclose()


def _client(url: str) -> Redis:
    # Every default that differs between redis-py's constructors and versions is stated. No retries: a failure is answered by
    # whoever asked, who knows whether asking again is safe.
    client: Redis = Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=COMMAND_TIMEOUT_S,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        health_check_interval=0,
        max_connections=16,
    )
    return client
