"""Live classes: create one, find it, end it, read how it went."""

import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.entitlement import Entitlement
from services.audit.entry import Actor, AuditStore, Entry, Thing
from services.classes.coach_plan import NOTHING_NEEDED, CoachPlan, plan_of
from services.classes.leading import Person, PersonView, may_see_people, person_view
from services.classes.live_class import (
    CODE_LENGTH,
    LiveClass,
    Membership,
    code_from,
    may_end,
    may_know,
    may_put_on_screen,
    normal_code,
)
from services.classes.metric import Metric
from services.classes.team import team_names
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ClassEnded
from services.kernel.ids import AccountId, ClassId, FactId, Ids
from services.kernel.problems import Busy, ClassNotFound, ClassOver, NotFound

_CODE_TRIES: Final = 5
PAGE: Final = 50


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def create(self, live: LiveClass) -> bool: ...
    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def by_code(self, code: str) -> LiveClass | None: ...
    async def lock(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...
    async def of_coach(self, coach_id: AccountId, limit: int) -> list[LiveClass]: ...
    async def live_of(self, account_id: AccountId, limit: int) -> list[LiveClass]: ...
    async def end(self, class_id: ClassId, at: datetime) -> bool: ...
    async def summary(self, class_id: ClassId) -> str | None: ...


class LeadingStore(Protocol):
    """See persistence/leading.py."""

    async def people(self, class_id: ClassId) -> list[Person]: ...


class EntitlementStore(Protocol):
    """See persistence/entitlements.py."""

    async def named(self, accounts: Collection[AccountId], name: str) -> dict[AccountId, list[Entitlement]]: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class ClassStores(Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def leading(self) -> LeadingStore: ...
    @property
    def entitlements(self) -> EntitlementStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Stage(Protocol):
    """The rooms of this node, around the end of a class."""

    async def settle(self, class_id: ClassId) -> None:
        """Store what the class's streams have sent so far."""
        ...

    async def ended(self, live: LiveClass) -> None:
        """Tell everybody in the room, on every node. Raises nothing: the class is over."""
        ...


class Classes:
    """The use cases. `stage` is told when a class ends; `coach_needs` is the entitlement without which nobody is shown hearts, None
    for none."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[ClassStores]],
        clock: Clock,
        ids: Ids,
        stage: Stage,
        coach_needs: str | None = None,
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._ids = ids
        self._stage = stage
        self._coach_needs = coach_needs

    async def create(
        self,
        caller: Caller,
        title: str,
        needs: str | None = None,
        metric: Metric = "effort",
        teams: Sequence[str] = (),
    ) -> LiveClass:
        """Open a live class with a fresh join code, whose board is ranked by `metric`, for those who have what it `needs`, in these
        `teams`. Raises `Forbidden` for anybody but coaches, and `BadShape` for teams that cannot be told apart."""
        require_held(caller, may.CREATE_CLASS)
        names = team_names(teams)
        for _ in range(_CODE_TRIES):
            live = LiveClass(
                id=ClassId(self._ids.next()),
                code=code_from(secrets.token_bytes(CODE_LENGTH)),
                title=title.strip(),
                coach_id=caller.account_id,
                coach_name=caller.name,
                created_ms=self._clock.wall_ms(),
                needs=needs,
                metric=metric,
                teams=names,
            )
            async with self._transactions() as stores:
                if await stores.classes.create(live):
                    return live
        raise Busy("no free join code was found; try again")

    async def of_coach(self, caller: Caller) -> list[LiveClass]:
        """The classes that the caller coaches or co-coaches, newest first, at most `PAGE`."""
        require_held(caller, may.LIST_CLASSES)
        async with self._transactions() as stores:
            return await stores.classes.of_coach(caller.account_id, PAGE)

    async def by_id(self, caller: Caller, class_id: ClassId) -> LiveClass:
        """A class by id, for its coach, its members and its screens. Raises `ClassNotFound` for everybody else."""
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            if live is None:
                raise ClassNotFound
            may_know(live, caller, await stores.classes.membership(class_id, caller.account_id))
        return live

    async def people(self, caller: Caller, class_id: ClassId) -> tuple[PersonView, ...]:
        """Everybody who is or was in a class, by number, for who leads it. Raises `ClassNotFound`, `Forbidden`."""
        live = await self.by_id(caller, class_id)
        may_see_people(live, caller)
        async with self._transactions() as stores:
            people = await stores.leading.people(class_id)
            plan = await self._plan_of(stores, caller)
        return tuple(person_view(live, caller, person, plan, self._clock.wall_ms()) for person in people)

    async def by_code(self, code: str) -> LiveClass:
        """The live class with this join code. Raises `ClassNotFound`, or `ClassOver` with its id."""
        async with self._transactions() as stores:
            live = await stores.classes.by_code(normal_code(code))
        if live is None:
            raise ClassNotFound
        if live.over:
            raise ClassOver(class_id=str(live.id))
        return live

    async def showable(self, caller: Caller) -> list[LiveClass]:
        """The live classes that the caller may put on a screen, newest first, at most `PAGE`."""
        require_held(caller, may.PUT_ON_SCREEN)
        async with self._transactions() as stores:
            return await stores.classes.live_of(caller.account_id, PAGE)

    async def to_show(self, caller: Caller, class_id: ClassId) -> LiveClass:
        """A class that the caller puts on a screen. Raises `ClassNotFound` for whoever is not in it, `RemovedFromClass`,
        `ClassOver`."""
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            if live is None:
                raise ClassNotFound
            may_put_on_screen(live, caller, await stores.classes.membership(class_id, caller.account_id))
        return live

    async def live(self, class_id: ClassId) -> LiveClass:
        """A class by id, for who was given it before. Raises `ClassNotFound`, `ClassOver`."""
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
        if live is None:
            raise ClassNotFound
        if live.over:
            raise ClassOver(class_id=str(live.id))
        return live

    async def end(self, caller: Caller, class_id: ClassId) -> LiveClass:
        """End a class. Raises `ClassNotFound`, `Forbidden`, or `ClassOver` when it has ended before."""
        may_end(await self.by_id(caller, class_id), caller)
        return await self._end(class_id, lambda live: may_end(live, caller), ())

    async def end_by_staff(self, by: Actor, class_id: ClassId, reason: str) -> LiveClass:
        """The same by staff, for whoever was let in to do so (overseeing.py). Raises `ClassNotFound`, `ClassOver`."""
        await self.live(class_id)
        told = Entry(by, "class.ended", thing=Thing("class", str(class_id)), reason=reason)
        return await self._end(class_id, _require_live, (told,))

    async def _plan_of(self, stores: ClassStores, caller: Caller) -> CoachPlan:
        if self._coach_needs is None:
            return NOTHING_NEEDED
        granted = await stores.entitlements.named((caller.account_id,), self._coach_needs)
        return plan_of(self._coach_needs, granted[caller.account_id], self._clock.wall_ms())

    async def _end(self, class_id: ClassId, may: Callable[[LiveClass], None], told: tuple[Entry, ...]) -> LiveClass:
        await self._stage.settle(class_id)
        async with self._transactions() as stores:
            live = await stores.classes.lock(class_id)
            if live is None:
                raise ClassNotFound
            may(live)
            await stores.classes.end(class_id, utc(self._clock.wall_ms()))
            await stores.audit.add(*told)
            await stores.outbox.add(ClassEnded(class_id=class_id), class_id)
            ended = await stores.classes.by_id(class_id)
        if ended is None:
            raise ClassNotFound
        await self._stage.ended(ended)
        return ended

    async def summary(self, caller: Caller, class_id: ClassId) -> str:
        """The final table as stored JSON (`realtime.wire.ClassSummary`). Raises `NotFound` until it is ready."""
        await self.by_id(caller, class_id)
        async with self._transactions() as stores:
            found = await stores.classes.summary(class_id)
        if found is None:
            raise NotFound("the summary is not ready: the class is still live, or has only just ended")
        return found


def _require_live(live: LiveClass) -> None:
    if live.over:
        raise ClassOver(class_id=str(live.id))
