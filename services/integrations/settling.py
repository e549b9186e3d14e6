"""What one call changes: the delivery, its endpoint, and when both come again."""

from dataclasses import dataclass
from datetime import timedelta

from services.integrations.delivery import MAX_DETAIL, Attempt, DeliveryState, Result, Turn
from services.integrations.endpoint import Verdict, after, rest_s, verdict_of
from services.integrations.ports import WebhookStores
from services.integrations.retrying import delay_s
from services.kernel.clock import utc
from services.kernel.facts import WebhookPaused


@dataclass(frozen=True)
class Called:
    """How a call ended. `began_ms`, `ended_ms` wall ms; `detail` the beginning of the answer or why there is none;
    `wish_s` what a Retry-After asked for."""

    result: Result
    status: int | None
    detail: str
    began_ms: int
    ended_ms: int
    wish_s: float | None = None


@dataclass(frozen=True)
class Settled:
    """What became of a delivery, and whether its endpoint was paused for it."""

    state: DeliveryState
    paused: bool


async def settle(stores: WebhookStores, turn: Turn, called: Called, luck: float) -> Settled | None:
    """Write down the end of a call, in the caller's transaction; tell the owner when the endpoint was paused.

    None when the endpoint is gone, or another worker took its turn because this one was away for too long: the call has
    happened, and whoever took the turn repeats it under the same id. `luck` is a random number from 0 to 1.
    """
    endpoint = await stores.webhook_deliveries.holds(turn)
    if endpoint is None:
        return None
    now_ms = called.ended_ms
    verdict = verdict_of(called.status)
    standing = after(endpoint.standing, verdict, now_ms)
    paused = standing.state == "paused" and endpoint.standing.state != "paused"
    state, wait_s = _next(turn, verdict, called.wish_s, luck)
    await stores.webhook_deliveries.note(
        turn.delivery_id,
        Attempt(
            turn.call,
            called.began_ms,
            now_ms - called.began_ms,
            called.result,
            called.status,
            called.detail[:MAX_DETAIL],
        ),
    )
    await stores.webhook_deliveries.end_turn(
        turn,
        standing,
        state=state,
        due_at=None if wait_s is None else utc(now_ms) + timedelta(seconds=wait_s),
        finished_at=utc(now_ms) if wait_s is None else None,
        status=called.status,
        rest_until=utc(now_ms) + timedelta(seconds=rest_s(standing, verdict, called.wish_s)),
    )
    if paused and standing.paused_reason is not None:
        told = WebhookPaused(account_id=endpoint.account_id, endpoint_id=endpoint.id, reason=standing.paused_reason)
        await stores.outbox.add(told, endpoint.id)
    return Settled(state, paused)


def _next(turn: Turn, verdict: Verdict, wish_s: float | None, luck: float) -> tuple[DeliveryState, float | None]:
    """The delivery's state, and the seconds until its next attempt."""
    if verdict == "taken":
        return "delivered", None
    wait_s = delay_s(turn.attempt, luck, wish_s)
    return ("failed", None) if wait_s is None else ("pending", wait_s)
