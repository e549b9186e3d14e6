"""Giving out tickets, and taking each of them once, on whatever node.

Giving one costs nothing but a signature. Taking one costs one statement in the database, which remembers that it was used and looks
in the same step whether its login has ended: so it works once over all nodes, and a login that was ended a moment ago gets in
with no ticket, though its access token still might for a few seconds (gateway/sockets/revocation.py).

The database and not Redis remembers, because what Redis holds may be lost with it, and a node may be run without. Database away: no
ticket can be taken (`unavailable`, come back); an access token is still good for a socket then, and clients fall back to it.
"""

from typing import Final, Protocol

from services.accounts.ticket import TicketPrinter
from services.accounts.tokens import Issued
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import Ids, LoginId, TicketId
from services.kernel.problems import TicketRefused


class UsedTickets(Protocol):
    """Remembers which tickets were used."""

    async def use(self, ticket_id: TicketId, login_id: LoginId, ends_ms: int) -> bool:
        """Use a ticket that ends at `ends_ms`; False when it was used before, or when this login has ended. Raises Unavailable."""
        ...


class Tickets:
    """The use cases."""

    def __init__(self, printer: TicketPrinter, used: UsedTickets, clock: Clock, ids: Ids) -> None:
        self._printer: Final = printer
        self._used: Final = used
        self._clock: Final = clock
        self._ids: Final = ids

    def issue(self, caller: Caller) -> Issued:
        """A ticket for one connection of `caller`."""
        return self._printer.print(caller, TicketId(self._ids.next()), self._clock.wall_ms())

    async def redeem(self, ticket: str) -> Caller:
        """Who comes with this ticket, which is used from now on. Raises TicketRefused, Unavailable."""
        read = self._printer.read(ticket, self._clock.wall_ms())
        if not await self._used.use(read.id, read.caller.login_id, read.ends_ms):
            raise TicketRefused
        return read.caller
