"""What one wants to be told, where and when: one document, read and replaced as a whole."""

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.kernel.problems import ChangedMeanwhile, Forbidden
from services.notifications.choices import PreferencesView, choices_of
from services.notifications.preferences import Preferences


async def own_preferences(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> PreferencesView:
    return choices_of(await deps.notifications.preferences(call.caller), deps.leaving)


async def save_preferences(deps: GatewayDeps, call: Call[Preferences, Nothing, Nothing]) -> PreferencesView:
    return choices_of(await deps.notifications.save_preferences(call.caller, call.body), deps.leaving)


OWN_PREFERENCES = Route(
    "GET",
    "/v1/notification-preferences",
    name="own_preferences",
    tag="notifications",
    does="What you want to be told, where and when, and all there is to choose from.",
    handler=own_preferences,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=PreferencesView,
    problems=(Forbidden,),
)
SAVE_PREFERENCES = Route(
    "PUT",
    "/v1/notification-preferences",
    name="save_preferences",
    tag="notifications",
    does="Replace your preferences.",
    more=(
        "Give back the `preferences` that you have read, changed, with the `revision` they were read at. `chosen` names only what"
        " differs from a topic's own way; what equals it is left out when it is stored. What was left out of the body becomes its"
        " default."
    ),
    handler=save_preferences,
    body=Preferences,
    query=Nothing,
    path=Nothing,
    reply=PreferencesView,
    problems=(Forbidden, ChangedMeanwhile),
)
