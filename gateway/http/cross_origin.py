"""Pages of apps in a browser: whose may read which of our answers (CORS), and whose may have a socket.

By itself a browser keeps what we answer from a page of another origin. There are three kinds of exceptions, and everything
else stays as it is, without a word about it in its headers:

- **Public documents** (`PUBLIC`), the keys and the metadata of OAuth, are for every page: `Access-Control-Allow-Origin: *`.
  Nothing in them is about anybody, and nothing that is shown changes them.
- **What an app may ask at all**: the routes that name a scope, and the endpoints where a public app gets and gives back its
  tokens (`FOR_APPS`). They are for the pages of apps that there are (services/apps/origins.py), each of which is named; never
  `*`.
- **Sockets** (under /socket.io/), for the same pages. What opens one is the token in its CONNECT.

No cookie has a part in any of it: `Access-Control-Allow-Credentials` is never said to a page of an app, `X-Paceline-Page` is
not among the headers that it may send, and no route that opens, renews or ends a login names a scope. So the pages of apps
can do what a program with the same token could do, and no more.

The middleware finds out, and `sharing` puts the headers on whatever is answered in the end, a refusal as well: who may not
read why they were refused can do nothing about it. What depends on the origin says so (`Vary`), for whatever caches stand
between.
"""

from collections.abc import Collection
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from gateway.http import rate_limits
from gateway.http.middleware import SOCKETS
from gateway.http.oauth import METADATA, REVOKE, TOKEN
from gateway.http.router import address_of
from gateway.http.routes import ROUTES
from gateway.origins import origin_rule
from gateway.proxies import TrustedProxies
from services.apps.origins import Origins
from services.limits.limits import Limits

PUBLIC: Final = frozenset({(hdrs.METH_GET, "/.well-known/jwks.json"), (hdrs.METH_GET, METADATA)})
FOR_APPS: Final = frozenset(
    {(route.method, route.url) for route in ROUTES if route.scope is not None}
    | {(hdrs.METH_HEAD, route.url) for route in ROUTES if route.scope is not None and route.method == hdrs.METH_GET}
    | {(hdrs.METH_POST, TOKEN), (hdrs.METH_POST, REVOKE)}
)
"""Method and pattern. /oauth/introspect is for apps with a secret, which is not in a page."""
SENT: Final = "Authorization, Content-Type, Traceparent, X-Request-Id"
"""The headers that a page of an app may send, beside those that every page may."""
SHOWN: Final = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
"""The headers that it may read, beside those that every page may."""
KEPT_S: Final = 600
"""How long a browser need not ask again before it sends; what it sends is judged each time."""

_READER: Final = web.RequestKey("reader", str)
"""The origin that may read the answer; empty where there is none, and the answer depends on it all the same."""


def cross_origin(
    app_origins: Origins, limits: Limits, proxies: TrustedProxies, allowed_origins: Collection[str]
) -> Middleware:
    """What finds out which page may read the answer. To be the innermost layer, so that what it raises is a problem."""
    ours = origin_rule(allowed_origins)

    async def is_an_apps(request: web.Request, origin: str) -> bool:
        return await app_origins.of_an_app(origin, address_of(request, proxies))

    async def on_sockets(request: web.Request, handler: Handler, origin: str) -> web.StreamResponse:
        # From here on the engine's own rule knows about this origin (`Origins.holds`).
        known = await is_an_apps(request, origin)
        response = await handler(request)
        if known:
            response.headers.popall(hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS, None)
        return response

    @web.middleware
    async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
        origins = request.headers.getall(hdrs.ORIGIN, [])
        elsewhere = len(origins) == 1 and not ours(origins[0], {"HTTP_HOST": request.host})
        if request.path.startswith(SOCKETS):
            return await (on_sockets(request, handler, origins[0]) if elsewhere else handler(request))
        if request.method == hdrs.METH_OPTIONS:
            asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD, "")
            if elsewhere and await _pattern(request, asked) in FOR_APPS:
                await rate_limits.count(request, limits, None, address_of(request, proxies))
                if await is_an_apps(request, origins[0]):
                    request[_READER] = origins[0]
                    return _preflight(request, asked)
        elif (request.method, _url(request.match_info)) in FOR_APPS:
            request[_READER] = origins[0] if elsewhere and await is_an_apps(request, origins[0]) else ""
        return await handler(request)

    return share


async def sharing(request: web.Request, response: web.StreamResponse) -> None:
    """Say on `response` which page may read it."""
    headers = response.headers
    if (request.method, _url(request.match_info)) in PUBLIC:
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    reader = request.get(_READER)
    if reader is None:
        return
    headers.add(hdrs.VARY, "Origin")
    if reader:
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = reader
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = SHOWN


def _preflight(request: web.Request, asked: str) -> web.Response:
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: asked,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(KEPT_S),
        hdrs.VARY: f"{hdrs.ACCESS_CONTROL_REQUEST_METHOD}, {hdrs.ACCESS_CONTROL_REQUEST_HEADERS}",
        hdrs.CACHE_CONTROL: "no-store",
    }
    response = web.Response(status=204, headers=headers)
    rate_limits.tell(request, response)
    return response


async def _pattern(request: web.Request, method: str) -> tuple[str, str]:
    """Method and pattern of what a browser asks about."""
    return method, _url(await request.app.router.resolve(request.clone(method=method)))


def _url(match: UrlMappingMatchInfo) -> str:
    resource = match.route.resource
    return "" if resource is None else resource.canonical
