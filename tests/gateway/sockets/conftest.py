"""These tests run on the loop of the product: its transports are not asyncio's own."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop; the conformance suite runs on both."""
    return {"uvloop": uvloop.new_event_loop}
