"""Who leads a class, as it changes while the class is on: co-coaches, handing over, sending somebody out and letting them back in.

What is decided is stored before anybody hears of it, under the lock of the class, so two who press at once are judged one after the
other, and it stays in effect on whatever node and after any restart.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.accounts.account import Account
from services.audit.entry import Actor, AuditStore, Entry, Thing, actor_of
from services.classes.leading import Appointment, Out, appointed, may_appoint, may_let_in, may_remove, staff_may_remove
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ClassCoachesChanged, ClassMemberLetIn, ClassMemberRemoved
from services.kernel.ids import AccountId, ClassId, FactId
from services.kernel.problems import BadShape, ClassNotFound


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def lock(self, class_id: ClassId) -> LiveClass | None: ...


class LeadingStore(Protocol):
    """See persistence/leading.py."""

    async def save(self, live: LiveClass, at: datetime) -> None: ...
    async def remove(
        self, class_id: ClassId, account_id: AccountId, by: AccountId | None, at: datetime
    ) -> int | None: ...
    async def out(self, class_id: ClassId, account_id: AccountId) -> Out | None: ...
    async def let_in(self, class_id: ClassId, account_id: AccountId) -> int | None: ...
    async def account_of(self, class_id: ClassId, n: int) -> AccountId | None: ...


class AccountStore(Protocol):
    """See persistence/accounts.py."""

    async def by_id(self, account_id: AccountId) -> Account | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class LeadingStores(Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def leading(self) -> LeadingStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Hall(Protocol):
    """The room of the class, on every node. Raises nothing: it is stored, and a worker says it again."""

    async def coaches_changed(self, live: LiveClass) -> None:
        """Tell everybody there who leads the class now."""
        ...

    async def removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """Send a member out, wherever they are connected. `removals` counts how often they were sent out and let back in."""
        ...

    async def let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """Let a member who was sent out come in again, through whatever node."""
        ...


class Coaches:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[LeadingStores]], clock: Clock, hall: Hall
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._hall = hall

    async def appoint(self, caller: Caller, class_id: ClassId, n: int, to: Appointment) -> LiveClass:
        """Make the member of this number co-coach, coach, or neither (the coach); the class as it is then. Raises `ClassNotFound`,
        `ClassOver`, `Forbidden`, `BadShape` for a number that nobody has, and what `appointed` raises."""
        async with self._transactions() as stores:
            live = await _locked(stores, class_id)
            may_appoint(live, caller)
            account_id = await _member(stores, class_id, n)
            account = await stores.accounts.by_id(account_id)
            is_coach = account is not None and "coach" in account.roles
            changed = await self._save(stores, live, appointed(live, account_id, to, is_coach=is_coach))
            if changed is not live:
                await _told(stores, caller, "coach.appointed", class_id, account_id, to=to)
        await self._hall.coaches_changed(changed)
        return changed

    async def remove(self, caller: Caller, class_id: ClassId, n: int) -> None:
        """Send the member of this number out of the class (who leads it). Again: nothing more happens. Raises `ClassNotFound`,
        `ClassOver`, `Forbidden`, `BadShape` for a number that nobody has."""
        by = actor_of(caller)
        await self._remove(class_id, n, by, "", caller.account_id, lambda live, who: may_remove(live, caller, who))

    async def remove_by_staff(self, by: Actor, class_id: ClassId, n: int, reason: str) -> None:
        """The same by staff, for whoever was let in to do so (overseeing.py). Nobody of the class learns who it was; only the coach
        lets them in again. Raises `ClassNotFound`, `ClassOver`, `BadShape`, and `Forbidden` for the coach."""
        await self._remove(class_id, n, by, reason, None, staff_may_remove)

    async def _remove(
        self,
        class_id: ClassId,
        n: int,
        actor: Actor,
        reason: str,
        by: AccountId | None,
        may: Callable[[LiveClass, AccountId], None],
    ) -> None:
        async with self._transactions() as stores:
            live = await _locked(stores, class_id)
            account_id = await _member(stores, class_id, n)
            may(live, account_id)
            changed = live
            if account_id in live.co_coach_ids:
                changed = await self._save(stores, live, appointed(live, account_id, "none", is_coach=True))
            at = utc(self._clock.wall_ms())
            removals = await stores.leading.remove(class_id, account_id, by, at)
            if removals is not None:
                fact = ClassMemberRemoved(class_id=class_id, account_id=account_id, n=n, removals=removals)
                await stores.outbox.add(fact, class_id)
                thing = Thing("class", str(class_id))
                await stores.audit.add(Entry(actor, "member.removed", account_id, thing, reason=reason))
        if changed is not live:
            await self._hall.coaches_changed(changed)
        if removals is not None:
            await self._hall.removed(class_id, account_id, n, removals)

    async def let_in(self, caller: Caller, class_id: ClassId, n: int) -> None:
        """Let the member of this number, who was sent out, come in again (who leads the class). One who is not out is fine, too.
        Raises `ClassNotFound`, `ClassOver`, `Forbidden`, `BadShape` for a number that nobody has."""
        async with self._transactions() as stores:
            live = await _locked(stores, class_id)
            account_id = await _member(stores, class_id, n)
            out = await stores.leading.out(class_id, account_id)
            may_let_in(live, caller, out or Out(caller.account_id))
            removals = await stores.leading.let_in(class_id, account_id)
            if removals is not None:
                fact = ClassMemberLetIn(class_id=class_id, account_id=account_id, n=n, removals=removals)
                await stores.outbox.add(fact, class_id)
                await _told(stores, caller, "member.let_in", class_id, account_id)
        if removals is not None:
            await self._hall.let_in(class_id, account_id, n, removals)

    async def _save(self, stores: LeadingStores, before: LiveClass, after: LiveClass) -> LiveClass:
        if after is before:
            return before
        await stores.leading.save(after, utc(self._clock.wall_ms()))
        await stores.outbox.add(ClassCoachesChanged(class_id=after.id), after.id)
        return await _locked(stores, after.id)


async def _locked(stores: LeadingStores, class_id: ClassId) -> LiveClass:
    live = await stores.classes.lock(class_id)
    if live is None:
        raise ClassNotFound
    return live


async def _told(
    stores: LeadingStores, caller: Caller, act: str, class_id: ClassId, account_id: AccountId, **data: str
) -> None:
    await stores.audit.add(Entry(actor_of(caller), act, account_id, Thing("class", str(class_id)), data=data))


async def _member(stores: LeadingStores, class_id: ClassId, n: int) -> AccountId:
    account_id = await stores.leading.account_of(class_id, n)
    if account_id is None:
        raise BadShape("nobody of this number is in the class", path="$.n")
    return account_id
