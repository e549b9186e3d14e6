"""What a provider for tests does wrong, on order."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "hang",
    "hang_up",
    "cut",
    "slow_down",
    "broken",
    "away",
    "dead",
    "refused",
    # of HTTP/2 alone
    "goaway",
    "refuse_stream",
    "reset_stream",
    # of mail alone
    "hang_up_early",
    "busy_recipient",
    # of providers with tokens alone
    "expired_token",
    "bad_token",
]


@dataclass(frozen=True)
class Fault:
    """One fault. `retry_after`: the header that goes with it; `code`: the protocol's own word in place of the usual one;
    `status`: likewise."""

    kind: Kind
    retry_after: str | None = None
    code: str = ""
    status: int = 0


@dataclass
class Faults:
    """The next messages meet what was ordered by `next`, one each; the others meet `always`."""

    always: Fault | None = None
    _ordered: deque[Fault | None] = field(default_factory=deque)

    def next(self, *faults: Fault | None) -> None:
        """Order faults; None is a message that is well."""
        self._ordered.extend(faults)

    @property
    def left(self) -> int:
        """How many of those that were ordered by `next` nobody has met yet."""
        return len(self._ordered)

    def meet(self) -> Fault | None:
        """What the message that has come now meets."""
        return self._ordered.popleft() if self._ordered else self.always

    def forget(self) -> None:
        """From now on all is well."""
        self._ordered.clear()
        self.always = None
