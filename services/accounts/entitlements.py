"""Granting entitlements and taking them back.

A grant is a row and is never changed into another: who grants again closes the row there is and adds a new one, so the rows tell
what somebody had at any time, and the facts tell it in order. The same grant again changes nothing and tells nothing, so whoever
lost an answer may simply repeat it; payments will.

Two who do something about one account at once wait for its row.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.entitlement import Entitlement, EntitlementView, check_times, view_of
from services.audit.entry import SYSTEM, Actor, AuditStore, Entry
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, EntitlementGranted, EntitlementWithdrawn
from services.kernel.ids import AccountId, EntitlementId, FactId, Ids
from services.kernel.problems import NotFound

MAX_SHOWN: Final = 200
"""Grants in one answer, the newest ones: a source that renews every month reaches it after sixteen years."""


class EntitlementStore(Protocol):
    """What this needs of the entitlements' store (persistence/entitlements.py)."""

    async def lock_account(self, account_id: AccountId) -> bool: ...
    async def of(self, account_id: AccountId, limit: int) -> list[Entitlement]: ...
    async def standing(self, account_id: AccountId, name: str, source: str) -> Entitlement | None: ...
    async def add(self, entitlement: Entitlement) -> None: ...
    async def withdraw(self, entitlement_id: EntitlementId, at: datetime) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class EntitlementStores(Protocol):
    """The stores of one transaction."""

    @property
    def entitlements(self) -> EntitlementStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Entitlements:
    """The use cases. Who may grant is decided by the way in: an operator's token, or a command on the server. `by` is who does."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[EntitlementStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def own(self, caller: Caller) -> tuple[EntitlementView, ...]:
        """What the caller was ever granted, the newest first, at most `MAX_SHOWN`."""
        require_held(caller, may.READ_PROFILE)
        async with self._transactions() as stores:
            return await self._all(stores, caller.account_id)

    async def of_account(self, account_id: AccountId) -> tuple[EntitlementView, ...]:
        """The same of anybody, for an operator. Raises `NotFound`."""
        async with self._transactions() as stores:
            await _locked(stores, account_id)
            return await self._all(stores, account_id)

    async def grant(
        self,
        account_id: AccountId,
        name: str,
        source: str,
        from_ms: int | None,
        until_ms: int | None,
        by: Actor = SYSTEM,
    ) -> tuple[EntitlementView, ...]:
        """Let an account have something: from now on unless `from_ms` says otherwise, without an end unless `until_ms` does.
        Another grant of the same source takes the place of the one it gave before. Raises `NotFound`, `BadShape`."""
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            await _locked(stores, account_id)
            await give(stores, self._ids, account_id, name, source, from_ms, until_ms, now_ms, by)
            return await self._all(stores, account_id)

    async def withdraw(
        self, account_id: AccountId, name: str, source: str, by: Actor = SYSTEM
    ) -> tuple[EntitlementView, ...]:
        """Take back what a source gave. Again is fine. Raises `NotFound` for an account that is not there."""
        async with self._transactions() as stores:
            await _locked(stores, account_id)
            await take(stores, account_id, name, source, self._clock.wall_ms(), by)
            return await self._all(stores, account_id)

    async def _all(self, stores: EntitlementStores, account_id: AccountId) -> tuple[EntitlementView, ...]:
        now_ms = self._clock.wall_ms()
        return tuple(view_of(each, now_ms) for each in await stores.entitlements.of(account_id, MAX_SHOWN))


async def give(
    stores: EntitlementStores,
    ids: Ids,
    account_id: AccountId,
    name: str,
    source: str,
    from_ms: int | None,
    until_ms: int | None,
    now_ms: int,
    by: Actor,
) -> None:
    """Grant, in the caller's transaction, which holds the account's row; the same again changes nothing. Raises `BadShape`."""
    standing = await stores.entitlements.standing(account_id, name, source)
    begins_ms = _beginning(standing, from_ms, now_ms)
    check_times(begins_ms, until_ms)
    if standing is not None:
        if (standing.from_ms, standing.until_ms) == (begins_ms, until_ms):
            return
        await stores.entitlements.withdraw(standing.id, utc(now_ms))
    granted = Entitlement(EntitlementId(ids.next()), account_id, name, source, begins_ms, until_ms, now_ms)
    await stores.entitlements.add(granted)
    fact = EntitlementGranted(account_id=account_id, name=name, source=source, from_ms=begins_ms, until_ms=until_ms)
    await stores.outbox.add(fact, account_id)
    told = {"name": name, "source": source}
    await stores.audit.add(Entry(by, "entitlement.granted", account_id, data=told))


async def take(
    stores: EntitlementStores, account_id: AccountId, name: str, source: str, now_ms: int, by: Actor
) -> None:
    """Take back what a source gave, in the caller's transaction, which holds the account's row. Again is fine."""
    standing = await stores.entitlements.standing(account_id, name, source)
    if standing is None:
        return
    await stores.entitlements.withdraw(standing.id, utc(now_ms))
    await stores.outbox.add(EntitlementWithdrawn(account_id=account_id, name=name, source=source), account_id)
    told = {"name": name, "source": source}
    await stores.audit.add(Entry(by, "entitlement.withdrawn", account_id, data=told))


def _beginning(standing: Entitlement | None, from_ms: int | None, now_ms: int) -> int:
    """When a grant begins: who says nothing about it goes on with what holds, or begins now."""
    if from_ms is not None:
        return from_ms
    return standing.from_ms if standing is not None and standing.holds(now_ms) else now_ms


async def _locked(stores: EntitlementStores, account_id: AccountId) -> None:
    if not await stores.entitlements.lock_account(account_id):
        raise NotFound("there is no account with this id")
