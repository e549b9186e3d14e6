"""What a body may not say is refused, on every route and every event that takes one (OWASP API3:2023, mass assignment)."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest

from gateway.admin_token import AdminToken
from gateway.http.examples import example_of
from gateway.http.router import Nothing, Route
from gateway.http.routes import ROUTES
from realtime.wire import CLIENT_EVENTS
from services.accounts.account import Account
from services.kernel.ids import AccountId, LoginId
from tests.gateway.http.conftest import Api

MakeApi = Callable[..., Awaitable[Api]]

WITH_BODY: Final = [route for route in ROUTES if route.body is not Nothing]
SNEAKED: Final[dict[str, object]] = {
    "id": str(uuid.UUID(int=1)),
    "account_id": str(uuid.UUID(int=1)),
    "owner_id": str(uuid.UUID(int=1)),
    "role": "admin",
    "roles": ["admin"],
    "is_admin": True,
    "verified": True,
    "verified_at_ms": 1,
    "price": 0,
    "entitlements": ["plus"],
    "__proto__": {"role": "admin"},
}
OPERATOR: Final = "an-admin-token-that-nobody-guesses-0123456789"
NAMES: Final = {"FlagPath": "registering"}
"""What stands in the address in place of a name; elsewhere any word does."""


def address_of(route: Route[Any, Any, Any]) -> str:
    """An address of its shape, of a thing that there is not."""
    url = route.url
    for field in msgspec.structs.fields(route.path):
        word = NAMES.get(route.path.__name__, "pro") if field.name == "name" else str(uuid.UUID(int=7))
        url = url.replace(f"{{{field.encode_name}}}", word)
    needed = [field.encode_name for field in msgspec.structs.fields(route.query) if field.required]
    return url + ("?" + "&".join(f"{name}=0" for name in needed) if needed else "")


def loose(shape: type) -> list[str]:
    """Objects anywhere in a shape that would swallow what they do not know."""
    there = msgspec.json.schema(shape)["$defs"]
    return [
        name for name, each in there.items() if "properties" in each and each.get("additionalProperties") is not False
    ]


@pytest.mark.parametrize("shape", [route.body for route in WITH_BODY], ids=lambda shape: str(shape.__name__))
def test_no_object_in_a_body_swallows_what_it_does_not_know(shape: type) -> None:
    """OWASP API3:2023: however deep."""
    assert loose(shape) == []


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: str(event.name))
def test_no_object_in_an_event_of_a_client_does_so_either(event: Any) -> None:
    """OWASP API3:2023: on sockets."""
    assert loose(event.shape) == []


async def test_every_body_with_something_more_in_it_is_refused_at_that_place(api: Api, with_deps: MakeApi) -> None:
    """OWASP API3:2023: over HTTP, by somebody who holds every role, on every route that takes a body. Nothing is done: the shape is
    judged before any use case hears of the request."""
    client = await with_deps(admin_token=AdminToken(OPERATOR, api.clock))
    account = Account(
        AccountId(uuid.UUID(int=1)),
        "ada@example.org",
        "Ada",
        frozenset({"member", "coach", "author", "support", "admin"}),
        api.clock.wall_ms(),
    )
    token = api.tokens.for_account(account, LoginId(uuid.UUID(int=2)), api.clock.wall_ms()).token
    assert len(WITH_BODY) > 80
    for route in WITH_BODY:
        shown = {"none": None, "bearer": token, "admin": OPERATOR}[route.auth]
        body = example_of(route.body)
        assert isinstance(body, dict)
        known = {field.encode_name for field in msgspec.structs.fields(route.body)}
        for name in SNEAKED.keys() - known:
            answer = await client.call(route.method, address_of(route), {**body, name: SNEAKED[name]}, token=shown)
            told = await answer.json()
            assert (answer.status, told["code"], name in told["detail"]) == (422, "bad_shape", True), (route.name, told)
