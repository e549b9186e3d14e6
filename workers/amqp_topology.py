"""What lies on the broker, and what a message looks like.

Facts go to one topic exchange with their type as routing key. Each queue Q has three kinds of quorum queue:

    paceline.Q.v1             work; bound to the types it wants
    paceline.Q.retry.5000.v1  one per rung: holds a message for that many ms, then dead-letters it back to work
    paceline.Q.parked.v1      given up, with the reason in a header; no consumer, a person replays

Arguments of a queue can never be changed, so its name carries a version and, for a rung, its delay. Whoever changes an
argument here raises `VERSION` and lets the old queues run empty.

Work and retry queues dead-letter at least once, which needs `reject-publish` as their overflow. The delivery limit is
stated although our own `x-attempt` header decides: it only catches a message that kills its worker before it can
answer, and parks it. Left unstated it would be none up to 3.13 and 20 from 4.0 on.
"""

from collections.abc import Iterable
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, HeadersType
from pamqp.common import FieldTable

from services.kernel import facts
from services.kernel.clock import utc
from services.kernel.facts import Envelope
from workers.bus import Parked, Queue
from workers.retry import Ladder

VERSION: Final = "v1"
EXCHANGE: Final = f"paceline.facts.{VERSION}"
DELIVERY_LIMIT: Final = 20
"""Deliveries without an answer. Far above `max_attempts`, because innocent neighbours of a message that kills its
worker are counted along."""
PARKING_LIMIT: Final = 1_000_000
"""The same for parked messages: looking at them counts as a delivery, and must never lose them."""
ATTEMPT: Final = "x-attempt"
REASON: Final = "x-reason"
TRACEPARENT: Final = "traceparent"
"""For tools that look at messages; we read it from the envelope."""
_BODY_LENGTH: Final = 10_000


def work_queue(queue: Queue) -> str:
    """The name of the queue that handlers read."""
    return f"paceline.{queue.name}.{VERSION}"


def retry_queue(queue: Queue, delay_s: float) -> str:
    """The name of the queue that holds messages for `delay_s` seconds."""
    return f"paceline.{queue.name}.retry.{round(delay_s * 1000)}.{VERSION}"


def parking_queue(queue: Queue) -> str:
    """The name of the queue of what was given up."""
    return f"paceline.{queue.name}.parked.{VERSION}"


async def declare(channel: AbstractChannel, queues: Iterable[Queue], ladder: Ladder) -> AbstractExchange:
    """Make sure that the exchange of facts and everything of these queues is there."""
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    for queue in queues:
        for name, arguments in arguments_of(queue, ladder).items():
            declared = await channel.declare_queue(name, durable=True, arguments=arguments)
            if name == work_queue(queue):
                for kind in sorted(queue.types()):
                    await declared.bind(exchange, kind)
    return exchange


def arguments_of(queue: Queue, ladder: Ladder) -> dict[str, FieldTable]:
    """The broker's queues behind one queue by name, each with its arguments, in an order in which none dead-letters to
    one that is not there yet."""
    found: dict[str, FieldTable] = {
        parking_queue(queue): {"x-queue-type": "quorum", "x-delivery-limit": PARKING_LIMIT},
        work_queue(queue): {**dead_letters_to(parking_queue(queue)), "x-delivery-limit": DELIVERY_LIMIT},
    }
    for delay_s in ladder.delays_s:
        found[retry_queue(queue, delay_s)] = {
            **dead_letters_to(work_queue(queue)),
            "x-message-ttl": round(delay_s * 1000),
        }
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


def parked_of(message: AbstractIncomingMessage) -> Parked:
    """A parked message as a person sees it."""
    reason = message.headers.get(REASON)
    if not isinstance(reason, str):
        reason = f"delivered {DELIVERY_LIMIT} times and never answered: its worker died each time"
    try:
        fact_id = facts.decode(message.body).id
    except msgspec.DecodeError:
        fact_id = None
    return Parked(fact_id, message.body[:_BODY_LENGTH].decode("utf-8", "replace"), attempt_of(message), reason)
