"""Putting a script on demand, finding what there is, starting a class of it, and ending that class by the clock.

A class that is started is a live class like any other, with the script as its timeline, whose clock leads it (on_demand.py).
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

from msgspec.structs import replace

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.entitlement import Entitlement, require
from services.classes import script as scripts
from services.classes.group_clock import ClockStores, end_due, plan_end
from services.classes.group_clock import TimelineStore as NotedTimelineStore
from services.classes.live_class import CODE_LENGTH, GroupTerms, LiveClass, Membership, code_from
from services.classes.on_demand import MOST_AT_ONCE, OnDemand, OnDemandTerms, OnDemandView, may_withdraw, view_of
from services.classes.script import Script
from services.classes.team import team_names
from services.classes.timeline import Timeline
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassEnded
from services.kernel.ids import AccountId, ClassId, Ids, OnDemandId
from services.kernel.problems import BadShape, Busy, Forbidden, KeyReused, NotFound, TooManyGroups

MAX_PAGE: Final = 50
_CODE_TRIES: Final = 5
_NONE: Final = "nothing with this id is on demand"


class OnDemandStore(Protocol):
    """See persistence/on_demand.py."""

    async def add(self, on_demand: OnDemand, script: Script, key: str) -> bool: ...
    async def by_id(self, on_demand_id: OnDemandId) -> OnDemand | None: ...
    async def by_key(self, coach_id: AccountId, key: str) -> OnDemand | None: ...
    async def script(self, on_demand_id: OnDemandId) -> Script | None: ...
    async def page(self, after: OnDemandId | None, limit: int) -> list[OnDemand]: ...
    async def withdraw(self, on_demand_id: OnDemandId, at: datetime) -> None: ...
    async def lock_starter(self, account_id: AccountId) -> None: ...
    async def started(self, account_id: AccountId, key: str) -> LiveClass | None: ...
    async def count_open(self, account_id: AccountId) -> int: ...


class ClassStore(Protocol):
    """And of the classes' (persistence/classes.py)."""

    async def create(self, live: LiveClass, start_key: str | None = None) -> bool: ...
    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def lock(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...
    async def end(self, class_id: ClassId, at: datetime) -> bool: ...


class EntitlementStore(Protocol):
    """And of the entitlements' (persistence/entitlements.py)."""

    async def named(self, accounts: Collection[AccountId], name: str) -> dict[AccountId, list[Entitlement]]: ...


class TimelineStore(NotedTimelineStore, Protocol):
    """And of the timelines' (persistence/timelines.py)."""

    async def of(self, class_id: ClassId) -> Timeline: ...
    async def save_script(self, class_id: ClassId, script: Script, revision: int, at: datetime) -> None: ...


class OnDemandStores(ClockStores, Protocol):
    """The stores of one transaction."""

    @property
    def on_demand(self) -> OnDemandStore: ...
    @property
    def classes(self) -> ClassStore: ...
    @property
    def entitlements(self) -> EntitlementStore: ...
    @property
    def timelines(self) -> TimelineStore: ...


class OnDemands:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[OnDemandStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def put(
        self, caller: Caller, terms: OnDemandTerms, script: Script | None, class_id: ClassId | None, key: str
    ) -> OnDemandView:
        """Put a script on demand (role coach): the one given, or that of a class of one's own. The same request again with its
        `key` finds the one it made. Raises `Forbidden`, `BadShape`, `NotFound`, `KeyReused`."""
        require_held(caller, may.PUT_ON_DEMAND)
        if (script is None) is (class_id is None):
            raise BadShape("give either a script or the class whose script it is", path="$")
        async with self._transactions() as stores:
            if class_id is not None:
                script = await self._script_of(stores, caller, class_id)
            if script is None:
                raise NotFound("this class has no script")
            checked = scripts.checked(script, "$.script")
            made = OnDemand(
                id=OnDemandId(self._ids.next()),
                coach_id=caller.account_id,
                coach_name=caller.name,
                terms=replace(terms, title=terms.title.strip(), teams=team_names(terms.teams, path="$.terms.teams")),
                duration_ms=scripts.duration_ms(checked),
                created_ms=self._clock.wall_ms(),
            )
            if await stores.on_demand.add(made, checked, key):
                return view_of(made)
            known = await stores.on_demand.by_key(caller.account_id, key)
            if known is None or (known.terms, known.duration_ms) != (made.terms, made.duration_ms):
                raise KeyReused
            return view_of(known)

    async def page(self, caller: Caller, after: OnDemandId | None, limit: int) -> tuple[OnDemandView, ...]:
        """What is on demand, the newest first, at most `MAX_PAGE`."""
        require_held(caller, may.RIDE_ON_DEMAND)
        async with self._transactions() as stores:
            found = await stores.on_demand.page(after, min(max(limit, 1), MAX_PAGE))
        return tuple(map(view_of, found))

    async def withdraw(self, caller: Caller, on_demand_id: OnDemandId) -> OnDemandView:
        """No more classes of it (its coach); those that were started go on. Again is fine. Raises `NotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            may_withdraw(await _found(stores, on_demand_id), caller)
            await stores.on_demand.withdraw(on_demand_id, utc(self._clock.wall_ms()))
            return view_of(await _found(stores, on_demand_id))

    async def start(
        self, caller: Caller, on_demand_id: OnDemandId, key: str, teams: Sequence[str] | None = None
    ) -> LiveClass:
        """Open the lobby of a class of it, with a fresh join code to be shared, in these `teams`, None: in those of its terms; the
        same request again finds the class it made. Raises `NotFound`, `EntitlementNeeded`, `TooManyGroups`, `KeyReused`,
        `BadShape`."""
        require_held(caller, may.RIDE_ON_DEMAND)
        names = None if teams is None else team_names(teams)
        async with self._transactions() as stores:
            await stores.on_demand.lock_starter(caller.account_id)
            known = await stores.on_demand.started(caller.account_id, key)
            if known is not None:
                others = names is not None and names != known.teams
                if known.group is None or known.group.on_demand_id != on_demand_id or others:
                    raise KeyReused
                return known
            on_demand = await _found(stores, on_demand_id)
            script = await stores.on_demand.script(on_demand_id)
            if on_demand.withdrawn_ms is not None or script is None:
                raise NotFound(_NONE)
            await self._may_start(stores, caller, on_demand.terms.needs)
            named = on_demand.terms.teams if names is None else names
            return await self._start(stores, caller, on_demand, script, key, named)

    async def _may_start(self, stores: OnDemandStores, caller: Caller, needs: str | None) -> None:
        if needs is not None:
            granted = await stores.entitlements.named((caller.account_id,), needs)
            require(needs, granted[caller.account_id], self._clock.wall_ms())
        if await stores.on_demand.count_open(caller.account_id) >= MOST_AT_ONCE:
            raise TooManyGroups(limit=MOST_AT_ONCE)

    async def _start(
        self,
        stores: OnDemandStores,
        caller: Caller,
        on_demand: OnDemand,
        script: Script,
        key: str,
        teams: tuple[str, ...],
    ) -> LiveClass:
        now_ms = self._clock.wall_ms()
        terms = on_demand.terms
        for _ in range(_CODE_TRIES):
            live = LiveClass(
                id=ClassId(self._ids.next()),
                code=code_from(secrets.token_bytes(CODE_LENGTH)),
                title=terms.title,
                coach_id=caller.account_id,
                coach_name=caller.name,
                created_ms=now_ms,
                needs=terms.needs,
                group=GroupTerms(on_demand.id, terms.places, terms.late_min),
                teams=teams,
            )
            if await stores.classes.create(live, key):
                await stores.timelines.save_script(live.id, script, 1, utc(now_ms))
                await plan_end(stores, live, Timeline(script, 1))
                return live
        raise Busy("no free join code was found; try again")

    @staticmethod
    async def _script_of(stores: OnDemandStores, caller: Caller, class_id: ClassId) -> Script | None:
        live = await stores.classes.by_id(class_id)
        if live is None or live.group is not None or not live.is_led_by(caller.account_id):
            raise Forbidden("only the script of a class that you lead can be put on demand", path="$.class_id")
        return (await stores.timelines.of(class_id)).script


async def end_by_clock(stores: OnDemandStores, class_id: ClassId, now_ms: int) -> bool:
    """End a class without a coach whose time has come; False when that is not due: its clock has moved since, or it is over."""
    live = await stores.classes.lock(class_id)
    if live is None or not end_due(live, await stores.timelines.of(class_id), now_ms):
        return False
    await stores.classes.end(class_id, utc(now_ms))
    await stores.outbox.add(ClassEnded(class_id=class_id), class_id)
    return True


async def _found(stores: OnDemandStores, on_demand_id: OnDemandId) -> OnDemand:
    found = await stores.on_demand.by_id(on_demand_id)
    if found is None:
        raise NotFound(_NONE)
    return found
