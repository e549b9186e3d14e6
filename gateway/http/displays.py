"""Putting a class on a big screen, and finding the demo class."""

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from realtime.wire import ClassView, Code
from rooms.room import view_of
from services.access import permission as may
from services.kernel.problems import ClassNotFound, ClassOver, NotFound, TooManyAttempts


class DisplayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The join code of a live class, in either case."""

    code: Code


class DisplayOpened(msgspec.Struct, frozen=True):
    """A token for this screen: it watches this class on the socket, and nothing else. `expires_in_s` seconds."""

    access_token: str
    expires_in_s: int
    watched: ClassView = msgspec.field(name="class")


class Demo(msgspec.Struct, frozen=True):
    """The join code of the demo class."""

    code: str


async def open_display(deps: GatewayDeps, call: Call[DisplayRequest, Nothing, Nothing]) -> DisplayOpened:
    display = await deps.displays.open(call.body.code, address=call.address)
    return DisplayOpened(display.issued.token, display.issued.expires_in_s, view_of(display.watched))


async def demo(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> Demo:
    code = await deps.demo_code() if deps.demo_code is not None else None
    if code is None:
        raise NotFound("there is no demo class on this server")
    return Demo(code)


OPEN_DISPLAY = Route(
    "POST",
    "/v1/displays",
    name="open_display",
    permission=may.PUBLIC,
    tag="displays",
    does="A token for a big screen that watches one live class; knowing its join code is the right.",
    handler=open_display,
    body=DisplayRequest,
    query=Nothing,
    path=Nothing,
    reply=DisplayOpened,
    status=201,
    auth="none",
    problems=(ClassNotFound, ClassOver, TooManyAttempts),
)
DEMO = Route(
    "GET",
    "/v1/demo",
    name="demo",
    permission=may.PUBLIC,
    tag="displays",
    does="The join code of the demo class, where one is running.",
    handler=demo,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=Demo,
    auth="none",
    problems=(NotFound,),
)
