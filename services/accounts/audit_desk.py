"""The audit as an administrator reads it: entries, the newest first, and whether the end of the chain is whole.

Reading is itself an act that is told: who reads everything that was done has a right that others do not have. All of the chain is
checked by `paceline audit verify`, which takes its time; here it is the last rows, with the checkpoints that are about them.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require
from services.accounts.step_up import require_fresh
from services.audit.entry import ACTS, Entry, actor_of
from services.audit.ports import ChainStores, Wanted
from services.audit.verifying import Verifying
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import AccountId

MAX_PAGE: Final = 200
"""Entries in one answer."""
TAIL: Final = 1_000
"""Rows that are checked for a page."""


class EntryView(msgspec.Struct, frozen=True):
    """One entry. `position` is its place in the chain, null for the moment until it has one. `actor` and `account` are accounts:
    who did it, if it was a person, and to whom; null when they have left. `name` is the user of a command, `network` where the
    actor was, roughly, `thing` what it was about beside the person, `data` more about it as JSON."""

    position: int | None
    at_ms: int
    act: str
    actor_kind: str
    actor: AccountId | None
    actor_email: str | None
    account: AccountId | None
    account_email: str | None
    login: UUID | None
    name: str
    network: str
    thing_kind: str
    thing: str
    reason: str
    data: str


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, the newest first; `next_before` is the `before` of those that follow, null after the last."""

    entries: tuple[EntryView, ...]
    next_before: int | None = None


class AuditState(msgspec.Struct, frozen=True):
    """The chain has `rows`; `waiting` entries have no place yet. `breaches` is what is wrong with those from row `checked_from` on,
    in words; none is good. `signed_row` and `signed_at_ms` are of the last checkpoint, null before the first. `acts`
    is what can stand in it."""

    rows: int
    waiting: int
    checked_from: int
    breaches: tuple[str, ...]
    signed_row: int | None = None
    signed_at_ms: int | None = None
    acts: tuple[str, ...] = ()


class AuditDesk:
    """The use cases. They raise Forbidden and StepUpNeeded; `address` is where the caller asks from."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[ChainStores]], verifying: Verifying, clock: Clock
    ) -> None:
        self._transactions: Final = transactions
        self._verifying: Final = verifying
        self._clock: Final = clock

    async def entries(self, caller: Caller, wanted: Wanted, limit: int, address: str | None) -> AuditPage:
        """Entries, at most `MAX_PAGE`. That they were read is in the audit."""
        self._let_in(caller)
        limit = min(max(limit, 1), MAX_PAGE)
        async with self._transactions() as stores:
            lines = await stores.audit.lines(wanted, limit)
            if len(lines) == limit and lines[-1].position is None:
                # A page is followed by what stands in front of its last place. What waits has none, so it is given one.
                head = await stores.audit.link_all()
                lines = await stores.audit.lines(msgspec.structs.replace(wanted, before=head + 1), limit)
            await stores.audit.add(Entry(actor_of(caller, address), "audit.read", wanted.account))
        views = tuple(msgspec.convert(line, EntryView, from_attributes=True) for line in lines)
        last = lines[-1].position if len(lines) == limit else None
        return AuditPage(views, last if last != 1 else None)

    async def state(self, caller: Caller) -> AuditState:
        """How the chain stands."""
        self._let_in(caller)
        first, breaches = await self._verifying.verify_tail(TAIL)
        async with self._transactions() as stores:
            rows, _ = await stores.audit.head()
            waiting = await stores.audit.waiting()
            signed = await stores.audit.last_checkpoint()
        return AuditState(
            rows=rows,
            waiting=waiting,
            checked_from=first,
            breaches=tuple(map(str, breaches)),
            signed_row=None if signed is None else signed.position,
            signed_at_ms=None if signed is None else signed.at_ms,
            acts=tuple(ACTS),
        )

    def _let_in(self, caller: Caller) -> None:
        require(caller, may.READ_AUDIT)
        require_fresh(caller, self._clock.wall_ms(), second_factor=True)
