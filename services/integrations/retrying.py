"""When a webhook that was not taken is sent again. Pure: chance is an argument.

Ten attempts over a little more than three days, by the table that Standard Webhooks recommends: at first after seconds,
because most failures are blips and deployments; in the end after a day, because the rest are weekends. Each delay is
lengthened by up to a fifth, so that what failed together does not come back together.

A receiver that says when it wants to be asked again (Retry-After) is asked then, not before, within `LONGEST_WISH_S`.
"""

from email.utils import parsedate_to_datetime
from typing import Final

DELAYS_S: Final = (5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600)
"""Seconds after the first, second, … failed attempt."""
ATTEMPTS: Final = len(DELAYS_S) + 1
JITTER: Final = 0.2
"""The share by which a delay is lengthened at most."""
LONGEST_WISH_S: Final = 3_600.0
"""The longest Retry-After that is granted. Chosen: who wants more than an hour wants to be left alone."""


def delay_s(attempt: int, luck: float, wish_s: float | None = None) -> float | None:
    """Seconds until the next attempt after number `attempt` (from 1) has failed; None when that was the last one.

    `luck` is a random number from 0 to 1; `wish_s` is what the receiver asked for.
    """
    if attempt >= ATTEMPTS:
        return None
    planned = DELAYS_S[attempt - 1]
    wished = 0.0 if wish_s is None else min(wish_s, LONGEST_WISH_S)
    return max(planned, wished) * (1 + JITTER * luck)


def wish_of(retry_after: str | None, now_s: float) -> float | None:
    """What a Retry-After header asks for, in seconds from `now_s` (since 1970); None for no header and for nonsense."""
    if retry_after is None or len(retry_after) > 40:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - now_s, 0.0)
    except (ValueError, OverflowError):
        return None
