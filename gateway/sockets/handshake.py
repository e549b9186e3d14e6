"""Who is connecting: from the auth payload of CONNECT to a `Connection` in the hub, or to a refusal that says why.

The token, or a ticket in its place (services/accounts/ticket.py), comes in the payload, never in a cookie or the address: a page
of somebody else cannot make a browser send it, and it does not end up in logs. A refusal is a Socket.IO CONNECT_ERROR whose
`message` is for people and whose `data` is the `ProblemView` that HTTP would have answered with.

A client that comes back brings more: the `pid` of its last connection, as the JavaScript client does by itself, or its rooms with
the positions it has reached. What they are good for is decided in rooms/comebacks.py.

Which pages may connect from a browser is asked here too. Without a list it is those from our own address, told by the
Host header; headers that a proxy may add are not believed.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.sockets.engine.link import Link
from gateway.sockets.inbound import bad_shape
from realtime.connection import Connection
from realtime.limits import MAX_ROOMS
from realtime.node import Node, account_channel
from realtime.wire import BY_NAME, EVERY_APP, RoomJoin
from rooms.comebacks import Comeback, Comebacks
from services.accounts.scope import require_scope
from services.apps.secret import API_KEY
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.problems import Draining, NotAuthenticated, TooManyConnections

Identify = Callable[[str], Caller]
Redeem = Callable[[str], Awaitable[Caller]]
Ask = Callable[[str, str], Awaitable[Caller]]
"""Who shows a token, and from which address."""
MustAsk = Callable[[str], bool]
Require = Callable[[Caller], None]
OnOpen = Callable[[Connection], None]
OnClose = Callable[[Connection, str], None]

_TO_JOIN: Final = BY_NAME["room.join"].scopes
_SEND: Final = 'send {"token": "…"} or {"ticket": "…"} as the auth payload of CONNECT'
TOO_MANY_RETRY_MS: Final = (10_000, 60_000)
"""When a connection too many may be tried again: it helps only that another one of the account ends."""

_spread: Final = random.SystemRandom()


class ConnectAuth(msgspec.Struct, frozen=True):
    """What a client sends with CONNECT: `token`, an access token, or `ticket` in its place, which works once; `acks`:
    "error-first" puts a null in front of every acknowledgement, which a client needs that repeats (`retries`) without an
    `ackTimeout`: it takes the first argument for an error; `rooms`: rooms to join at once, each answered by `room.recovered`, and
    given with `since` by whoever comes back. Other fields are ignored: libraries add their own, `pid` and `offset` among them,
    which count unless there are `rooms`."""

    token: str = ""
    ticket: str = ""
    acks: Literal["plain", "error-first"] = "plain"
    rooms: Annotated[tuple[RoomJoin, ...], msgspec.Meta(max_length=MAX_ROOMS)] = ()
    pid: Any = None
    offset: Any = None

    def __repr__(self) -> str:
        return "ConnectAuth()"


class Handshake:
    """Opens connections. `identify` tells who a token belongs to, or raises a `Problem`; `ask` does so for what was lent to an app
    or a script, which may have been taken back (without it, only `identify` is asked), and for tokens of which `must_ask` is true,
    keys unless something else is given; `on_open` and `on_close` are
    called when a connection is in the hub, and before it is taken out; `max_per_account` connections of one account are
    taken in on this node, with 0 any number. Without `comebacks` nobody can come back. `require` is asked once more whoever is
    about to be taken in, and raises a `Problem` when their login has ended: it may have while something else was waited for."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        identify: Identify,
        *,
        on_open: OnOpen,
        on_close: OnClose,
        redeem: Redeem | None = None,
        max_per_account: int = 0,
        comebacks: Comebacks | None = None,
        ask: Ask | None = None,
        must_ask: MustAsk | None = None,
        require: Require | None = None,
    ) -> None:
        self.draining = False
        self._require = require
        self._ask = ask
        self._must_ask = must_ask or is_key
        self._max_per_account = max_per_account
        self._node = node
        self._clock = clock
        self._identify = identify
        self._redeem = redeem
        self._on_open = on_open
        self._on_close = on_close
        self._comebacks = comebacks

    def told(self, auth: object) -> ConnectAuth:
        """What a client says of itself. Raises a `Problem`."""
        if self.draining:
            raise Draining
        return _told(auth)

    def who(self, told: ConnectAuth) -> Caller | None:
        """Who a client is by its token alone; None when that has to be asked (`ask`). Raises a `Problem`."""
        if not told.token or (self._ask is not None and self._must_ask(told.token)):
            return None
        caller = self._identify(told.token)
        return caller if self._ask is None or caller.scopes is None else None

    async def ask(self, told: ConnectAuth, peer: str) -> Caller:
        """Who comes with a ticket, which is used from now on, or with something that was lent, from `peer`. Raises a `Problem`."""
        if told.token:
            return self._identify(told.token) if self._ask is None else await self._ask(told.token, peer)
        if self._redeem is None:
            raise NotAuthenticated("tickets are not taken here; come with an access token", path="$.auth.ticket")
        return await self._redeem(told.ticket)

    def comes_back(self, told: ConnectAuth) -> bool:
        """Whether `recall` has to be asked: the client has been here before, and says nothing better of its rooms."""
        return self._comebacks is not None and told.pid is not None and not told.rooms

    async def recall(self, sid: str, told: ConnectAuth, caller: Caller) -> Comeback | None:
        """What a client that comes back is given again; see `Comebacks.recall`. Raises a `Problem`."""
        if self._comebacks is None or (caller.scopes is not None and caller.scopes.isdisjoint(_TO_JOIN)):
            return None
        return await self._comebacks.recall(caller, told.pid, told.offset, sid)

    def open(
        self, sid: str, link: Link, told: ConnectAuth, caller: Caller, comeback: Comeback | None = None
    ) -> Connection:
        """Take `caller` in as connection `sid`, into the rooms that it comes back to. Raises a `Problem`."""
        if self.draining:
            raise Draining
        if self._require is not None:
            self._require(caller)
        require_scope(caller, _TO_JOIN if told.rooms else EVERY_APP)
        connection = Connection(
            sid,
            caller,
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
        if self._comebacks is not None:
            connection.pid = self._comebacks.new_pid() if comeback is None else comeback.pid
            if comeback is not None:
                self._comebacks.restore(connection, comeback)
        return connection

    def rejoin(self, connection: Connection, told: ConnectAuth) -> Awaitable[None] | None:
        """Join the rooms that a client named; what is left of that is to be awaited before it is heard again."""
        if self._comebacks is None or not told.rooms:
            return None
        return self._comebacks.rejoin(connection, told.rooms)


def is_key(token: str) -> bool:
    """Whether this is a key for scripts, of which only the database knows."""
    return token.startswith(API_KEY)


def _told(auth: object) -> ConnectAuth:
    try:
        told = msgspec.convert(auth, ConnectAuth)
    except msgspec.ValidationError as fault:
        if "`$.rooms" in str(fault):
            raise bad_shape(fault) from fault
        raise NotAuthenticated(_SEND, path="$.auth") from fault
    if bool(told.token) == bool(told.ticket):
        raise NotAuthenticated(_SEND, path="$.auth")
    return told
