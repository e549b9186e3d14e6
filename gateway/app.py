"""The aiohttp application: routes, windows and pages around use cases that somebody else has made.

`build_app` opens nothing and starts nothing but the timer of the loop-lag gauge. The sockets are attached to the same
application afterwards (gateway/sockets/), so that one port serves everything.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.http.bodies import MAX_BODY
from gateway.http.callbacks import add_callbacks
from gateway.http.contact_page import add_contact_page
from gateway.http.cross_origin import cross_origin, sharing
from gateway.http.documents import add_documents
from gateway.http.middleware import TRACE, HttpStatistics, middlewares, securing
from gateway.http.native_apps import add_native_apps
from gateway.http.oauth import add_oauth
from gateway.http.pages import Pages
from gateway.http.ports import GatewayDeps
from gateway.http.problems import problem_response
from gateway.http.router import add_route, close_addresses
from gateway.http.routes import ROUTES
from gateway.http.sign_ins import add_sign_in_return
from gateway.http.unsubscribe import add_unsubscribe
from gateway.probes import PROMETHEUS_TYPE, Ready, Telemetry
from services.kernel.problems import Unavailable

__all__ = ["HTTP_STATISTICS", "GatewayDeps", "build_app", "build_windows"]

HTTP_STATISTICS: Final = web.AppKey("http_statistics", HttpStatistics)
_WINDOWS: Final = web.AppKey("windows", Mapping[str, Handler])
_JSON: Final = "application/json"


class Alive(msgspec.Struct, frozen=True):
    """The answer of /livez."""

    alive: bool = True


class ReadyNow(msgspec.Struct, frozen=True):
    """The answer of /readyz when all is well: every check with "ok"."""

    ready: bool
    checks: dict[str, str]


def build_app(deps: GatewayDeps) -> web.Application:
    """The application that serves `deps` over HTTP. Raises UnknownReading when a reading has a name of its own."""
    statistics = HttpStatistics()
    across = cross_origin(deps.app_origins, deps.limits, deps.proxies, deps.allowed_origins)
    layers = [*middlewares(statistics, deps.clock), across]
    app = web.Application(middlewares=layers, client_max_size=MAX_BODY)
    app[HTTP_STATISTICS] = statistics
    app.on_response_prepare.extend((securing(deps.proxies), sharing))
    for route in ROUTES:
        add_route(app, route, deps)
    close_addresses(app, ROUTES)
    add_unsubscribe(app, deps)
    add_contact_page(app, deps)
    add_callbacks(app, deps)
    add_sign_in_return(app)
    add_oauth(app, deps)
    add_native_apps(app, deps)
    add_documents(app)
    _add_probes(app, deps, statistics)
    Pages(deps.web_root).add_to(app)
    return app


def build_windows(app: web.Application) -> web.Application:
    """The windows of `app` (gateway/probes.py) and nothing else, for a port of their own: where several processes answer on one
    port, nobody can choose whom he asks there."""
    windows = web.Application(middlewares=app.middlewares)
    windows.on_response_prepare.extend(app.on_response_prepare)
    for url, window in app[_WINDOWS].items():
        windows.router.add_get(url, window)
    return windows


def _add_probes(app: web.Application, deps: GatewayDeps, statistics: HttpStatistics) -> None:
    ready = Ready(deps.checks, deps.clock)
    lag = deps.lag
    telemetry = Telemetry(
        {
            "http_requests": lambda: statistics.requests,
            "http_problems": lambda: statistics.problems,
            "http_seconds": statistics.seconds,
            "loop_lag_seconds": lag.last,
            "loop_lag_max_seconds": lag.worst,
            **deps.readings,
        }
    )

    async def livez(_: web.Request) -> web.Response:
        return _fresh(web.Response(body=msgspec.json.encode(Alive()), content_type=_JSON))

    async def readyz(request: web.Request) -> web.Response:
        now = await ready.look()
        checks = {name: why or "ok" for name, why in now.checks.items()}
        if now.ready:
            return _fresh(web.Response(body=msgspec.json.encode(ReadyNow(True, checks)), content_type=_JSON))
        failing = ", ".join(name for name, why in now.checks.items() if why is not None)
        problem = Unavailable(f"this node is not ready: {failing}")
        statistics.problems[problem.code] += 1
        return _fresh(problem_response(problem, instance="/readyz", trace_id=request[TRACE], checks=checks))

    async def prometheus(_: web.Request) -> web.Response:
        return _fresh(web.Response(body=telemetry.page(), headers={"Content-Type": PROMETHEUS_TYPE}))

    async def measure_lag(_: web.Application) -> AsyncIterator[None]:
        lag.start()
        yield
        lag.stop()

    app[_WINDOWS] = {"/livez": livez, "/readyz": readyz, "/metrics": prometheus}
    for url, window in app[_WINDOWS].items():
        app.router.add_get(url, window)
    app.cleanup_ctx.append(measure_lag)


def _fresh(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    return response
