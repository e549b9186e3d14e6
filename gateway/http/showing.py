"""How people are shown to others, over HTTP: for one class, also when it is over, and for the classes to come; and the ledger of
what they have agreed to."""

import msgspec

from gateway.http.classes import ClassPath
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.showing import Consent
from services.classes.showings import Choice
from services.kernel.problems import ClassNotFound, Forbidden, NotInRoom, RateLimited


class ConsentList(msgspec.Struct, frozen=True):
    """The ledger of one person, the newest first."""

    consents: tuple[Consent, ...]


async def own_display(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> Choice:
    return await deps.showings.default(call.caller)


async def choose_own_display(deps: GatewayDeps, call: Call[Choice, Nothing, Nothing]) -> Choice:
    return await deps.showings.choose_default(call.caller, call.body)


async def class_display(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> Choice:
    return await deps.showings.in_class(call.caller, call.path.id)


async def choose_class_display(deps: GatewayDeps, call: Call[Choice, Nothing, ClassPath]) -> Choice:
    return await deps.showings.choose(call.caller, call.path.id, call.body)


async def own_consents(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ConsentList:
    return ConsentList(tuple(await deps.showings.ledger(call.caller)))


OWN_DISPLAY = Route(
    "GET",
    "/v1/me/display",
    name="own_display",
    permission=may.USE_SHOWING,
    tag="accounts",
    does="How you are shown in the classes that you join.",
    handler=own_display,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=Choice,
    scope="profile:read",
    problems=(Forbidden,),
)
CHOOSE_OWN_DISPLAY = Route(
    "PUT",
    "/v1/me/display",
    name="choose_own_display",
    permission=may.USE_SHOWING,
    tag="accounts",
    does="Choose how you are shown in the classes that you join from now on.",
    more=(
        "`full`: name, heart rate, zone and score; `zone`: no heart rate; `alias`: under another name; `coach`: only the coach sees"
        " you; `hidden`: nobody does. Classes that you are in stay as they are."
    ),
    handler=choose_own_display,
    body=Choice,
    query=Nothing,
    path=Nothing,
    reply=Choice,
    problems=(Forbidden,),
)
CLASS_DISPLAY = Route(
    "GET",
    "/v1/classes/{id}/display",
    name="class_display",
    permission=may.USE_SHOWING,
    tag="classes",
    does="How you are shown in a class that you are or were in.",
    handler=class_display,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=Choice,
    problems=(ClassNotFound, Forbidden, NotInRoom),
)
CHOOSE_CLASS_DISPLAY = Route(
    "PUT",
    "/v1/classes/{id}/display",
    name="choose_class_display",
    permission=may.USE_SHOWING,
    tag="classes",
    does="Choose how you are shown in a class that you are or were in.",
    more=(
        "The same as `display.set` on the socket: when it is answered no board shows more any longer. After the class it holds for"
        " the final table, which is made again."
    ),
    handler=choose_class_display,
    body=Choice,
    query=Nothing,
    path=ClassPath,
    reply=Choice,
    problems=(ClassNotFound, Forbidden, NotInRoom, RateLimited),
)
OWN_CONSENTS = Route(
    "GET",
    "/v1/me/consents",
    name="own_consents",
    permission=may.USE_SHOWING,
    tag="accounts",
    does="What you have agreed to show, to whom and when, and what you have withdrawn.",
    more="Each line is one purpose with its audience; `class_id` is missing where it was for the classes to come.",
    handler=own_consents,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ConsentList,
    problems=(Forbidden,),
)
