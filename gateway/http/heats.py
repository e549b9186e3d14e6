"""Heats over HTTP: make one, say ready, begin. Coming in, the table and the log are those of every challenge (challenges.py)."""

from typing import Annotated

import msgspec

from gateway.http.challenges import ChallengePath, FromZone, Teams, ZoneName
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.challenges.challenge import TeamName, Ties, Title
from services.challenges.challenges import ChallengeView
from services.challenges.heat import HeatKind, Late
from services.kernel.problems import (
    Busy,
    ChallengeNotFound,
    ChallengeOver,
    ChallengesPaused,
    ContradictoryChallenge,
    Forbidden,
    HeatBegun,
    TooManyChallenges,
)

LengthMin = Annotated[int, msgspec.Meta(ge=1, le=120, description="minutes")]
Target = Annotated[float, msgspec.Meta(gt=0, le=288_000, description="points, minutes in the zone, or metres")]


class HeatCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A heat to make: `effort` points, time in zone `from_zone` and above, or metres (`distance`; of whoever has a machine, watch
    or foot pod that measures them), in `length_min` minutes from a common start. Whoever has `target` is done. `ties`: of two with
    the same score the `first` one there stands higher, or the rank is `shared`. Whoever comes in when it has begun starts `late`,
    or is refused. With `teams` you say in which `team` you are, as does whoever comes in. `time_zone` (of the IANA list) is
    yours, as for every challenge."""

    title: Title
    kind: HeatKind
    length_min: LengthMin
    time_zone: ZoneName
    from_zone: FromZone | None = None
    target: Target | None = None
    ties: Ties = "first"
    late: Late = "starts_late"
    teams: Teams = ()
    team: TeamName | None = None


class HeatReady(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether you are ready."""

    ready: bool = True


async def create_heat(deps: GatewayDeps, call: Call[HeatCreate, Nothing, Nothing]) -> ChallengeView:
    asked = call.body
    return await deps.heats.create(
        call.caller,
        title=asked.title,
        kind=asked.kind,
        length_min=asked.length_min,
        from_zone=asked.from_zone,
        target=asked.target,
        ties=asked.ties,
        late=asked.late,
        time_zone=asked.time_zone,
        teams=asked.teams,
        team=asked.team,
    )


async def ready_for_heat(deps: GatewayDeps, call: Call[HeatReady, Nothing, ChallengePath]) -> ChallengeView:
    return await deps.heats.ready(call.caller, call.path.id, ready=call.body.ready)


async def start_heat(deps: GatewayDeps, call: Call[Nothing, Nothing, ChallengePath]) -> ChallengeView:
    return await deps.heats.start(call.caller, call.path.id)


CREATE_HEAT = Route(
    "POST",
    "/v1/heats",
    name="create_heat",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="Make a heat: a short challenge, ridden together from a common start. You are in it.",
    more=(
        "Others come in by its `code`, as into any challenge, and into its room by `heat.class_code`, which only members "
        "know. Table, log and end are those of a challenge."
    ),
    handler=create_heat,
    body=HeatCreate,
    query=Nothing,
    path=Nothing,
    reply=ChallengeView,
    status=201,
    problems=(Forbidden, ContradictoryChallenge, TooManyChallenges, ChallengesPaused, Busy),
)
READY_FOR_HEAT = Route(
    "POST",
    "/v1/heats/{id}/ready",
    name="ready_for_heat",
    permission=may.USE_CHALLENGES,
    tag="challenges",
    does="Say that you are ready, or are not. Once everybody in it is, two at least, the heat begins.",
    handler=ready_for_heat,
    body=HeatReady,
    query=Nothing,
    path=ChallengePath,
    reply=ChallengeView,
    problems=(Forbidden, ChallengeNotFound, ChallengeOver, HeatBegun),
)
START_HEAT = Route(
    "POST",
    "/v1/heats/{id}/start",
    name="start_heat",
    permission=may.START_HEAT,
    tag="challenges",
    does="Begin the heat, whoever is ready (who made it).",
    handler=start_heat,
    body=Nothing,
    query=Nothing,
    path=ChallengePath,
    reply=ChallengeView,
    problems=(Forbidden, ChallengeNotFound, ChallengeOver, HeatBegun),
)
