"""The closed table of endings: why the server closes a connection, and whether the client should come back.

The range of the code answers the question a client must ask: **3000 to 3499 come back**, after the time that `bye` names;
**3500 to 3999 do not**, until a person or a program has changed something. The code is told in the `bye` event and again as
the close code of the WebSocket.

Coming back is spread: each client gets its own instant out of the ending's range, because a node that closes a thousand
sockets at once would otherwise be answered by a thousand handshakes at once. When many end together the range grows with
their number.
"""

import random
from dataclasses import dataclass, replace
from typing import Final, Self

from realtime.wire import Bye

RETURNS_PER_SECOND: Final = 400.0
"""How many of those that one node sent away may come back per second, on average: a fifth of what a node lets in, so that one
survivor takes them with ease. 2,000 are spread over 5 s, 10,000 over 25 s."""
LONGEST_AWAY_MS: Final = 60_000
"""Nobody is asked to stay away longer than this, however many there are. By feeling: what a class forgives."""

_spread: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Disconnect:
    """One way a connection ends. `reason` is for people; `come_back_ms` the earliest and latest moment to reconnect, ms
    from now, None for not at all."""

    code: int
    name: str
    reason: str
    come_back_ms: tuple[int, int] | None = None

    def bye(self) -> Bye:
        """The event that announces this ending to one client."""
        when = None if self.come_back_ms is None else _spread.randint(*self.come_back_ms)
        return Bye(code=self.code, reason=self.reason, come_back_ms=when)

    def spread_over(self, count: int) -> Self:
        """The same ending for `count` clients at once: its range is as wide as `RETURNS_PER_SECOND` of them need."""
        if self.come_back_ms is None:
            return self
        first, last = self.come_back_ms
        wanted = min(LONGEST_AWAY_MS, first + round(count / RETURNS_PER_SECOND * 1_000))
        return replace(self, come_back_ms=(first, max(last, wanted)))


DRAINING: Final = Disconnect(3000, "draining", "This node is stopping; another one will answer.", (500, 5_000))
"""Part of an orderly stop: nothing is wrong."""

SLOW_READER: Final = Disconnect(
    3001, "slow_reader", "Messages were not read fast enough; come back and start from a snapshot.", (1_000, 3_000)
)
"""The mailbox is over its hard limit, or the peer has read nothing for too long while something was waiting."""

SILENT: Final = Disconnect(3002, "silent", "No answer to a ping in time.", (0, 1_000))
"""The peer is gone as far as we can tell. Hardly ever read by anybody; counted all the same."""

RESTART: Final = Disconnect(3100, "restart", "The server has to start again.", (1_000, 10_000))
"""A core loop of the node has died: unlike draining, something is wrong."""

TOKEN_EXPIRED: Final = Disconnect(
    3200, "token_expired", "The access token has expired: get a new one and come back with it.", (0, 1_000)
)
"""Nobody renewed it on the open socket, though `token.expiring` said that it was time."""

RIGHTS_CHANGED: Final = Disconnect(
    3201,
    "rights_changed",
    "You may do less than before: come back with the token you have, and join again.",
    (0, 1_000),
)
"""The new token that was shown has fewer rights than the one the connection came with. Rooms and streams were entered by the
old ones."""

NOT_AUTHENTICATED: Final = Disconnect(
    3500, "not_authenticated", "No valid token was presented in time: send it in the auth payload of CONNECT."
)
"""The socket stood open without a CONNECT that was accepted."""

ABUSE: Final = Disconnect(
    3501, "abuse", "Too many refused messages in a short time; check the client against /asyncapi.json."
)
"""Strikes: see realtime/limits.py."""

LOGIN_ENDED: Final = Disconnect(3502, "login_ended", "This login has ended; log in again.")
"""Logged out on this device or from another one, or a refresh token was used twice."""

ACCOUNT_CLOSED: Final = Disconnect(3503, "account_closed", "This account is closed.")
"""The account was closed or barred."""

MALFORMED: Final = Disconnect(
    3504, "malformed", "The message is not a Socket.IO packet that this server speaks (no binary, no unknown types)."
)
"""Below the level of events: such bytes cannot come from an official client using this protocol."""

REMOVED: Final = Disconnect(3505, "removed", "An operator has closed this connection.")
"""By hand, for a reason that a person had: the client is not to come back by itself."""

ENDINGS: Final = (
    DRAINING,
    SLOW_READER,
    SILENT,
    RESTART,
    TOKEN_EXPIRED,
    RIGHTS_CHANGED,
    NOT_AUTHENTICATED,
    ABUSE,
    LOGIN_ENDED,
    ACCOUNT_CLOSED,
    MALFORMED,
    REMOVED,
)
