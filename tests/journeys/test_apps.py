"""A third-party app in Chromium, from its own page to its end, on two nodes. The assertions live in js/apps.mjs and js/units/."""

import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.journeys.test_inbox import two_nodes
from tests.support.server import Server, shared_keys
from tests.support.system_parts import require


async def test_what_an_app_asks_with_and_how_it_is_told() -> None:
    require("node")
    said, code = await run_node("--test", "units/apps.test.mjs")
    assert code == 0, said


async def test_an_app_is_let_in_and_taken_back(fresh_dsn: str, tmp_path: Path) -> None:
    """ASVS 10.4.1, 10.7.1, 7.4.1: consent names app, scopes and place; taken back, its socket at another node ends."""
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with two_nodes(fresh_dsn, **shared_keys()) as (one, two):
        said, code = await run_node(
            "apps.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
    assert code == 0, said


async def test_an_app_that_is_a_page_of_another_origin_is_let_in_and_no_other_page_is(
    paceline_server: Server, tmp_path: Path
) -> None:
    """ASVS 3.4.2, 3.5.1, 3.5.2, 4.4.2, 10.4.6: PKCE without a secret, CORS and a socket for it; our cookie for neither page."""
    chromium = require("chromium")
    require("node")
    said, code = await run_node(
        "page_of_app.mjs",
        BASE_URL=paceline_server.base_url,
        CHROMIUM=str(chromium),
        ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
    )
    assert code == 0, said
