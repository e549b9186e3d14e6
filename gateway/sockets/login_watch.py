"""Ends the connections whose logins have no row any more, when nobody could say so.

The end of a login travels as a fact, and reaches the node of each of its connections within a second; where nothing carries, each
node reads which logins have ended (revocation.py). A login that was erased with its account is in no such reading. So each gateway
also asks the database, every 20 s, about the logins of all its open connections at once: those that have ended or are not there
are closed within 30 s, whatever carries or does not.

Database away: nobody is ended, because nobody knows; it is asked again in the next round.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import structlog

from persistence.stores import Transactions
from realtime.node import Node
from realtime.peer import LoginEnded
from services.kernel.clock import Clock
from services.kernel.ids import LoginId
from services.kernel.problems import Unavailable

ASK_EVERY_S: Final = 20.0
BATCH_LOGINS: Final = 5_000
"""Logins in one question. Asking about so many takes a few ms of the database."""

log = structlog.get_logger(__name__)


class LoginWatch:
    """See the module. `ended` counts the connections that were ended so, `rounds` how often all were asked about or tried."""

    def __init__(self, node: Node, transactions: Transactions, clock: Clock) -> None:
        self.ended = 0
        self.rounds = 0
        self._node: Final = node
        self._transactions: Final = transactions
        self._clock: Final = clock

    async def run(self) -> None:
        """Ask, again and again, until cancelled."""
        while True:
            await self._clock.sleep(ASK_EVERY_S)
            try:
                await self.ask()
            except Unavailable as problem:
                log.warning("login_watch.not_answered", problem=problem.message)
            self.rounds += 1

    async def ask(self) -> None:
        """One round. Raises `Unavailable`."""
        # Displays have no login, only a token of their own.
        callers = (connection.caller for connection in self._node.hub.connections())
        logins = iter({caller.login_id for caller in callers if caller.class_id is None})
        while batch := tuple(islice(logins, BATCH_LOGINS)):
            await self._ask(batch)

    async def _ask(self, logins: Sequence[LoginId]) -> None:
        async with self._transactions() as stores:
            ended = await stores.logins.ended(logins)
        for login_id in ended:
            count = self._node.end_login(LoginEnded(login_id=login_id, reason="found to have ended"))
            self.ended += count
            log.info("login_watch.ended", login=str(login_id), connections=count)
