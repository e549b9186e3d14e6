"""The main story as an app lives it: the official Socket.IO client for JavaScript against a real server.

`js/journey.mjs` tells the story and checks each step: register, join, stream, see the board, drop, come back, finish, get the
summaries, log out. It runs once for every way in which the client may connect, because each is a path of its own through
the socket engine.
"""

import json

import pytest

from tests.journeys.node import run_node
from tests.support.server import Server
from tests.support.system_parts import require


@pytest.mark.parametrize(
    ("settings", "transport"),
    [
        pytest.param({}, "websocket", id="as-it-likes"),
        pytest.param({"TRANSPORTS": "websocket"}, "websocket", id="websocket"),
        pytest.param({"TRANSPORTS": "polling"}, "polling", id="polling"),
    ],
)
async def test_the_official_client_gets_through_the_whole_story(
    settings: dict[str, str], transport: str, paceline_server: Server
) -> None:
    require("socket.io-client")

    said, code = await run_node("journey.mjs", BASE_URL=paceline_server.base_url, **settings)

    assert code == 0, said
    steps = {line["step"]: line for line in map(json.loads, said.splitlines())}
    assert steps["joined"]["transport"] == transport
    assert list(steps)[-1] == "done"
