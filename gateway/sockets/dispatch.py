"""From the bytes of an event to its handler, and back to exactly one acknowledgement.

What a handler gets is always whole: one step has turned the bytes into the typed shape of the catalogue, or refused them
(gateway/sockets/inbound.py); and a role of the caller holds the permission of the catalogue's row. Whether they may do it to the
very thing they name, the use case asks policy again.

A handler answers through its `Reply`, now or later: the acknowledgement of samples is withheld until they are committed.
Refusals are `Problem`s, raised or given to the reply; anything else that a handler raises is our fault, logged with its
context, and answered as `internal_fault`. The connection survives all of it, up to a point: see realtime/limits.py.

Everything here happens in place, in the order the events came. Only a handler that waits for something leaves an awaitable
behind; whoever runs it keeps the connection's later events back until it is done.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import structlog

from gateway.sockets.inbound import KINDS, UNREADABLE, Bytes, decode, explain
from realtime.codec import AckId, ack_frame, encoder_of, event_frame, ok_ack, problem_ack
from realtime.connection import Connection
from realtime.disconnect import ABUSE
from realtime.limits import BYTES_PER_TOKEN, AccountAllowances, Allowance
from realtime.sparingly import Sparingly
from realtime.wire import CLIENT_EVENTS, MAX_PAYLOAD_BYTES, Event, ProblemEvent
from services.access.permission import Permission
from services.access.policy import require_held
from services.accounts.scope import require_scope
from services.kernel import trace
from services.kernel.caller import Scope
from services.kernel.clock import Clock
from services.kernel.problems import InternalFault, Problem, RateLimited, TooLarge, Unavailable

log = structlog.get_logger(__name__)

HANDLER_TIMEOUT_S: Final = 15.0
"""What a handler may wait for. Below the ping timeout: while it waits, a busy connection is not read, pongs included."""
LATENCY_BOUNDS_S: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the latency buckets, seconds; the last bucket has none."""
_AT_ONCE_S: Final = 0.001
"""The first of them."""


class Handler(Protocol):
    """Answers one event: `message` is the shape of its catalogue row. A coroutine function, if it has to wait."""

    def __call__(self, connection: Connection, message: Any, reply: "Reply", /) -> Awaitable[None] | None: ...


Handlers = Mapping[str, Handler]


@dataclass(slots=True)
class EventStatistics:
    """Counts since start of one event: `received`, answered `ok`; seconds until the answer in all, and how many of the
    answers fell into each bucket of `LATENCY_BOUNDS_S`."""

    received: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))

    @property
    def ok(self) -> int:
        """How many were answered well."""
        return sum(self.buckets)


@dataclass(frozen=True, slots=True)
class DispatchStatistics:
    """Per event, and `problems` answered by code."""

    events: dict[str, EventStatistics]
    problems: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Route:
    """One event of the catalogue with who answers it."""

    name: str
    reply: type
    encode: Callable[[msgspec.Struct], bytes]
    handler: Handler
    statistics: EventStatistics
    scopes: tuple[Scope, ...]
    permission: Permission


class Reply:
    """The one answer to one event. Synchronous; may be kept and used later, even when the connection is gone by then."""

    __slots__ = ("_ack_id", "_began", "_connection", "_dispatcher", "_route", "answered")

    def __init__(
        self, dispatcher: "Dispatcher", connection: Connection, route: _Route, ack_id: AckId | None, began: float
    ) -> None:
        self._dispatcher: Final = dispatcher
        self._connection: Final = connection
        self._route: Final = route
        self._ack_id: Final = ack_id
        self._began: Final = began
        self.answered = False

    def ok(self, shape: msgspec.Struct) -> None:
        """It is done; says nothing to a client that asked for no acknowledgement. Raises `TypeError` when `shape` is not
        the reply of the catalogue row, `RuntimeError` when it was answered before."""
        route = self._route
        if type(shape) is not route.reply:
            raise TypeError(f"{route.name!r} is answered with {route.reply.__name__}, not {type(shape).__name__}")
        if self.answered:
            raise self._twice()
        connection, ack_id = self._connection, self._ack_id
        # First made, then counted as an answer: should it not be fit for the wire, the client still gets one.
        encode, monotonic = route.encode, self._dispatcher.monotonic
        ack = None if ack_id is None else ok_ack(ack_id, encode(shape), connection.error_first)
        self.answered = True
        statistics, took_s = route.statistics, monotonic() - self._began
        statistics.seconds += took_s
        statistics.buckets[0 if took_s <= _AT_ONCE_S else bisect_left(LATENCY_BOUNDS_S, took_s)] += 1
        if ack is None:
            return
        if connection.write_now is not None:
            connection.say(ack)
        else:
            connection.push(ack_frame(ack))

    def age_ms(self) -> int:
        """How long ago the event was read, whole ms."""
        return int((self._dispatcher.monotonic() - self._began) * 1_000)

    def when(self, done: "asyncio.Future[Any]") -> None:
        """Answer with what comes of `done`: its result, or the problem it raises."""
        done.add_done_callback(self._settle)

    def _settle(self, done: "asyncio.Future[Any]") -> None:
        try:
            self.ok(done.result())
        except (Exception, asyncio.CancelledError) as fault:
            self._dispatcher.failed(fault, self._route, self._connection, self)

    def problem(self, problem: Problem) -> None:
        """It is refused; without an acknowledgement id the client gets a `problem` event. Raises `RuntimeError` when it
        was answered before."""
        if self.answered:
            raise self._twice()
        self.answered = True
        self._dispatcher.refused(problem)
        refuse(self._connection, self._route.name, self._ack_id, problem)

    def _twice(self) -> RuntimeError:
        return RuntimeError(f"{self._route.name!r} was answered twice")


class Dispatcher:
    """Events in, answers out. Raises `ValueError` when handlers and catalogue do not match one to one."""

    def __init__(
        self,
        handlers: Handlers,
        clock: Clock,
        *,
        timeout_s: float = HANDLER_TIMEOUT_S,
        accounts: AccountAllowances | None = None,
    ) -> None:
        names = {event.name for event in CLIENT_EVENTS}
        if missing := sorted(names - handlers.keys()):
            raise ValueError(f"events of realtime/wire.py without a handler: {', '.join(missing)}")
        if unknown := sorted(handlers.keys() - names):
            raise ValueError(f"handlers for events that realtime/wire.py does not have: {', '.join(unknown)}")
        self.monotonic: Final = clock.monotonic
        self.accounts: Final = AccountAllowances() if accounts is None else accounts
        self._timeout_s: Final = timeout_s
        self._log: Final = Sparingly(log, clock.monotonic)
        self._by_name: Final = {event.name: _route(event, handlers[event.name]) for event in CLIENT_EVENTS}
        self._by_kind: Final = {KINDS[name]: route for name, route in self._by_name.items()}
        self._problems: Counter[str] = Counter()

    def dispatch(
        self, connection: Connection, allowance: Allowance, ack_id: AckId | None, arguments: Bytes, now: float
    ) -> Coroutine[Any, Any, None] | None:
        """Handle one event that was read at `now`. `arguments` is the JSON array `["name", payload]` as it came. None when all is
        done; otherwise what is left is to be awaited, in a task. It raises nothing, then or now."""
        size = len(arguments)
        cost = 1.0 if size < BYTES_PER_TOKEN else 1.0 + size // BYTES_PER_TOKEN
        account = allowance.account
        if account is None or not account.kept:
            account = allowance.account = self.accounts.of(connection.caller.account_id, now)
        # Refused before it is decoded: being flooded must be cheap.
        lacking = allowance.spend(account, now, cost)
        if lacking is not None:
            limited = RateLimited(retry_after_ms=int(lacking.wait_s(now, cost) * 1000) + 1)
            if lacking is allowance:
                self._offence(connection, allowance, "", ack_id, limited)
            else:
                self._refuse(connection, "", ack_id, limited)
            return None
        if size > MAX_PAYLOAD_BYTES:
            self._offence(connection, allowance, "", ack_id, TooLarge(limit=MAX_PAYLOAD_BYTES))
            return None
        try:
            event = decode(arguments)
            route, message = self._by_kind[type(event)], event.payload
        except UNREADABLE:
            found = self._read_again(connection, allowance, ack_id, arguments)
            if found is None:
                return None
            route, message = found
        route.statistics.received += 1
        reply = Reply(self, connection, route, ack_id, now)
        # Loaded first: what is called as if it were a method, CPython 3.11 looks up on the type before it finds the attribute.
        handler = route.handler
        try:
            if connection.hears is not None:
                require_scope(connection.caller, route.scopes)
            require_held(connection.caller, route.permission)
            waiting = handler(connection, message, reply)
        except Exception as fault:
            self.failed(fault, route, connection, reply)
            return None
        if waiting is None:
            return None
        return self._wait(waiting, route, connection, reply, trace.parse(getattr(message, "traceparent", None)))

    def refused(self, problem: Problem) -> None:
        """Count a refusal."""
        self._problems[problem.code] += 1

    def statistics(self) -> DispatchStatistics:
        """Counters for the probes."""
        return DispatchStatistics(
            events={name: self._by_name[name].statistics for name in sorted(self._by_name)},
            problems=dict(self._problems),
        )

    # -- the handler ------------------------------------------------------------------------------------------------

    async def _wait(
        self,
        waiting: Awaitable[None],
        route: _Route,
        connection: Connection,
        reply: Reply,
        parent: trace.TraceContext | None,
    ) -> None:
        limit: asyncio.Timeout | None = None
        try:
            # What waits is what reaches beyond this node; it is worth a span, and what it tells belongs to it.
            with trace.span(route.name, "server", parent=parent):
                async with asyncio.timeout(self._timeout_s) as limit:
                    await waiting
        except Exception as fault:
            late = isinstance(fault, TimeoutError) and limit is not None and limit.expired()
            self.failed(fault, route, connection, reply, late=late)
        except asyncio.CancelledError as given_up:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this was cancelled, but something it waited for together with others.
            self.failed(given_up, route, connection, reply)

    def failed(
        self, fault: BaseException, route: _Route, connection: Connection, reply: Reply, *, late: bool = False
    ) -> None:
        """A handler has raised. To be called while that is being handled."""
        if isinstance(fault, Problem) and not reply.answered:
            reply.problem(fault)
            return
        if isinstance(fault, Problem):
            what = "dispatch.problem_after_answer"
        else:
            what = "dispatch.handler_late" if late else "dispatch.handler_failed"
        self._log.exception(
            what,
            cause=f"{route.name} {type(fault).__name__}",
            connection=connection.id,
            account=str(connection.caller.account_id),
            handler=getattr(route.handler, "__qualname__", repr(route.handler)),
        )
        if not reply.answered:
            reply.problem(Unavailable() if late else InternalFault())

    # -- refusals ---------------------------------------------------------------------------------------------------

    def _read_again(
        self, connection: Connection, allowance: Allowance, ack_id: AckId | None, arguments: Bytes
    ) -> tuple[_Route, Any] | None:
        """Find out why an event cannot be decoded and refuse it; what it is, should it be in order after all."""
        name, found = explain(arguments)
        if isinstance(found, Problem):
            self._offence(connection, allowance, name, ack_id, found)
            return None
        return self._by_name[name], found

    def _offence(
        self, connection: Connection, allowance: Allowance, name: str, ack_id: AckId | None, problem: Problem
    ) -> None:
        self._refuse(connection, name, ack_id, problem)
        if allowance.strike(self.monotonic()):
            self._log.warning(
                "dispatch.struck_out",
                cause=problem.code,
                connection=connection.id,
                account=str(connection.caller.account_id),
                peer=connection.peer,
                code=problem.code,
            )
            connection.end(ABUSE)

    def _refuse(self, connection: Connection, name: str, ack_id: AckId | None, problem: Problem) -> None:
        self.refused(problem)
        refuse(connection, name, ack_id, problem)


def refuse(connection: Connection, event: str, ack_id: AckId | None, problem: Problem) -> None:
    """Tell a client of a problem: as the acknowledgement, or as a `problem` event where none was asked for."""
    if ack_id is None:
        connection.push(event_frame("problem", ProblemEvent(event=event[:80], problem=problem.view())))
    else:
        connection.push(ack_frame(problem_ack(ack_id, problem, connection.error_first)))


def _route(event: Event, handler: Handler) -> _Route:
    if event.reply is None:
        raise TypeError(f"{event.name} is not an event of a client")
    if event.permission is None:
        raise TypeError(
            f"{event.name} names no permission: give its row in realtime/wire.py one of services/access/permission.py"
        )
    return _Route(
        event.name, event.reply, encoder_of(event.reply), handler, EventStatistics(), event.scopes, event.permission
    )
