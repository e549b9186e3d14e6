"""A collector of spans: what an OpenTelemetry collector does on its HTTP port, keeping them in a list."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

WAIT_S: Final = 20.0


@dataclass(frozen=True)
class Span:
    """A span that came in. `kind` as in services/kernel/trace.py; `of` the service.instance.id of whoever sent it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    of: str
    failed: bool
    attributes: dict[str, str] = field(hash=False)


class Collector:
    """See the module; made by `open_collector`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.url = ""
        self._came: Final = asyncio.Event()

    async def until(self, condition: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, once they are as wanted. Raises TimeoutError naming those that came."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not condition(self.spans):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError as late:
            raise TimeoutError(f"these came: {[(span.name, span.trace_id) for span in self.spans]}") from late
        return self.spans

    async def take(self, request: web.Request) -> web.Response:
        """One export."""
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [
                _span(span, names.get("service.instance.id", ""))
                for scope in resource.scope_spans
                for span in scope.spans
            ]
        self._came.set()
        return web.Response(content_type="application/x-protobuf")


def _span(span: Message, of: str) -> Span:
    return Span(
        name=span.name,
        kind=Message.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        of=of,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes},
    )


@asynccontextmanager
async def open_collector() -> AsyncIterator[Collector]:
    """A collector on a free port of the loopback interface."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()
