"""What was sent to a webhook endpoint, what became of it, and sending it again.

What is sent, how it is signed and when it is tried again: docs/systems/webhooks.md, and the section `webhooks` of the OpenAPI
document.
"""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.webhooks import EndpointPath
from gateway.http.workouts import SamplePage, SamplesQuery
from services.access import permission as may
from services.integrations.delivery import Delivery, DeliveryState, Result
from services.integrations.webhooks import MAX_PAGE, MAX_REPLAYED
from services.kernel.clock import utc
from services.kernel.ids import WebhookDeliveryId, WebhookEndpointId
from services.kernel.problems import EndpointPaused, Forbidden, NotFound, RateLimited

WallMs = Annotated[int, msgspec.Meta(ge=0, le=2**47, description="ms since 1970 UTC")]


class DeliveryView(msgspec.Struct, frozen=True):
    """One event on its way to an endpoint; `id` is its `webhook-id`. `subject` is what it is about. `attempts` begun since it
    was made or replayed, of ten; `due_at_ms` when the next one is; `last_status` of the last answer."""

    id: WebhookDeliveryId
    event: str
    subject: str
    state: DeliveryState
    attempts: int
    created_at_ms: int
    due_at_ms: int | None
    finished_at_ms: int | None
    last_status: int | None


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, newest first. `next_before` is what to give as `before` for the next page, null on the last."""

    deliveries: tuple[DeliveryView, ...]
    next_before: WebhookDeliveryId | None


class AttemptView(msgspec.Struct, frozen=True):
    """One call. `result`: `answered` with a status; `blocked` by us, because the address must not be called; `not_reached`;
    `unanswered`, so it may have arrived. `detail` is the beginning of the answer, or why there was none."""

    n: int
    at_ms: int
    took_ms: int
    result: Result
    status: int | None
    detail: str


class DeliveryDetails(msgspec.Struct, frozen=True):
    """A delivery, its latest attempts (the oldest first), and the body that is sent."""

    delivery: DeliveryView
    attempts: tuple[AttemptView, ...]
    body: msgspec.Raw


class ReplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Since when (ms since 1970)."""

    since_ms: WallMs


class Replayed(msgspec.Struct, frozen=True):
    """How many deliveries are sent again. As many as one replay takes (500) means that there may be more: ask again."""

    replayed: int


class DeliveryPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which delivery of which endpoint."""

    id: WebhookEndpointId
    delivery: WebhookDeliveryId


class DeliveriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `before`: only deliveries older than this one; `state`: only such ones."""

    before: WebhookDeliveryId | None = None
    state: DeliveryState | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class LinkPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last part of a `samples_path`."""

    link: Annotated[str, msgspec.Meta(max_length=200)]


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery as its owner sees it."""
    return DeliveryView(
        delivery.id,
        delivery.event,
        delivery.subject,
        delivery.state,
        delivery.attempts,
        delivery.created_at_ms,
        delivery.due_at_ms,
        delivery.finished_at_ms,
        delivery.last_status,
    )


async def ping_endpoint(deps: GatewayDeps, call: Call[Nothing, Nothing, EndpointPath]) -> DeliveryView:
    return delivery_view(await deps.webhooks.test(call.caller, call.path.id))


async def own_deliveries(deps: GatewayDeps, call: Call[Nothing, DeliveriesQuery, EndpointPath]) -> DeliveryList:
    query = call.query
    found = await deps.webhooks.deliveries(
        call.caller, call.path.id, before=query.before, state=query.state, limit=query.limit
    )
    # A full page may be the last one; then the next is empty, which is cheaper than asking for one more each time.
    return DeliveryList(tuple(map(delivery_view, found)), found[-1].id if len(found) == query.limit else None)


async def delivery_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, DeliveryPath]) -> DeliveryDetails:
    looked = await deps.webhooks.delivery(call.caller, call.path.id, call.path.delivery)
    attempts = tuple(
        AttemptView(each.n, each.at_ms, each.took_ms, each.result, each.status, each.detail) for each in looked.attempts
    )
    return DeliveryDetails(delivery_view(looked.delivery), attempts, msgspec.Raw(looked.body))


async def replay_delivery(deps: GatewayDeps, call: Call[Nothing, Nothing, DeliveryPath]) -> DeliveryView:
    return delivery_view(await deps.webhooks.replay(call.caller, call.path.id, call.path.delivery))


async def replay_since(deps: GatewayDeps, call: Call[ReplayRequest, Nothing, EndpointPath]) -> Replayed:
    return Replayed(await deps.webhooks.replay_since(call.caller, call.path.id, utc(call.body.since_ms)))


async def webhook_samples(deps: GatewayDeps, call: Call[Nothing, SamplesQuery, LinkPath]) -> SamplePage:
    query = call.query
    samples = await deps.webhooks.samples(call.path.link, query.from_seq, query.limit)
    return SamplePage(tuple(samples), query.from_seq + len(samples))


TEST_ENDPOINT = Route(
    "POST",
    "/v1/webhook-endpoints/{id}/test",
    name="test_webhook_endpoint",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Send a `test.ping`; the answer is its delivery, to be looked at a moment later.",
    handler=ping_endpoint,
    body=Nothing,
    query=Nothing,
    path=EndpointPath,
    reply=DeliveryView,
    scope="webhooks:manage",
    status=202,
    problems=(EndpointPaused, RateLimited, NotFound, Forbidden),
)
OWN_DELIVERIES = Route(
    "GET",
    "/v1/webhook-endpoints/{id}/deliveries",
    name="webhook_deliveries",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="What was sent to an endpoint in the last thirty days, newest first.",
    handler=own_deliveries,
    body=Nothing,
    query=DeliveriesQuery,
    path=EndpointPath,
    reply=DeliveryList,
    scope="webhooks:manage",
    problems=(NotFound, Forbidden),
)
DELIVERY_BY_ID = Route(
    "GET",
    "/v1/webhook-endpoints/{id}/deliveries/{delivery}",
    name="webhook_delivery_by_id",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="One delivery: its body, each attempt, and what was answered.",
    handler=delivery_by_id,
    body=Nothing,
    query=Nothing,
    path=DeliveryPath,
    reply=DeliveryDetails,
    scope="webhooks:manage",
    problems=(NotFound, Forbidden),
)
REPLAY_DELIVERY = Route(
    "POST",
    "/v1/webhook-endpoints/{id}/deliveries/{delivery}/replay",
    name="replay_webhook_delivery",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Send one delivery again, with the same `webhook-id` and the same body.",
    handler=replay_delivery,
    body=Nothing,
    query=Nothing,
    path=DeliveryPath,
    reply=DeliveryView,
    scope="webhooks:manage",
    status=202,
    problems=(EndpointPaused, NotFound, Forbidden),
)
REPLAY_SINCE = Route(
    "POST",
    "/v1/webhook-endpoints/{id}/replay",
    name="replay_webhooks",
    permission=may.USE_WEBHOOKS,
    tag="webhooks",
    does="Send again what has failed since an instant, the oldest first.",
    more=f"At most {MAX_REPLAYED} at a time.",
    handler=replay_since,
    body=ReplayRequest,
    query=Nothing,
    path=EndpointPath,
    reply=Replayed,
    scope="webhooks:manage",
    status=202,
    problems=(EndpointPaused, NotFound, Forbidden),
)
WEBHOOK_SAMPLES = Route(
    "GET",
    "/v1/webhook-samples/{link}",
    name="webhook_samples",
    permission=may.PUBLIC,
    tag="webhooks",
    does="The samples of a workout that has too many for a webhook, in pages.",
    more="Its address is `samples_path` in the event. It needs no token, and is good for 31 days while the endpoint has the scope.",
    handler=webhook_samples,
    body=Nothing,
    query=SamplesQuery,
    path=LinkPath,
    reply=SamplePage,
    auth="none",
    problems=(NotFound,),
)
