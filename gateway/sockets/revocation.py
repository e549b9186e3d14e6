"""Reads which logins have ended, every few seconds, so that their tokens and sockets are worth nothing on this node.

The end of a login travels as a fact and over Redis, and is usually here within a second. But the promise is 5 s, on every node,
whatever carries or does not: so each gateway reads the table of logins itself, where an ending stands once it is committed. It
reads what ended since the last reading, and `OVERLAP_S` more, because an instant is taken before its transaction commits and
clocks differ. What it finds is refused from then on (services/accounts/revoked.py), and its connections end.

At its start it reads what ended in the life of one token. Database away: it is read again, and nothing is missed, because the next
reading begins where the last one that worked did. What has no row any more, that of an account that was erased, is found by
login_watch.py.
"""

from datetime import timedelta
from typing import Final

import structlog

from persistence.stores import Transactions
from realtime.node import Node
from realtime.peer import LoginEnded
from services.accounts.revoked import Revoked
from services.kernel.clock import Clock, utc
from services.kernel.ids import LoginId
from services.kernel.problems import Unavailable

READ_EVERY_S: Final = 2.0
OVERLAP_S: Final = 30.0
"""Longer than a transaction of ours may take, with room for clocks that differ."""
PAGE: Final = 5_000
"""Logins in one answer."""

log = structlog.get_logger(__name__)


class Revocation:
    """See the module. `ended` counts the connections that were ended so, `readings` how often it was read or tried;
    `revoked` is what it feeds."""

    def __init__(self, node: Node, transactions: Transactions, revoked: Revoked, clock: Clock) -> None:
        self.ended = 0
        self.readings = 0
        self._node: Final = node
        self._transactions: Final = transactions
        self.revoked: Final = revoked
        self._clock: Final = clock
        self._since_ms = clock.wall_ms() - round(revoked.keep_s * 1_000)
        node.listen(LoginEnded, self._heard)

    async def run(self) -> None:
        """Read, again and again, until cancelled."""
        while True:
            try:
                await self.read()
            except Unavailable as problem:
                log.warning("revocation.not_read", problem=problem.message)
            self.readings += 1
            await self._clock.sleep(READ_EVERY_S)

    async def read(self) -> None:
        """One reading. Raises `Unavailable`."""
        now_ms = self._clock.wall_ms()
        since = utc(self._since_ms) - timedelta(seconds=OVERLAP_S)
        last: LoginId | None = None
        while True:
            async with self._transactions() as stores:
                page = await stores.logins.ended_since(since, last, PAGE)
            self._take([ended.id for ended in page])
            if len(page) < PAGE:
                break
            since, last = page[-1].at, page[-1].id
        self._since_ms = now_ms
        self.revoked.forget()

    def _heard(self, _channel: str, message: LoginEnded) -> None:
        self._take([message.login_id])

    def _take(self, logins: list[LoginId]) -> None:
        for login_id in self.revoked.note(logins):
            count = self._node.end_login(LoginEnded(login_id=login_id, reason="found to have ended"))
            self.ended += count
            if count:
                log.info("revocation.ended", login=str(login_id), connections=count)
