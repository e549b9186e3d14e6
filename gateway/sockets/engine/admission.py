"""Who is let in: one decision for every way in, made before a handshake is answered.

A node refuses newcomers rather than let those suffer who are there already. Reasons that concern the whole node are answered
with 503, a reason that concerns one address with 429, both with a time to come again that is drawn from a range: a thousand
clients that are sent away together do not return together. Official clients take either for a failed attempt and back off.

**Descriptors.** Every socket is one, and so is every connection to Postgres and Redis; when they are used up, `accept` fails and
so does everything else. The kernel gives a new descriptor the lowest free number, so the number of a connection that was just
accepted says how many are in use, without counting. From `reserve` below the limit on no sockets are let in (503, and HTTP
still works); in the upper half of the reserve a connection is closed when it is accepted, whatever it wants. So accepting
goes on, nothing spins, and the databases have what was kept for them. What comes in one batch from the kernel may go beyond
for the length of that batch.

**Addresses** are counted only where there is a bound, and never those of our own proxies: one that does not say for whom it
speaks would be everybody.
"""

import random
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.proxies import TrustedProxies, household
from realtime.limits import TokenBucket

MAX_LINKS: Final = 100_000
"""Links of one process; above it newcomers are sent away for a while. Memory, not a wish: some 5 KB each."""
HANDSHAKES_PER_SECOND: Final = 2_000.0
"""New links per second, on average; a second's worth may come at once. A core manages about twice that, and the
clients that are here already want some of it."""
MAX_UNAUTHENTICATED: Final = 5_000
"""Links that have not shown a token yet. With the deadline, a flood of silent sockets is bounded in number and in time."""
RESERVED_DESCRIPTORS: Final = 64
"""Kept from sockets: two pools, logs, the event loop's own, and requests over HTTP."""

_spread: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Reason:
    """One way to be sent away: `word` for the counter, `message` for people, `come_again_s` the range of Retry-After."""

    word: str
    status: int
    message: str
    come_again_s: tuple[int, int]

    def retry_after_s(self) -> int:
        """When one client is asked to come again, seconds."""
        return _spread.randint(*self.come_again_s)


DRAINING: Final = Reason("draining", 503, "this node is stopping; another one will answer", (1, 5))
"""Behind a balancer the next attempt goes elsewhere; alone, the program is back in seconds."""
NO_DESCRIPTORS: Final = Reason("descriptors", 503, "this node has no room for another connection", (5, 30))
FULL: Final = Reason("full", 503, "this node holds as many connections as it may", (5, 30))
UNAUTHENTICATED: Final = Reason("unauthenticated", 503, "too many connections have not shown a token yet", (2, 10))
"""Those are gone after the deadline for a token."""
TOO_FAST: Final = Reason("too_fast", 503, "too many connections at once", (1, 5))
ADDRESS: Final = Reason("address", 429, "too many connections from this address", (10, 60))
"""It helps only that another connection of this address ends."""

REASONS: Final = (DRAINING, NO_DESCRIPTORS, FULL, UNAUTHENTICATED, ADDRESS, TOO_FAST)


class Admission:
    """See the module. `per_address` is the most links of one address, 0 for any number."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        max_links: int = MAX_LINKS,
        max_unauthenticated: int = MAX_UNAUTHENTICATED,
        handshakes_per_second: float = HANDSHAKES_PER_SECOND,
        per_address: int = 0,
        proxies: TrustedProxies | None = None,
        reserved_descriptors: int = RESERVED_DESCRIPTORS,
    ) -> None:
        self.draining = False
        self.max_links: Final = max_links
        self.proxies: Final = proxies or TrustedProxies()
        self._now: Final = now
        self._max_unauthenticated: Final = max_unauthenticated
        self._handshakes: Final = TokenBucket(handshakes_per_second, max(1.0, handshakes_per_second), now())
        self._per_address: Final = per_address
        self._of_address: Final[dict[str, int]] = {}
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = sys.maxsize if limit == resource.RLIM_INFINITY else limit
        reserve = min(reserved_descriptors, limit // 2)
        self._descriptors: Final = limit - reserve
        self._descriptors_at_most: Final = limit - reserve // 2

    def why_not(self, address: str, descriptor: int, *, links: int, unauthenticated: int) -> Reason | None:
        """Why a newcomer is not let in right now; None counts it as one that is.

        `descriptor` is the number of its line; `links` are open, and of them `unauthenticated`.
        """
        if self.draining:
            return DRAINING
        if descriptor >= self._descriptors:
            return NO_DESCRIPTORS
        if links >= self.max_links:
            return FULL
        if unauthenticated >= self._max_unauthenticated:
            return UNAUTHENTICATED
        if self._per_address and self._of_address.get(household(address), 0) >= self._per_address:
            return ADDRESS
        if not self._handshakes.take(self._now()):
            return TOO_FAST
        return None

    def crowded(self, descriptor: int) -> bool:
        """Whether a connection with this descriptor takes what is kept for others, whatever it wants."""
        return descriptor >= self._descriptors_at_most

    def entered(self, address: str) -> None:
        """A link of this address has opened."""
        if self._counts(address):
            key = household(address)
            self._of_address[key] = self._of_address.get(key, 0) + 1

    def left(self, address: str) -> None:
        """A link of this address is gone."""
        if not self._counts(address):
            return
        key = household(address)
        if (left := self._of_address.get(key, 0) - 1) > 0:
            self._of_address[key] = left
        else:
            self._of_address.pop(key, None)

    def _counts(self, address: str) -> bool:
        return bool(self._per_address and address) and not self.proxies.trust(address)
