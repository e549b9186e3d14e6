"""Fair play over HTTP: the verdict on a workout and why, the appeal against it, and what waits for those who review."""

import msgspec

from gateway.http.challenges import ChallengePath
from gateway.http.classes import ClassPath
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from gateway.http.workouts import WorkoutPath
from services.access import permission as may
from services.fairplay.case import Decision, Words
from services.fairplay.verdicts import CaseView, VerdictView
from services.kernel.problems import (
    AppealedAlready,
    AppealTooLate,
    ChallengeNotFound,
    ClassNotFound,
    Forbidden,
    NotFound,
    NothingToAppeal,
    NothingToRule,
    NotJudgedYet,
)


class AppealRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the verdict is wrong, in your words; whoever decides reads it."""

    text: Words


class RulingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What you decide, and the `reason`, which the person is told. `overturn`: the workout counts, unmarked. `uphold`: the rules
    were right; an appeal changes nothing, and what was only flagged does not count any more."""

    decision: Decision
    reason: Words


class CaseList(msgspec.Struct, frozen=True):
    """Cases that wait for you, appeals first and then those that have waited longest; a hundred at most."""

    cases: tuple[CaseView, ...]


async def workout_verdict(deps: GatewayDeps, call: Call[Nothing, Nothing, WorkoutPath]) -> VerdictView:
    return await deps.verdicts.of_workout(call.caller, call.path.id)


async def appeal(deps: GatewayDeps, call: Call[AppealRequest, Nothing, WorkoutPath]) -> VerdictView:
    return await deps.verdicts.appeal(call.caller, call.path.id, call.body.text)


async def rule(deps: GatewayDeps, call: Call[RulingRequest, Nothing, WorkoutPath]) -> VerdictView:
    return await deps.verdicts.rule(call.caller, call.path.id, call.body.decision, call.body.reason)


async def class_reviews(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> CaseList:
    return CaseList(await deps.verdicts.waiting_in_class(call.caller, call.path.id))


async def own_reviews(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> CaseList:
    return CaseList(await deps.verdicts.waiting_for(call.caller))


async def challenge_reviews(deps: GatewayDeps, call: Call[Nothing, Nothing, ChallengePath]) -> CaseList:
    return CaseList(await deps.verdicts.waiting_in_challenge(call.caller, call.path.id))


WORKOUT_VERDICT = Route(
    "GET",
    "/v1/workouts/{id}/verdict",
    name="workout_verdict",
    permission=may.READ_VERDICTS,
    tag="fair play",
    does="Whether a workout counts, and why: for its owner, and for whoever may review it.",
    more=(
        "The coaches of its class may review it, and who made a challenge in which it is scored. A verdict comes soon after the "
        "workout is finished, and again when late samples came."
    ),
    handler=workout_verdict,
    body=Nothing,
    query=Nothing,
    path=WorkoutPath,
    reply=VerdictView,
    scope="workouts:read",
    problems=(NotFound, Forbidden, NotJudgedYet),
)
APPEAL = Route(
    "POST",
    "/v1/workouts/{id}/verdict/appeal",
    name="appeal",
    permission=may.APPEAL_VERDICT,
    tag="fair play",
    does="Appeal against the verdict on your workout, once and within a fortnight; somebody will look at it.",
    more="An appeal never makes things worse. Whoever has ruled on this workout before does not decide on it.",
    handler=appeal,
    body=AppealRequest,
    query=Nothing,
    path=WorkoutPath,
    reply=VerdictView,
    status=201,
    problems=(NotFound, Forbidden, NotJudgedYet, AppealedAlready, NothingToAppeal, AppealTooLate),
)
RULE = Route(
    "POST",
    "/v1/workouts/{id}/verdict/ruling",
    name="rule",
    permission=may.RULE_VERDICT,
    tag="fair play",
    does="Rule on a workout that waits for you: on its owner's appeal, or on what is flagged.",
    more="Nobody rules on their own workout, nor twice on one. The owner is told, and the tables that it is in move at once.",
    handler=rule,
    body=RulingRequest,
    query=Nothing,
    path=WorkoutPath,
    reply=VerdictView,
    problems=(NotFound, Forbidden, NotJudgedYet, NothingToRule),
)
CLASS_REVIEWS = Route(
    "GET",
    "/v1/classes/{id}/reviews",
    name="class_reviews",
    permission=may.READ_VERDICTS,
    tag="fair play",
    does="Workouts of a class that wait for one of its coaches to look at them.",
    handler=class_reviews,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=CaseList,
    problems=(Forbidden, ClassNotFound),
)
CHALLENGE_REVIEWS = Route(
    "GET",
    "/v1/challenges/{id}/reviews",
    name="challenge_reviews",
    permission=may.READ_VERDICTS,
    tag="fair play",
    does="Workouts scored in a challenge that wait for whoever made it to look at them.",
    handler=challenge_reviews,
    body=Nothing,
    query=Nothing,
    path=ChallengePath,
    reply=CaseList,
    problems=(Forbidden, ChallengeNotFound),
)
OWN_REVIEWS = Route(
    "GET",
    "/v1/reviews",
    name="own_reviews",
    permission=may.READ_VERDICTS,
    tag="fair play",
    does="Workouts that wait for you to look at them, of all classes that you coach and all challenges that you have made.",
    more="Without your own and those that you have ruled on. What you decide makes room for the next.",
    handler=own_reviews,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=CaseList,
    problems=(Forbidden,),
)
