"""The rooms that are live, as people of the staff see them: which there are, who is in one, and stopping what must stop.

Which classes are live and who their members are stands in the database; who is there right now is what all nodes tell the register
of presence, so it is the same whichever node is asked and whichever holds the room. Of anybody's body nothing is shown here.

Sending somebody out and ending a class are what coaches do (coaches.py, classes.py), by somebody else: the same facts, the same
words in the room, on every node. Each look and each act is in the audit; acts say why.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol

import msgspec

from services.access import permission as may
from services.access.permission import Permission
from services.access.policy import require
from services.accounts.step_up import require_fresh
from services.audit.entry import Actor, AuditStore, Entry, Thing, actor_of
from services.classes.classes import Classes
from services.classes.coaches import Coaches
from services.classes.leading import Leads, Person
from services.classes.live_class import NOBODY, LiveClass, Role
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import ClassNotFound

MAX_ROOMS: Final = 100
MAX_PEOPLE: Final = 200
"""In one answer; a class has room for more than ten times as many."""

Kind = Literal["class", "heat", "on_demand"]
"""class: with a coach; heat: of a challenge that is ridden together; on_demand: of a script, without a coach."""
There = Mapping[AccountId, tuple[str, ...]]
"""Who is in a room, and through which nodes; through none for who has just left and may be back in a moment."""


class RoomLook(msgspec.Struct, frozen=True):
    """A class that is live. `coach`: who coaches it, or has started it; empty for a heat. `there`: how many people are in its room
    right now, over all nodes; null while nobody knows, because Redis is away."""

    id: ClassId
    kind: Kind
    title: str
    coach: str
    since_ms: int
    there: int | None


class RoomsPage(msgspec.Struct, frozen=True):
    """Live classes, the newest first; `next_before` is the `before` of those that follow, null after the last."""

    rooms: tuple[RoomLook, ...]
    next_before: ClassId | None = None


class PersonThere(msgspec.Struct, frozen=True):
    """Somebody in a room. `n` their number in the class; `leads` it as coach or co-coach; `nodes` those through which they are
    connected, none for who has left a moment ago and may be back. Who was sent out is not among them."""

    n: int
    account: AccountId
    name: str
    role: Role
    leads: Leads | None
    nodes: tuple[str, ...]


class RoomOpened(msgspec.Struct, frozen=True):
    """A room, and `people` who are in it by their number. While nobody knows who is there (`room.there` is null), those who have
    ever joined and were not sent out. `next_after` is the `after` of those that follow, null after the last."""

    room: RoomLook
    people: tuple[PersonThere, ...]
    next_after: int | None = None


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def live_page(self, before: ClassId | None, limit: int) -> list[LiveClass]: ...


class LeadingStore(Protocol):
    """See persistence/leading.py."""

    async def people(self, class_id: ClassId) -> list[Person]: ...


class RoomStores(Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def leading(self) -> LeadingStore: ...
    @property
    def audit(self) -> AuditStore: ...


class Attendance(Protocol):
    """Who is in rooms, over all nodes (rooms/attendance.py). Raises nothing: None is what nobody knows right now."""

    async def counts(self, class_ids: Sequence[ClassId]) -> Sequence[int | None]: ...
    async def there(self, class_id: ClassId) -> There | None: ...


class Overseeing:
    """The use cases. All raise `Forbidden` and `StepUpNeeded`; `address` is where the caller asks from."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[RoomStores]],
        attendance: Attendance,
        classes: Classes,
        coaches: Coaches,
        clock: Clock,
    ) -> None:
        self._transactions: Final = transactions
        self._attendance: Final = attendance
        self._classes: Final = classes
        self._coaches: Final = coaches
        self._clock: Final = clock

    async def page(self, caller: Caller, before: ClassId | None, limit: int, address: str | None) -> RoomsPage:
        """Classes that are live, at most `MAX_ROOMS`, and how many people are in each."""
        by = self._let_in(caller, may.LOOK_AT_ROOMS, address)
        limit = min(max(limit, 1), MAX_ROOMS)
        async with self._transactions() as stores:
            found = await stores.classes.live_page(before, limit + 1)
            await stores.audit.add(Entry(by, "rooms.looked_up"))
        shown = found[:limit]
        counts = await self._attendance.counts([live.id for live in shown])
        rooms = tuple(_look(live, there) for live, there in zip(shown, counts, strict=True))
        return RoomsPage(rooms, shown[-1].id if len(found) > limit else None)

    async def room(self, caller: Caller, class_id: ClassId, after: int, limit: int, address: str | None) -> RoomOpened:
        """Who is in a room: at most `MAX_PEOPLE` whose number is above `after`. Raises `ClassNotFound`, also for one that is
        over."""
        by = self._let_in(caller, may.LOOK_AT_ROOMS, address)
        async with self._transactions() as stores:
            live = await stores.classes.by_id(class_id)
            if live is None or live.over:
                raise ClassNotFound
            people = await stores.leading.people(class_id)
            await stores.audit.add(Entry(by, "room.looked_up", thing=Thing("class", str(class_id))))
        return opened(live, people, await self._attendance.there(class_id), after, min(max(limit, 1), MAX_PEOPLE))

    async def send_out(self, caller: Caller, class_id: ClassId, n: int, reason: str, address: str | None) -> None:
        """Send the member of this number out, on whatever node they are. Again is fine. Raises `ClassNotFound`, `ClassOver`,
        `BadShape` for a number that nobody has."""
        await self._coaches.remove_by_staff(self._let_in(caller, may.SEND_OUT, address), class_id, n, reason)

    async def end(self, caller: Caller, class_id: ClassId, reason: str, address: str | None) -> None:
        """End a class, for everybody in it. Raises `ClassNotFound`, `ClassOver`."""
        await self._classes.end_by_staff(self._let_in(caller, may.END_ROOM, address), class_id, reason)

    def _let_in(self, caller: Caller, permission: Permission, address: str | None) -> Actor:
        require(caller, permission)
        require_fresh(caller, self._clock.wall_ms(), second_factor=True)
        return actor_of(caller, address)


def opened(live: LiveClass, people: Sequence[Person], there: There | None, after: int, limit: int) -> RoomOpened:
    """A page of who is in a room. Pure."""
    present = [
        PersonThere(
            n=person.n,
            account=person.account_id,
            name=person.name,
            role=person.role,
            leads=_leads(live, person.account_id),
            nodes=() if there is None else there[person.account_id],
        )
        for person in people
        if not person.removed and (there is None or person.account_id in there)
    ]
    shown = [person for person in present if person.n > after]
    page = tuple(shown[:limit])
    return RoomOpened(
        _look(live, None if there is None else len(present)), page, page[-1].n if len(shown) > limit else None
    )


def _look(live: LiveClass, there: int | None) -> RoomLook:
    kind: Kind = "heat" if live.heat else "class" if live.group is None else "on_demand"
    coach = "" if live.coach_id == NOBODY else live.coach_name
    return RoomLook(live.id, kind, live.title, coach, live.created_ms, there)


def _leads(live: LiveClass, account_id: AccountId) -> Leads | None:
    if not live.is_led_by(account_id):
        return None
    return "coach" if account_id == live.coach_id else "co_coach"
