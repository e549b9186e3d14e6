"""Who may look behind the curtain: whoever knows the admin token.

There is one token per installation, long and random, so it is compared and not hashed slowly: guessing is hopeless, and a slow
hash would only be a lever for whoever sends many. Both sides of a comparison go through a keyed hash first, so that how long
it takes says neither where the difference is nor how long the token is.

A *pass* stands for the token where the token must not be kept: the Socket.IO Admin UI stores one in the browser to come back
with. It is a date and a signature made with the token, so there is no list of them to keep; it holds on every node with the same
token, survives a restart, and ends a day later or when the token changes.
"""

import hmac
import re
from typing import Final

from services.kernel.clock import Clock

PASS_S: Final = 24 * 3_600
"""How long a pass is good: a working day at a dashboard, chosen by feeling."""

_PASS: Final = re.compile(r"([0-9]{1,15})\.([0-9a-f]{64})")


class AdminToken:
    """The token of this installation. `secret` at least 24 characters; raises ValueError for a shorter one."""

    MIN_LENGTH: Final = 24

    def __init__(self, secret: str, clock: Clock) -> None:
        if len(secret) < self.MIN_LENGTH:
            raise ValueError(f"an admin token has at least {self.MIN_LENGTH} characters")
        self._key: Final = secret.encode()
        self._clock: Final = clock

    def __repr__(self) -> str:
        return "AdminToken(***)"

    def admits(self, given: str) -> bool:
        """Whether `given` is the token."""
        return hmac.compare_digest(self._signed(given.encode("utf-8", "replace")), self._signed(self._key))

    def new_pass(self) -> str:
        """A pass that is good from now on for `PASS_S`."""
        until = str(self._clock.wall_ms() // 1_000 + PASS_S)
        return f"{until}.{self._signature(until)}"

    def admits_pass(self, given: str) -> bool:
        """Whether `given` is a pass that was made with this token and is still good."""
        parts = _PASS.fullmatch(given)
        if parts is None:
            return False
        until, signature = parts.groups()
        if not hmac.compare_digest(signature, self._signature(until)):
            return False
        return int(until) * 1_000 > self._clock.wall_ms()

    def _signature(self, until: str) -> str:
        return self._signed(b"pass until " + until.encode()).hex()

    def _signed(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")
