"""Letting in a big screen that cannot type (RFC 8628): what the screen asks, and what the page /display asks for a person."""

from typing import Annotated

import msgspec

from gateway.http.displays import DisplayOpened
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from realtime.wire import ClassView
from rooms.room import view_of
from services.access import permission as may
from services.accounts.pairing import spelled
from services.accounts.pairings import PairingBegun
from services.kernel.ids import ClassId
from services.kernel.problems import (
    AuthorizationPending,
    Busy,
    ClassNotFound,
    ClassOver,
    PairingExpired,
    PairingRefused,
    PairingUnknown,
    RemovedFromClass,
    SlowDown,
    TooManyAttempts,
)

DeviceCode = Annotated[str, msgspec.Meta(min_length=1, max_length=100, description="what POST /v1/pairings gave")]
UserCode = Annotated[
    str, msgspec.Meta(min_length=1, max_length=40, description="as the screen shows it, in whatever case and groups")
]


class PairingPoll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A screen asks what became of its pairing."""

    device_code: DeviceCode

    def __repr__(self) -> str:
        return "PairingPoll()"


class PairingQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code on the screen."""

    user_code: UserCode


class PairingAsking(msgspec.Struct, frozen=True):
    """A screen that waits. `network` is where it asks from, "" when that is not known; `classes` are those that you may show on it.
    Times are ms since 1970."""

    user_code: str
    network: str
    asked_at_ms: int
    expires_at_ms: int
    classes: tuple[ClassView, ...]


class PairingAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The class that the screen is to show, or null to refuse."""

    user_code: UserCode
    class_id: ClassId | None


async def begin(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> PairingBegun:
    return await deps.pairings.begin(address=call.address)


async def poll(deps: GatewayDeps, call: Call[PairingPoll, Nothing, Nothing]) -> DisplayOpened:
    display = await deps.pairings.poll(call.body.device_code)
    return DisplayOpened(display.issued.token, display.issued.expires_in_s, view_of(display.watched))


async def look(deps: GatewayDeps, call: Call[PairingQuestion, Nothing, Nothing]) -> PairingAsking:
    asking = await deps.pairings.look(call.caller, call.body.user_code, address=call.address)
    waits = asking.pairing
    classes = tuple(view_of(each) for each in asking.classes)
    return PairingAsking(spelled(waits.user_code), waits.network, waits.asked_ms, waits.expires_ms, classes)


async def answer(deps: GatewayDeps, call: Call[PairingAnswer, Nothing, Nothing]) -> None:
    await deps.pairings.answer(call.caller, call.body.user_code, call.body.class_id, address=call.address)


BEGIN = Route(
    "POST",
    "/v1/pairings",
    name="begin_pairing",
    permission=may.PUBLIC,
    tag="displays",
    does="A big screen asks to be let in: a code that it shows, and one that it keeps.",
    more=(
        "Show `user_code` with `verification_uri`, and `picture`. Then ask `POST /v1/pairings/token` every `interval_s` seconds"
        " until it answers with a token, with `pairing_refused` or with `pairing_expired`. The flow is that of RFC 8628."
    ),
    handler=begin,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=PairingBegun,
    status=201,
    auth="none",
    problems=(TooManyAttempts, Busy),
)
POLL = Route(
    "POST",
    "/v1/pairings/token",
    name="poll_pairing",
    permission=may.PUBLIC,
    tag="displays",
    does="What became of a pairing: the token of the display with its class, once.",
    more=(
        "`authorization_pending`: nobody has answered yet, go on. `slow_down`: that was too early, from now on wait 5 s longer."
        " Both say in `retry_after_ms` how long. `pairing_refused`, `pairing_expired`: begin anew."
    ),
    handler=poll,
    body=PairingPoll,
    query=Nothing,
    path=Nothing,
    reply=DisplayOpened,
    auth="none",
    problems=(AuthorizationPending, SlowDown, PairingRefused, PairingExpired, ClassNotFound, ClassOver),
)
LOOK = Route(
    "POST",
    "/v1/pairings/requests",
    name="look_at_pairing",
    permission=may.PAIR_SCREENS,
    tag="displays",
    does="Which screen shows this code, and which of your classes it can be given.",
    handler=look,
    body=PairingQuestion,
    query=Nothing,
    path=Nothing,
    reply=PairingAsking,
    problems=(PairingUnknown, TooManyAttempts),
)
ANSWER = Route(
    "POST",
    "/v1/pairings/decisions",
    name="answer_pairing",
    permission=may.PAIR_SCREENS,
    tag="displays",
    does="Give the screen that shows this code a live class that you are in, or refuse.",
    handler=answer,
    body=PairingAnswer,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(PairingUnknown, TooManyAttempts, ClassNotFound, ClassOver, RemovedFromClass),
)
