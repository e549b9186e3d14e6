"""One trace from what a phone sends to what a worker does about it, on either bus, as a collector of spans sees it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from loadtest.api import Api
from loadtest.client import account_tokens, open_client
from paceline.tracing import OtelTracer
from realtime.wire import ClassCreate, ClassRef, ClassView
from services.kernel import trace
from services.kernel.trace import TraceContext
from tests.support.collector import Span, open_collector
from tests.support.server import Server, open_server

OURS = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


@pytest.fixture(params=["postgres", "rabbitmq"])
def bus(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a bus."""
    return {} if request.param == "postgres" else {"AMQP_URL": request.getfixturevalue("rabbitmq").url}


def only(spans: list[Span], name: str, trace_id: str = OURS.trace_id) -> Span:
    (found,) = [span for span in spans if (span.name, span.trace_id) == (name, trace_id)]
    return found


def has(*names: str) -> Callable[[list[Span]], bool]:
    def found(spans: list[Span]) -> bool:
        return set(names) <= {span.name for span in spans if span.trace_id == OURS.trace_id}

    return found


async def class_held(server: Server) -> None:
    """A coach opens a class and ends it, in our trace."""
    async with aiohttp.ClientSession() as http:
        api = Api(http, server.base_url)
        tokens = await account_tokens(api, "mia@example.org", "a long enough password", "Mia", "coach")
        async with open_client(api, tokens) as coach:
            live = await coach.call("class.create", ClassCreate(title="Hills"), ClassView)
            await coach.call("class.end", ClassRef(live.id, traceparent=OURS.traceparent), ClassView)


async def test_what_a_worker_does_is_in_the_trace_of_the_event_that_caused_it(bus: dict[str, str]) -> None:
    async with open_collector() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with open_server(PACELINE_TRACES="on", PACELINE_NODE_ID="gw1", **settings, **bus) as server:
            await class_held(server)
            spans = await collector.until(has("class.end", "process class-summaries", "process pushes"))
            assert await asyncio.to_thread(server.stop) == 0
    asked, summarised, pushed = (
        only(spans, name) for name in ("class.end", "process class-summaries", "process pushes")
    )
    assert (asked.kind, asked.parent_id) == ("server", OURS.span_id)
    assert (summarised.kind, summarised.parent_id) == ("consumer", asked.span_id)
    assert (pushed.kind, pushed.parent_id) == ("consumer", summarised.span_id)
    assert summarised.attributes["messaging.destination.name"] == "class-summaries"
    assert {span.of for span in spans} == {"gw1"}
    assert not any(span.failed for span in (asked, summarised, pushed))
    assert "class.create" in {span.name for span in spans if span.trace_id != OURS.trace_id}


async def test_a_request_is_a_span_of_its_clients_trace() -> None:
    async with open_collector() as collector, aiohttp.ClientSession() as http:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with open_server(PACELINE_TRACES="on", **settings) as server:
            headers = {"traceparent": OURS.traceparent}
            async with http.get(f"{server.base_url}/v1/workouts", headers=headers) as refused:
                assert refused.status == 401
                assert (await refused.json())["trace_id"] == OURS.trace_id
            spans = await collector.until(has("GET /v1/workouts"))
    asked = only(spans, "GET /v1/workouts")
    assert (asked.kind, asked.parent_id) == ("server", OURS.span_id)
    assert asked.attributes["http.response.status_code"] == "401"


async def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with open_server(PACELINE_TRACES="on", **settings) as server:
        await class_held(server)
        assert await asyncio.to_thread(server.stop) == 0


@pytest.fixture
def recorded() -> Iterator[Callable[[], tuple[Any, ...]]]:
    """A tracer of OpenTelemetry's in this process, with what it records."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.use(OtelTracer(provider))
    try:
        yield exporter.get_finished_spans
    finally:
        trace.use(trace.Passing())
        provider.shutdown()


def test_of_a_failure_its_kind_is_told_and_not_its_words(recorded: Callable[[], tuple[Any, ...]]) -> None:
    with pytest.raises(ValueError, match="Ada"), trace.span("fails", parent=OURS):
        raise ValueError("Ada's address is wrong")
    (span,) = recorded()
    assert span.attributes["error.type"] == "ValueError"
    assert "Ada" not in span.to_json()
    assert span.parent.span_id == int(OURS.span_id, 16)


def test_what_nobody_samples_is_passed_on_and_not_recorded(recorded: Callable[[], tuple[Any, ...]]) -> None:
    with trace.span("quiet", parent=TraceContext(OURS.trace_id, OURS.span_id, sampled=False)) as span:
        assert span.context.trace_id == OURS.trace_id
        assert not span.context.sampled
    assert recorded() == ()
