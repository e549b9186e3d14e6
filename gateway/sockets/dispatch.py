"""From the text of an event to its handler, and back to exactly one acknowledgement.

One step from text to typed shape: msgspec decodes the payload straight into the shape of the catalogue row, strictly
(unknown fields are refused, `true` is not 1, "1" is not 1), and says where it does not fit. What a handler gets is therefore
always whole.

A handler answers through its `Reply`, now or later: the acknowledgement of samples is withheld until they are committed.
Refusals are `Problem`s, raised or given to the reply; anything else that a handler raises is our fault, logged with its
context, and answered as `internal_fault`. The connection survives all of it, up to a point: see realtime/limits.py.

Events of one connection are handled one after another, in the order they came.
"""

import asyncio
import inspect
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import structlog

from realtime.codec import ack_frame, event_frame
from realtime.connection import Connection
from realtime.disconnect import ABUSE
from realtime.limits import Allowance
from realtime.wire import BY_NAME, CLIENT_EVENTS, MAX_PAYLOAD_BYTES, Event, ProblemEvent
from services.kernel.clock import Clock
from services.kernel.problems import (
    BadJson,
    BadShape,
    InternalFault,
    Problem,
    RateLimited,
    TooLarge,
    Unavailable,
    UnknownEvent,
)

log = structlog.get_logger(__name__)

HANDLER_TIMEOUT_S: Final = 15.0
"""What a handler may wait for. Below the ping timeout: while it waits, this connection is not read, pongs included."""
LATENCY_BOUNDS_S: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the latency buckets, seconds; the last bucket has none."""

_PATH: Final = re.compile(r" - at `(.+)`$")


class Handler(Protocol):
    """Answers one event: `message` is the shape of its catalogue row. May be a coroutine function."""

    def __call__(self, connection: Connection, message: Any, reply: "Reply", /) -> Awaitable[None] | None: ...


Handlers = Mapping[str, Handler]


@dataclass(slots=True)
class EventStatistics:
    """Counts since start of one event: `received`, answered `ok`; seconds until the answer in all, and how many of the
    answers fell into each bucket of `LATENCY_BOUNDS_S`."""

    received: int = 0
    ok: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))


@dataclass(frozen=True, slots=True)
class DispatchStatistics:
    """Per event, and `problems` answered by code."""

    events: dict[str, EventStatistics]
    problems: dict[str, int]


class Reply:
    """The one answer to one event. Synchronous; may be kept and used later, even when the connection is gone by then."""

    __slots__ = ("_ack_id", "_began", "_connection", "_dispatcher", "_row", "answered")

    def __init__(
        self, dispatcher: "Dispatcher", connection: Connection, row: Event, ack_id: int | None, began: float
    ) -> None:
        self.answered = False
        self._dispatcher = dispatcher
        self._connection = connection
        self._row = row
        self._ack_id = ack_id
        self._began = began

    def ok(self, shape: msgspec.Struct) -> None:
        """It is done; says nothing to a client that asked for no acknowledgement. Raises `TypeError` when `shape` is not
        the reply of the catalogue row, `RuntimeError` when it was answered before."""
        if type(shape) is not self._row.reply:
            expected = getattr(self._row.reply, "__name__", "nothing")
            raise TypeError(f"{self._row.name!r} is answered with {expected}, not {type(shape).__name__}")
        self._once()
        self._dispatcher.answered(self._row.name, self._began)
        if self._ack_id is not None:
            self._connection.push(ack_frame(self._ack_id, shape))

    def problem(self, problem: Problem) -> None:
        """It is refused; without an acknowledgement id the client gets a `problem` event. Raises `RuntimeError` when it
        was answered before."""
        self._once()
        self._dispatcher.refused(problem)
        refuse(self._connection, self._row.name, self._ack_id, problem)

    def _once(self) -> None:
        if self.answered:
            raise RuntimeError(f"{self._row.name!r} was answered twice")
        self.answered = True


class Dispatcher:
    """Events in, answers out. Raises `ValueError` when handlers and catalogue do not match one to one."""

    def __init__(self, handlers: Handlers, clock: Clock, *, timeout_s: float = HANDLER_TIMEOUT_S) -> None:
        names = {event.name for event in CLIENT_EVENTS}
        if missing := sorted(names - handlers.keys()):
            raise ValueError(f"events of realtime/wire.py without a handler: {', '.join(missing)}")
        if unknown := sorted(handlers.keys() - names):
            raise ValueError(f"handlers for events that realtime/wire.py does not have: {', '.join(unknown)}")
        self._handlers: Final = dict(handlers)
        self._clock: Final = clock
        self._timeout_s: Final = timeout_s
        self._decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
            event.name: msgspec.json.Decoder(event.shape) for event in CLIENT_EVENTS
        }
        self._arguments: Final = msgspec.json.Decoder(tuple[str, msgspec.Raw])
        self._events: Final = {name: EventStatistics() for name in sorted(names)}
        self._problems: Counter[str] = Counter()

    async def dispatch(self, connection: Connection, allowance: Allowance, ack_id: int | None, arguments: str) -> None:
        """Handle one event. `arguments` is the JSON array `["name", payload]` as it came."""
        now = self._clock.monotonic()
        if not allowance.bucket.take(now):
            # Refused before it is decoded: being flooded must be cheap.
            wait_ms = int(allowance.bucket.wait_s(now) * 1000) + 1
            self._offence(connection, allowance, "", ack_id, RateLimited(retry_after_ms=wait_ms))
            return
        name = ""
        try:
            name, payload = self._split(arguments)
            message = self._decode(name, payload)
        except Problem as problem:
            self._offence(connection, allowance, name, ack_id, problem)
            return
        self._events[name].received += 1
        reply = Reply(self, connection, BY_NAME[name], ack_id, now)
        await self._handle(self._handlers[name], connection, message, reply)

    def answered(self, name: str, began: float) -> None:
        """Count a good answer to an event that came at `began`."""
        statistics = self._events[name]
        took = self._clock.monotonic() - began
        statistics.ok += 1
        statistics.seconds += took
        statistics.buckets[bisect_left(LATENCY_BOUNDS_S, took)] += 1

    def refused(self, problem: Problem) -> None:
        """Count a refusal."""
        self._problems[problem.code] += 1

    def statistics(self) -> DispatchStatistics:
        """Counters for the probes."""
        return DispatchStatistics(events=self._events, problems=dict(self._problems))

    async def _handle(self, handler: Handler, connection: Connection, message: Any, reply: Reply) -> None:
        limit: asyncio.Timeout | None = None
        try:
            waiting = handler(connection, message, reply)
            if inspect.isawaitable(waiting):
                async with asyncio.timeout(self._timeout_s) as limit:
                    await waiting
        except Problem as problem:
            if reply.answered:
                log.exception("dispatch.problem_after_answer", connection=connection.id)
            else:
                reply.problem(problem)
        except Exception as fault:
            late = isinstance(fault, TimeoutError) and limit is not None and limit.expired()
            log.exception(
                "dispatch.handler_late" if late else "dispatch.handler_failed",
                connection=connection.id,
                account=str(connection.caller.account_id),
                handler=getattr(handler, "__qualname__", repr(handler)),
            )
            if not reply.answered:
                reply.problem(Unavailable() if late else InternalFault())

    def _split(self, arguments: str) -> tuple[str, msgspec.Raw | str]:
        if len(arguments) > MAX_PAYLOAD_BYTES:
            raise TooLarge(limit=MAX_PAYLOAD_BYTES)
        try:
            return self._arguments.decode(arguments)
        except msgspec.ValidationError as fault:
            raise BadShape('an event is its name and one object: ["room.join", {…}]') from fault
        except (msgspec.DecodeError, RecursionError):
            return _loosely(arguments)

    def _decode(self, name: str, payload: msgspec.Raw | str) -> Any:
        decoder = self._decoders.get(name)
        if decoder is None:
            raise UnknownEvent(f"there is no client event {name[:80]!r}; /asyncapi.json lists them all")
        try:
            return decoder.decode(payload)
        except msgspec.ValidationError as fault:
            raise bad_shape(fault) from fault
        except (msgspec.DecodeError, RecursionError) as fault:
            raise _not_json(payload, BY_NAME[name].shape) from fault

    def _offence(
        self, connection: Connection, allowance: Allowance, name: str, ack_id: int | None, problem: Problem
    ) -> None:
        self.refused(problem)
        refuse(connection, name, ack_id, problem)
        if allowance.strikes.add(self._clock.monotonic()):
            log.warning("dispatch.struck_out", connection=connection.id, peer=connection.peer, code=problem.code)
            connection.end(ABUSE)


def refuse(connection: Connection, event: str, ack_id: int | None, problem: Problem) -> None:
    """Tell a client of a problem: as the acknowledgement, or as a `problem` event where none was asked for."""
    if ack_id is None:
        connection.push(event_frame("problem", ProblemEvent(event=event[:80], problem=problem.view())))
    else:
        connection.push(ack_frame(ack_id, problem))


def bad_shape(fault: msgspec.ValidationError) -> BadShape:
    """What msgspec found, with the place as `path`."""
    text = str(fault)
    place = _PATH.search(text)
    if place is None:
        return BadShape(text, path="$")
    return BadShape(text[: place.start()], path=place.group(1))


def _loosely(arguments: str) -> tuple[str, str]:
    """Name and payload of an array that is not strict JSON, so that the refusal can name the event and the place."""
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError) as fault:
        raise BadJson("the arguments of the event are not JSON") from fault
    match read:
        case [str(name), payload]:
            return name, json.dumps(payload)
        case _:
            raise BadShape('an event is its name and one object: ["room.join", {…}]')


def _not_json(payload: msgspec.Raw | str, shape: type) -> Problem:
    """Why a payload cannot be decoded. Some encoders write NaN and Infinity, which JSON does not have: they are found by
    reading again in a way that allows them, and the shape then says where they stand."""
    try:
        msgspec.convert(json.loads(payload if isinstance(payload, str) else bytes(payload)), shape)
    except msgspec.ValidationError as fault:
        return bad_shape(fault)
    except (ValueError, RecursionError):
        return BadJson("the payload of the event is not JSON")
    return BadShape("NaN and Infinity are not numbers here", path="$")
