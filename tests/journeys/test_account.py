"""One's own account in Chromium, with devices on two nodes. The assertions live in js/account.mjs and js/units/."""

import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.journeys.test_inbox import two_nodes
from tests.support.server import Server, shared_keys
from tests.support.system_parts import require


async def test_the_words_of_the_page() -> None:
    require("node")
    said, code = await run_node(
        "--test", *(f"units/{name}.test.mjs" for name in ("logins", "login", "vitals", "units", "your-data"))
    )
    assert code == 0, said


async def test_a_device_is_logged_out_from_another_browser_at_another_node(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    exports = tmp_path / "exports"
    exports.mkdir()
    async with two_nodes(fresh_dsn, PACELINE_EXPORT_DIR=str(exports), **shared_keys()) as (one, two):
        said, code = await run_node(
            "account.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
    assert code == 0, said


async def test_a_second_factor_is_set_up_asked_for_and_taken_away(paceline_server: Server, tmp_path: Path) -> None:
    """ASVS 6.5.1, 7.5.1."""
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    said, code = await run_node(
        "factor.mjs",
        BASE_URL=paceline_server.base_url.replace("127.0.0.1", "localhost"),
        CHROMIUM=str(chromium),
        ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
    )
    assert code == 0, said
