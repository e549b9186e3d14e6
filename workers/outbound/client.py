"""The one HTTP client that calls machines of other people, and how such a call can end.

Whoever answers may be broken, slow or hostile, so everything is bounded: the time to a connection and the time of the
whole call (on the injected clock), the headers, the bytes of the answer that are read, the connections per host and in
all. Answers are asked for without compression and never decompressed, so a small answer stays small. No cookies, nothing
from the environment. Redirects are never followed: what was signed and judged is the address that was given, and whoever
moves can say so to us; a call that is answered with one has simply been answered.

**Rebinding.** aiohttp asks our resolver for the addresses of a name, once per new connection, and connects to exactly
those. The resolver lets none through unless all pass `Egress.judge_address`; the factory of sockets asks once more for
the one address at hand, which also covers hosts that are written as numbers. Between the last look and the connection
nobody is asked again. TLS is spoken with the name of the URL, whose certificate must be good for it.

**With a proxy** (PACELINE_OUTBOUND_PROXY) every connection goes to the proxy, and the proxy resolves the names: it must
refuse addresses that are not public. URLs are judged all the same.

A call never raises for what the other side does. It ends in one of four ways: `Answered`, `Blocked` (by the rule, nothing
was sent), `NotReached` (nothing was sent), `Unanswered` (a connection stood, so the request may have arrived).
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from services.kernel.clock import Clock
from workers.outbound.egress import Egress, EgressRefused

MAX_HEADERS: Final = 100
MAX_HEADER: Final = 8 * 1_024
"""Bytes of one header of an answer, and of its first line."""
READ_AT_ONCE: Final = 16 * 1_024
"""Bytes that are read ahead of whoever wants them: a connection holds at most about twice as much."""
LOOKUPS: Final = 16
"""Names that are looked up at the same time, each in a thread. A name whose servers are silent holds one for some ten
seconds; when all are held, further calls wait, and end as not reached at their deadline."""
IDLE_S: Final = 1.0
"""How long a connection is kept for the next call: for bursts. A call on a connection that the other side is just closing ends
in doubt, and common servers close soon (gunicorn after 2 s, Node and uvicorn after 5 s)."""

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, as text; raises OSError when there are none. The port is passed along for `getaddrinfo`."""


@dataclass(frozen=True)
class Limits:
    """The bounds of one call: seconds to a usable connection, seconds in all, bytes of the answer's body that are kept."""

    connect_s: float = 5.0
    total_s: float = 15.0
    max_body: int = 64 * 1_024


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Answered:
    """There is a status. `body` is what was read of the answer; `cut` says why that is not all of it: it was larger than
    allowed, late, or the connection broke. `headers` have names in any case, the first of several values."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: Literal["large", "late", "broken"] | None = None


@dataclass(frozen=True)
class Blocked:
    """The address must not be called; nothing was sent."""

    why: str


@dataclass(frozen=True)
class NotReached:
    """No connection came about; nothing was sent."""

    why: str


@dataclass(frozen=True)
class Unanswered:
    """A connection stood and no status came: in doubt, the request may have been handled."""

    why: str


Outcome = Answered | Blocked | NotReached | Unanswered


@dataclass(slots=True)
class Reach:
    """How far a call has come, for who may be cancelled in it: until a connection stands, nothing was sent."""

    connected: bool = False


@dataclass(slots=True)
class OutboundStatistics:
    """How many calls run now, and how those of the past have ended, by the name of the outcome in small letters."""

    running: int = 0
    ended: dict[str, int] = field(default_factory=dict)


class Outbound:
    """Calls. Made by `open_outbound`; any number at the same time."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, egress: Egress, proxy: str | None, limits: Limits
    ) -> None:
        self._session: Final = session
        self._clock: Final = clock
        self._egress: Final = egress
        self._proxy: Final = proxy
        self._limits: Final = limits
        self.statistics: Final = OutboundStatistics()

    async def call(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        reach: Reach | None = None,
    ) -> Outcome:
        """One request. Raises nothing but `asyncio.CancelledError`; `reach` says then what may have been sent."""
        self.statistics.running += 1
        try:
            outcome = await self._call(method, url, body, headers or {}, limits or self._limits, reach or Reach())
        finally:
            self.statistics.running -= 1
        name = type(outcome).__name__.lower()
        self.statistics.ended[name] = self.statistics.ended.get(name, 0) + 1
        return outcome

    async def _call(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], limits: Limits, reach: Reach
    ) -> Outcome:
        try:
            target = self._egress.judge_url(url)
            # As it was given and judged: nothing is quoted anew or left out.
            address = URL(url, encoded=True)
        except (EgressRefused, ValueError) as refused:
            return Blocked(str(refused))
        progress = _Progress(reach)
        try:
            with _speaking(plain=target.plain):
                async with (
                    _in_time(self._clock, progress, limits),
                    self._session.request(
                        method,
                        address,
                        data=body,
                        headers={**headers, "Accept-Encoding": "identity"},
                        allow_redirects=False,
                        proxy=self._proxy,
                        trace_request_ctx=progress,
                    ) as response,
                ):
                    progress.answer = Answered(response.status, _first_of(response.headers), b"")
                    return await _with_body(response, progress, limits.max_body)
        except EgressRefused as refused:
            return Blocked(str(refused))
        except (aiohttp.ClientError, OSError) as problem:  # TimeoutError is an OSError
            return progress.broken(problem, limits)


@dataclass(slots=True)
class _Progress:
    """How far a call has come: whether a connection stood, the status, and the body so far."""

    reach: Reach
    answer: Answered | None = None
    body: bytearray = field(default_factory=bytearray)

    def broken(self, problem: Exception, limits: Limits) -> Outcome:
        late = isinstance(problem, TimeoutError)
        if self.answer is not None:
            return Answered(self.answer.status, self.answer.headers, bytes(self.body), "late" if late else "broken")
        if self.reach.connected:
            return Unanswered(f"no answer within {limits.total_s:g} s" if late else _in_words(problem))
        return NotReached(f"no connection within {limits.connect_s:g} s" if late else _in_words(problem))


async def _with_body(response: aiohttp.ClientResponse, progress: _Progress, most: int) -> Answered:
    """The answer with what may be read of its body. One that is longer costs its connection."""
    cut: Literal["large"] | None = None
    async for piece in response.content.iter_any():
        progress.body += piece
        if len(progress.body) > most:
            del progress.body[most:]
            cut = "large"
            response.close()
            break
    return Answered(response.status, _first_of(response.headers), bytes(progress.body), cut)


@asynccontextmanager
async def _in_time(clock: Clock, progress: _Progress, limits: Limits) -> AsyncIterator[None]:
    """Raise TimeoutError inside when there is no connection after `connect_s`, or no end after `total_s`, by this clock."""
    async with asyncio.timeout(None) as limit:

        async def ring() -> None:
            await clock.sleep(min(limits.connect_s, limits.total_s))
            if progress.reach.connected:
                await clock.sleep(max(limits.total_s - limits.connect_s, 0))
            limit.reschedule(asyncio.get_running_loop().time())

        bell = asyncio.create_task(ring(), name="deadline of an outbound call")
        try:
            yield
        finally:
            bell.cancel()
            await asyncio.gather(bell, return_exceptions=True)


def _in_words(problem: Exception) -> str:
    """What went wrong, in words that may be shown to whoever gave the address: no address of ours or of theirs in it."""
    match problem:
        case aiohttp.ClientConnectorDNSError():
            return "the name does not resolve"
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(problem.certificate_error, "verify_message", "")
            return f"the certificate is not good for this name: {reason or type(problem.certificate_error).__name__}"
        case aiohttp.ClientConnectorSSLError():
            return "TLS was not agreed on"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy did not make the connection"
        case aiohttp.ClientConnectorError():
            # Not the error's own text, which repeats the address.
            number = problem.os_error.errno
            return f"the connection failed: {os.strerror(number) if number else type(problem.os_error).__name__}"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was closed before the answer"
        case aiohttp.ClientResponseError():
            return "what came back is not HTTP"
        case _:
            return type(problem).__name__


def _first_of(headers: "CIMultiDictProxy[str]") -> Mapping[str, str]:
    first: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        first.setdefault(name, value)
    return CIMultiDictProxy(first)


# -- the connections ----------------------------------------------------------------------------------------------

_plain: ContextVar[bool] = ContextVar("plain", default=False)
"""Whether the call at hand is one without TLS: the resolver and the factory of sockets are not told the scheme."""


@contextlib.contextmanager
def _speaking(*, plain: bool) -> Iterator[None]:
    token = _plain.set(plain)
    try:
        yield
    finally:
        _plain.reset(token)


class _GuardedResolver(AbstractResolver):
    """Lets the addresses of a name through when all of them may be called."""

    def __init__(self, egress: Egress, look_up: Lookup) -> None:
        self._egress: Final = egress
        self._look_up: Final = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [ipaddress.ip_address(text) for text in await self._look_up(host, port)]
        for address in found:
            self._egress.judge_address(address, port, plain=_plain.get())
        if not found:
            raise OSError("the name has no address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is kept."""


def _guarded_sockets(egress: Egress) -> Callable[[Any], socket.socket]:
    """Makes a socket for an address that may be called; the last look before the connection."""

    def make(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, proto, _, (host, port, *_) = info
        egress.judge_address(ipaddress.ip_address(host), port, plain=_plain.get())
        return socket.socket(family, kind, proto)

    return make


def _looking_up(threads: ThreadPoolExecutor) -> Lookup:
    """The system's own way of finding addresses, in threads of its own: names of strangers may take their time."""

    def ask(host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def look_up(host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(threads, ask, host, port)

    return look_up


def _progress_of_connections() -> aiohttp.TraceConfig:
    """Notes in a call's `_Progress` that it has got a connection."""

    async def connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        progress = context.trace_request_ctx
        if isinstance(progress, _Progress):
            progress.reach.connected = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


@asynccontextmanager
async def open_outbound(
    clock: Clock,
    egress: Egress,
    *,
    proxy: str | None = None,
    connections: int = 100,
    per_host: int = 8,
    limits: Limits = DEFAULT_LIMITS,
    tls: ssl.SSLContext | None = None,
    look_up: Lookup | None = None,
) -> AsyncIterator[Outbound]:
    """A client with up to `connections` open ones, `per_host` of them to one host and port. Who finds none free waits for
    one, and that counts as time to a connection.

    `tls` in place of the system's certificates; `look_up` in place of the system's resolver.
    """
    threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="outbound-lookup")
    # To a proxy the rule does not apply: it stands inside, and the operator has named it.
    guard: dict[str, Any] = {}
    if not proxy:
        guard = {
            "resolver": _GuardedResolver(egress, look_up or _looking_up(threads)),
            "socket_factory": _guarded_sockets(egress),
        }
    connector = aiohttp.TCPConnector(
        ssl=tls or ssl.create_default_context(),
        limit=connections,
        limit_per_host=per_host,
        use_dns_cache=False,  # a name is asked for by each new connection, and is never older than that
        keepalive_timeout=IDLE_S,
        **guard,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        auto_decompress=False,
        read_bufsize=READ_AT_ONCE,
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
        max_headers=MAX_HEADERS,
        trust_env=False,
        skip_auto_headers=("User-Agent",),
        headers={"User-Agent": "Paceline"},
        trace_configs=[_progress_of_connections()],
    )
    try:
        async with session:
            yield Outbound(session, clock, egress, proxy or None, limits)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
