"""What one wants to be told, where and when: one document, read and replaced as a whole."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.problems import ChangedMeanwhile, Forbidden
from services.notifications.choices import PreferencesView, choices_of
from services.notifications.preferences import MAX_LOCALE, Preferences


class PreferencesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`language`: what the topics are described in (a locale); otherwise that of the preferences."""

    language: Annotated[str, msgspec.Meta(max_length=MAX_LOCALE)] | None = None


async def own_preferences(deps: GatewayDeps, call: Call[Nothing, PreferencesQuery, Nothing]) -> PreferencesView:
    return choices_of(await deps.notifications.preferences(call.caller), deps.leaving, call.query.language)


async def save_preferences(deps: GatewayDeps, call: Call[Preferences, PreferencesQuery, Nothing]) -> PreferencesView:
    saved = await deps.notifications.save_preferences(call.caller, call.body)
    return choices_of(saved, deps.leaving, call.query.language)


OWN_PREFERENCES = Route(
    "GET",
    "/v1/notification-preferences",
    name="own_preferences",
    permission=may.USE_INBOX,
    tag="notifications",
    does="What you want to be told, where and when, and all there is to choose from.",
    handler=own_preferences,
    body=Nothing,
    query=PreferencesQuery,
    path=Nothing,
    reply=PreferencesView,
    problems=(Forbidden,),
)
SAVE_PREFERENCES = Route(
    "PUT",
    "/v1/notification-preferences",
    name="save_preferences",
    permission=may.USE_INBOX,
    tag="notifications",
    does="Replace your preferences.",
    more=(
        "Give back the `preferences` that you have read, changed, with the `revision` they were read at. `chosen` names only what"
        " differs from a topic's own way; what equals it is left out when it is stored. What was left out of the body becomes its"
        " default."
    ),
    handler=save_preferences,
    body=Preferences,
    query=PreferencesQuery,
    path=Nothing,
    reply=PreferencesView,
    problems=(Forbidden, ChangedMeanwhile),
)
