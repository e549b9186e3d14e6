"""A connection lives as long as its token, and the token is renewed on the open socket.

Whoever comes with an access token may stay until it expires; one that a socket has outlived would be a right without an end.
`WARN_S` before that the client is told (`token.expiring`). It fetches a new token as it always does, over HTTP, and says
`token.renew` with it: the connection goes on until the new token expires, and nothing else about it changes. Rooms, streams
and what waits in the mailbox never learn of it. Who does not renew is sent away with `TOKEN_EXPIRED`: come back with a new one.

A token of another issuer (services/accounts/foreign_tokens.py) is renewed by its next one; behind it is the login of its identity,
of which only the database knows.

The new token must be of the same account and the same login, so nobody becomes somebody else on a socket that rooms already
know by name; a screen brings one for the same class. It must not expire before the present one, or somebody who has lost a
role could go back to it with the token before. Fewer rights than before take effect in that step: the connection is closed
with `RIGHTS_CHANGED`, and what it comes back to is judged by what it now may.

A connection has one place in the heap of what is due. It is not moved when a token is renewed: an instant that comes too early
looks again and is put where it now belongs.
"""

import heapq
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from gateway.sockets.dispatch import Reply
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.disconnect import RIGHTS_CHANGED, TOKEN_EXPIRED
from realtime.hub import Hub
from realtime.wire import TokenLife, TokenRenew
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.problems import Forbidden

WARN_S: Final = 45.0
"""Between the warning and the end: some refused or lost tries to get a token. Less than the minute before its end in which our
clients think a token too old to come with, so that asking them for one gives a new one."""
LOOK_EVERY_S: Final = 1.0
STALE_ENTRIES: Final = 1_024
"""Places in the heap of connections that are gone, beyond as many as there are connections. Full means: it is made anew."""

log = structlog.get_logger(__name__)


class Renewals:
    """See the module. `opened` and `closed` are to be called with every connection. `ask` tells who shows a token of which
    `must_ask` is true, `identify` who shows any other. `renewed` counts tokens that were taken, `expired` connections that were
    closed because none came."""

    def __init__(
        self,
        hub: Hub,
        identify: Callable[[str], Caller],
        clock: Clock,
        *,
        ask: Callable[[str], Awaitable[Caller]] | None = None,
        must_ask: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.renewed = 0
        self.expired = 0
        self._hub: Final = hub
        self._identify: Final = identify
        self._clock: Final = clock
        self._ask: Final = ask
        self._must_ask: Final = must_ask
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def opened(self, connection: Connection) -> None:
        """A connection is new: it may stay as long as its token is good."""
        self._put(connection.id, connection.caller.expires_at_ms - round(WARN_S * 1_000))

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._due.pop(connection.id, None)

    def renew(self, connection: Connection, message: TokenRenew, reply: Reply) -> Awaitable[None] | None:
        """Take a new token. Raises Forbidden, NotAuthenticated, TokenExpired, then or now."""
        if self._ask is not None and self._must_ask(message.token):
            return self._renew_asking(self._ask(message.token), connection, reply)
        self._take(connection, self._identify(message.token), reply)
        return None

    async def _renew_asking(self, asked: Awaitable[Caller], connection: Connection, reply: Reply) -> None:
        has = await asked
        # Who has gone meanwhile is not to be looked after again.
        if self._hub.get(connection.id) is connection:
            self._take(connection, has, reply)

    def _take(self, connection: Connection, has: Caller, reply: Reply) -> None:
        had = connection.caller
        connection.caller = successor(had, has)
        self.renewed += 1
        self.opened(connection)
        reply.ok(self._life(connection))
        if fewer_rights(had, has):
            log.info("renewal.fewer_rights", account=str(has.account_id), connection=connection.id)
            connection.end(RIGHTS_CHANGED)

    async def run(self) -> None:
        """Warn whose token is about to expire and close where it has, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Do what is due now."""
        now_ms = self._clock.wall_ms()
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, name = heapq.heappop(self._heap)
            connection = self._hub.get(name)
            if connection is not None and self._due.get(name) == due_ms:
                self._is_due(connection, now_ms)

    def _is_due(self, connection: Connection, now_ms: int) -> None:
        expires_ms = connection.caller.expires_at_ms
        if now_ms >= expires_ms:
            self.expired += 1
            connection.end(TOKEN_EXPIRED)
        elif now_ms >= expires_ms - WARN_S * 1_000:
            connection.push(event_frame("token.expiring", self._life(connection)))
            self._put(connection.id, expires_ms)
        else:
            self.opened(connection)

    def _life(self, connection: Connection) -> TokenLife:
        expires_ms = connection.caller.expires_at_ms
        return TokenLife(expires_at_ms=expires_ms, expires_in_ms=max(0, expires_ms - self._clock.wall_ms()))

    def _put(self, name: str, due_ms: int) -> None:
        self._due[name] = due_ms
        heapq.heappush(self._heap, (due_ms, name))
        if len(self._heap) > 2 * len(self._due) + STALE_ENTRIES:
            self._heap = [(due, of) for of, due in self._due.items()]
            heapq.heapify(self._heap)


def successor(had: Caller, has: Caller) -> Caller:
    """Who a connection of `had` is once it has shown the token of `has`. Raises Forbidden."""
    if had.class_id is not None and had.class_id == has.class_id:
        # A screen is who it was when it came: each of its tokens has an id of its own.
        has = msgspec.structs.replace(has, account_id=had.account_id, login_id=had.login_id)
    if (has.account_id, has.login_id, has.class_id, has.app_id) != (
        had.account_id,
        had.login_id,
        had.class_id,
        had.app_id,
    ):
        raise Forbidden("this is a token of another login; open another connection with it")
    if has.expires_at_ms < had.expires_at_ms:
        raise Forbidden("this token expires before the one that this connection has; send the newest")
    return has


def fewer_rights(had: Caller, has: Caller) -> bool:
    """Whether something that `had` might do `has` may not. Other scopes count as fewer: what an app hears is decided when it
    comes."""
    return not had.roles <= has.roles or had.scopes != has.scopes
