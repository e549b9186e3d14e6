"""Signing in with others: Google, Apple, whoever the operator has written down. And the address that they send browsers back to.

A provider answers to `/sign-in/return/{provider}`, in the query or, as Apple does, in a form that the browser posts. Neither
address decides anything, because neither can tell who began: both lead on to the page `/sign-in` with what was said behind the
`#`, where no server and no log sees it, and the page hands it in together with the secret that only the browser which began has.
"""

from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import hdrs, web

from gateway.http.accounts import Device
from gateway.http.bodies import FORM, media_type, read_body
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.accounts.sign_in import RETURN_PATH
from services.accounts.sign_ins import Came, ProviderView, SignInBegun, SignInNow
from services.kernel.ids import SignInId
from services.kernel.problems import (
    AccountSuspended,
    BadShape,
    EmailNotVouched,
    Forbidden,
    IdentityTaken,
    LinkNeeded,
    NotFound,
    RegisteringPaused,
    SecondFactorNeeded,
    SignInRefused,
    SignInUnknown,
    TooManyAttempts,
    TooManyIdentities,
)

PAGE: Final = "/sign-in"
_PASSED_ON: Final = ("state", "code", "iss", "error")
_MOST_FIELDS: Final = 20
_LONGEST: Final = 4_096

ProviderId = Annotated[str, msgspec.Meta(max_length=30)]


class BeginSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With which provider. `role` is that of the account, should it be a new one; `device` is how the login will be listed."""

    provider: ProviderId
    role: Literal["member", "coach"] = "member"
    device: Device = ""


class FinishSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secret that the sign-in began with."""

    secret: Annotated[str, msgspec.Meta(max_length=100)]


class ProviderList(msgspec.Struct, frozen=True):
    """Whom one can sign in with here."""

    providers: tuple[ProviderView, ...]


class SignInPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which sign-in."""

    id: SignInId


async def providers(deps: GatewayDeps, call: Call[Nothing, Nothing, Nothing]) -> ProviderList:
    return ProviderList(deps.sign_ins.offered())


async def begin(deps: GatewayDeps, call: Call[BeginSignIn, Nothing, Nothing]) -> SignInBegun:
    body = call.body
    return await deps.sign_ins.begin(body.provider, role=body.role, device=body.device, address=call.address)


async def come_back(deps: GatewayDeps, call: Call[Came, Nothing, SignInPath]) -> SignInNow:
    return await deps.sign_ins.come_back(call.path.id, call.body, address=call.address)


async def finish(deps: GatewayDeps, call: Call[FinishSignIn, Nothing, SignInPath]) -> SignInNow:
    return await deps.sign_ins.finish(call.path.id, call.body.secret)


def add_sign_in_return(app: web.Application) -> None:
    """Make `app` answer browsers that providers send back."""

    async def by_query(request: web.Request) -> web.Response:
        return _on_to_the_page(request, dict(request.query))

    async def by_form(request: web.Request) -> web.Response:
        if media_type(request) != FORM:
            raise BadShape(f"a provider's answer is posted as {FORM}")
        body = await read_body(request)
        try:
            text = body.decode()
            fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
        except (UnicodeDecodeError, ValueError) as error:
            raise BadShape("the form cannot be read") from error
        return _on_to_the_page(request, fields)

    url = RETURN_PATH + "{provider}"
    app.router.add_get(url, by_query, name="sign_in_return")
    app.router.add_post(url, by_form, name="sign_in_return_form")


def _on_to_the_page(request: web.Request, said: dict[str, str]) -> web.Response:
    passed: dict[str, str] = {name: said[name] for name in _PASSED_ON if name in said}
    if name := _name_of(said.get("user", "")):
        passed["name"] = name
    if any(len(value) > _LONGEST for value in passed.values()):
        raise BadShape(f"no part of a provider's answer is longer than {_LONGEST} characters")
    passed["provider"] = request.match_info["provider"]
    where = f"{PAGE}#{urlencode(passed)}"
    return web.Response(status=303, headers={hdrs.LOCATION: where, hdrs.CACHE_CONTROL: "no-store"})


class _AppleName(msgspec.Struct, frozen=True):
    firstName: str = ""  # noqa: N815 - as Apple writes it
    lastName: str = ""  # noqa: N815


class _AppleUser(msgspec.Struct, frozen=True):
    name: _AppleName = _AppleName()


def _name_of(user: str) -> str:
    """What Apple says a person calls themselves, in their first sign-in only; "" for anything else."""
    try:
        name = msgspec.json.decode(user, type=_AppleUser).name
    except (msgspec.MsgspecError, RecursionError):  # nested too deeply is the second
        return ""
    return f"{name.firstName} {name.lastName}".strip()[:200]


PROVIDERS = Route(
    "GET",
    "/v1/sign-in-providers",
    name="sign_in_providers",
    permission=may.PUBLIC,
    tag="sign-ins",
    does="The providers that one can sign in with, in the operator's order.",
    handler=providers,
    body=Nothing,
    query=Nothing,
    path=Nothing,
    reply=ProviderList,
    auth="none",
)
BEGIN = Route(
    "POST",
    "/v1/sign-ins",
    name="begin_sign_in",
    permission=may.PUBLIC,
    tag="sign-ins",
    does="Begin to sign in with a provider: go to `url` in the browser.",
    more=(
        "The provider sends the browser back to the page `/sign-in`, with its answer behind the #. Keep `secret` where that page,"
        " or your app, finds it again and nobody else does: the answer is taken only together with it."
    ),
    handler=begin,
    body=BeginSignIn,
    query=Nothing,
    path=Nothing,
    reply=SignInBegun,
    status=201,
    auth="none",
    problems=(NotFound, Forbidden, TooManyAttempts),
)
COME_BACK = Route(
    "POST",
    "/v1/sign-ins/{id}/return",
    name="return_to_sign_in",
    permission=may.PUBLIC,
    tag="sign-ins",
    does="Hand in the provider's answer. It is taken once.",
    more="A worker then asks the provider who it is; `POST /v1/sign-ins/{id}/finish` says how that went.",
    handler=come_back,
    body=Came,
    query=Nothing,
    path=SignInPath,
    reply=SignInNow,
    status=202,
    auth="none",
    problems=(SignInUnknown, SignInRefused, TooManyAttempts),
    cookie=True,
)
FINISH = Route(
    "POST",
    "/v1/sign-ins/{id}/finish",
    name="finish_sign_in",
    permission=may.PUBLIC,
    tag="sign-ins",
    does="How a sign-in is: wait and ask again, or it is done and here is your login.",
    more=(
        "A provider's word that an address is yours makes a new account, and never opens one that is there: log in to that and link"
        " the provider (`POST /v1/me/identities`). Whatever else is answered than `waiting`, the sign-in is over."
    ),
    handler=finish,
    body=FinishSignIn,
    query=Nothing,
    path=SignInPath,
    reply=SignInNow,
    auth="none",
    problems=(
        AccountSuspended,
        SignInUnknown,
        SignInRefused,
        LinkNeeded,
        RegisteringPaused,
        EmailNotVouched,
        IdentityTaken,
        TooManyIdentities,
        SecondFactorNeeded,
    ),
    cookie=True,
)
