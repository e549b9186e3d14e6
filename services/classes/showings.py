"""How people are shown to others: choose it for a class or for the classes to come, and read what was agreed to.

What is stored is the truth, with the ledger in the same transaction; then the rooms of this node and of all others show it at once
(`Stage.shown`), before the answer is given. A worker says it once more (workers/push.py), should this node die in between.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.account import Account
from services.classes.age_group import AgeGroup, age_group_of
from services.classes.live_class import LiveClass, Role
from services.classes.plain_text import one_line
from services.classes.showing import (
    CONSENT_VERSION,
    Age,
    Alias,
    Audience,
    Body,
    Consent,
    DisplayMode,
    Purpose,
    Showing,
    age_shown,
    consents_of,
    ledger_moves,
)
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ShowingChosen
from services.kernel.ids import AccountId, ClassId, FactId, Ids
from services.kernel.problems import ClassNotFound, Forbidden, NotInRoom


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How you want to be shown: `mode`, `alias`, what you are called where your name is not shown, and `body`, whether the room
    also sees figures that tell of your body or your past. With `age` it finds you by your age group, in the modes full, zone and
    alias: the one that the birth date in your profile has in the year of the class."""

    mode: DisplayMode
    alias: Alias = ""
    body: Body = False
    age: Age = False

    @property
    def consents(self) -> dict[Purpose, Audience]:
        """What is agreed to by it."""
        return consents_of(self.mode, body=self.body, age=self.age)


class Seat(msgspec.Struct, frozen=True):
    """Somebody's place in a class, as far as showing them goes."""

    role: Role
    showing: Showing
    joined_at: datetime


class ShowingStore(Protocol):
    """See persistence/showings.py."""

    async def default(self, account_id: AccountId) -> Showing | None: ...
    async def save_default(self, account_id: AccountId, showing: Showing, at: datetime) -> None: ...
    async def seat(self, class_id: ClassId, account_id: AccountId) -> Seat | None: ...
    async def save(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None: ...
    async def standing(self, account_id: AccountId, class_id: ClassId | None) -> list[tuple[Purpose, Audience]]: ...
    async def give(self, account_id: AccountId, lines: Iterable[tuple[UUID, Consent]]) -> None: ...
    async def withdraw(
        self, account_id: AccountId, class_id: ClassId | None, purposes: Collection[Purpose], at: datetime
    ) -> None: ...
    async def ledger(self, account_id: AccountId) -> list[Consent]: ...


class AccountStore(Protocol):
    """See persistence/accounts.py."""

    async def by_id(self, account_id: AccountId) -> Account | None: ...


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class ShowingStores(Protocol):
    """The stores of one transaction."""

    @property
    def showings(self) -> ShowingStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Stage(Protocol):
    """The rooms, on every node."""

    def may_decide(self, account_id: AccountId) -> None:
        """Raise `RateLimited` when somebody makes others look anew too often."""
        ...

    async def shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """Show a member like this from now on. Raises nothing: it is stored, and a worker says it again."""
        ...


class Showings:
    """The use cases."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[ShowingStores]],
        clock: Clock,
        ids: Ids,
        stage: Stage,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._stage = stage

    async def default(self, caller: Caller) -> Choice:
        """What somebody has chosen for the classes that they join; `full` when they never did."""
        require_held(caller, may.USE_SHOWING)
        async with self._transactions() as stores:
            found = await stores.showings.default(caller.account_id)
        return Choice("full") if found is None else _choice(found)

    async def choose_default(self, caller: Caller, choice: Choice) -> Choice:
        """Choose it for the classes that are joined from now on; those that one is in stay as they are. Raises `BadShape` for an
        alias that cannot be read."""
        require_held(caller, may.USE_SHOWING)
        choice = _fit(choice)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            await stores.showings.default(caller.account_id)
            await stores.showings.save_default(
                caller.account_id, Showing(choice.mode, choice.alias, body=choice.body, age=choice.age), now
            )
            standing = await stores.showings.standing(caller.account_id, None)
            await self._keep_ledger(stores, caller.account_id, None, standing, choice.consents, now)
        return choice

    async def in_class(self, caller: Caller, class_id: ClassId) -> Choice:
        """How somebody is shown in a class. Raises `ClassNotFound` for whoever never joined it, `NotInRoom` for its coach."""
        async with self._transactions() as stores:
            _, seat = await _seat(stores, caller, class_id)
        return _choice(seat.showing)

    async def choose(self, caller: Caller, class_id: ClassId, choice: Choice) -> Choice:
        """Choose it for a class that one is or was in. When this returns, no node that hears the others shows more. Chosen again it
        changes nothing. Raises `ClassNotFound`, `NotInRoom`, `Forbidden` for the coach of the class, `BadShape`, and `RateLimited`,
        though never for what only takes something back."""
        choice = _fit(choice)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            live, seat = await _seat(stores, caller, class_id)
            if seat.role == "coach":
                raise Forbidden("the coach of a class is named in it")
            before = _choice(seat.showing)
            showing = Showing(choice.mode, choice.alias, seat.showing.revision + 1, choice.body, choice.age)
            if age_shown(showing):
                group = await group_in(stores.accounts, live, caller.account_id)
                showing = msgspec.structs.replace(showing, age_group=group)
            if choice == before and showing.age_group == seat.showing.age_group:
                return choice
            withdrawn, given = ledger_moves(before.consents.items(), choice.consents)
            if given or not withdrawn:
                self._stage.may_decide(caller.account_id)
            await stores.showings.save(class_id, caller.account_id, showing)
            standing = await stores.showings.standing(caller.account_id, class_id)
            if not seat.showing.revision:
                # They joined in this mode: that is when they agreed to it.
                standing = list(before.consents.items())
                await self._give(stores, caller.account_id, class_id, standing, seat.joined_at)
            await self._keep_ledger(stores, caller.account_id, class_id, standing, choice.consents, now)
            await stores.outbox.add(ShowingChosen(class_id=class_id, account_id=caller.account_id), class_id)
        await self._stage.shown(class_id, caller.account_id, showing)
        return choice

    async def ledger(self, caller: Caller) -> list[Consent]:
        """Everything that the caller ever agreed to show, the newest first."""
        require_held(caller, may.USE_SHOWING)
        async with self._transactions() as stores:
            return await stores.showings.ledger(caller.account_id)

    async def _keep_ledger(
        self,
        stores: ShowingStores,
        account_id: AccountId,
        class_id: ClassId | None,
        standing: Iterable[tuple[Purpose, Audience]],
        agreed: Mapping[Purpose, Audience],
        now: datetime,
    ) -> None:
        withdrawn, given = ledger_moves(standing, agreed)
        await stores.showings.withdraw(account_id, class_id, [purpose for purpose, _ in withdrawn], now)
        await self._give(stores, account_id, class_id, given, now)

    async def _give(
        self,
        stores: ShowingStores,
        account_id: AccountId,
        class_id: ClassId | None,
        consents: Iterable[tuple[Purpose, Audience]],
        at: datetime,
    ) -> None:
        lines = [
            (self._ids.next(), Consent(class_id, purpose, audience, CONSENT_VERSION, at))
            for purpose, audience in sorted(consents)
        ]
        await stores.showings.give(account_id, lines)


async def group_in(accounts: AccountStore, live: LiveClass, account_id: AccountId) -> AgeGroup | None:
    """The age group of somebody in the year of a class; None where their year of birth is not known."""
    account = await accounts.by_id(account_id)
    return None if account is None else age_group_of(account.profile.birth_date, utc(live.created_ms).year)


async def _seat(stores: ShowingStores, caller: Caller, class_id: ClassId) -> tuple[LiveClass, Seat]:
    """A class and the caller's place in it, locked. Its coach knows of the class without one; to anybody else it does not exist."""
    require_held(caller, may.USE_SHOWING)
    live = await stores.classes.by_id(class_id)
    seat = None if live is None else await stores.showings.seat(class_id, caller.account_id)
    if live is not None and seat is not None:
        return live, seat
    raise NotInRoom if live is not None and live.coach_id == caller.account_id else ClassNotFound


def _choice(showing: Showing) -> Choice:
    return Choice(showing.mode, showing.alias, showing.body, showing.age)


def _fit(choice: Choice) -> Choice:
    """The choice with an alias that fits on one line of a screen. Raises `BadShape` when nothing of it can be read."""
    if not choice.alias:
        return choice
    return msgspec.structs.replace(choice, alias=one_line(choice.alias, path="$.alias"))
