"""Which access tokens are refused though their time is not over: those of logins that have ended, a small set on every node.

An access token is believed by its signature alone, so nobody asks the database about it. What has ended in the last while is
remembered here instead: fed by what other nodes say, and by reading the table of logins every few seconds
(gateway/sockets/revocation.py). A token dies of age, so an ended login is forgotten once the last token that it can have had is
dead; the set holds what ended in one token's lifetime, some hundred bytes each, and a person can end no more logins than the limits
let them open.

Asking costs one look into a set.
"""

from collections.abc import Callable, Iterable
from typing import Final

from services.accounts.tokens import ACCESS_TTL_S
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import LoginId
from services.kernel.problems import NotAuthenticated

SPARE_S: Final = 60
"""Longer than any token lives: for clocks that do not agree, and a token that was being signed while its login ended."""


class Revoked:
    """See the module. `ttl_s`: how long an access token of this installation lives."""

    def __init__(self, clock: Clock, *, ttl_s: int = ACCESS_TTL_S) -> None:
        self.keep_s: Final = ttl_s + SPARE_S
        self._clock: Final = clock
        self._until: Final[dict[LoginId, float]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def note(self, logins: Iterable[LoginId]) -> list[LoginId]:
        """These have ended; which of them are news."""
        until = self._clock.monotonic() + self.keep_s
        news = [login_id for login_id in logins if login_id not in self._until]
        self._until.update((login_id, until) for login_id in news)
        return news

    def forget(self) -> None:
        """Let go of those whose last token has died of age. The oldest come first, so this looks at no more than it drops."""
        now = self._clock.monotonic()
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now:
                return
            del self._until[oldest]

    def require(self, caller: Caller) -> None:
        """Raise `NotAuthenticated` for the token of a login that has ended."""
        if caller.login_id in self._until:
            raise NotAuthenticated("this login has ended: log in again")

    def guarding(self, identify: Callable[[str], Caller]) -> Callable[[str], Caller]:
        """`identify`, which now refuses such tokens, too."""

        def guarded(token: str) -> Caller:
            caller = identify(token)
            self.require(caller)
            return caller

        return guarded
