"""Tickets for the socket: what a browser shows in the handshake in place of its access token."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may


class TicketGiven(msgspec.Struct, frozen=True):
    """A ticket: send it as `ticket` in the auth payload of CONNECT. It works once, within `expires_in_s` seconds."""

    ticket: str
    expires_in_s: int

    def __repr__(self) -> str:
        return "TicketGiven()"


async def ticket(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> TicketGiven:
    issued = deps.tickets.issue(call.caller)
    return TicketGiven(issued.token, issued.expires_in_s)


TICKET = Route(
    "POST",
    "/v1/tickets",
    name="ticket",
    permission=may.GET_TICKET,
    tag="logins",
    does="A ticket that opens one connection, in place of the access token.",
    more=(
        "For browsers, and whoever would not show an access token to a socket. Send it as `ticket` in the auth payload of CONNECT."
        " The connection lasts as long as the access token with which the ticket was asked for."
    ),
    handler=ticket,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=TicketGiven,
    status=201,
)
