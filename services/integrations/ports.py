"""What webhooks need from the world: stores inside a transaction, and a judge of addresses.

`persistence.stores.Stores` fulfils the stores. Times are aware datetimes in UTC at this border.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.accounts.account import Account
from services.classes.live_class import LiveClass
from services.integrations.delivery import Attempt, Delivery, DeliveryState, NewDelivery, Turn
from services.integrations.endpoint import Endpoint, Standing
from services.kernel.facts import AnyFact
from services.kernel.ids import AccountId, ClassId, FactId, WebhookDeliveryId, WebhookEndpointId, WorkoutId
from services.training.sample import Sample
from services.training.workouts import Workout

JudgeUrl = Callable[[str], str]
"""The host that a URL leads to. Raises `UrlRefused` for an address that will never be called."""


class EndpointStore(Protocol):
    """Endpoints and their secrets (persistence/webhooks.py)."""

    async def add(self, endpoint: Endpoint, host: str) -> None: ...
    async def by_id(self, endpoint_id: WebhookEndpointId) -> Endpoint | None: ...

    async def lock(self, endpoint_id: WebhookEndpointId) -> Endpoint | None:
        """The endpoint, locked against other changes until the transaction ends."""
        ...

    async def of_account(self, account_id: AccountId) -> list[Endpoint]:
        """Somebody's endpoints, the oldest first."""
        ...

    async def wanting(self, account_id: AccountId, event: str) -> list[Endpoint]:
        """Somebody's endpoints that want an event, in an order that all transactions share."""
        ...

    async def change(self, endpoint: Endpoint, host: str) -> None:
        """Store URL, events, scopes and description."""
        ...

    async def remove(self, endpoint_id: WebhookEndpointId, at: datetime) -> None:
        """The endpoint is gone for everybody, with its secrets and deliveries."""
        ...

    async def resume(self, endpoint_id: WebhookEndpointId, now: datetime) -> None:
        """As new: active, nothing held against it, its turn is now if anything waits."""
        ...

    async def add_secret(self, endpoint_id: WebhookEndpointId, sealed: bytes, at: datetime) -> None: ...

    async def retire_secrets(self, endpoint_id: WebhookEndpointId, not_after: datetime) -> None:
        """The newest secret is good until `not_after` only; older ones are forgotten."""
        ...


class DeliveryStore(Protocol):
    """Deliveries and their attempts (persistence/webhook_deliveries.py)."""

    async def add(self, delivery: NewDelivery, now: datetime) -> bool:
        """Store a delivery that is due now; False when the endpoint has been told of this before."""
        ...

    async def of_endpoint(
        self,
        endpoint_id: WebhookEndpointId,
        *,
        before: WebhookDeliveryId | None,
        state: DeliveryState | None,
        limit: int,
    ) -> list[Delivery]:
        """The endpoint's deliveries, newest first, from the one after `before` on."""
        ...

    async def by_id(self, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Delivery | None: ...
    async def body(self, delivery_id: WebhookDeliveryId) -> bytes: ...
    async def attempts(self, delivery_id: WebhookDeliveryId) -> list[Attempt]: ...

    async def replay(self, delivery_id: WebhookDeliveryId, now: datetime) -> None:
        """Make it pending and due now, with all its attempts."""
        ...

    async def replay_failed(self, endpoint_id: WebhookEndpointId, since: datetime, now: datetime, limit: int) -> int:
        """The same for up to `limit` failed ones made at `since` or later, the oldest first; how many."""
        ...

    async def made_since(self, endpoint_id: WebhookEndpointId, event: str, since: datetime) -> int:
        """How many deliveries of an event were made since an instant."""
        ...

    async def holds(self, turn: Turn) -> Endpoint | None:
        """The endpoint, locked, while this turn is its last one; None when it was taken away or deleted."""
        ...

    async def end_turn(
        self,
        turn: Turn,
        standing: Standing,
        *,
        state: DeliveryState,
        due_at: datetime | None,
        finished_at: datetime | None,
        status: int | None,
        rest_until: datetime,
    ) -> None:
        """Write down what became of the delivery, and when the endpoint's next turn is: not before `rest_until`, and never
        while it is paused."""
        ...

    async def note(self, delivery_id: WebhookDeliveryId, attempt: Attempt) -> None:
        """Keep an attempt, and forget the oldest when there are too many."""
        ...


class AccountStore(Protocol):
    """Accounts, as far as a limit per account needs them."""

    async def locked(self, account_id: AccountId) -> Account | None: ...


class WorkoutStore(Protocol):
    """Workouts and their samples, for reading."""

    async def by_id(self, workout_id: WorkoutId) -> Workout | None: ...
    async def samples(self, workout_id: WorkoutId, from_seq: int, limit: int) -> list[Sample]: ...


class ClassStore(Protocol):
    """Classes and their tables, for reading."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def summary(self, class_id: ClassId) -> str | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class WebhookStores(Protocol):
    """The stores of one open transaction."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def webhooks(self) -> EndpointStore: ...
    @property
    def webhook_deliveries(self) -> DeliveryStore: ...
    @property
    def workouts(self) -> WorkoutStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class WebhookTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[WebhookStores]: ...
