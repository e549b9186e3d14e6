"""What an installation asks of whoever leads a class before it shows them hearts, beyond being a coach: an entitlement, or
nothing. Pure.

It is asked of who looks, and decides about nothing else: without it a class is led as before, and its board is for everybody. What
is granted or withdrawn holds for the next look, in a class that goes on, too: it is no place that somebody has, as an
athlete's is (services/accounts/entitlement.py), but what they are shown from moment to moment.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from services.accounts.entitlement import Entitlement, Lack, lack_of


class CoachPlan(msgspec.Struct, frozen=True):
    """`needs`: the entitlement that is asked for, None for nothing. `lacks`: why somebody does not have it, None when they do;
    "unknown" until it was looked up."""

    needs: str | None = None
    lacks: Lack | Literal["unknown"] | None = None

    @property
    def holds(self) -> bool:
        """Whether what is asked for is there."""
        return self.needs is None or self.lacks is None


NOTHING_NEEDED: Final = CoachPlan()


def plan_of(needs: str | None, granted: Iterable[Entitlement], now_ms: int) -> CoachPlan:
    """How it stands with somebody who was granted this."""
    return NOTHING_NEEDED if needs is None else CoachPlan(needs, lack_of(needs, granted, now_ms))
