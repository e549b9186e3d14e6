"""The telephone number that text messages go to: given, proved with a code, taken back."""

from typing import Annotated, Literal

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.kernel.problems import CodeExpired, Forbidden, NotFound, StepUpNeeded, TooManyCodes, WrongCode
from services.notifications.phone import CODES_A_DAY, LIFE_MS, MOST_WRONG
from services.notifications.phones import PhoneNow

MAX_TEXT = 40


class PhoneCheckView(msgspec.Struct, frozen=True):
    """A number that waits for its code. `message`: whether the text message waits, was sent, or failed for good."""

    number: str
    expires_at_ms: int
    guesses_left: int
    message: Literal["waiting", "sent", "failed"]


class PhoneView(msgspec.Struct, frozen=True):
    """Your number in E.164 form, null while none is proved. `dead`: its provider says that nobody lives there, so it is not used.
    `check`: a number that waits for its code; until then the one before stays in use. `offered`: whether this server sends text
    messages at all."""

    number: str | None
    verified_at_ms: int | None
    dead: bool
    check: PhoneCheckView | None
    offered: bool


class GivePhone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`phone` with its country, like +49 151 12345678; spaces, hyphens, dots, slashes and brackets may be in it."""

    phone: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


class ProvePhone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code that was sent."""

    code: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


async def own_phone(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> PhoneView:
    return view_of(await deps.phones.now(call.caller))


async def give_phone(deps: GatewayDeps, call: Call[GivePhone, Nothing, Nothing]) -> PhoneView:
    return view_of(await deps.phones.give(call.caller, call.body.phone))


async def prove_phone(deps: GatewayDeps, call: Call[ProvePhone, Nothing, Nothing]) -> PhoneView:
    return view_of(await deps.phones.prove(call.caller, call.body.code))


async def take_phone_back(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> None:
    await deps.phones.take_back(call.caller)


def view_of(now: PhoneNow) -> PhoneView:
    """How it stands, as its owner sees it."""
    phone, check = now.phone, now.check
    return PhoneView(
        number=None if phone is None else phone.number,
        verified_at_ms=None if phone is None else phone.verified_at_ms,
        dead=phone is not None and phone.dead_at_ms is not None,
        check=None
        if check is None
        else PhoneCheckView(check.number, check.expires_at_ms, check.guesses_left, check.message),
        offered=now.offered,
    )


OWN_PHONE = Route(
    "GET",
    "/v1/phone",
    name="own_phone",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="The telephone number that your text messages go to.",
    handler=own_phone,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=PhoneView,
    problems=(Forbidden,),
)
GIVE_PHONE = Route(
    "PUT",
    "/v1/phone",
    name="give_phone",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="Give a telephone number; a code is sent to it.",
    more=(
        f"The code is good for {LIFE_MS // 60_000} minutes. Nothing else is sent to the number before it is proved. To have another"
        f" code sent, say the same again: one a minute, and at most {CODES_A_DAY} a day, for you and for the number. A number that"
        " you have proved already needs no code. Choose in your preferences what is to come by `sms`."
    ),
    handler=give_phone,
    body=GivePhone,
    query=Nothing,
    path=Nothing,
    reply=PhoneView,
    problems=(Forbidden, NotFound, StepUpNeeded, TooManyCodes),
)
PROVE_PHONE = Route(
    "POST",
    "/v1/phone/prove",
    name="prove_phone",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="Prove that the number is yours, with the code that was sent to it.",
    more=(
        f"After {MOST_WRONG} wrong codes another one must be asked for."
        " A number is one account's: it moves to whoever proved it last."
    ),
    handler=prove_phone,
    body=ProvePhone,
    query=Nothing,
    path=Nothing,
    reply=PhoneView,
    problems=(Forbidden, WrongCode, CodeExpired),
)
TAKE_PHONE_BACK = Route(
    "DELETE",
    "/v1/phone",
    name="take_phone_back",
    permission=may.USE_DEVICES,
    tag="notifications",
    does="Send no text messages any more, and forget the number.",
    handler=take_phone_back,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=None,
    status=204,
    problems=(Forbidden, NotFound),
)
