"""A delivery: one event on its way to one endpoint, and what became of it. Pure values.

It is made once, with its body, in the transaction that handles the fact, and keeps both its id (the receiver's
`webhook-id`) and its body through every attempt and every replay: that is what lets a receiver recognise what it has had.
"""

from typing import Final, Literal

import msgspec

from services.kernel.ids import WebhookDeliveryId, WebhookEndpointId

KEPT_DAYS: Final = 30
"""How long a delivery can be looked at and replayed."""
MAX_WAITING: Final = 10_000
"""Deliveries that may wait for one endpoint. Full means: the next one is recorded as failed at once, and can be replayed.
Chosen: a hundred a day for as long as they are kept, three times over."""
MAX_ATTEMPTS_KEPT: Final = 30
"""Attempts of one delivery that are kept, the newest."""
MAX_DETAIL: Final = 1_000
"""Characters of an answer that are kept."""

DeliveryState = Literal["pending", "delivered", "failed"]
Result = Literal["answered", "blocked", "not_reached", "unanswered"]
"""How a call ended: with a status; refused by us, because the address must not be called; without a connection; with a
connection and without an answer, so it may have arrived."""


class NewDelivery(msgspec.Struct, frozen=True):
    """A delivery to be made. `subject` is what the event is about: one endpoint is told of one subject once per event.
    `traceparent` is where this was decided (services/kernel/trace.py), empty for nowhere."""

    id: WebhookDeliveryId
    endpoint_id: WebhookEndpointId
    event: str
    subject: str
    body: bytes
    traceparent: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """A delivery as stored, without its body. `attempts` begun since it was made or last replayed; `due_at_ms` when the
    next one is due, None when none is; `last_status` of the last answer, None for none. Times are wall ms."""

    id: WebhookDeliveryId
    endpoint_id: WebhookEndpointId
    event: str
    subject: str
    state: DeliveryState
    attempts: int
    created_at_ms: int
    due_at_ms: int | None
    finished_at_ms: int | None
    last_status: int | None


class Attempt(msgspec.Struct, frozen=True):
    """One call. `n` counts over all of the delivery's life; `detail` is the beginning of the answer, or why there was none."""

    n: int
    at_ms: int
    took_ms: int
    result: Result
    status: int | None
    detail: str


class Turn(msgspec.Struct, frozen=True):
    """An endpoint whose turn it is, with the delivery that is to be made now. `number` is the fence: a later turn of the same
    endpoint has a higher one. `attempt` counts from 1, `call` over the delivery's whole life. `sealed` are its live secrets,
    the newest first."""

    endpoint_id: WebhookEndpointId
    number: int
    url: str
    host: str
    failing: bool
    delivery_id: WebhookDeliveryId
    attempt: int
    call: int
    body: bytes
    sealed: tuple[bytes, ...]
    traceparent: str
