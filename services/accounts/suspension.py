"""An account that may not be used: since when, until when, and why. Pure.

Suspended, nobody gets in: no log-in opens, and every login there was has ended. Nothing of the account is lost; when the suspension
has run out or was lifted, its owner logs in as before. The reason is said to them, so it is written for them.
"""

from typing import Annotated

import msgspec

from services.kernel.ids import AccountId, SuspensionId
from services.kernel.problems import AccountSuspended, BadShape

Reason = Annotated[
    str, msgspec.Meta(min_length=3, max_length=200, description="why; the person concerned reads it, and it is kept")
]


class Suspension(msgspec.Struct, frozen=True):
    """One suspension. It holds from `from_ms` on and before `until_ms` (None: until it is lifted). Instants in ms since 1970."""

    id: SuspensionId
    account_id: AccountId
    reason: str
    from_ms: int
    until_ms: int | None = None
    lifted_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it keeps the account shut now."""
        return self.lifted_ms is None and (self.until_ms is None or now_ms < self.until_ms)


class SuspensionView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A suspension that holds; without `until_ms` until somebody lifts it."""

    reason: str
    from_ms: int
    until_ms: int | None = None


def check_until(until_ms: int | None, now_ms: int) -> None:
    """Raise `BadShape` for a suspension that would be over before it begins."""
    if until_ms is not None and until_ms <= now_ms:
        raise BadShape("it would end before it begins", path="$.until_ms")


def require_open(suspension: Suspension | None, now_ms: int) -> None:
    """Raise `AccountSuspended`, with the reason, while the account is shut."""
    if suspension is not None and suspension.holds(now_ms):
        raise AccountSuspended(
            f"this account is suspended: {suspension.reason}",
            until_ms=suspension.until_ms,
            reason=suspension.reason,
        )


def view_of(suspension: Suspension | None, now_ms: int) -> SuspensionView | None:
    """How an account stands now; None when it may be used."""
    if suspension is None or not suspension.holds(now_ms):
        return None
    return SuspensionView(suspension.reason, suspension.from_ms, suspension.until_ms)
