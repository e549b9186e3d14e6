"""Live classes over HTTP: what a coach does before and after. The class itself happens on the socket."""

from typing import Annotated, Final

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from realtime.wire import ClassCreate, ClassSummary, ClassView
from rooms.replay import ReplayPage
from rooms.room import view_of
from services.access import permission as may
from services.classes.class_ghost import ClassGhost
from services.classes.leading import Leads, PersonView
from services.classes.live_class import LiveClass
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import (
    ClassNotFound,
    ClassOver,
    Forbidden,
    GhostNotReady,
    NotFound,
    RemovedFromClass,
)

MIN_EVERY_MS: Final = 200
"""Between two boards of a replay. Faster than this nobody reads; each board costs the server what it cost live."""


class GhostPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which class, and whom of it one races: its `leader`, its `median`, or the member of a number on its final table."""

    id: ClassId
    who: Annotated[str, msgspec.Meta(pattern="^(leader|median|[1-9][0-9]{0,4})$")]


class ClassPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which class."""

    id: ClassId


class ReplayQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which stretch: from `from_ms` (ms since 1970) on, with a board every `every_ms`."""

    from_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0
    every_ms: Annotated[int, msgspec.Meta(ge=MIN_EVERY_MS, le=60_000)] = 1_000


class LedClass(ClassView, frozen=True, kw_only=True):
    """A class that you lead, as its coach or as a co-coach."""

    leads: Leads


class ClassList(msgspec.Struct, frozen=True):
    """Classes, newest first, fifty at most."""

    classes: tuple[LedClass, ...]


class PeopleList(msgspec.Struct, frozen=True):
    """Everybody who is or was in a class, by number."""

    people: tuple[PersonView, ...]


async def create_class(deps: GatewayDeps, call: Call[ClassCreate, Nothing, Nothing]) -> ClassView:
    body = call.body
    return view_of(await deps.classes.create(call.caller, body.title, body.needs, body.metric, body.teams))


async def own_classes(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ClassList:
    led = await deps.classes.of_coach(call.caller)
    return ClassList(tuple(_led(live, call.caller.account_id) for live in led))


def _led(live: LiveClass, account_id: AccountId) -> LedClass:
    leads: Leads = "coach" if live.coach_id == account_id else "co_coach"
    return LedClass(**msgspec.structs.asdict(view_of(live)), leads=leads)


async def class_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> ClassView:
    return view_of(await deps.classes.by_id(call.caller, call.path.id))


async def class_people(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> PeopleList:
    return PeopleList(await deps.classes.people(call.caller, call.path.id))


async def end_class(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> ClassView:
    return view_of(await deps.classes.end(call.caller, call.path.id))


async def class_summary(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> ClassSummary:
    # Stored by an earlier version, perhaps: it is read into today's shape, so the document stays true.
    return msgspec.json.decode(await deps.classes.summary(call.caller, call.path.id), type=ClassSummary)


async def class_replay(deps: GatewayDeps, call: Call[Nothing, ReplayQuery, ClassPath]) -> ReplayPage:
    return await deps.replay.page(call.caller, call.path.id, call.query.from_ms, call.query.every_ms)


async def class_ghost(deps: GatewayDeps, call: Call[Nothing, Nothing, GhostPath]) -> ClassGhost:
    return await deps.class_ghosts.ghost(call.caller, call.path.id, call.path.who)


CREATE_CLASS = Route(
    "POST",
    "/v1/classes",
    name="create_class",
    permission=may.CREATE_CLASS,
    tag="classes",
    does="Create a live class; its join code is in the answer (role coach).",
    handler=create_class,
    body=ClassCreate,
    query=Nothing,
    path=Nothing,
    reply=ClassView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden,),
)
OWN_CLASSES = Route(
    "GET",
    "/v1/classes",
    name="own_classes",
    permission=may.LIST_CLASSES,
    tag="classes",
    does="The classes that a coach leads, newest first: their own, and those they co-coach.",
    handler=own_classes,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ClassList,
    scope="classes:read",
    problems=(Forbidden,),
)
CLASS_BY_ID = Route(
    "GET",
    "/v1/classes/{id}",
    name="class_by_id",
    permission=may.READ_CLASS,
    tag="classes",
    does="One class (its coach, its members, its screens).",
    handler=class_by_id,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=ClassView,
    scope="classes:read",
    problems=(ClassNotFound, RemovedFromClass),
)
CLASS_PEOPLE = Route(
    "GET",
    "/v1/classes/{id}/people",
    name="class_people",
    permission=may.SEE_PEOPLE,
    tag="classes",
    does="Who is or was in a class: who leads it, who could, who is muted, who was sent out (who leads it).",
    more="After `class.coaches`, `room.removed` and `room.let_in` it is another one. Who is there right now says the board.",
    handler=class_people,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=PeopleList,
    problems=(ClassNotFound, Forbidden, RemovedFromClass),
)
END_CLASS = Route(
    "POST",
    "/v1/classes/{id}/end",
    name="end_class",
    permission=may.END_CLASS,
    tag="classes",
    does="End a class; its summary follows (its coach).",
    handler=end_class,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=ClassView,
    scope="classes:manage",
    problems=(ClassNotFound, ClassOver, Forbidden, RemovedFromClass),
)
CLASS_SUMMARY = Route(
    "GET",
    "/v1/classes/{id}/summary",
    name="class_summary",
    permission=may.READ_CLASS,
    tag="classes",
    does="The final table of a class (its coach, its members, its screens).",
    more="Not found until it is ready, usually a second after the end; the socket says so with `class.summary`.",
    handler=class_summary,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=ClassSummary,
    scope="classes:read",
    problems=(ClassNotFound, NotFound, RemovedFromClass),
)
CLASS_REPLAY = Route(
    "GET",
    "/v1/classes/{id}/replay",
    name="class_replay",
    permission=may.WATCH_REPLAY,
    tag="classes",
    does="A stretch of a class that is over, as a member saw it: boards, cues, chat and clock at their instants.",
    more="For whoever was in it. Play the events at your own speed and ask for the next page in time; to seek, ask with another "
    "`from_ms`. A class can be played again for 90 days.",
    handler=class_replay,
    body=Nothing,
    query=ReplayQuery,
    path=ClassPath,
    reply=ReplayPage,
    scope="classes:read",
    problems=(ClassNotFound, Forbidden, NotFound, RemovedFromClass),
)
CLASS_GHOST = Route(
    "GET",
    "/v1/classes/{id}/ghosts/{who}",
    name="class_ghost",
    permission=may.WATCH_REPLAY,
    tag="classes",
    does="How a score grew in a class that is over, to race it in another one (its coach, its members).",
    more=(
        "Of those who stand on its final table, under the name they have there; `leader` and `median` are pacers without a "
        "person. Fetch it once; nothing is sent while one rides."
    ),
    handler=class_ghost,
    body=Nothing,
    query=Nothing,
    path=GhostPath,
    reply=ClassGhost,
    scope="classes:read",
    problems=(Forbidden, ClassNotFound, RemovedFromClass, NotFound, GhostNotReady),
)
