"""Friends in Chromium: asked in a class, looked at alone, answered on their page. The assertions live in js/friends.mjs and
js/units/."""

import asyncio
import contextlib
import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.support.server import open_server
from tests.support.system_parts import require


async def test_what_can_be_done_about_a_friendship_and_how_it_is_said() -> None:
    require("node")
    said, code = await run_node("--test", "units/friends.test.mjs")
    assert code == 0, said


async def test_somebody_asks_in_a_class_looks_at_friends_alone_and_answers(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("socket.io-client")
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, open_server(DATABASE_URL=fresh_dsn))
        said, code = await run_node(
            "friends.mjs",
            BASE_URL=server.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        await asyncio.to_thread(stack.close)
    assert code == 0, said
