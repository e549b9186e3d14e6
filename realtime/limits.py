"""How much one client may ask for, as arithmetic on `now`.

Three bounds on events, all plain numbers without timers, tasks or anything to clean up:

* per connection: a token bucket. An event costs one token, and one more for every 4 KiB of it: decoding one sample takes half a
  microsecond, a full batch of a thousand (13 to 23 KB) two hundred times as long, and a message of nonsense at the size limit
  some milliseconds: nobody shall get one at the price of the other.
* per account and node: one bucket that all its connections share, four times as large, kept over reconnects. It is what a program
  meets that opens twenty connections to get around the first bound. A refusal by it is no strike: a quiet watch must not be thrown
  out because the same person's laptop runs wild, and the laptop meets its own bucket anyway.
* strikes: a connection that keeps sending what is refused is ended.

Most connections of a node do nothing for minutes, so an allowance is one small object until its first event; and the cost of
being flooded is one subtraction.
"""

from collections import OrderedDict
from typing import Final

from services.kernel.ids import AccountId

EVENTS_PER_SECOND: Final = 100.0
"""Events one connection may send per second, on average. A device sends one or two; a replay at full speed batches."""
BURST_S: Final = 2.0
EVENTS_BURST: Final = EVENTS_PER_SECOND * BURST_S
"""Events it may send at once after a pause: a backlog after a dead zone, in batches. Eight hours at 1 Hz cost 174."""
ACCOUNT_FACTOR: Final = 4
"""How many connections' worth of events one account may send to one node. By feeling: watch, phone, board and coach's page."""
BYTES_PER_TOKEN: Final = 4096
"""An event costs 1 + its bytes // this."""
KEPT_S: Final = 10.0
"""How long a bucket is kept, full or not, after it was last asked. Longer than ordinary clients pause between two events."""
MAX_ACCOUNTS: Final = 100_000
"""Accounts whose buckets are kept; about 20 MB. Over it the one that was made first is forgotten, and starts full again."""
STRIKES: Final = 10
"""Refused messages within `STRIKES_WINDOW_S` that end a connection. By feeling: a person trying out a client by hand stays
below it."""
STRIKES_WINDOW_S: Final = 10.0
MAX_ROOMS: Final = 32
"""Rooms one connection may be in. A coach's wall of screens shows a handful; each room costs a delivery per beat."""
SHOWING_PER_SECOND: Final = 0.5
SHOWING_BURST: Final = 8.0
"""Decisions of one account how it is shown, but for those that only take something back: each is a board at once on every node. By
feeling: somebody tries all five modes and goes back."""
CHAT_PER_SECOND: Final = 0.5
"""What one account may say in chats on one node, on average. By feeling: faster than anybody types on a bicycle."""
CHAT_BURST: Final = 5.0
ROOM_CHAT_PER_SECOND: Final = 4.0
"""What everybody together may say in the chat of one room, on whatever nodes, on average. By feeling: nobody reads faster, and a
class of a thousand in which each uses their own allowance would be 500."""
ROOM_CHAT_BURST: Final = 40.0
"""What a room may say at once after a pause: "hello" from a whole studio."""
REACTIONS_PER_SECOND: Final = 2.0
"""What one account may send in reactions on one node, on average. By feeling: as fast as somebody claps along."""
REACTIONS_BURST: Final = 10.0
MAX_NAMESPACES: Final = 4
"""Socket.IO namespaces one client may be in at the same time: the live one, and what an operator's tools need."""


class TokenBucket:
    """`rate` tokens per second flow in, up to `burst`. `now` is in monotonic seconds."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"a bucket needs a rate above 0 ({rate}) and a burst of at least 1 ({burst})")
        self.rate: Final = rate
        self.burst: Final = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """Take `tokens` if they are there; False, taking nothing, when they are not."""
        there = self._tokens
        if now > self._at:
            there += (now - self._at) * self.rate
            if there > self.burst:
                there = self.burst
            self._at = now
        if there < tokens:
            self._tokens = there
            return False
        self._tokens = there - tokens
        return True

    def wait_s(self, now: float, tokens: float = 1.0) -> float:
        """Seconds until `tokens` will be there; 0 when they are."""
        return max(tokens - self._there(now), 0.0) / self.rate

    def full(self, now: float) -> bool:
        """Whether nothing of it is in use: a new one would be the same."""
        return self._there(now) >= self.burst

    def idle_s(self, now: float) -> float:
        """Seconds since somebody last asked for tokens."""
        return now - self._at

    def _there(self, now: float) -> float:
        return min(self.burst, self._tokens + max(now - self._at, 0.0) * self.rate)

    def spend_up_to(self, now: float, tokens: float = 1.0) -> None:
        """Take `tokens`, or as many as there are: for what has happened already, whatever it cost."""
        self._tokens = max(self._there(now) - tokens, 0.0)
        self._at = max(now, self._at)


class RoomPace:
    """How fast a room may be spoken into, by all nodes together.

    Every node sees everything that is said, because it comes out of the room's log: that is what it counts, and no node asks
    another. What was begun here and has not come out yet (`waiting`) counts as said, so that a burst on one node does not pass
    before any of it is seen. Nodes that speak at the very same moment may exceed the burst by what they have under way.
    """

    __slots__ = ("_bucket", "waiting")

    def __init__(self, rate: float = ROOM_CHAT_PER_SECOND, burst: float = ROOM_CHAT_BURST) -> None:
        self._bucket: Final = TokenBucket(rate, burst, 0.0)
        self.waiting = 0

    def wait_s(self, now: float) -> float:
        """Seconds until one more may be said; 0 when it may now."""
        return self._bucket.wait_s(now, self.waiting + 1.0)

    def settled(self) -> None:
        """What was under way here has come out, or never will."""
        self.waiting -= 1

    def said(self, now: float) -> None:
        """Something was said, on whatever node."""
        self._bucket.spend_up_to(now)


class Allowance(TokenBucket):
    """What one socket may still ask for: its tokens, its strikes, and the bucket of its account once that was asked for."""

    __slots__ = ("_struck_at", "account")

    def __init__(self, now: float, rate: float = EVENTS_PER_SECOND, burst: float = EVENTS_BURST) -> None:
        super().__init__(rate, burst, now)
        self.account: AccountBucket | None = None
        self._struck_at: tuple[float, ...] = ()

    def spend(self, account: "TokenBucket", now: float, tokens: float) -> TokenBucket | None:
        """Take `tokens` here and then from the account's bucket; the bucket in which they are not, None when both had them.

        `take` twice, written out: two calls would cost every event that comes in 0.2 µs more, of 3.4.
        """
        there = self._tokens
        if now > self._at:
            there += (now - self._at) * self.rate
            if there > self.burst:
                there = self.burst
            self._at = now
        if there < tokens:
            self._tokens = there
            return self
        self._tokens = there - tokens
        there = account._tokens
        if now > account._at:
            there += (now - account._at) * account.rate
            if there > account.burst:
                there = account.burst
            account._at = now
        if there < tokens:
            account._tokens = there
            return account
        account._tokens = there - tokens
        return None

    def strike(self, now: float) -> bool:
        """Note an offence; True when it is one too many inside the window and the connection should end."""
        self._struck_at = (*self._struck_at[1 - STRIKES :], now)
        return len(self._struck_at) == STRIKES and now - self._struck_at[0] <= STRIKES_WINDOW_S


class AccountBucket(TokenBucket):
    """What all connections of one account share on this node. `kept` is False once it was forgotten: ask for a new one."""

    __slots__ = ("kept",)

    def __init__(self, now: float, rate: float, burst: float) -> None:
        super().__init__(rate, burst, now)
        self.kept = True


class AccountAllowances:
    """The buckets of the accounts that sent something lately.

    Each time one is made, the two oldest are looked at: one that has filled up again, and that nobody has asked for a while, is
    forgotten. So there are never more than the accounts that are active, their predecessors waiting to be looked at, and `limit`
    in all; and nobody has to sweep. The while is what keeps a device that sends once a second from having its bucket forgotten
    and made again for every sample, which took longer than decoding it.
    """

    def __init__(
        self,
        rate: float = EVENTS_PER_SECOND * ACCOUNT_FACTOR,
        burst: float | None = None,
        limit: int = MAX_ACCOUNTS,
    ) -> None:
        if limit < 1:
            raise ValueError(f"at least one account's bucket must be kept, not {limit}")
        self._rate: Final = rate
        self._burst: Final = rate * BURST_S if burst is None else burst
        self._limit: Final = limit
        # Not a plain dict: finding the first entry of one that is emptied from the front takes longer and longer.
        self._buckets: OrderedDict[AccountId, AccountBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def __bool__(self) -> bool:
        return len(self._buckets) > 0

    def of(self, account_id: AccountId, now: float) -> AccountBucket:
        """The bucket of an account. May be held on to while it is `kept`."""
        bucket = self._buckets.get(account_id)
        if bucket is None:
            self._look_at_oldest(now)
            self._look_at_oldest(now)
            bucket = self._buckets[account_id] = AccountBucket(now, self._rate, self._burst)
        return bucket

    def _look_at_oldest(self, now: float) -> None:
        if not self._buckets:
            return
        account_id, bucket = self._buckets.popitem(last=False)
        if (bucket.full(now) and bucket.idle_s(now) >= KEPT_S) or len(self._buckets) + 1 >= self._limit:
            bucket.kept = False
        else:
            self._buckets[account_id] = bucket
