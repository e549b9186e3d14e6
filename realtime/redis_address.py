"""Where a Redis server answers, and what a Redis that is not well looks like from here.

URLs, with their options for TLS, are read by redis-py's own parser, so that they mean here what they mean for its clients.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import RedisError

TROUBLE: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""What a Redis that is not well raises, here and in redis-py. `RuntimeError` is uvloop's word for a connection that was reset and
is written to all the same, which redis-py does with one from its pool; it must end no loop."""


class RedisRefusedError(ConnectionError):
    """Redis answered the opening of a line with an error: a wrong password, a database that it does not have."""


class SlotLost(ConnectionError):  # noqa: N818 - news of the cluster, not an error of a caller
    """The server has ended subscriptions, because their slot is another's now."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis server answers and how to introduce oneself. `path` is a unix socket and then stands for host and port."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """For logs, and for choosing homes: the same on every node, whatever its password."""
        place = self.path or f"{self.host}:{self.port}"
        return f"{place}/{self.db}" if self.db else place


def address_of(url: str) -> Address:
    """The server that a URL names (redis://, rediss://, unix://). Raises `ValueError`."""
    options: dict[str, Any] = dict(parse_url(url))
    tls = urlsplit(url).scheme == "rediss"
    return Address(
        host=options.get("host", "localhost"),
        port=options.get("port", 6379),
        path=options.get("path", ""),
        db=int(options.get("db", 0)),
        username=options.get("username"),
        password=options.get("password"),
        tls=_tls(options) if tls else None,
    )


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    chosen = {name: value for name, value in options.items() if name.startswith("ssl_")}
    context = SSLConnection(**chosen).ssl_context.get()
    if not isinstance(context, ssl.SSLContext):
        raise TypeError("redis-py made no TLS context")
    return context
