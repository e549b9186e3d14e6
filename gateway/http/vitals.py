"""The history of one's own body: what was measured, from which day on it holds, and how it came to be known."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.vital import MOST_VITALS, NewVital, VitalView
from services.kernel.ids import VitalId
from services.kernel.problems import Forbidden, NotFound, TooManyVitals


class VitalList(msgspec.Struct, frozen=True):
    """Your history, kind by kind, the newest first."""

    vitals: tuple[VitalView, ...]


class VitalPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value of your history."""

    id: VitalId


async def own_vitals(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> VitalList:
    return VitalList(await deps.vitals.own(call.caller))


async def add_vital(deps: GatewayDeps, call: Call[NewVital, Nothing, Nothing]) -> VitalView:
    return await deps.vitals.add(call.caller, call.body)


async def delete_vital(deps: GatewayDeps, call: Call[Nothing, Nothing, VitalPath]) -> None:
    await deps.vitals.delete(call.caller, call.path.id)


OWN_VITALS = Route(
    "GET",
    "/v1/me/vitals",
    name="own_vitals",
    permission=may.READ_PROFILE,
    tag="accounts",
    does="The history of your body: heart rates, threshold, power, mass, height.",
    handler=own_vitals,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=VitalList,
    scope="profile:read",
    problems=(Forbidden,),
)
ADD_VITAL = Route(
    "POST",
    "/v1/me/vitals",
    name="add_vital",
    permission=may.WRITE_PROFILE,
    tag="accounts",
    does="Add a value of your body that holds from a day on.",
    more=(
        "Workouts are judged by what held on their day: a task `recompute_workouts` does so for past ones. What holds today is"
        f" also in your profile. An account keeps {MOST_VITALS} values."
    ),
    handler=add_vital,
    body=NewVital,
    query=Nothing,
    path=Nothing,
    reply=VitalView,
    status=201,
    scope="profile:write",
    problems=(Forbidden, TooManyVitals),
)
DELETE_VITAL = Route(
    "DELETE",
    "/v1/me/vitals/{id}",
    name="delete_vital",
    permission=may.WRITE_PROFILE,
    tag="accounts",
    does="Take a value out of your history.",
    more="What held before it holds on. Of maximum, resting rate and mass your profile forgets the last one with it.",
    handler=delete_vital,
    body=Nothing,
    query=Nothing,
    path=VitalPath,
    reply=None,
    status=204,
    scope="profile:write",
    problems=(Forbidden, NotFound),
)
