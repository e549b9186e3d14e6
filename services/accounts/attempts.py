"""How often somebody may try: guessing passwords, registering, guessing the join codes of classes.

Three kinds of bucket, each filled at a steady rate up to a burst:

- one per **address** the attempts come from, for everything together;
- one per **e-mail** for failed passwords from anywhere;
- one per **e-mail and address** where that account has logged in before. It replaces the e-mail's own, so a
  stranger who empties the bucket of somebody's e-mail does not lock the owner out of their own phone.

Attempts without an address (from this machine itself: a proxy on the same host, a demo, a test) are counted per e-mail
alone, because a proxy's address stands for everybody behind it.

Kept in memory, per node, by the monotonic clock, in a bounded number of buckets. Full means: the bucket that was used
longest ago is forgotten, which gives its owner a fresh one. Somebody with enough addresses to push out others gains
little by it, for every password still costs its hash.
"""

import ipaddress
from collections import OrderedDict
from typing import Final

import msgspec

from services.kernel.problems import TooManyAttempts


class Rate(msgspec.Struct, frozen=True):
    """`burst` attempts at once, then one every `every_s` seconds."""

    burst: int
    every_s: float


class AttemptRates(msgspec.Struct, frozen=True):
    """The rates of the three kinds of bucket, and how many buckets are kept. Chosen by feeling.

    A class of forty behind one school's address can log in within a minute; one account can be guessed at
    2 900 times a day, against passwords of which the commonest ten thousand are refused at the door.
    """

    address: Rate = Rate(burst=60, every_s=1.0)
    email: Rate = Rate(burst=10, every_s=30.0)
    known: Rate = Rate(burst=10, every_s=30.0)
    most_buckets: int = 50_000


class _Bucket:
    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Attempts:
    """The buckets. `now` is the monotonic clock, in seconds."""

    def __init__(self, rates: AttemptRates | None = None) -> None:
        self._rates: Final = rates or AttemptRates()
        self._buckets: Final[OrderedDict[tuple[str, ...], _Bucket]] = OrderedDict()
        self._known: Final[OrderedDict[tuple[str, str], None]] = OrderedDict()

    def from_address(self, address: str | None, now: float) -> None:
        """Count an attempt of any kind. Raises TooManyAttempts with when to try again."""
        if address is not None:
            self._take(("address", _network(address)), self._rates.address, now)

    def password(self, email: str, address: str | None, now: float) -> None:
        """Count a password that is about to be tried. Raises TooManyAttempts with when to try again."""
        self.from_address(address, now)
        key, rate = self._of_password(email, address)
        self._take(key, rate, now)

    def succeeded(self, email: str, address: str | None, now: float) -> None:
        """It was the right password: remember the address as one of theirs, and forget the attempt."""
        key, rate = self._of_password(email, address)
        bucket = self._buckets.get(key)
        if bucket is not None:
            bucket.left = min(bucket.left + 1, rate.burst)
        if address is not None:
            self._known[email, address] = None
            self._known.move_to_end((email, address))
            if len(self._known) > self._rates.most_buckets:
                self._known.popitem(last=False)

    def buckets(self) -> int:
        """How many are kept."""
        return len(self._buckets)

    def _of_password(self, email: str, address: str | None) -> tuple[tuple[str, ...], Rate]:
        if address is not None and (email, address) in self._known:
            return ("known", email, address), self._rates.known
        return ("email", email), self._rates.email

    def _take(self, key: tuple[str, ...], rate: Rate, now: float) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(rate.burst, now)
            if len(self._buckets) > self._rates.most_buckets:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.left = min(rate.burst, bucket.left + max(now - bucket.at, 0.0) / rate.every_s)
        bucket.at = now
        if bucket.left < 1:
            raise TooManyAttempts(retry_after_ms=max(1, round((1 - bucket.left) * rate.every_s * 1_000)))
        bucket.left -= 1


def _network(address: str) -> str:
    """Who an address stands for: itself, or the /64 that one household gets in IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
