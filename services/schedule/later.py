"""A fact that is told later: what use cases ask of the schedule.

`once` is part of the caller's transaction, as telling a fact at once is. When its time has come the fact is put into the outbox,
exactly once, and from there it is a fact like any other: give it a class in services/kernel/facts.py and a row in
workers/handlers.py. A reminder before a class, a notification held back over night, the next try of a delivery: all of them are
one call here, and cost nothing while they wait.

What is told later may have become untrue meanwhile. Cancel it in the transaction that makes it untrue, and let the handler look
at the state as it is all the same: the time may have come a moment before.
"""

from typing import Protocol
from uuid import UUID

from services.kernel.facts import AnyFact, Fact


class LaterStore(Protocol):
    """One-offs inside one transaction (persistence/schedule.py). Instants in ms since 1970."""

    async def once(self, fact: AnyFact, aggregate_id: UUID, *, at_ms: int, key: str) -> bool:
        """Tell `fact`, about the aggregate `aggregate_id`, at `at_ms` or as soon after as somebody can; an instant that has passed
        means now. False, and nothing changes, when one of its class already waits under this key."""
        ...

    async def move(self, kind: type[Fact], key: str, at_ms: int) -> bool:
        """Tell it at another time. False when none waits under this key: it was told, cancelled, or never was."""
        ...

    async def cancel(self, kind: type[Fact], key: str) -> bool:
        """Do not tell it. False when none waits under this key."""
        ...
