"""Tickets: what a browser shows a socket in place of its access token. Pure.

An access token is good for a quarter of an hour and for everything; whoever reads one in a log of handshakes, or in a
tool that records sockets, has the account. A ticket is good for `TICKET_TTL_S` seconds, for one connection, and for nothing
but that (ASVS 4.4.3). It is signed like an access token and says who comes as whole as that does, so no node has to remember
it; what is remembered is only that it was used (`tickets.py`). Type and audience are its own, so neither is ever taken for
the other.

The connection lives as long as the access token for which the ticket was given: `Caller.expires_at_ms` goes along.
"""

import uuid
from typing import Final, Literal

import jwt
import msgspec

from services.accounts.keyring import Keyring
from services.accounts.tokens import ALGORITHM, Issued, parts_of
from services.kernel.caller import Caller
from services.kernel.ids import TicketId
from services.kernel.problems import TicketRefused

TYPE: Final = "ticket+jwt"
AUDIENCE: Final = "paceline-socket"
TICKET_TTL_S: Final = 30


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["EdDSA"]
    typ: Literal["ticket+jwt"]
    kid: str


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    jti: uuid.UUID
    iat: int
    exp: int
    caller: Caller


class Ticket(msgspec.Struct, frozen=True):
    """A ticket that was read: whose it is, its id, and when it ends, ms since 1970."""

    id: TicketId
    caller: Caller
    ends_ms: int


class TicketPrinter:
    """Signs tickets and reads them, with the keys of access tokens."""

    def __init__(self, keys: Keyring, *, issuer: str = "paceline") -> None:
        self._keys: Final = keys
        self._issuer: Final = issuer
        self._jws: Final = jwt.PyJWS()

    def print(self, caller: Caller, ticket_id: TicketId, now_ms: int) -> Issued:
        """A ticket for `caller`."""
        now_s = now_ms // 1_000
        claims = _Claims(self._issuer, AUDIENCE, ticket_id, now_s, now_s + TICKET_TTL_S, caller)
        key = self._keys.signing(now_ms)
        headers = {"typ": TYPE, "kid": key.kid}
        # Not by way of `jwt.encode`: it writes each letter of a name beyond ASCII in six.
        signed = self._jws.encode(msgspec.json.encode(claims), key.private, ALGORITHM, headers=headers)
        return Issued(signed, TICKET_TTL_S)

    def read(self, ticket: str, now_ms: int) -> Ticket:
        """Whose ticket this is. Raises TicketRefused for what is none, is no longer one, or whose token has expired meanwhile."""
        claims = self._verified(ticket, now_ms)
        if now_ms >= min(claims.exp * 1_000, claims.caller.expires_at_ms):
            raise TicketRefused
        return Ticket(TicketId(claims.jti), claims.caller, claims.exp * 1_000)

    def _verified(self, ticket: str, now_ms: int) -> _Claims:
        try:
            header = msgspec.json.decode(parts_of(ticket)[0], type=_Header)
            key = self._keys.public(header.kid, now_ms)
            if key is None:
                raise TicketRefused
            payload: bytes = self._jws.decode(ticket, key, algorithms=[ALGORITHM])
            claims = msgspec.json.decode(payload, type=_Claims)
        except (jwt.InvalidTokenError, msgspec.MsgspecError, KeyError, ValueError) as cause:
            raise TicketRefused from cause
        if claims.iss != self._issuer or claims.aud != AUDIENCE:
            raise TicketRefused
        return claims
