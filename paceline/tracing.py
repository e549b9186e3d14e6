"""Spans for OpenTelemetry, when somebody wants them (PACELINE_TRACES=on, and the extra `otel`).

The program speaks `services.kernel.trace`; here is the tracer behind it. Spans leave in batches from a thread of the library,
over OTLP on HTTP, to wherever the OTEL_… variables of OpenTelemetry say. A collector that is away costs spans and nothing else:
the queue is bounded, what does not fit is dropped, and stopping waits for the last batch only as long as `LAST_BATCH_S`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog

from services.kernel import trace
from services.kernel.trace import Attribute, Kind, TraceContext

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

LAST_BATCH_S: Final = 3.0
_ENDPOINT: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

log = structlog.get_logger(__name__)


class TracingError(Exception):
    """Traces were asked for and cannot be had; the message says what is missing."""


class OtelTracer:
    """A `services.kernel.trace.Tracer` on a provider of OpenTelemetry's."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace as otel

        self._otel: Final = otel
        self._tracer: Final = provider.get_tracer("paceline")

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, attributes: dict[str, Attribute]) -> "OtelSpan":
        """See `Tracer.begin`."""
        otel = self._otel
        within = otel.set_span_in_context(otel.INVALID_SPAN)
        if parent is not None:
            flags = otel.TraceFlags(otel.TraceFlags.SAMPLED if parent.sampled else otel.TraceFlags.DEFAULT)
            there = otel.SpanContext(
                int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags
            )
            within = otel.set_span_in_context(otel.NonRecordingSpan(there))
        begun = self._tracer.start_span(
            name, within, kind=otel.SpanKind[kind.upper()], attributes=attributes, record_exception=False
        )
        return OtelSpan(begun)


class OtelSpan:
    """A `services.kernel.trace.Span`."""

    def __init__(self, span: Any) -> None:
        self._span: Final = span
        known = span.get_span_context()
        self.context: Final = TraceContext(f"{known.trace_id:032x}", f"{known.span_id:016x}", known.trace_flags.sampled)

    def note(self, **attributes: Attribute) -> None:
        """See `Span.note`."""
        self._span.set_attributes(attributes)

    def end(self, fault: BaseException | None) -> None:
        """See `Span.end`. Of a fault only its kind: texts may name people."""
        from opentelemetry.trace import Status, StatusCode

        if fault is not None and not isinstance(fault, asyncio.CancelledError):
            self._span.set_attribute("error.type", type(fault).__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


@asynccontextmanager
async def tracing(node_id: str) -> AsyncIterator[None]:
    """Record spans while inside. Raises `TracingError`."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise TracingError(
            f"PACELINE_TRACES=on needs OpenTelemetry, and {missing.name} is not installed: pip install 'paceline[otel]'"
        ) from missing
    names = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "paceline"), "service.instance.id": node_id}
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    where = next((found for name in _ENDPOINT if (found := os.environ.get(name))), "http://localhost:4318")
    log.info("tracing.on", collector=where)
    trace.use(OtelTracer(provider))
    try:
        yield
    finally:
        trace.use(trace.Passing())
        if not await asyncio.to_thread(provider.force_flush, int(LAST_BATCH_S * 1_000)):
            log.warning("tracing.spans_left_behind", waited_s=LAST_BATCH_S)
        await asyncio.to_thread(provider.shutdown)
