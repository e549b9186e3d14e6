"""Classes that come again every week: what a coach does with the rule. Their classes are offers like any other."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.offer import Terms
from services.classes.recurring import MAX_PAGE
from services.classes.series import SeriesView, Weekly
from services.kernel.ids import SeriesId
from services.kernel.problems import Forbidden, KeyReused, NotFound
from services.tasks.task import Key


class SeriesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class that comes again. `key`, made by you, new for each: the same request again with it finds the series that it made."""

    key: Key
    rule: Weekly
    terms: Terms


class SeriesPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which series."""

    id: SeriesId


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `before`: only series older than this one."""

    before: SeriesId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class SeriesList(msgspec.Struct, frozen=True):
    """Series, newest first. `next_before` is what to give as `before` for the next page, null on the last."""

    series: tuple[SeriesView, ...]
    next_before: SeriesId | None


async def create_series(deps: GatewayDeps, call: Call[SeriesRequest, Nothing, Nothing]) -> SeriesView:
    return await deps.series.create(call.caller, call.body.rule, call.body.terms, call.body.key)


async def own_series(deps: GatewayDeps, call: Call[Nothing, SeriesQuery, Nothing]) -> SeriesList:
    found = await deps.series.own(call.caller, call.query.before, call.query.limit)
    return SeriesList(found, found[-1].id if len(found) == call.query.limit else None)


async def end_series(deps: GatewayDeps, call: Call[Nothing, Nothing, SeriesPath]) -> SeriesView:
    return await deps.series.end(call.caller, call.path.id)


CREATE_SERIES = Route(
    "POST",
    "/v1/series",
    name="create_series",
    permission=may.CREATE_SERIES,
    tag="bookings",
    does="Offer a class every week, by the clock of the place where it is given (role coach).",
    more="Its classes are offered four weeks ahead, day by day; change one, or call it off, as any other.",
    handler=create_series,
    body=SeriesRequest,
    query=Nothing,
    path=Nothing,
    reply=SeriesView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden, KeyReused, NotFound),
)
OWN_SERIES = Route(
    "GET",
    "/v1/series",
    name="own_series",
    permission=may.CREATE_SERIES,
    tag="bookings",
    does="A coach's own series, newest first.",
    handler=own_series,
    body=Nothing,
    query=SeriesQuery,
    path=Nothing,
    reply=SeriesList,
    scope="classes:manage",
    problems=(Forbidden,),
)
END_SERIES = Route(
    "DELETE",
    "/v1/series/{id}",
    name="end_series",
    permission=may.END_SERIES,
    tag="bookings",
    does="No more classes of a series; those that are offered stay (its coach).",
    more="Again is fine.",
    handler=end_series,
    body=Nothing,
    query=Nothing,
    path=SeriesPath,
    reply=SeriesView,
    scope="classes:manage",
    problems=(Forbidden, NotFound),
)
