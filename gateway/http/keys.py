"""The public keys that our access tokens are checked with, for whoever does that without asking us."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.keyring import LEAD_MS, Jwk

KEPT_S = LEAD_MS // 2_000
"""Half of the time that a key is published before it signs: whoever keeps the answer so long still knows each key in time."""


class JwkSet(msgspec.Struct, frozen=True):
    """The public keys, one of which signs now (RFC 7517)."""

    keys: tuple[Jwk, ...]


async def public_keys(deps: GatewayDeps, _: Call[Nothing, Nothing, Nothing]) -> JwkSet:
    return JwkSet(deps.keys.published())


PUBLIC_KEYS = Route(
    "GET",
    "/.well-known/jwks.json",
    name="public_keys",
    permission=may.PUBLIC,
    tag="logins",
    does="The public keys that access tokens are checked with.",
    more=(
        "By `kid`. A key stands here before it signs and until its last token has expired; a stolen one until it is refused. An"
        " access token has the type `at+jwt`, the algorithm `EdDSA` and the audience `paceline`: check all three."
    ),
    handler=public_keys,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=JwkSet,
    auth="none",
    kept_s=KEPT_S,
)
