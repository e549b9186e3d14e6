"""Step-up: a login proves itself anew before a sensitive act. Pure.

A phone that lies open on a bench is logged in, and so is a browser that somebody else's script runs in. What would give the
account away for good (its password, its number, its factors, its data, its end) is therefore asked of a login that has proven
itself in the last `FRESH_MS`: it was opened then, or its owner has proven it since (`step_ups.py`). The moment stands in the access
token, so asking costs nothing.
"""

from datetime import datetime
from typing import Final

from services.kernel.caller import Caller
from services.kernel.clock import to_wall_ms
from services.kernel.problems import StepUpNeeded

FRESH_MS: Final = 10 * 60_000
"""Chosen by feeling: long enough to find one's way through a page of settings."""


def fresh_ms(at: datetime | None, now_ms: int) -> int | None:
    """`at` in wall ms, None when it is too long ago to matter."""
    if at is None:
        return None
    at_ms = to_wall_ms(at)
    return at_ms if is_fresh(at_ms, now_ms) else None


def is_fresh(at_ms: int | None, now_ms: int) -> bool:
    """Whether a proof at `at_ms` still counts at `now_ms`."""
    return at_ms is not None and now_ms - at_ms < FRESH_MS


def require_fresh(caller: Caller, now_ms: int, *, second_factor: bool = False) -> None:
    """Raise StepUpNeeded unless the caller has proven itself in the last `FRESH_MS`; `second_factor`: with a second factor."""
    if not is_fresh(caller.second_factor_at_ms if second_factor else caller.fresh_at_ms, now_ms):
        raise StepUpNeeded(
            "this needs a second factor that was shown just now: POST /v1/me/step-up, and use the access token it gives you"
            if second_factor
            else None,
            step_up="/v1/me/step-up",
            fresh_for_s=FRESH_MS // 1_000,
        )
