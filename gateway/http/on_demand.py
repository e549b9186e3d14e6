"""Classes on demand: scripts that lie ready, and starting a class of one for oneself and whoever is given its code."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from realtime.wire import ClassView
from rooms.room import view_of
from services.access import permission as may
from services.classes.on_demand import OnDemandTerms, OnDemandView
from services.classes.on_demands import MAX_PAGE
from services.classes.script import Script
from services.classes.team import TeamNames
from services.kernel.ids import ClassId, OnDemandId
from services.kernel.problems import (
    Busy,
    EntitlementNeeded,
    Forbidden,
    KeyReused,
    NotFound,
    TooManyGroups,
)
from services.tasks.task import Key


class OnDemandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script to put on demand: your own words (`script`), or the script of a class that you lead or led (`class_id`). `key`, made
    by you, new for each: the same request again with it finds what it made."""

    key: Key
    terms: OnDemandTerms
    script: Script | None = None
    class_id: ClassId | None = None


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class of it, please. `key`, made by you, new for each: the same request again with it finds the class that it made. Its
    athletes are in these `teams`, none: in none; null: in those of its terms."""

    key: Key
    teams: TeamNames | None = None


class OnDemandPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    id: OnDemandId


class OnDemandQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `after`: the last one of the page before."""

    after: OnDemandId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class OnDemandList(msgspec.Struct, frozen=True):
    """What is on demand, the newest first. `next_after` is what to give as `after` for the next page, null on the last."""

    on_demand: tuple[OnDemandView, ...]
    next_after: OnDemandId | None


async def put_on_demand(deps: GatewayDeps, call: Call[OnDemandRequest, Nothing, Nothing]) -> OnDemandView:
    asked = call.body
    return await deps.on_demand.put(call.caller, asked.terms, asked.script, asked.class_id, asked.key)


async def on_demand(deps: GatewayDeps, call: Call[Nothing, OnDemandQuery, Nothing]) -> OnDemandList:
    found = await deps.on_demand.page(call.caller, call.query.after, call.query.limit)
    return OnDemandList(found, found[-1].id if len(found) == call.query.limit else None)


async def withdraw_on_demand(deps: GatewayDeps, call: Call[Nothing, Nothing, OnDemandPath]) -> OnDemandView:
    return await deps.on_demand.withdraw(call.caller, call.path.id)


async def start_on_demand(deps: GatewayDeps, call: Call[StartRequest, Nothing, OnDemandPath]) -> ClassView:
    return view_of(await deps.on_demand.start(call.caller, call.path.id, call.body.key, call.body.teams))


PUT_ON_DEMAND = Route(
    "POST",
    "/v1/on-demand",
    name="put_on_demand",
    permission=may.PUT_ON_DEMAND,
    tag="bookings",
    does="Put a script on demand, so that groups start classes of it without a coach (role coach).",
    handler=put_on_demand,
    body=OnDemandRequest,
    query=Nothing,
    path=Nothing,
    reply=OnDemandView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden, KeyReused, NotFound),
)
ON_DEMAND = Route(
    "GET",
    "/v1/on-demand",
    name="on_demand",
    permission=may.RIDE_ON_DEMAND,
    tag="bookings",
    does="What is on demand, the newest first.",
    handler=on_demand,
    body=Nothing,
    query=OnDemandQuery,
    path=Nothing,
    reply=OnDemandList,
    scope="classes:read",
    problems=(Forbidden,),
)
WITHDRAW_ON_DEMAND = Route(
    "DELETE",
    "/v1/on-demand/{id}",
    name="withdraw_on_demand",
    permission=may.WITHDRAW_ON_DEMAND,
    tag="bookings",
    does="No more classes of it; those that were started go on (its coach).",
    handler=withdraw_on_demand,
    body=Nothing,
    query=Nothing,
    path=OnDemandPath,
    reply=OnDemandView,
    scope="classes:manage",
    problems=(Forbidden, NotFound),
)
START_ON_DEMAND = Route(
    "POST",
    "/v1/on-demand/{id}/classes",
    name="start_on_demand",
    permission=may.RIDE_ON_DEMAND,
    tag="bookings",
    does="Open the lobby of a class of it; its join code is in the answer, for you and whoever you give it to.",
    more=(
        "Everybody joins by the code, as athlete. The class begins when all who are there have said `class.ready` on the socket, or"
        " when you start it with `class.control`; it ends by itself a minute after the script, and after an hour in which nothing"
        " goes on."
    ),
    handler=start_on_demand,
    body=StartRequest,
    query=Nothing,
    path=OnDemandPath,
    reply=ClassView,
    status=201,
    problems=(Busy, EntitlementNeeded, Forbidden, KeyReused, NotFound, TooManyGroups),
)
