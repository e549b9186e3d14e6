"""Who is connecting: from the auth payload of CONNECT to a `Connection` in the hub, or to a refusal that says why.

The token comes in the payload, never in a cookie or the address: a page of somebody else cannot make a browser send
it, and it does not end up in logs. A refusal is a Socket.IO CONNECT_ERROR whose `message` is for people and whose
`data` is the `ProblemView` that HTTP would have answered with.

Which pages may connect from a browser is asked here too. Without a list it is those from our own address, told by the
Host header; headers that a proxy may add are not believed.
"""

import random
from collections.abc import Callable, Collection
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.sockets.engine.link import Link
from realtime.connection import Connection
from realtime.node import Node, account_channel
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.problems import Draining, NotAuthenticated, TooManyConnections

Identify = Callable[[str], Caller]
OnOpen = Callable[[Connection], None]
OnClose = Callable[[Connection, str], None]

TOO_MANY_RETRY_MS: Final = (10_000, 60_000)
"""When a connection too many may be tried again: it helps only that another one of the account ends."""

_spread: Final = random.SystemRandom()


class ConnectAuth(msgspec.Struct, frozen=True):
    """What a client sends with CONNECT: `token`, an access token; `acks`: "error-first" puts a null in front of every
    acknowledgement, which a client needs that repeats (`retries`) without an `ackTimeout`: it takes the first
    argument for an error. Other fields are ignored: libraries add their own."""

    token: str
    acks: Literal["plain", "error-first"] = "plain"


class Handshake:
    """Opens connections. `identify` tells who a token belongs to, or raises a `Problem`; `on_open` and `on_close` are
    called when a connection is in the hub, and before it is taken out; `max_per_account` connections of one account are
    taken in on this node, with 0 any number."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        identify: Identify,
        *,
        on_open: OnOpen,
        on_close: OnClose,
        max_per_account: int = 0,
    ) -> None:
        self.draining = False
        self._max_per_account = max_per_account
        self._node = node
        self._clock = clock
        self._identify = identify
        self._on_open = on_open
        self._on_close = on_close

    def open(self, sid: str, link: Link, auth: object) -> Connection:
        """Authenticate a client and take it in as connection `sid`. Raises a `Problem`."""
        if self.draining:
            raise Draining
        told = _told(auth)
        connection = Connection(
            sid,
            self._identify(told.token),
            link.open_mailbox(),
            link,
            opened_at=self._clock.monotonic(),
            peer=link.peer,
            error_first=told.acks == "error-first",
        )
        most = self._max_per_account
        if most and self._node.count(account_channel(connection)) >= most:
            raise TooManyConnections(retry_after_ms=_spread.randint(*TOO_MANY_RETRY_MS), limit=most)
        connection.on_close(self._on_close)
        connection.on_close(self._node.remove)
        self._node.add(connection)
        link.connected(connection)
        self._on_open(connection)
        return connection


def _told(auth: object) -> ConnectAuth:
    try:
        return msgspec.convert(auth, ConnectAuth)
    except msgspec.ValidationError as fault:
        raise NotAuthenticated('send {"token": "…"} as the auth payload of CONNECT', path="$.auth") from fault


def origin_rule(allowed: Collection[str]) -> Callable[[str | None, dict[str, Any]], bool]:
    """Whether a page of `origin` may connect: one of `allowed`, or our own address when that is empty. "*" allows all.

    Native apps send no Origin; nothing can be told from that, and the token is what counts.
    """
    listed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def may_connect(origin: str | None, environ: dict[str, Any]) -> bool:
        if origin is None:
            return True
        if listed:
            return "*" in listed or origin.lower() in listed
        return _same_address(origin, str(environ.get("HTTP_HOST", "")))

    return may_connect


def _same_address(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served from `host`. A port that is not named is that of the page's scheme: behind a
    proxy that ends TLS, our own scheme says nothing."""
    try:
        page, here = urlsplit(origin.lower()), urlsplit(f"//{host.lower()}")
        default = {"https": 443, "http": 80}[page.scheme]
        pages, ours = (page.hostname, page.port or default), (here.hostname, here.port or default)
    except (ValueError, KeyError):
        return False
    return page.hostname is not None and pages == ours
