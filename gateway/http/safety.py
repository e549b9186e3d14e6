"""Being watched over: turned on, with which limit, the question that is open; for coaches, the alerts that wait."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.problems import Forbidden
from services.safety.incident import MOST_ALERTS, OPEN_MS, PROMPT_MS, AlertList, IncidentView, view_of
from services.safety.limit import ABOVE_GUESSED_BPM, ABOVE_MEASURED_BPM, LimitBpm, LimitSource
from services.safety.ports import Chosen
from services.safety.safety import SafetyNow


class SafetyView(msgspec.Struct, frozen=True):
    """`on`: whether you are watched over. `limit_bpm` is the limit that holds while it is on, and `limit_source` what it was made
    from: your own figure, your measured maximum, or a maximum that was estimated. `incident`: what you are asked right now."""

    on: bool
    limit_bpm: int
    limit_source: LimitSource
    incident: IncidentView | None


class ChooseSafety(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`on` turns it on or off; `limit_bpm` a limit of your own, null for the one made from your maximum."""

    on: bool
    limit_bpm: LimitBpm | None = None


async def own_safety(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> SafetyView:
    return safety_view(await deps.safety.now(call.caller))


async def choose_safety(deps: GatewayDeps, call: Call[ChooseSafety, Nothing, Nothing]) -> SafetyView:
    return safety_view(await deps.safety.choose(call.caller, Chosen(call.body.on, call.body.limit_bpm)))


async def safety_alerts(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> AlertList:
    return await deps.safety.alerts(call.caller)


def safety_view(now: SafetyNow) -> SafetyView:
    """How it stands, as its owner sees it."""
    return SafetyView(
        on=now.chosen.on,
        limit_bpm=now.limit.bpm,
        limit_source=now.limit.source,
        incident=None if now.incident is None else view_of(now.incident),
    )


OWN_SAFETY = Route(
    "GET",
    "/v1/safety",
    name="own_safety",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Whether you are watched over, by which limit, and what you are asked right now.",
    more="Ask it after every connect: a `safety.prompt` that came while you were away does not come again.",
    handler=own_safety,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=SafetyView,
    problems=(Forbidden,),
)
CHOOSE_SAFETY = Route(
    "PUT",
    "/v1/safety",
    name="choose_safety",
    permission=may.USE_SAFETY,
    tag="safety",
    does="Be watched over, or not any more.",
    more=(
        "While it is on, you are asked with `safety.prompt` when your heart rate gives reason to. If you do not say"
        f" `safety.cancel` within {PROMPT_MS // 1_000} s, those who coach your class are told, with your name and what was seen;"
        f" it is over after {OPEN_MS // 60_000} minutes. Without a limit of your own it is your measured maximum and"
        f" {ABOVE_MEASURED_BPM} bpm, or a maximum that was estimated and {ABOVE_GUESSED_BPM} bpm. This is no medical device."
        " Streams that are open are watched from their next opening on."
    ),
    handler=choose_safety,
    body=ChooseSafety,
    query=Nothing,
    path=Nothing,
    reply=SafetyView,
    problems=(Forbidden,),
)
SAFETY_ALERTS = Route(
    "GET",
    "/v1/safety/alerts",
    name="safety_alerts",
    permission=may.USE_SAFETY,
    tag="safety",
    does="The alerts that wait for you, as somebody who coaches.",
    more=(
        "Ask it after every connect, and twice a minute meanwhile: a `safety.alert` that went out while nobody of your"
        " account could hear it does not come again. Merge by `incident` and `revision`. What somebody has taken on, and"
        f" what is over, is not in it; of more than {MOST_ALERTS} there are the newest. Empty for whoever coaches nobody."
    ),
    handler=safety_alerts,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=AlertList,
    problems=(Forbidden,),
)
