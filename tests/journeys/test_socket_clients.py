"""The official JavaScript clients on our sockets: versions 4.8 and 3.1 on WebSocket, on long-polling, and as they are by default,
beginning with one and changing to the other; version 2 is turned away and learns why.

Each story is a program in js/ that goes on after a step that failed and names every one of them; its servers are those of
socket_fixture.py. The whole story of the product, on the product itself, is test_official_client.py.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.journeys.node import run_node
from tests.journeys.socket_fixture import Fixture, open_engineio, open_live, open_socketio
from tests.support.system_parts import require

MODES = {"websocket": "websocket", "polling": "polling", "default": ""}
CLIENTS = {"4.8": "4", "3.1": "3"}

every_mode = pytest.mark.parametrize("mode", MODES)
every_client = pytest.mark.parametrize("client", CLIENTS)


@pytest.fixture(autouse=True)
def _client_is_there() -> None:
    require("socket.io-client")


@pytest.fixture
async def live() -> AsyncIterator[Fixture]:
    async with open_live() as fixture:
        yield fixture


@pytest.fixture
async def socketio() -> AsyncIterator[Fixture]:
    async with open_socketio() as fixture:
        yield fixture


@pytest.fixture
async def engineio() -> AsyncIterator[Fixture]:
    async with open_engineio() as fixture:
        yield fixture


async def tell(program: str, fixture: Fixture, **settings: str) -> dict[str, dict[str, Any]]:
    """The steps that a story has told, by name; all of them went well."""
    said, code = await run_node(
        program, SERVER_URL=fixture.server_url, CONTROL_URL=fixture.control_url, NODE_NO_WARNINGS="1", **settings
    )
    assert code == 0, said
    return {step.pop("step", program): step for step in map(json.loads, said.splitlines())}


@every_client
@every_mode
async def test_the_live_namespace_serves_the_official_client(client: str, mode: str, live: Fixture) -> None:
    steps = await tell("live_clients.mjs", live, CLIENT=CLIENTS[client], TRANSPORTS=MODES[mode])
    ends_on = "polling" if mode == "polling" else "websocket"
    assert steps["acknowledges_what_it_does_and_what_it_refuses"]["transport"] == ends_on
    assert ("keeps_the_order_while_the_transport_changes" in steps) == (mode == "default")
    assert ("lets_the_timeout_of_the_client_fire" in steps) == (client == "4.8")
    assert len(steps) == 7 + 3 * (client == "4.8") + 2 * (mode == "default")


@every_client
@every_mode
async def test_any_namespace_serves_the_official_client(client: str, mode: str, socketio: Fixture) -> None:
    steps = await tell("fixture_clients.mjs", socketio, CLIENT=CLIENTS[client], TRANSPORTS=MODES[mode])
    ends_on = "polling" if mode == "polling" else "websocket"
    assert steps["acknowledges_with_what_the_handler_returns"]["transport"] == ends_on
    assert ("keeps_the_order_while_the_transport_changes" in steps) == (mode == "default")
    assert len(steps) == 10 + 2 * (client == "4.8") + (mode == "default")


@every_mode
async def test_the_bare_engine_serves_the_official_engine_client(mode: str, engineio: Fixture) -> None:
    (told,) = (await tell("engine_clients.mjs", engineio, TRANSPORTS=MODES[mode])).values()
    assert told["messages"] == 1_000
    assert told["transport"] == ("polling" if mode == "polling" else "websocket")


@every_mode
async def test_version_2_is_refused_with_a_reason_that_names_the_cure(mode: str, live: Fixture) -> None:
    (told,) = (await tell("version2.mjs", live, TRANSPORTS=MODES[mode])).values()
    assert told["event"] == "connect_error"
    # Its own words; the status is all that it passes on of the answer.
    assert "400" in str(told["description"])
    refusal = told["requests"][0]
    assert (refusal["status"], refusal["type"].partition(";")[0]) == (400, "application/json")
    if mode != "websocket":  # a WebSocket that is refused reads no body
        assert refusal["body"] == refusal["opened"]["body"]
    assert refusal["opened"]["status"] == 400
    body = json.loads(refusal["opened"]["body"])
    assert body["code"] == 5
    assert "Unsupported protocol version" in body["message"]
    assert "version 3 or 4" in body["message"]
