"""What an owner does with webhook endpoints: make, change, test, resume, replay, look at what became of each delivery.

Only the owner sees an endpoint; for everybody else it does not exist. A secret is shown once, when it is made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.access import permission as may
from services.access.policy import require_held
from services.integrations import events
from services.integrations.delivery import Attempt, Delivery, DeliveryState, NewDelivery
from services.integrations.endpoint import Endpoint, Scope
from services.integrations.events import EVENTS
from services.integrations.links import read_link
from services.integrations.ports import JudgeUrl, WebhookStores, WebhookTransactions
from services.integrations.signing import make_secret
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import Ids, WebhookDeliveryId, WebhookEndpointId
from services.kernel.problems import EndpointPaused, NotFound, RateLimited, TooManyEndpoints
from services.kernel.sealing import Seals
from services.kernel.trace import traceparent
from services.training.sample import Sample
from services.training.workouts import MAX_SAMPLES_PAGE

MAX_ENDPOINTS: Final = 10
"""Endpoints of one account."""
OVERLAP_S: Final = 24 * 3_600
"""How long the old secret is still used beside the new one, unless its owner says otherwise."""
LONGEST_OVERLAP_S: Final = 7 * 24 * 3_600
PINGS_PER_MINUTE: Final = 6
"""Tests of one endpoint. A test calls an address that somebody has merely written down."""
MAX_PAGE: Final = 100
MAX_REPLAYED: Final = 500
"""Deliveries that one replay takes."""

_PING: Final = "test.ping"


@dataclass(frozen=True)
class Made:
    """A new endpoint, and its secret, which is not shown again."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True)
class Rotated:
    """A new secret, and until when (wall ms) calls are signed with the old one, too."""

    secret: str
    old_until_ms: int


@dataclass(frozen=True)
class Looked:
    """A delivery with its attempts, the oldest first, and its body."""

    delivery: Delivery
    attempts: tuple[Attempt, ...]
    body: bytes


class Webhooks:
    """The use cases. `judge` says which addresses can be called at all."""

    def __init__(
        self, transactions: WebhookTransactions, clock: Clock, ids: Ids, seals: Seals, judge: JudgeUrl
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._seals: Final = seals
        self._judge: Final = judge

    # -- endpoints ------------------------------------------------------------------------------------------------

    async def create(
        self, caller: Caller, url: str, wants: Iterable[str], scopes: Iterable[Scope], description: str
    ) -> Made:
        """A new endpoint. Raises `UrlRefused`, `TooManyEndpoints`, `Forbidden` for events of a role that the caller has not."""
        require_held(caller, may.USE_WEBHOOKS)
        host = self._judge(url)
        endpoint = Endpoint(
            id=WebhookEndpointId(self._ids.next()),
            account_id=caller.account_id,
            url=url,
            events=_allowed(caller, wants),
            scopes=tuple(dict.fromkeys(scopes)),
            description=description.strip(),
            created_at_ms=self._clock.wall_ms(),
        )
        secret = make_secret()
        async with self._transactions() as stores:
            # Of two requests at once, the second counts what the first has made.
            if await stores.accounts.locked(caller.account_id) is None:
                raise NotFound("there is no such account any more")
            if len(await stores.webhooks.of_account(caller.account_id)) >= MAX_ENDPOINTS:
                raise TooManyEndpoints(limit=MAX_ENDPOINTS)
            await stores.webhooks.add(endpoint, host)
            await stores.webhooks.add_secret(endpoint.id, self._sealed(endpoint.id, secret), self._now())
        return Made(endpoint, secret)

    async def of_account(self, caller: Caller) -> list[Endpoint]:
        """The caller's endpoints, the oldest first."""
        require_held(caller, may.USE_WEBHOOKS)
        async with self._transactions() as stores:
            return await stores.webhooks.of_account(caller.account_id)

    async def by_id(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Endpoint:
        """One of the caller's endpoints. Raises `NotFound`."""
        async with self._transactions() as stores:
            return await _own(stores, caller, endpoint_id)

    async def change(
        self,
        caller: Caller,
        endpoint_id: WebhookEndpointId,
        *,
        url: str | None,
        wants: Iterable[str] | None,
        scopes: Iterable[Scope] | None,
        description: str | None,
    ) -> Endpoint:
        """Change what is not None; what waits goes to the new address. Raises `NotFound`, `UrlRefused`, `Forbidden`."""
        async with self._transactions() as stores:
            found = await _own(stores, caller, endpoint_id, lock=True)
            changed = Endpoint(
                id=found.id,
                account_id=found.account_id,
                url=found.url if url is None else url,
                events=found.events if wants is None else _allowed(caller, wants),
                scopes=found.scopes if scopes is None else tuple(dict.fromkeys(scopes)),
                description=found.description if description is None else description.strip(),
                created_at_ms=found.created_at_ms,
                standing=found.standing,
            )
            await stores.webhooks.change(changed, self._judge(changed.url))
        return changed

    async def remove(self, caller: Caller, endpoint_id: WebhookEndpointId) -> None:
        """Forget an endpoint and everything about it. Raises `NotFound`."""
        async with self._transactions() as stores:
            await _own(stores, caller, endpoint_id, lock=True)
            await stores.webhooks.remove(endpoint_id, self._now())

    async def rotate(self, caller: Caller, endpoint_id: WebhookEndpointId, overlap_s: int) -> Rotated:
        """A new secret. For `overlap_s` calls carry a signature of the old one, too; 0 when the old one is known to
        others. Raises `NotFound`."""
        secret = make_secret()
        now = self._now()
        old_until = now + timedelta(seconds=overlap_s)
        async with self._transactions() as stores:
            await _own(stores, caller, endpoint_id, lock=True)
            await stores.webhooks.retire_secrets(endpoint_id, old_until)
            await stores.webhooks.add_secret(endpoint_id, self._sealed(endpoint_id, secret), now)
        return Rotated(secret, self._clock.wall_ms() + overlap_s * 1_000)

    async def resume(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Endpoint:
        """Call a paused endpoint again, with what has waited meanwhile; a failing one at once. Raises `NotFound`."""
        async with self._transactions() as stores:
            await _own(stores, caller, endpoint_id, lock=True)
            await stores.webhooks.resume(endpoint_id, self._now())
            return await _own(stores, caller, endpoint_id)

    # -- deliveries -----------------------------------------------------------------------------------------------

    async def test(self, caller: Caller, endpoint_id: WebhookEndpointId) -> Delivery:
        """Send a `test.ping`. Raises `NotFound`, `EndpointPaused`, `RateLimited`."""
        now = self._now()
        async with self._transactions() as stores:
            endpoint = await _own(stores, caller, endpoint_id, lock=True)
            if endpoint.standing.state == "paused":
                raise EndpointPaused
            minute_ago = now - timedelta(minutes=1)
            if await stores.webhook_deliveries.made_since(endpoint_id, _PING, minute_ago) >= PINGS_PER_MINUTE:
                raise RateLimited(f"an endpoint takes {PINGS_PER_MINUTE} tests a minute", retry_after_ms=60_000)
            delivery_id = WebhookDeliveryId(self._ids.next())
            body = events.encode(events.ping(endpoint_id, self._clock.wall_ms()))
            ping = NewDelivery(delivery_id, endpoint_id, _PING, str(delivery_id), body, traceparent())
            await stores.webhook_deliveries.add(ping, now)
            return await _delivery(stores, endpoint_id, delivery_id)

    async def deliveries(
        self,
        caller: Caller,
        endpoint_id: WebhookEndpointId,
        *,
        before: WebhookDeliveryId | None = None,
        state: DeliveryState | None = None,
        limit: int = MAX_PAGE,
    ) -> list[Delivery]:
        """Deliveries of an endpoint, newest first. Raises `NotFound`."""
        async with self._transactions() as stores:
            await _own(stores, caller, endpoint_id)
            return await stores.webhook_deliveries.of_endpoint(
                endpoint_id, before=before, state=state, limit=min(max(limit, 1), MAX_PAGE)
            )

    async def delivery(self, caller: Caller, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Looked:
        """One delivery with all that is known of it. Raises `NotFound`."""
        async with self._transactions() as stores:
            await _own(stores, caller, endpoint_id)
            found = await _delivery(stores, endpoint_id, delivery_id)
            attempts = await stores.webhook_deliveries.attempts(delivery_id)
            return Looked(found, tuple(attempts), await stores.webhook_deliveries.body(delivery_id))

    async def replay(self, caller: Caller, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Delivery:
        """Send a delivery again, whatever became of it: the same id and the same body, with all attempts.
        Raises `NotFound`, `EndpointPaused`."""
        async with self._transactions() as stores:
            await _awake(stores, caller, endpoint_id)
            await _delivery(stores, endpoint_id, delivery_id)
            await stores.webhook_deliveries.replay(delivery_id, self._now())
            return await _delivery(stores, endpoint_id, delivery_id)

    async def replay_since(self, caller: Caller, endpoint_id: WebhookEndpointId, since: datetime) -> int:
        """Send what has failed since an instant again, the oldest first, at most `MAX_REPLAYED`; how many they are.
        Raises `NotFound`, `EndpointPaused`."""
        async with self._transactions() as stores:
            await _awake(stores, caller, endpoint_id)
            return await stores.webhook_deliveries.replay_failed(endpoint_id, since, self._now(), MAX_REPLAYED)

    async def samples(self, link: str, from_seq: int, limit: int) -> tuple[Sample, ...]:
        """A page of the samples that a link from a webhook leads to. Raises `NotFound` when it is none of ours, has ended, or
        its endpoint may not have them any more."""
        said = read_link(self._seals, link, self._clock.wall_ms())
        gone = NotFound("this link is wrong, has ended, or its endpoint may not have the samples any more")
        if said is None:
            raise gone
        async with self._transactions() as stores:
            endpoint = await stores.webhooks.by_id(said.endpoint_id)
            workout = await stores.workouts.by_id(said.workout_id)
            if endpoint is None or workout is None or "samples" not in endpoint.scopes:
                raise gone
            if endpoint.account_id != workout.account_id:
                raise gone
            most = min(max(limit, 1), MAX_SAMPLES_PAGE)
            return tuple(await stores.workouts.samples(workout.id, max(from_seq, 0), most))

    def _sealed(self, endpoint_id: WebhookEndpointId, secret: str) -> bytes:
        return self._seals.seal(secret, endpoint_id.bytes)

    def _now(self) -> datetime:
        return utc(self._clock.wall_ms())


def _allowed(caller: Caller, wants: Iterable[str]) -> tuple[str, ...]:
    """The events in the order of the table. Raises `Forbidden` for one that needs another role."""
    wanted = frozenset(wants)
    rows = [row for row in EVENTS if row.name in wanted]
    for row in rows:
        if row.role is not None:
            caller.require(row.role)
    return tuple(row.name for row in rows)


async def _own(
    stores: WebhookStores, caller: Caller, endpoint_id: WebhookEndpointId, *, lock: bool = False
) -> Endpoint:
    require_held(caller, may.USE_WEBHOOKS)
    endpoint = await (stores.webhooks.lock(endpoint_id) if lock else stores.webhooks.by_id(endpoint_id))
    if endpoint is None or endpoint.account_id != caller.account_id:
        raise NotFound("you have no webhook endpoint with this id")
    return endpoint


async def _awake(stores: WebhookStores, caller: Caller, endpoint_id: WebhookEndpointId) -> None:
    endpoint = await _own(stores, caller, endpoint_id, lock=True)
    if endpoint.standing.state == "paused":
        raise EndpointPaused


async def _delivery(stores: WebhookStores, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Delivery:
    delivery = await stores.webhook_deliveries.by_id(endpoint_id, delivery_id)
    if delivery is None:
        raise NotFound("this endpoint has no delivery with this id; they are kept for thirty days")
    return delivery
