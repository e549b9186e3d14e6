"""An endpoint, and its life: active, failing, paused. Pure: no clock, no store.

Every call says how the endpoint is. One that takes a call is active. One that does not is failing, since the first of
the calls in a row that it did not take; it goes on being called, but rarely (`rest_s`), so that a dead server costs next
to nothing. One that has failed for `DEAD_AFTER_MS` and `DEAD_AFTER_FAILURES` times is dead, and is paused: its owner
is told, and nothing is sent until the owner resumes it. Both conditions, because a quiet endpoint must not be given up
after one bad call, nor a busy one after a bad minute.

410 Gone is a receiver's own way of saying that it wants no more; it pauses at once. 429 Too Many Requests is a sign of
life: the call was not taken, and nothing is held against the endpoint.
"""

from typing import Final, Literal

import msgspec

from services.integrations.retrying import LONGEST_WISH_S
from services.kernel.ids import AccountId, WebhookEndpointId

DEAD_AFTER_MS: Final = 3 * 24 * 3_600_000
DEAD_AFTER_FAILURES: Final = 10
"""In a row. As many as one delivery has attempts: an endpoint that gets one event and never takes it is dead with it."""
LONGEST_REST_S: Final = 300.0

State = Literal["active", "failing", "paused"]
PauseReason = Literal["dead", "gone"]
"""It failed for days, or it said 410 Gone."""
Scope = Literal["samples", "names"]
"""What an endpoint is told besides: the samples of a workout, the names of other people on a table."""
Verdict = Literal["taken", "busy", "failed", "gone"]
"""What a call says of the endpoint: 2xx, 429, 410, and everything else."""


class Standing(msgspec.Struct, frozen=True):
    """How an endpoint is. `failures` in a row, the first of them at `failing_since_ms` (wall ms)."""

    state: State = "active"
    failures: int = 0
    failing_since_ms: int | None = None
    paused_reason: PauseReason | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """An address that is told about its owner's events. `events` are names of `events.EVENTS`; `created_at_ms` wall ms."""

    id: WebhookEndpointId
    account_id: AccountId
    url: str
    events: tuple[str, ...]
    scopes: tuple[Scope, ...]
    description: str
    created_at_ms: int
    standing: Standing = Standing()


def verdict_of(status: int | None) -> Verdict:
    """What the status of an answer says; None for no answer at all. Redirects are not followed, so they are failures."""
    if status is None:
        return "failed"
    if 200 <= status < 300:
        return "taken"
    if status == 429:
        return "busy"
    return "gone" if status == 410 else "failed"


def after(standing: Standing, verdict: Verdict, now_ms: int) -> Standing:
    """How the endpoint is after a call that ended like this. One that was paused meanwhile stays so."""
    if standing.state == "paused":
        return standing
    if verdict == "taken":
        return Standing()
    if verdict == "busy":
        return standing
    since_ms = now_ms if standing.failing_since_ms is None else standing.failing_since_ms
    failures = standing.failures + 1
    if verdict == "gone":
        return Standing("paused", failures, since_ms, "gone")
    if failures >= DEAD_AFTER_FAILURES and now_ms - since_ms >= DEAD_AFTER_MS:
        return Standing("paused", failures, since_ms, "dead")
    return Standing("failing", failures, since_ms)


def rest_s(standing: Standing, verdict: Verdict, wish_s: float | None) -> float:
    """How long the endpoint is left alone after such a call, whatever else waits for it.

    It doubles with every failure in a row, from half a second to `LONGEST_REST_S`; at least what the receiver wished.
    """
    if verdict == "taken":
        return 0.0
    own = min(0.5 * 2.0 ** min(standing.failures, 20), LONGEST_REST_S)
    return max(own, min(wish_s or 0.0, LONGEST_WISH_S))
