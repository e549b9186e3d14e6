"""Log lines: structured, without secrets, and never more of one kind than somebody can read.

Our own lines and those of the libraries (aiohttp, asyncpg, aio-pika write through `logging`) take one path:

    context of the request -> secrets out -> at most so many per second and cause -> level, time -> text or
    JSON

Secrets go first, so that nothing further on can show them. The limit counts per *cause*, which is the level,
the logger and the event's own text before anything is put into it: a thousand clients with the same trouble
are one cause. A line that comes through after others were held back says how many (`suppressed=417`).

Text goes to stderr, where a person looks and pipes do not; JSON goes to stdout, where collectors read.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
LINES_PER_SECOND = 20.0  # by feeling: more than a person reads, few enough for any disk

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|authorization|cookie|credential|api_?key|private_?key|signature|bearer",
    re.IGNORECASE,
)
_BEGINS_TOKEN = re.compile(r"(?:\A|-)eyJ[\w-]{8}").search


def _without_tokens(dotted: re.Match[str]) -> str:
    parts, shown, at = dotted[0].split("."), list[str](), 0
    while at < len(parts):
        token = at + 2 < len(parts) and len(parts[at + 1]) >= 8 and _BEGINS_TOKEN(parts[at]) is not None
        shown.append(MASK if token else parts[at])
        at += 3 if token else 1
    return ".".join(shown)


_SECRET_TEXT: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # A JWT, wherever it stands: words between dots are found first, in one pass, and then looked at.
    (re.compile(r"(?<![\w-])[\w-]++\.[\w-]++(?:\.[\w-]*+)++"), _without_tokens),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # Of at most so many letters: without a bound, "a.a.a." would be looked through to its end from each of its beginnings.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,31}://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE), rf"\1:{MASK}@"),
    (re.compile(r"((?:token|password|secret|api_?key)=)[^\s&\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
)
_DEEPEST = 6  # by feeling: what nests deeper than this is not worth a line
_MOST_CAUSES = 1024


def configure_logs(form: str = "auto", level: str = "info", *, stream: TextIO | None = None) -> RateLimit:
    """Set up all logging of the process; may be called again.

    `form` is "text", "json" or "auto" (text when stderr is a terminal); `level` is debug, info, warning or
    error; `stream` replaces stdout and stderr. Returns the limit, whose `report` is worth calling before the
    program ends.
    """
    if form == "auto":
        form = "text" if sys.stderr.isatty() else "json"
    stream = stream or (sys.stderr if form == "text" else sys.stdout)
    limit = RateLimit(LINES_PER_SECOND)
    first: list[Processor] = [structlog.contextvars.merge_contextvars, redact]
    then: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [structlog.processors.format_exc_info, redact_exception]
    if form == "json":
        render += [structlog.processors.JSONRenderer(sort_keys=False, default=str)]
    else:
        render += [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    handler = logging.StreamHandler(stream)
    handler.addFilter(_ForeignLines(limit))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, _tell_suppressed, *then],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            limit,
            *then,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    return limit


@contextmanager
def only_warnings() -> Iterator[None]:
    """For a command whose output somebody reads or pipes: what the parts it uses have to say goes to stderr, as text, from a
    warning on, without secrets."""
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_exception,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask values whose key names a secret, and texts that look like one, at any depth."""
    for key, value in event.items():
        if not key.startswith("_") and key != "exc_info":
            event[key] = MASK if _names_secret(key, value) else _clean(value, 0)
    return event


def redact_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask what looks like a secret in a formatted traceback, which exists only now."""
    if isinstance(event.get("exception"), str):
        event["exception"] = clean_text(event["exception"])
    return event


def clean_text(text: str) -> str:
    """The text with tokens, passwords inside URLs and private keys masked."""
    for pattern, instead in _SECRET_TEXT:
        text = pattern.sub(instead, text)
    return text


def _names_secret(key: object, value: object) -> bool:
    # Numbers are lifetimes and counts (`token_seconds=900`), and worth reading.
    harmless = value is None or isinstance(value, (bool, int, float))
    return not harmless and isinstance(key, str) and _SECRET_KEY.search(key) is not None


def _clean(value: object, depth: int) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bytes):
        return clean_text(value.decode("utf-8", "replace"))
    if depth >= _DEEPEST and isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return "…"
    if isinstance(value, Mapping):
        return {key: MASK if _names_secret(key, inner) else _clean(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean_text(str(value))  # whatever it is would be shown as this text anyway


@dataclass(slots=True)
class _Cause:
    """A bucket of lines: `left` may be written at `since`; `held` were not."""

    left: float
    since: float
    held: int = 0


class RateLimit:
    """At most `per_second` lines of one cause, measured by `clock` (seconds, never going back).

    A bucket holds one second's worth. Causes are remembered up to a bound, the longest silent forgotten
    first: full means that a cause may speak sooner than it should, never that lines are lost.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._causes: OrderedDict[tuple[str, str, str], _Cause] = OrderedDict()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A structlog processor. Raises DropEvent for a line too many."""
        held = self.take((method, str(getattr(logger, "name", "")), str(event.get("event", ""))))
        if held is None:
            raise structlog.DropEvent
        if held:
            event["suppressed"] = held
        return event

    def take(self, key: tuple[str, str, str]) -> int | None:
        """None when this line must wait; else how many of its cause were held back since the last one."""
        now = self._clock()
        cause = self._causes.get(key)
        if cause is None:
            cause = self._causes[key] = _Cause(self._per_second, now)
            if len(self._causes) > _MOST_CAUSES:
                self._causes.popitem(last=False)
        self._causes.move_to_end(key)
        cause.left = min(self._per_second, cause.left + (now - cause.since) * self._per_second)
        cause.since = now
        if cause.left < 1.0:
            cause.held += 1
            return None
        cause.left -= 1.0
        held, cause.held = cause.held, 0
        return held

    def report(self) -> None:
        """Write one line for every cause whose last lines were held back, and begin to count anew."""
        held = [(key, cause.held) for key, cause in self._causes.items() if cause.held]
        self._causes.clear()
        for (level, name, text), count in held:
            structlog.get_logger(__name__).warning(
                "lines were held back", of=text, level_of=level, logger_of=name, suppressed=count
            )


class _ForeignLines(logging.Filter):
    """The same limit for lines that come through `logging`; their cause is the text without its arguments."""

    def __init__(self, limit: RateLimit) -> None:
        super().__init__()
        self._limit = limit

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict):  # our own, counted already
            return True
        held = self._limit.take((record.levelname.lower(), record.name, str(record.msg)))
        record.suppressed = held
        return held is not None


def _tell_suppressed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if held := getattr(event["_record"], "suppressed", 0):
        event["suppressed"] = held
    return event
