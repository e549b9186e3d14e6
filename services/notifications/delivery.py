"""One notification on its way to one address: the states it can be in, and what leads from one to the next. Pure.

    waiting ──taken──> sending ──the provider has it──> sent ──its callback──> delivered | bounced | failed
      ^  │                │
      │  │                ├─ try later ─> waiting, later         (after the last attempt: failed)
      │  │                ├─ cut short by a stop ─> waiting, at once
      │  │                ├─ refused, dead address ─> failed
      │  │                └─ nobody knows ─> e-mail, SMS: in_doubt   push: waiting, at once
      │  └─ suppressed | expired | collapsed
      └──── an operator sends it again ──── in_doubt | failed

`sending` is committed before the provider is called and `sent` after it has answered. A worker that dies between the two
leaves `sending` behind, and when the lease has run out nobody knows what became of the message. A push is sent again
then: it bears the same id and collapse key, and a device shows one. A mail or an SMS is not: the person has the inbox, and
would have to read the other twice. It stays `in_doubt`, counted and visible, until a callback or an operator ends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from services.kernel.ids import AccountId, DeliveryId, NotificationId
from services.notifications.outgoing import (
    Channel,
    CutShort,
    DeadAddress,
    InDoubt,
    NotTaken,
    Receipt,
    Refused,
    TryLater,
    kept_name,
)

State = Literal[
    "waiting",
    "sending",
    "sent",
    "delivered",
    "bounced",
    "failed",
    "in_doubt",
    "suppressed",
    "expired",
    "collapsed",
]
Lane = Literal["email", "apns", "fcm", "webpush", "sms", "digest"]
"""Which queue a delivery waits in: one per provider, so that a bad one is alone with its own. digest: until it is gathered."""
Outcome = Literal["delivered", "bounced", "failed"]
"""What a provider's callback can say about a message that it had taken."""

NEXT: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        "waiting": frozenset({"waiting", "sending", "suppressed", "expired", "collapsed"}),
        "sending": frozenset({"waiting", "sending", "sent", "failed", "in_doubt", "delivered", "bounced"}),
        "sent": frozenset({"delivered", "bounced", "failed"}),
        "in_doubt": frozenset({"waiting", "delivered", "bounced", "failed"}),
        "failed": frozenset({"waiting"}),
        "delivered": frozenset({"bounced"}),
        "bounced": frozenset(),
        "suppressed": frozenset(),
        "expired": frozenset(),
        "collapsed": frozenset(),
    }
)
"""What may follow what. A mail server that has taken a mail may still send it back: delivered, then bounced. A callback may
be quicker than the commit that says `sent`."""

REASON_LENGTH: Final = 300
SHORTEST_PAUSE_S: Final = 1.0
"""Between two attempts that do not count: nothing else would bound them."""
LONGEST_PAUSE_S: Final = 6 * 3_600.0
"""What a provider may ask for at most: a wrong figure in its answer must not silence a channel for a week."""


@dataclass(frozen=True)
class Policy:
    """How one channel deals with trouble. `ladder_s`: pauses after the first, second, … attempt, the last one for all
    further ones. `lease_s`: how long one attempt may take. `repeats`: whether what is in doubt is sent again."""

    max_attempts: int
    ladder_s: tuple[float, ...]
    lease_s: float
    repeats: bool

    def pause_s(self, attempt: int) -> float:
        """The pause after attempt number `attempt`, from 1."""
        return self.ladder_s[min(attempt, len(self.ladder_s)) - 1]


POLICIES: Final[Mapping[Channel, Policy]] = MappingProxyType(
    {
        # A mail server that greylists wants minutes, one that is being repaired hours; one that looks into what it is given may
        # take a minute and a half with its answer.
        "email": Policy(8, (60, 300, 900, 3_600, 10_800), lease_s=300, repeats=False),
        "push": Policy(6, (5, 30, 120, 600, 1_800), lease_s=60, repeats=True),
        "sms": Policy(5, (30, 120, 600, 1_800), lease_s=60, repeats=False),
    }
)


class Attempt(msgspec.Struct, frozen=True):
    """A delivery that a worker has taken: which attempt this is (from 1), and under which lease."""

    id: DeliveryId
    account_id: AccountId
    notification_id: NotificationId | None
    channel: Channel
    attempt: int


@dataclass(frozen=True)
class Step:
    """What becomes of a delivery after an attempt. `pause_s` until it is due again, for `waiting`. `counted`: whether the
    attempt counts. `forget`: the address is dead, `dead_since_ms` since when, where that is known."""

    state: State
    reason: str = ""
    pause_s: float = 0.0
    counted: bool = True
    forget: bool = False
    dead_since_ms: int | None = None
    provider: str = ""
    provider_id: str = ""


def after_attempt(channel: Channel, attempt: int, end: Receipt | NotTaken) -> Step:
    """What follows the `attempt`-th attempt (from 1) that ended so."""
    policy = POLICIES[channel]
    match end:
        case Receipt(provider=provider, provider_id=provider_id):
            return Step("sent", provider=provider, provider_id=kept_name(provider_id))
        case TryLater(blameless=True):
            # Not asked, so not to be spared: as soon as it is known to be there again.
            pause_s = policy.pause_s(1) if end.retry_after_s is None else end.retry_after_s
            pause_s = min(max(pause_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
            return Step("waiting", _words(end), pause_s=pause_s, counted=False, provider=end.provider)
        case TryLater():
            if attempt >= policy.max_attempts:
                return Step("failed", f"tried {attempt} times, at last: {_words(end)}", provider=end.provider)
            return Step("waiting", _words(end), _pause(policy, attempt, end), provider=end.provider)
        case DeadAddress():
            return Step("failed", _words(end), forget=True, dead_since_ms=end.since_ms, provider=end.provider)
        case InDoubt():
            return in_doubt(channel, attempt, _words(end), end.provider)
        case CutShort():
            return Step("waiting", _words(end), pause_s=SHORTEST_PAUSE_S, counted=False, provider=end.provider)
        case Refused() | NotTaken():
            return Step("failed", _words(end), provider=end.provider)


def in_doubt(channel: Channel, attempt: int, reason: str, provider: str = "") -> Step:
    """What follows when nobody knows whether the `attempt`-th attempt reached anybody."""
    policy = POLICIES[channel]
    if not policy.repeats:
        return Step("in_doubt", reason[:REASON_LENGTH], provider=provider)
    if attempt >= policy.max_attempts:
        return Step("failed", f"in doubt {attempt} times, at last: {reason}"[:REASON_LENGTH], provider=provider)
    return Step("waiting", reason[:REASON_LENGTH], pause_s=policy.pause_s(1), provider=provider)


def may_follow(state: State, following: State) -> bool:
    """Whether a delivery may go from one state to the other."""
    return following in NEXT[state]


def _pause(policy: Policy, attempt: int, end: TryLater) -> float:
    return max(policy.pause_s(attempt), min(end.retry_after_s or 0.0, LONGEST_PAUSE_S))


def _words(end: NotTaken) -> str:
    """Why, as it may be kept: whatever an adapter has let through, the database takes it."""
    said = "".join(c if c.isprintable() else " " for c in str(end)).strip()
    return (said or type(end).__name__)[:REASON_LENGTH]
