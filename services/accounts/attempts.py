"""How often somebody may try: guessing passwords, registering, guessing the join codes of classes.

Four kinds of bucket (services/limits/table.py), counted over all nodes:

- one per **address** the attempts come from, for everything together;
- one per **e-mail** for failed passwords from anywhere;
- one per **account** for second factors, of which authenticator apps have a stricter one in the database (`totp.py`);
- one per **e-mail and address** where that account has logged in before. It replaces the e-mail's own, so a
  stranger who empties the bucket of somebody's e-mail does not lock the owner out of their own phone.

Attempts without an address (from this machine itself: a proxy on the same host, a demo, a test) are counted per e-mail
alone, because a proxy's address stands for everybody behind it.

All are counted before a password is hashed, which is what costs. While the place where all nodes count does not answer, each
node counts by itself.
"""

import ipaddress
from typing import Final

import msgspec

from services.kernel.problems import TooManyAttempts
from services.limits.limit import Limit
from services.limits.limits import Limits
from services.limits.table import ADDRESS, EMAIL, FACTOR, KNOWN

KNOWN_FOR_MS: Final = 90 * 86_400_000
"""How long an address is remembered as one of an account's, since it last logged in there."""


class AttemptRates(msgspec.Struct, frozen=True):
    """The limits of the four kinds of bucket."""

    address: Limit = ADDRESS
    email: Limit = EMAIL
    known: Limit = KNOWN
    factor: Limit = FACTOR


class Attempts:
    """Counts attempts."""

    def __init__(self, limits: Limits, rates: AttemptRates | None = None) -> None:
        self._limits: Final = limits
        self._rates: Final = rates or AttemptRates()

    async def from_address(self, address: str | None) -> None:
        """Count an attempt of any kind. Raises TooManyAttempts with when to try again."""
        if address is not None:
            await self._limits.spend(self._rates.address, network_of(address), problem=TooManyAttempts)

    async def renewed(self, address: str | None) -> None:
        """It was a good refresh token: forget the attempt. A page refreshes each time that it is loaded, and all pages of a studio
        come from one address."""
        if address is not None:
            await self._limits.take(self._rates.address, network_of(address), cost=-1)

    async def password(self, email: str, address: str | None) -> None:
        """Count a password that is about to be tried. Raises TooManyAttempts with when to try again."""
        await self.from_address(address)
        limit, who = await self._of_password(email, address)
        await self._limits.spend(limit, *who, problem=TooManyAttempts)

    async def factor(self, account: str, address: str | None) -> None:
        """Count a second factor that is about to be looked at. Raises TooManyAttempts with when to try again."""
        await self.from_address(address)
        await self._limits.spend(self._rates.factor, account, problem=TooManyAttempts)

    async def succeeded(self, email: str, address: str | None) -> None:
        """It was the right password: remember the address as one of theirs, and forget the attempt."""
        limit, who = await self._of_password(email, address)
        await self._limits.take(limit, *who, cost=-1)
        if address is not None:
            await self._limits.mark("known", email, address, keep_ms=KNOWN_FOR_MS)

    async def _of_password(self, email: str, address: str | None) -> tuple[Limit, tuple[str, ...]]:
        if address is not None and await self._limits.marked("known", email, address):
            return self._rates.known, (email, address)
        return self._rates.email, (email,)


def network_of(address: str) -> str:
    """Who an address stands for: itself, or the /64 that one household gets in IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
