"""Where a piece of work belongs: trace context after W3C (Trace Context, level 1), carried along whatever it causes.

A request or an event may say in which trace it is (`traceparent`). From there the context goes wherever the work goes: it is
the current one of the task that does it (`current`), it is written into the envelope of each fact that is told, and a worker
that handles the fact takes it up again. So what happened at night in a worker is found from what a phone did in the evening, in
logs at least, and with a tracer (`use`) in whatever collects spans.

`span` is the one way to begin something with a name. Without a tracer it costs a random number and a context variable, which is
why samples, boards and pings have none. A tracer must not raise; it is asked in the middle of other people's work.
"""

import contextlib
import contextvars
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

Kind = Literal["server", "producer", "consumer", "client", "internal"]
Attribute = str | int | float | bool

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_LONGEST: Final = 256
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: `trace_id` (32 hex digits), `span_id` of whatever is under way there (16), and whether somebody
    records it."""

    trace_id: str
    span_id: str
    sampled: bool = False

    @property
    def traceparent(self) -> str:
        """As it travels."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


class Span(Protocol):
    """Something under way."""

    @property
    def context(self) -> TraceContext: ...

    def note(self, **attributes: Attribute) -> None:
        """What turned out meanwhile."""
        ...

    def end(self, fault: BaseException | None) -> None:
        """It is over; `fault` is what it failed with. Called once."""
        ...


class Tracer(Protocol):
    """Whoever records spans."""

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, attributes: dict[str, Attribute]) -> Span: ...


class Passing:
    """No tracer: contexts are passed on, and nothing is recorded."""

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, attributes: dict[str, Attribute]) -> Span:
        if parent is None:
            return _Passed(TraceContext(secrets.token_hex(16), secrets.token_hex(8)))
        return _Passed(TraceContext(parent.trace_id, secrets.token_hex(8), parent.sampled))


@dataclass(frozen=True, slots=True)
class _Passed:
    context: TraceContext

    def note(self, **attributes: Attribute) -> None:
        """Nobody asks."""

    def end(self, fault: BaseException | None) -> None:
        """Nobody asks."""


_current: Final = contextvars.ContextVar[TraceContext | None]("trace", default=None)
_tracer: Tracer = Passing()


def use(tracer: Tracer) -> None:
    """Record with this one from now on; the process has one, as it has one log."""
    global _tracer
    _tracer = tracer


def parse(traceparent: str | None) -> TraceContext | None:
    """What a `traceparent` says; None for none, and for one that says nothing. One of a later version is read as far as this one
    knows it."""
    if traceparent is None or len(traceparent) > _LONGEST:
        return None
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def current() -> TraceContext | None:
    """Where the running task is; None outside of every span."""
    return _current.get()


def traceparent() -> str:
    """`current` as it travels; empty outside of every span."""
    context = _current.get()
    return "" if context is None else context.traceparent


@contextlib.contextmanager
def span(
    name: str, kind: Kind = "internal", *, parent: TraceContext | None = None, **attributes: Attribute
) -> Iterator[Span]:
    """Do something under a name, within `parent` or what is current. Names are few: what differs is an attribute, and no attribute
    is a person's."""
    begun = _tracer.begin(name, kind, parent or _current.get(), attributes)
    token = _current.set(begun.context)
    try:
        yield begun
    except BaseException as fault:
        begun.end(fault)
        raise
    else:
        begun.end(None)
    finally:
        _current.reset(token)
