"""The operator's page in Chromium, and its pure half in Node. The assertions live in js/operations.mjs and js/units/."""

import asyncio
import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.support.server import open_server
from tests.support.system_parts import require

TOKEN = "kettle-moss-anchor-violet-2031"


async def test_the_words_of_the_page() -> None:
    require("node")
    said, code = await run_node("--test", "units/sockets-words.test.mjs")
    assert code == 0, said


async def test_the_page_in_a_browser(tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    with open_server(PACELINE_ADMIN_TOKEN=TOKEN) as server:
        said, code = await run_node(
            "operations.mjs",
            BASE_URL=server.base_url,
            ADMIN_TOKEN=TOKEN,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said
        assert not server.said(TOKEN), "the token is in the log"
        assert await asyncio.to_thread(server.stop) == 0
