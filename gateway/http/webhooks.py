"""Webhook endpoints of one's own: make them, change them, rotate their secrets, resume them.

What is sent, how it is signed and when it is tried again: docs/systems/webhooks.md, and the section `webhooks` of the OpenAPI
document.
"""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.integrations.endpoint import Endpoint, PauseReason, Scope, State
from services.integrations.events import EventName
from services.integrations.webhooks import LONGEST_OVERLAP_S, OVERLAP_S
from services.kernel.ids import WebhookEndpointId
from services.kernel.problems import Forbidden, NotFound, TooManyEndpoints, UrlRefused

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048, description="https, a public host, no user name")]
Wants = Annotated[tuple[EventName, ...], msgspec.Meta(min_length=1, max_length=3)]
Scopes = Annotated[tuple[Scope, ...], msgspec.Meta(max_length=2)]
Description = Annotated[str, msgspec.Meta(max_length=200)]


class EndpointRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new endpoint. `class.ended` and `class.summarised` are for coaches. Scopes: `samples` puts the samples of a workout
    into its event, `names` the names of the athletes into the table of a class."""

    url: Url
    events: Wants
    scopes: Scopes = ()
    description: Description = ""


class EndpointChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: Wants | msgspec.UnsetType = msgspec.UNSET
    scopes: Scopes | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET


class EndpointView(msgspec.Struct, frozen=True):
    """An endpoint. `state`: `failing` since its last call was not taken, `paused` when nothing is sent any more, because it
    was `dead` for three days or said 410 Gone (`gone`). `failures` are counted in a row."""

    id: WebhookEndpointId
    url: str
    events: tuple[str, ...]
    scopes: tuple[Scope, ...]
    description: str
    created_at_ms: int
    state: State
    failures: int
    failing_since_ms: int | None
    paused_reason: PauseReason | None


class EndpointMade(msgspec.Struct, frozen=True):
    """A new endpoint and its secret (`whsec_…`), which is shown this once."""

    endpoint: EndpointView
    secret: str


class EndpointList(msgspec.Struct, frozen=True):
    """All endpoints of an account, the oldest first."""

    endpoints: tuple[EndpointView, ...]


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds calls carry a signature of the old secret beside that of the new one; 0 when the old one has become
    known to others."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP_S)] = OVERLAP_S


class SecretRotated(msgspec.Struct, frozen=True):
    """The new secret, shown this once, and until when the old one is used, too (ms since 1970)."""

    secret: str
    old_until_ms: int


class EndpointPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which endpoint."""

    id: WebhookEndpointId


def view_of(endpoint: Endpoint) -> EndpointView:
    """An endpoint as its owner sees it."""
    return EndpointView(
        endpoint.id,
        endpoint.url,
        endpoint.events,
        endpoint.scopes,
        endpoint.description,
        endpoint.created_at_ms,
        endpoint.standing.state,
        endpoint.standing.failures,
        endpoint.standing.failing_since_ms,
        endpoint.standing.paused_reason,
    )


async def create_endpoint(deps: GatewayDeps, call: Call[EndpointRequest, Nothing, Nothing]) -> EndpointMade:
    body = call.body
    made = await deps.webhooks.create(call.caller, body.url, body.events, body.scopes, body.description)
    return EndpointMade(view_of(made.endpoint), made.secret)


async def own_endpoints(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> EndpointList:
    return EndpointList(tuple(view_of(each) for each in await deps.webhooks.of_account(call.caller)))


async def endpoint_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, EndpointPath]) -> EndpointView:
    return view_of(await deps.webhooks.by_id(call.caller, call.path.id))


async def change_endpoint(deps: GatewayDeps, call: Call[EndpointChange, Nothing, EndpointPath]) -> EndpointView:
    body = call.body
    changed = await deps.webhooks.change(
        call.caller,
        call.path.id,
        url=None if body.url is msgspec.UNSET else body.url,
        wants=None if body.events is msgspec.UNSET else body.events,
        scopes=None if body.scopes is msgspec.UNSET else body.scopes,
        description=None if body.description is msgspec.UNSET else body.description,
    )
    return view_of(changed)


async def delete_endpoint(deps: GatewayDeps, call: Call[Nothing, Nothing, EndpointPath]) -> None:
    await deps.webhooks.remove(call.caller, call.path.id)


async def rotate_secret(deps: GatewayDeps, call: Call[RotateRequest, Nothing, EndpointPath]) -> SecretRotated:
    rotated = await deps.webhooks.rotate(call.caller, call.path.id, call.body.overlap_s)
    return SecretRotated(rotated.secret, rotated.old_until_ms)


async def resume_endpoint(deps: GatewayDeps, call: Call[Nothing, Nothing, EndpointPath]) -> EndpointView:
    return view_of(await deps.webhooks.resume(call.caller, call.path.id))


CREATE_ENDPOINT = Route(
    "POST",
    "/v1/webhook-endpoints",
    name="create_webhook_endpoint",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="An address of yours that is told what happens.",
    more="The answer shows the secret that calls are signed with, this once.",
    handler=create_endpoint,
    body=EndpointRequest,
    query=Nothing,
    path=Nothing,
    reply=EndpointMade,
    scope="webhooks:manage",
    status=201,
    problems=(UrlRefused, TooManyEndpoints, Forbidden, NotFound),
)
OWN_ENDPOINTS = Route(
    "GET",
    "/v1/webhook-endpoints",
    name="own_webhook_endpoints",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Your endpoints.",
    handler=own_endpoints,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=EndpointList,
    scope="webhooks:manage",
    problems=(Forbidden,),
)
ENDPOINT_BY_ID = Route(
    "GET",
    "/v1/webhook-endpoints/{id}",
    name="webhook_endpoint_by_id",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="One endpoint, and how it is.",
    handler=endpoint_by_id,
    body=Nothing,
    query=Nothing,
    path=EndpointPath,
    reply=EndpointView,
    scope="webhooks:manage",
    problems=(NotFound, Forbidden),
)
CHANGE_ENDPOINT = Route(
    "PATCH",
    "/v1/webhook-endpoints/{id}",
    name="change_webhook_endpoint",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Change an endpoint's address, events, scopes or description.",
    more="What waits for it goes to the new address.",
    handler=change_endpoint,
    body=EndpointChange,
    query=Nothing,
    path=EndpointPath,
    reply=EndpointView,
    scope="webhooks:manage",
    problems=(UrlRefused, NotFound, Forbidden),
)
DELETE_ENDPOINT = Route(
    "DELETE",
    "/v1/webhook-endpoints/{id}",
    name="delete_webhook_endpoint",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Forget an endpoint, with everything that waits for it.",
    handler=delete_endpoint,
    body=Nothing,
    query=Nothing,
    path=EndpointPath,
    reply=None,
    scope="webhooks:manage",
    status=204,
    problems=(NotFound, Forbidden),
)
ROTATE_SECRET = Route(
    "POST",
    "/v1/webhook-endpoints/{id}/rotate",
    name="rotate_webhook_secret",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="A new secret; the old one is used beside it for a while.",
    more="A second rotation within that time ends the older of the two at once: there are never more than two.",
    handler=rotate_secret,
    body=RotateRequest,
    query=Nothing,
    path=EndpointPath,
    reply=SecretRotated,
    scope="webhooks:manage",
    problems=(NotFound, Forbidden),
)
RESUME_ENDPOINT = Route(
    "POST",
    "/v1/webhook-endpoints/{id}/resume",
    name="resume_webhook_endpoint",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Call a paused endpoint again, with what has waited meanwhile; one that fails at once.",
    handler=resume_endpoint,
    body=Nothing,
    query=Nothing,
    path=EndpointPath,
    reply=EndpointView,
    scope="webhooks:manage",
    problems=(NotFound, Forbidden),
)
