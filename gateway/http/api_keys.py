"""Keys for one's own scripts."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.scope import in_order
from services.apps.api_keys import LONGEST_DAYS
from services.apps.apps import LONGEST_OVERLAP_S, OVERLAP_S
from services.apps.ports import ApiKey
from services.kernel.caller import Scope
from services.kernel.clock import to_wall_ms
from services.kernel.ids import ApiKeyId
from services.kernel.problems import NotFound, TooManyApiKeys


class ApiKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new key: a name to know it by, what it may do, and after how many days it ends (left out: not by itself)."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=20)]
    days: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_DAYS)] | None = None


class ApiKeyView(msgspec.Struct, frozen=True):
    """A key. It was last used at `used_at_ms`, right to the hour, if ever; at `expires_at_ms` it ends, if not null."""

    id: ApiKeyId
    name: str
    scopes: tuple[Scope, ...]
    created_at_ms: int
    expires_at_ms: int | None
    used_at_ms: int | None


class ApiKeyMade(msgspec.Struct, frozen=True):
    """A new key; `secret` (`plk_…`) is sent as the bearer token, and is shown this once."""

    key: ApiKeyView
    secret: str


class ApiKeyList(msgspec.Struct, frozen=True):
    """Your keys, the oldest first; those that have expired among them."""

    keys: tuple[ApiKeyView, ...]


class RotateApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the old secret is taken beside the new one; 0 when it has become known to others."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_S)] = OVERLAP_S


class ApiKeyRotated(msgspec.Struct, frozen=True):
    """The new secret, shown this once, and until when the old one is taken, too (ms since 1970)."""

    secret: str
    old_until_ms: int


class ApiKeyPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key."""

    id: ApiKeyId


def view_of(key: ApiKey) -> ApiKeyView:
    """A key as its owner sees it."""
    return ApiKeyView(
        key.id,
        key.name,
        in_order(key.scopes),
        to_wall_ms(key.created_at),
        None if key.expires_at is None else to_wall_ms(key.expires_at),
        None if key.used_at is None else to_wall_ms(key.used_at),
    )


async def make_api_key(deps: GatewayDeps, call: Call[ApiKeyRequest, Nothing, Nothing]) -> ApiKeyMade:
    body = call.body
    made = await deps.api_keys.make(call.caller, name=body.name, scopes=frozenset(body.scopes), days=body.days)
    return ApiKeyMade(view_of(made.key), made.secret)


async def own_api_keys(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ApiKeyList:
    return ApiKeyList(tuple(view_of(key) for key in await deps.api_keys.own(call.caller)))


async def rotate_api_key(deps: GatewayDeps, call: Call[RotateApiKey, Nothing, ApiKeyPath]) -> ApiKeyRotated:
    rotated = await deps.api_keys.rotate(call.caller, call.path.id, call.body.overlap_s)
    return ApiKeyRotated(rotated.secret, rotated.old_until_ms)


async def revoke_api_key(deps: GatewayDeps, call: Call[Nothing, Nothing, ApiKeyPath]) -> None:
    await deps.api_keys.revoke(call.caller, call.path.id)


MAKE_API_KEY = Route(
    "POST",
    "/v1/api-keys",
    name="make_api_key",
    permission=may.USE_API_KEYS,
    tag="apps",
    does="A key for a script of yours.",
    more="Send it as the bearer token, over HTTP and in the auth payload of the socket. It is shown this once.",
    handler=make_api_key,
    body=ApiKeyRequest,
    query=Nothing,
    path=Nothing,
    reply=ApiKeyMade,
    status=201,
    problems=(TooManyApiKeys,),
)
OWN_API_KEYS = Route(
    "GET",
    "/v1/api-keys",
    name="own_api_keys",
    permission=may.USE_API_KEYS,
    tag="apps",
    does="Your keys, without their secrets.",
    handler=own_api_keys,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ApiKeyList,
)
ROTATE_API_KEY = Route(
    "POST",
    "/v1/api-keys/{id}/rotate",
    name="rotate_api_key",
    permission=may.USE_API_KEYS,
    tag="apps",
    does="A new secret for a key; the old one is taken beside it for a while.",
    more="There are never more than two: a second rotation within that time ends the older one at once.",
    handler=rotate_api_key,
    body=RotateApiKey,
    query=Nothing,
    path=ApiKeyPath,
    reply=ApiKeyRotated,
    problems=(NotFound,),
)
REVOKE_API_KEY = Route(
    "DELETE",
    "/v1/api-keys/{id}",
    name="revoke_api_key",
    permission=may.USE_API_KEYS,
    tag="apps",
    does="End a key.",
    more="Within five seconds no node takes it any more, and its sockets close.",
    handler=revoke_api_key,
    body=Nothing,
    query=Nothing,
    path=ApiKeyPath,
    reply=None,
    status=204,
    problems=(NotFound,),
)
