"""What happens to every request: it gets a name, its failure becomes a problem, it is counted and logged.

Two layers, both made by `middlewares`. The outer one begins the request's span (in the client's trace, if it sent a
traceparent) and gives it its trace id (the client's own, if it sent a decent one in X-Request-Id), binds it to the log, and
writes the access log, at most `LINES_PER_S` lines a second with the number of those left out. The inner one turns whatever was
raised into one shape (problems.py). A fault of our own is logged with everything and answered with nothing but the trace id.

What `securing` makes runs for every response just before it is sent, whoever made it. The socket engine under /socket.io/ speaks a
protocol of its own and gets the few headers that mean something there.
"""

import asyncio
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.http import page_login
from gateway.http.oauth import ENDPOINTS as OAUTH
from gateway.http.pages import PAGES
from gateway.http.problems import CONTENT_TYPE, from_framework, problem_page, problem_response
from gateway.http.rate_limits import tell
from gateway.probes import Spread
from gateway.proxies import FORWARDED_PROTO, TrustedProxies
from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.problems import InternalFault, Problem

SOCKETS: Final = "/socket.io/"
LINES_PER_S: Final = 50
_PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})
REQUEST_ID: Final = "X-Request-Id"
TRACEPARENT: Final = "traceparent"
"""W3C Trace Context: the trace that a request belongs to, if its client has one."""
TRACE: Final = web.RequestKey("trace", str)
_PAGES: Final = frozenset({*PAGES, "/docs"})
"""Answered with a 304 as well, and read in a browser."""
_DECENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")

PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Our own origin only, no inline script or style. 'self' covers ws: and wss: of the same host."""
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
TRANSPORT_POLICY: Final = "max-age=31536000"
"""A browser that came by HTTPS once comes by nothing else for a year. Subdomains are the operator's to decide."""
ALWAYS: Final = {
    "Server": "paceline",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = structlog.get_logger(__name__)


class HttpStatistics:
    """Counts since the start: requests by "METHOD route status", problems by code, and how long requests took (s)."""

    def __init__(self) -> None:
        self.requests: Final[Counter[str]] = Counter()
        self.problems: Final[Counter[str]] = Counter()
        self._count = 0
        self._total = 0.0
        self._recent: deque[float] = deque(maxlen=512)

    def took(self, seconds: float) -> None:
        """Count one request's duration."""
        self._count += 1
        self._total += seconds
        self._recent.append(seconds)

    def seconds(self) -> Spread:
        """The durations."""
        return Spread(self._count, self._total, tuple(self._recent))


class _LineBudget:
    """Lines that may still be logged this second, and how many were left out before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._lines = 0
        self._left_out = 0

    def take(self) -> int | None:
        """None: leave this line out; otherwise how many were left out since the last one."""
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= LINES_PER_S:
            self._left_out += 1
            return None
        self._lines += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def middlewares(statistics: HttpStatistics, clock: Clock) -> list[Middleware]:
    """The layers, outermost first."""
    budget = _LineBudget(clock)

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(REQUEST_ID, "")
        if request.path.startswith(SOCKETS):
            # A line that lives as long as a workout is no span; what is said on it may be (sockets/dispatch.py).
            request[TRACE] = given if _DECENT_ID.fullmatch(given) else secrets.token_hex(16)
            return await handler(request)
        began = time.perf_counter()
        route = route_of(request)
        parent = trace.parse(request.headers.get(TRACEPARENT))
        with trace.span(f"{_method(request)} {route}", "server", parent=parent) as span:
            request[TRACE] = given if _DECENT_ID.fullmatch(given) else span.context.trace_id
            response = await _observed(request, handler, route, began)
            span.note(**{"http.response.status_code": response.status})
        return response

    async def _observed(request: web.Request, handler: Handler, route: str, began: float) -> web.StreamResponse:
        with structlog.contextvars.bound_contextvars(trace_id=request[TRACE]):
            response = await handler(request)
            took = time.perf_counter() - began
            statistics.requests[f"{_method(request)} {route} {response.status}"] += 1
            statistics.took(took)
            if route in _PROBES and response.status < 400:
                return response  # asked every second by machines; only the day it fails is news
            left_out = budget.take()
            if left_out is not None:
                # The route, not the path: no ids of people, no codes, nothing a stranger could write into our log.
                log.info(
                    "http.request",
                    method=_method(request),
                    route=route,
                    status=response.status,
                    ms=round(took * 1_000, 1),
                    left_out=left_out,
                )
        return response

    @web.middleware
    async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
        allow: str | None = None
        status: int | None = None
        try:
            return await handler(request)
        except Problem as raised:
            problem = raised
        except web.HTTPException as raised:
            if raised.status < 400:
                raise
            problem, status = from_framework(raised), raised.status
            allow = raised.headers.get(hdrs.ALLOW)
        except (asyncio.CancelledError, ConnectionError):
            raise  # the client hung up, or the program is stopping: nobody is left to answer
        except Exception:
            if request.path.startswith(SOCKETS):
                raise  # a socket may have been answered already; its engine has its own log
            log.exception("http.fault", method=_method(request), route=route_of(request))
            problem = InternalFault()
        return refuse(request, problem, statistics, status=status, allow=allow)

    return [observe, explain]


def refuse(
    request: web.Request,
    problem: Problem,
    statistics: HttpStatistics,
    *,
    status: int | None = None,
    allow: str | None = None,
) -> web.Response:
    """The answer that says `problem`: JSON for programs, a small page for a browser outside /v1."""
    statistics.problems[problem.code] += 1
    wants_page = "text/html" in request.headers.get(hdrs.ACCEPT, "") and not request.path.startswith("/v1/")
    if wants_page:
        response = problem_page(status or problem.status, problem.message)
    else:
        oauth = request.path in OAUTH
        response = problem_response(
            problem, instance=request.path[:200], trace_id=request[TRACE], status=status, oauth=oauth
        )
        if oauth and "application/json" in request.headers.get(hdrs.ACCEPT, ""):
            response.content_type = "application/json"
    if allow:
        response.headers[hdrs.ALLOW] = allow
    tell(request, response, problem)
    page_login.tell(request, response)
    response.headers[hdrs.CACHE_CONTROL] = "no-store"
    return response


def securing(proxies: TrustedProxies) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What puts on every response the headers that each carries. `proxies` are believed when they say that it leaves by HTTPS."""

    async def secure(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        if request.secure or proxies.https(request.remote or "", request.headers.get(FORWARDED_PROTO, "")):
            headers["Strict-Transport-Security"] = TRANSPORT_POLICY
        if request.path.startswith(SOCKETS) and response.content_type != CONTENT_TYPE:
            # The rest of its headers are the engine's: it answers pages of listed origins.
            headers["Content-Security-Policy"] = DATA_POLICY
            return
        if TRACE in request:
            headers[REQUEST_ID] = request[TRACE]
        headers.update(ALWAYS)
        # A 304 has no type of its own, and browsers put its headers on the page that they kept.
        is_page = response.content_type == "text/html" or (response.status == 304 and route_of(request) in _PAGES)
        headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY

    return secure


def route_of(request: web.Request) -> str:
    """The pattern that matched ("/v1/classes/{id}"), or "unmatched"."""
    resource = request.match_info.route.resource
    return "unmatched" if resource is None else resource.canonical


def _method(request: web.Request) -> str:
    """The method, or "OTHER": anybody can invent one, and each would be a new line for Prometheus."""
    return request.method if request.method in hdrs.METH_ALL else "OTHER"
