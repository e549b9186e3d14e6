"""The rooms that are live, as people of the staff see them (services/classes/overseeing.py)."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.staff import Why
from services.access import permission as may
from services.classes.overseeing import MAX_PEOPLE, MAX_ROOMS, RoomOpened, RoomsPage
from services.kernel.ids import ClassId
from services.kernel.problems import BadShape, ClassNotFound, ClassOver, Forbidden, StepUpNeeded

_STEPS: str = "Needs a second factor that was shown just now (`/v1/me/step-up`), and is in the audit."
Number = Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="somebody's number in the class")]


class RoomsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which: those older than the class `before`."""

    before: ClassId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROOMS)] = 50


class PeopleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who: those whose number is above `after`."""

    after: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PEOPLE)] = 100


class RoomPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which class."""

    id: ClassId


class SendOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom, and why."""

    n: Number
    reason: Why


class EndRoom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: Why


async def rooms(deps: GatewayDeps, call: Call[Nothing, RoomsQuery, Nothing]) -> RoomsPage:
    return await deps.overseeing.page(call.caller, call.query.before, call.query.limit, call.address)


async def room(deps: GatewayDeps, call: Call[Nothing, PeopleQuery, RoomPath]) -> RoomOpened:
    return await deps.overseeing.room(call.caller, call.path.id, call.query.after, call.query.limit, call.address)


async def send_out(deps: GatewayDeps, call: Call[SendOut, Nothing, RoomPath]) -> None:
    await deps.overseeing.send_out(call.caller, call.path.id, call.body.n, call.body.reason, call.address)


async def end_room(deps: GatewayDeps, call: Call[EndRoom, Nothing, RoomPath]) -> None:
    await deps.overseeing.end(call.caller, call.path.id, call.body.reason, call.address)


ROOMS = Route(
    "GET",
    "/v1/staff/rooms",
    name="rooms",
    permission=may.LOOK_AT_ROOMS,
    tag="staff",
    does="The classes that are live and how many people are in each, over all nodes, the newest first (support, admin).",
    more=_STEPS,
    handler=rooms,
    body=Nothing,
    query=RoomsQuery,
    path=Nothing,
    reply=RoomsPage,
    problems=(StepUpNeeded,),
)
ROOM = Route(
    "GET",
    "/v1/staff/rooms/{id}",
    name="room",
    permission=may.LOOK_AT_ROOMS,
    tag="staff",
    does="Who is in the room of a live class, and through which nodes (support, admin).",
    more=f"Nothing of anybody's body is shown. {_STEPS}",
    handler=room,
    body=Nothing,
    query=PeopleQuery,
    path=RoomPath,
    reply=RoomOpened,
    problems=(ClassNotFound, StepUpNeeded),
)
SEND_OUT = Route(
    "POST",
    "/v1/staff/rooms/{id}/send-out",
    name="send_out",
    permission=may.SEND_OUT,
    tag="staff",
    does="Send somebody out of a live class (support, admin).",
    more=f"They leave it on every node, and come back when its coach lets them in. The coach is not sent out. {_STEPS}",
    handler=send_out,
    body=SendOut,
    query=Nothing,
    path=RoomPath,
    reply=None,
    status=204,
    problems=(ClassNotFound, ClassOver, Forbidden, BadShape, StepUpNeeded),
)
END_ROOM = Route(
    "POST",
    "/v1/staff/rooms/{id}/end",
    name="end_room",
    permission=may.END_ROOM,
    tag="staff",
    does="End a live class, for everybody in it (admin).",
    more=f"As its coach would: everybody in it is told, and it gets its summary. {_STEPS}",
    handler=end_room,
    body=EndRoom,
    query=Nothing,
    path=RoomPath,
    reply=None,
    status=204,
    problems=(ClassNotFound, ClassOver, StepUpNeeded),
)
