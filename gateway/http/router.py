"""One row per route: the router and the document are made from the same table.

A row names method, path, the shapes of body, query and path, the shape of the reply, who may ask (its permission), and which
problems it may answer. `add_route` turns it into an aiohttp handler that checks all of that in one order (token, permission, path,
query, body) before the handler sees anything; `openapi.py` turns the same row into the document. Handlers decide nothing:
they call a use case and put its answer into a shape.

Adding a route: a row in the file of its noun, and that file's rows in `routes.py`.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Literal, NoReturn, TypeVar

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.admin_token import AdminToken
from gateway.http import page_login, rate_limits
from gateway.http.bodies import JSON, is_utf8, media_type, read_body
from gateway.http.page_login import Page, page_of, take_off
from gateway.http.ports import GatewayDeps
from gateway.http.problems import bad_shape
from gateway.origins import origin_rule
from gateway.proxies import FORWARDED_FOR, TrustedProxies
from services.access.permission import Permission, Shows
from services.access.policy import require_held
from services.accounts.scope import require_scope
from services.apps.lent import Guesses
from services.kernel.caller import Caller, Scope
from services.kernel.problems import (
    BadJson,
    BadShape,
    Forbidden,
    InternalFault,
    NotAuthenticated,
    NotFound,
    PageRefused,
    Problem,
    RateLimited,
    TokenExpired,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)

Auth = Literal["none", "bearer", "admin"]
"""Who may ask: anybody, whoever has an access token, or whoever has the admin token of this installation."""

_SHOWN: Final[dict[Auth, Shows]] = {"none": "nothing", "bearer": "token", "admin": "admin_token"}


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields at all."""


B = TypeVar("B", bound=msgspec.Struct)
Q = TypeVar("Q", bound=msgspec.Struct)
P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True)
class File:
    """An answer that is a file: where it lies, and what a browser should call it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Call(Generic[B, Q, P]):
    """One request, checked. `address` is where it comes from, None when that says nothing about who (see `address_of`); `page` is
    the page of ours that asks, on routes where it may have a cookie."""

    body: B
    query: Q
    path: P
    address: str | None
    caller_or_none: Caller | None = None
    page: Page | None = None

    @property
    def caller(self) -> Caller:
        """Who asks; only on routes that need a token."""
        if self.caller_or_none is None:
            raise NotAuthenticated
        return self.caller_or_none


@dataclass(frozen=True)
class Route(Generic[B, Q, P]):
    """One row of the table. `does` is the first line of its documentation, `more` the rest.

    `permission` is what whoever asks must hold; whether they may do it to what they name, the use case asks policy again.
    `body`, `query`, `path` are `Nothing` where there is none; `reply` None means an empty answer, or a `File` of the type
    `media_type`. `scope` opens it to apps and to scripts with a key; without one it is for people alone. Anybody between us and the
    client may keep a reply for `kept_s` seconds; none by default. `cookie`: a page of ours has the login that this opens, renews or
    ends in a cookie (page_login.py).
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    name: str
    permission: Permission
    tag: str
    does: str
    handler: Callable[[GatewayDeps, Call[B, Q, P]], Awaitable[msgspec.Struct | File | None]]
    body: type[B]
    query: type[Q]
    path: type[P]
    reply: type[msgspec.Struct] | None
    status: int = 200
    auth: Auth = "bearer"
    scope: Scope | None = None
    problems: tuple[type[Problem], ...] = ()
    more: str = ""
    media_type: str = ""
    kept_s: int = 0
    cookie: bool = False

    def all_problems(self) -> tuple[type[Problem], ...]:
        """Its own problems, and those that its shapes and its auth bring along; ordered by status and code."""
        kinds = {*self.problems, InternalFault, Unavailable}
        if self.auth != "admin":
            kinds.add(RateLimited)
        if self.auth == "bearer":
            kinds |= {Forbidden, NotAuthenticated, TokenExpired}
        if self.auth == "admin":
            kinds |= {NotAuthenticated, NotFound}
        if self.cookie:
            kinds.add(PageRefused)
        if self.body is not Nothing:
            kinds |= {BadJson, BadShape, TooLarge, UnsupportedMediaType}
        if self.query is not Nothing or self.path is not Nothing:
            kinds.add(BadShape)
        return tuple(sorted(kinds, key=lambda kind: (kind.status, kind.code)))


def add_route(app: web.Application, route: Route[B, Q, P], deps: GatewayDeps) -> None:
    """Make `app` answer `route`. A GET answers HEAD as well."""
    decoder = msgspec.json.Decoder(route.body)
    scopes = () if route.scope is None else (route.scope,)
    if route.permission.shows != _SHOWN[route.auth]:
        raise ValueError(
            f"{route.method} {route.url} asks for {route.permission.name}, which is shown by {route.permission.shows}, not by"
            f" {_SHOWN[route.auth]}: give it another permission (services/access/permission.py) or another auth"
        )

    # A cookie is for pages whose origin can be told: "*" lets any page have a socket, and none of them a cookie.
    ours = origin_rule([origin for origin in deps.allowed_origins if origin != "*"])

    async def answer(request: web.Request) -> web.StreamResponse:
        address = address_of(request, deps.proxies)
        caller = None
        if route.auth == "admin":
            admit_admin(deps.admin_token, request)
        else:
            try:
                if route.auth == "bearer":
                    guesses = None if address is None else Guesses(deps.limits, address)
                    caller = await deps.callers.identify(bearer_token(request), guesses=guesses)
            finally:
                await rate_limits.count(request, deps.limits, caller, address)
            if caller is not None:
                require_scope(caller, scopes)
                require_held(caller, route.permission)
        page = page_of(request, ours) if route.cookie else None
        path = _converted(dict(request.match_info), route.path, "path")
        query = _converted(_single(request), route.query, "query")
        body = route.body() if route.body is Nothing else await _read(request, decoder)
        call = Call(body=body, query=query, path=path, address=address, caller_or_none=caller, page=page)
        reply = take_off(await route.handler(deps, call), page)
        response = await _file(reply, route.media_type) if isinstance(reply, File) else _rendered(reply, route)
        rate_limits.tell(request, response)
        page_login.tell(request, response)
        return response

    app.router.add_route(route.method, route.url, answer, name=route.name)
    if route.method == hdrs.METH_GET:
        app.router.add_route(hdrs.METH_HEAD, route.url, answer)


def close_addresses(app: web.Application, routes: Iterable[Route[Any, Any, Any]]) -> None:
    """Let each address that stands for itself answer its own methods only, also where it looks like another row's with an id in it:
    `DELETE /v1/logins/refresh` is no login called "refresh". Call it after `add_route` for all rows."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    with_ids = []
    for route in routes:
        if "{" in route.url:
            with_ids.append(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", route.url)))
        else:
            methods[route.url] |= {route.method, hdrs.METH_HEAD} if route.method == hdrs.METH_GET else {route.method}
    for url, own in methods.items():
        if any(pattern.fullmatch(url) for pattern in with_ids):
            app.router.add_route(hdrs.METH_ANY, url, _refusing(own))


def _refusing(allowed: set[str]) -> Handler:
    async def refuse(request: web.Request) -> NoReturn:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse


def bearer_token(request: web.Request) -> str:
    """The token of the Authorization header. Raises NotAuthenticated."""
    values = request.headers.getall(hdrs.AUTHORIZATION, [])
    if len(values) != 1:
        raise NotAuthenticated
    scheme, _, token = values[0].partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated
    return token


def admit_admin(token: AdminToken | None, request: web.Request) -> None:
    """Raises NotFound when there is no admin token here, NotAuthenticated when the request does not carry it."""
    if token is None:
        raise NotFound("operations are closed on this server: set PACELINE_ADMIN_TOKEN to open them")
    try:
        given = bearer_token(request)
    except NotAuthenticated as missing:
        raise NotAuthenticated("this needs the admin token of this server as the bearer token") from missing
    if not token.admits(given):
        raise NotAuthenticated("this is not the admin token of this server; see PACELINE_ADMIN_TOKEN")


def address_of(request: web.Request, proxies: TrustedProxies) -> str | None:
    """Where a request comes from, for counting attempts; None for this machine itself and for our own proxies. Headers that claim
    another address are looked at only when one of our proxies wrote them."""
    return proxies.counted(proxies.client(request.remote or "", request.headers.getall(FORWARDED_FOR, ())))


async def _read(request: web.Request, decoder: "msgspec.json.Decoder[B]") -> B:
    if media_type(request) != JSON or not is_utf8(request):
        raise UnsupportedMediaType
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    raw = await read_body(request)
    try:
        body = decoder.decode(raw)
        if rb"\u0000" in raw and _has_nul(msgspec.json.decode(raw)):
            # Postgres keeps no text with it, so nothing behind this line has to think of it.
            raise BadShape("text may not have the character U+0000 in it")
    except msgspec.ValidationError as error:
        raise bad_shape(error, "$") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadJson(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise BadJson("the body is nested too deeply") from error
    return body


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(inner) for inner in value.values())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _single(request: web.Request) -> dict[str, str]:
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            raise BadShape("give this parameter once", path=f"query.{name[:40]}")
    return dict(query)


T = TypeVar("T", bound=msgspec.Struct)


def _converted(values: Mapping[str, str], shape: type[T], where: str) -> T:
    for name, value in values.items():
        if "\0" in value:
            raise BadShape("text may not have the character U+0000 in it", path=f"{where}.{name[:40]}")
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise bad_shape(error, where) from error


async def _file(reply: File, media_type: str) -> web.FileResponse:
    if not await asyncio.to_thread(reply.path.is_file):
        raise Unavailable("this server does not have the file: gateways and workers must share PACELINE_EXPORT_DIR")
    return web.FileResponse(
        reply.path,
        headers={
            hdrs.CONTENT_TYPE: media_type,
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="{reply.name}"',
            hdrs.CACHE_CONTROL: "no-store",
        },
    )


def _rendered(reply: msgspec.Struct | None, route: Route[B, Q, P]) -> web.Response:
    if reply is None:
        response = web.Response(status=route.status)
    else:
        response = web.Response(
            status=route.status, body=msgspec.json.encode(reply), content_type=JSON, charset="utf-8"
        )
    # Nearly all of it is about a person, and all of it changes: unless a row says so, nothing on the way to the client may keep it.
    response.headers["Cache-Control"] = f"public, max-age={route.kept_s}" if route.kept_s else "no-store"
    return response
