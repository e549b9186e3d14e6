"""What the HTTP adapters ask of the outbound client, and what its ways of ending mean for a message.

Two clients are behind it. Where an operator has named the host (FCM, SMS) it may be anywhere, on an inner network too. Where a
stranger has (a browser's push subscription), the egress guard stands in the way.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

from services.notifications.outgoing import InDoubt, Refused
from workers.outbound.client import Answered, Blocked, Limits, NotReached, Outcome, Reach, Unanswered
from workers.outbound.outcomes import Away


class Calls(Protocol):
    """`workers.outbound.client.Outbound`, as far as adapters need it."""

    async def call(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        reach: Reach | None = None,
    ) -> Outcome: ...


def answered(outcome: Outcome, provider: str) -> Answered:
    """The answer, if there is one. Raises `Away` when nothing was sent, `InDoubt` when everything may have been, and `Refused`
    when the guard forbids the address."""
    match outcome:
        case Answered():
            return outcome
        case NotReached(why):
            raise Away(f"it cannot be reached: {why}", provider=provider)
        case Unanswered(why):
            raise InDoubt(f"it took the message and did not answer: {why}", provider=provider)
        case Blocked(why):
            raise Refused(f"this address must not be called: {why}", provider=provider)
