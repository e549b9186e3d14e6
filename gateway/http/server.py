"""Below the application: what is not even HTTP.

A request line that cannot be parsed never reaches the application; aiohttp answers it by itself, in plain text. So that
every failure has the one shape, `GatewayRunner` (in place of `web.AppRunner`) puts our words into that place. It leans on
three names of aiohttp that are not promised: `AppRunner._make_server`, `Server.__call__` and `RequestHandler.handle_error`,
and on sites asking `AppRunner.server` for what makes their protocols. That a client which does not read is noticed leans on
aiohttp's waiting for the whole of an answer before it begins the next;
tests/gateway/http/test_server.py and tests/gateway/sockets/engine/test_unread.py tell when one of them has moved.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.http.middleware import ALWAYS, DATA_POLICY, REQUEST_ID
from gateway.http.problems import problem_response
from realtime.sparingly import Sparingly
from services.kernel.problems import BadShape, InternalFault, Problem

log = structlog.get_logger(__name__)


class Watch(Protocol):
    """Who limits how long an answer may wait to be read (gateway/sockets/engine/unread.py)."""

    def begins(self) -> None:
        """Bytes wait."""
        ...

    def ends(self) -> None:
        """None wait any more; may be said when none have."""
        ...


class _Handler(RequestHandler):  # type: ignore[type-arg,unused-ignore]
    """One connection, whose own failures are problems as well."""

    __slots__ = ("_say", "_watch")

    def __init__(self, say: Sparingly, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._say = say
        self._watch: Watch | None = None

    def watched_by(self, watch: Watch) -> None:
        """Tell `watch` when bytes of an answer begin to wait for the client, and when they are gone."""
        self._watch = watch

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._watch is not None:
            self._watch.begins()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._watch is not None:
            self._watch.ends()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.ends()
            self._watch = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed (400), or to a fault outside the application (500)."""
        if request.writer.output_size > 0:
            # Half an answer is out: another one behind it would be read as its body.
            raise ConnectionError("the answer was begun already") from exc
        trace = secrets.token_hex(16)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            # The parser's message repeats what was sent; in our log or answer that has no business.
            problem: Problem = BadShape("this is not an HTTP request that can be understood")
            self._say.warning("http.malformed", trace_id=trace, status=status, fault=type(exc).__name__)
        else:
            problem = InternalFault()
            self._say.error("http.fault", cause=type(exc).__name__, trace_id=trace, status=status, exc_info=exc)
        response = problem_response(problem, instance="/", trace_id=trace, status=status)
        response.headers[REQUEST_ID] = trace
        response.headers.update(ALWAYS)
        response.headers["Content-Security-Policy"] = DATA_POLICY
        response.force_close()
        return response


class _Server(web.Server):  # type: ignore[type-arg,unused-ignore]
    """Makes a `_Handler` per connection."""

    def __init__(self, of: web.Server) -> None:  # type: ignore[type-arg,unused-ignore]
        super().__init__(of.request_handler, request_factory=of.request_factory, loop=of._loop, **of._kwargs)
        self._say: Final = Sparingly(log, time.monotonic)

    def __call__(self) -> RequestHandler:  # type: ignore[type-arg,unused-ignore]
        return _Handler(self._say, self, loop=self._loop, **self._kwargs)


KEEPALIVE_S: Final = 75.0
"""How long a connection is kept between two requests, also one whose next request does not become whole."""
LINGERING_S: Final = 2.0
"""How long the rest of a body is read after its request was refused."""

Factory = Callable[[], asyncio.BaseProtocol]


class GatewayRunner(web.AppRunner):
    """Runs the application of `gateway.app.build_app`. The access log is ours (middleware.py), so aiohttp's is off.

    `door`: what connections come through before they are aiohttp's (gateway/sockets/engine/door.py).
    """

    def __init__(self, app: web.Application, door: Callable[[Factory], Factory] | None = None, **options: Any) -> None:
        options.setdefault("access_log", None)
        options.setdefault("keepalive_timeout", KEEPALIVE_S)
        options.setdefault("lingering_time", LINGERING_S)
        # Nothing here takes a body that is compressed, and what is refused must not be inflated first.
        options.setdefault("auto_decompress", False)
        super().__init__(app, **options)
        self._door = door

    @property
    def server(self) -> Any:
        """What makes the protocol of a new connection: sites ask for it."""
        server = super().server
        return server if server is None or self._door is None else self._door(server)

    async def _make_server(self) -> web.Server:  # type: ignore[type-arg,unused-ignore]
        return _Server(await super()._make_server())
