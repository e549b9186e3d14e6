"""A member's own workouts: the list, one with its summary, and its samples in pages."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from realtime.wire import Seq
from services.access import permission as may
from services.kernel.ids import WorkoutId
from services.kernel.problems import Forbidden, GhostNotReady, NotFound
from services.training.ghost import Ghost
from services.training.sample import Sample
from services.training.workouts import MAX_PAGE, MAX_SAMPLES_PAGE, WorkoutView


class WorkoutList(msgspec.Struct, frozen=True):
    """Workouts, newest first. `next_before` is what to give as `before` for the next page, null on the last."""

    workouts: tuple[WorkoutView, ...]
    next_before: WorkoutId | None


class SamplePage(msgspec.Struct, frozen=True):
    """Samples from `from_seq` on; the next page begins at `next_seq`. A page with no samples is the end, for now."""

    samples: tuple[Sample, ...]
    next_seq: int


class WorkoutPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workout."""

    id: WorkoutId


class WorkoutsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `before`: only workouts older than this one."""

    before: WorkoutId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class SamplesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of samples."""

    from_seq: Seq = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_SAMPLES_PAGE)] = 1_000


async def own_workouts(deps: GatewayDeps, call: Call[Nothing, WorkoutsQuery, Nothing]) -> WorkoutList:
    limit = call.query.limit
    found = await deps.workouts.of_account(call.caller, call.query.before, limit)
    # A full page may be the last one; then the next is empty, which is cheaper than asking for one more each time.
    return WorkoutList(tuple(found), found[-1].id if len(found) == limit else None)


async def workout_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, WorkoutPath]) -> WorkoutView:
    return await deps.workouts.by_id(call.caller, call.path.id)


async def workout_samples(deps: GatewayDeps, call: Call[Nothing, SamplesQuery, WorkoutPath]) -> SamplePage:
    query = call.query
    samples = await deps.workouts.samples(call.caller, call.path.id, query.from_seq, query.limit)
    return SamplePage(tuple(samples), query.from_seq + len(samples))


async def workout_ghost(deps: GatewayDeps, call: Call[Nothing, Nothing, WorkoutPath]) -> Ghost:
    return await deps.workouts.ghost(call.caller, call.path.id)


OWN_WORKOUTS = Route(
    "GET",
    "/v1/workouts",
    name="own_workouts",
    permission=may.READ_WORKOUTS,
    tag="workouts",
    does="Your workouts, newest first.",
    handler=own_workouts,
    body=Nothing,
    query=WorkoutsQuery,
    path=Nothing,
    reply=WorkoutList,
    scope="workouts:read",
    problems=(Forbidden,),
)
WORKOUT_BY_ID = Route(
    "GET",
    "/v1/workouts/{id}",
    name="workout_by_id",
    permission=may.READ_WORKOUTS,
    tag="workouts",
    does="One workout with its summary.",
    handler=workout_by_id,
    body=Nothing,
    query=Nothing,
    path=WorkoutPath,
    reply=WorkoutView,
    scope="workouts:read",
    problems=(NotFound, Forbidden),
)
WORKOUT_SAMPLES = Route(
    "GET",
    "/v1/workouts/{id}/samples",
    name="workout_samples",
    permission=may.READ_WORKOUTS,
    tag="workouts",
    does="The samples of a workout, as they were stored, in pages.",
    handler=workout_samples,
    body=Nothing,
    query=SamplesQuery,
    path=WorkoutPath,
    reply=SamplePage,
    scope="workouts:read",
    problems=(NotFound, Forbidden),
)
WORKOUT_GHOST = Route(
    "GET",
    "/v1/workouts/{id}/ghost",
    name="workout_ghost",
    permission=may.READ_WORKOUTS,
    tag="workouts",
    does="How the score of one of your workouts grew, second by second, to race it again.",
    more="Fetch it once, when you join; draw it at the time since your first sample.",
    handler=workout_ghost,
    body=Nothing,
    query=Nothing,
    path=WorkoutPath,
    reply=Ghost,
    scope="workouts:read",
    problems=(NotFound, Forbidden, GhostNotReady),
)
