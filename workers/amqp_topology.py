"""What lies on the broker, and what a message looks like.

Facts go to one topic exchange with their type as routing key. Each queue Q has four kinds of quorum queue:

    paceline.Q.v1             work; bound to the types it wants
    paceline.Q.alone.v1       messages whose worker has died under them, to be handled away from others
    paceline.Q.retry.5000.v1  one per rung: holds a message for that many ms, then dead-letters it back to work
    paceline.Q.parked.v1      given up, with the reason in a header; no consumer, a person replays

A queue that is ordered has two: it retries in place, and fetches one message at a time anyway.

    paceline.Q.ordered.v1     work; one consumer at a time, however many have subscribed
    paceline.Q.parked.v1

Arguments of a queue can never be changed, so its name carries a version and, for a rung, its delay. Whoever changes an
argument here raises `VERSION` and lets the old queues run empty. `declare` tells a queue that lies there with other arguments
from every other fault (`ForeignQueue`), because no waiting will mend it.

The arguments, and where versions of the broker differ:

- `x-queue-type: quorum` from 3.8; `x-message-ttl` on it from 3.10, which is why that is the oldest broker here.
- `x-dead-letter-strategy: at-least-once` needs `x-overflow: reject-publish` and the feature flag `stream_queue`, which every new
  3.10 has and which 4.x cannot do without. Without the strategy a message on its way between two queues may be lost.
- `x-delivery-limit` is stated although our own `x-attempt` header decides: it only catches a message that kills its worker
  before it can answer, and dead-letters it. Unstated it would be none up to 3.13 and 20 from 4.0 on, which from then on also
  drops what has no dead-letter exchange. Up to 4.2 every return counts; from 4.3 a `nack` with requeue does not.
- `x-single-active-consumer` from 3.8: the broker picks one of the subscribed consumers, and the next when that one is gone.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, HeadersType
from pamqp.common import FieldTable

from services.kernel import facts
from services.kernel.clock import to_wall_ms, utc
from services.kernel.facts import Envelope
from workers.bus import BODY_LENGTH, UNREADABLE, Parked, Queue
from workers.retry import Ladder

VERSION: Final = "v1"
EXCHANGE: Final = f"paceline.facts.{VERSION}"
DELIVERY_LIMIT: Final = 20
"""Deliveries from a work queue without an answer. Only in an ordered queue a message gets there, see `SUSPECT_AFTER`; one that is
put back politely every `HELD_S` while the database is away is parked after 6.7 hours."""
SUSPECT_AFTER: Final = 2
"""Deliveries without an answer after which a message is moved to the queue `alone`. One may be a lost connection."""
ALONE_LIMIT: Final = 4
"""Further deliveries from there after the first; then the broker parks it."""
PARKING_LIMIT: Final = 1_000_000
"""The same for parked messages: looking at them counts as a delivery, and must never lose them."""
ATTEMPT: Final = "x-attempt"
REASON: Final = "x-reason"
TRACEPARENT: Final = "traceparent"
"""For tools that look at messages; we read it from the envelope."""
PARKED_MS: Final = "x-parked-ms"


class ForeignQueue(Exception):  # noqa: N818 - it says what lies on the broker
    """A queue of this name lies on the broker with other arguments than this program gives it."""

    def __init__(self, queue: Queue, name: str, cause: Exception) -> None:
        super().__init__(
            f"{name} lies on the broker with other arguments than this program gives it: {cause}. If an older or newer Paceline "
            "still uses it, stop that one. Else let it run empty and delete it (rabbitmqctl delete_queue); it is made anew at once"
        )
        self.queue: Final = queue


class LossyQueueError(Exception):
    """A row of the topology could lose messages; the message says which argument it lacks."""


def work_queue(queue: Queue) -> str:
    """The name of the queue that handlers read."""
    return f"paceline.{queue.name}.ordered.{VERSION}" if queue.ordered else f"paceline.{queue.name}.{VERSION}"


def alone_queue(queue: Queue) -> str:
    """The name of the queue of messages whose worker has died under them."""
    return f"paceline.{queue.name}.alone.{VERSION}"


def retry_queue(queue: Queue, delay_s: float) -> str:
    """The name of the queue that holds messages for `delay_s` seconds."""
    return f"paceline.{queue.name}.retry.{round(delay_s * 1000)}.{VERSION}"


def parking_queue(queue: Queue) -> str:
    """The name of the queue of what was given up."""
    return f"paceline.{queue.name}.parked.{VERSION}"


async def declare(channel: AbstractChannel, queues: Iterable[Queue], ladder: Ladder) -> AbstractExchange:
    """Make sure that the exchange of facts and everything of these queues is there. Raises `ForeignQueue`."""
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for queue in queues:
        for name, arguments in arguments_of(queue, ladder).items():
            must_keep(name, arguments, last=name == parking_queue(queue))
            try:
                declared = await channel.declare_queue(name, durable=True, arguments=arguments)
            except aio_pika.exceptions.ChannelPreconditionFailed as cause:
                raise ForeignQueue(queue, name, cause) from cause
            if name == work_queue(queue):
                for kind in sorted(queue.types()):
                    await declared.bind(exchange, kind)
    return exchange


def arguments_of(queue: Queue, ladder: Ladder) -> dict[str, FieldTable]:
    """The broker's queues behind one queue by name, each with its arguments, in an order in which none dead-letters to
    one that is not there yet."""
    parking, work = parking_queue(queue), work_queue(queue)
    found: dict[str, FieldTable] = {
        parking: {"x-queue-type": "quorum", "x-delivery-limit": PARKING_LIMIT},
        work: {**dead_letters_to(parking), "x-delivery-limit": DELIVERY_LIMIT},
    }
    if queue.ordered:
        found[work]["x-single-active-consumer"] = True
        return found
    found[alone_queue(queue)] = {**dead_letters_to(parking), "x-delivery-limit": ALONE_LIMIT}
    for delay_s in ladder.delays_s:
        found[retry_queue(queue, delay_s)] = {**dead_letters_to(work), "x-message-ttl": round(delay_s * 1000)}
    return found


def dead_letters_to(name: str) -> FieldTable:
    """The arguments of a quorum queue that hands what it cannot keep to the queue `name`, at least once."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def must_keep(name: str, arguments: FieldTable, *, last: bool) -> None:
    """Refuse a queue that could lose a message. The `last` of a row has nobody to hand it to, and needs a delivery limit that
    nothing reaches. Raises `LossyQueueError`."""
    if last:
        needed: FieldTable = {"x-queue-type": "quorum", "x-delivery-limit": PARKING_LIMIT}
    else:
        needed = dead_letters_to(str(arguments.get("x-dead-letter-routing-key") or "another queue"))
    for argument, value in needed.items():
        if arguments.get(argument) != value:
            raise LossyQueueError(f"{name} would lose messages: its {argument} must be {value!r}")
    if not last and not ("x-delivery-limit" in arguments or "x-message-ttl" in arguments):
        raise LossyQueueError(f"{name} must state its x-delivery-limit: what unstated means differs between brokers")


def message_of(envelope: Envelope) -> aio_pika.Message:
    """An envelope as it is published: its first attempt, kept through a restart of the broker."""
    return aio_pika.Message(
        facts.encode(envelope),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(envelope.id),
        type=facts.fact_type(type(envelope.fact)),
        timestamp=utc(envelope.at_ms),
        headers={ATTEMPT: 1, **({TRACEPARENT: envelope.traceparent} if envelope.traceparent else {})},
    )


def copy_of(message: AbstractIncomingMessage, headers: HeadersType) -> aio_pika.Message:
    """The same message for another queue; headers of other people (traces) travel along, the broker's own do not."""
    kept = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    return aio_pika.Message(
        message.body,
        content_type=message.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        type=message.type,
        timestamp=message.timestamp,
        headers={**kept, **headers},
    )


def attempt_of(message: AbstractIncomingMessage) -> int:
    """Which attempt this delivery is, from 1, by our own count."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def deaths_of(message: AbstractIncomingMessage) -> int:
    """How often the broker has delivered it before and got no answer. Only ever a suspicion: versions count differently."""
    count = message.headers.get("x-delivery-count")
    return count if isinstance(count, int) else 0


def key_of(message: AbstractIncomingMessage) -> str:
    """What a person calls a message: its fact's id, as its publisher has written it, or a digest of its body."""
    return message.message_id or f"sha256-{hashlib.sha256(message.body).hexdigest()[:16]}"


def parked_of(message: AbstractIncomingMessage) -> Parked:
    """A parked message as a person sees it."""
    reason = message.headers.get(REASON)
    if not isinstance(reason, str):
        reason = (
            "delivered again and again and never answered: its worker died each time, at last with no other message"
        )
    try:
        envelope = facts.decode(message.body)
    except UNREADABLE:
        envelope = None
    body = message.body[:BODY_LENGTH].decode("utf-8", "replace")
    return Parked(key_of(message), envelope, body, attempt_of(message), reason, _parked_ms(message))


def _parked_ms(message: AbstractIncomingMessage) -> int | None:
    """When it was parked: by a worker, who says so in a header, or by the broker, which says so in its own."""
    ours = message.headers.get(PARKED_MS)
    if isinstance(ours, int):
        return ours
    deaths = message.headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    at = newest.get("time") if isinstance(newest, dict) else None
    return to_wall_ms(at) if isinstance(at, datetime) else None
