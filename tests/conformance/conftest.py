"""The two servers and an HTTP client, one of each per test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import pytest
import uvloop

from tests.conformance.client import open_http
from tests.conformance.server import Running, open_chat, open_echo


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops: the engine writes to their transports itself."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_http() as http:
        yield http


@pytest.fixture
async def echo() -> AsyncIterator[Running]:
    """Engine.IO alone: what comes in goes out."""
    async with open_echo() as running:
        yield running


@pytest.fixture
async def chat() -> AsyncIterator[Running]:
    """Socket.IO with the namespaces / and /custom."""
    async with open_chat() as running:
        yield running


@pytest.fixture(params=[open_echo, open_chat], ids=["engine.io", "socket.io"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """What Engine.IO promises holds with and without Socket.IO on top."""
    async with request.param() as running:
        yield running
