"""The official Socket.IO Admin UI, the pages that its npm package ships, opened in Chromium against a running Paceline.

The package is named, with its hash, by admin-ui/package-lock.json and fetched with npm when it is not there yet; without npm, a
browser or a network the journey is skipped, or fails in continuous integration. Only its built pages are used: nothing of it is
run by Node. The assertions live in admin-ui/admin_ui.mjs.
"""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.journeys.node import run_node
from tests.support.server import free_port, open_server
from tests.support.system_parts import in_ci, require

HERE = Path(__file__).parent / "admin-ui"
PAGE = HERE / "node_modules" / "@socket.io" / "admin-ui" / "ui" / "dist" / "index.html"
TOKEN = "kettle-moss-anchor-violet-2031"
INSTALL_S = 120


@pytest.fixture
def ui(tmp_path: Path) -> Path:
    """The page of the UI, fetched if need be."""
    require("node")
    if not PAGE.is_file():
        # Its peer is the JavaScript server, which nobody here needs; a cache of its own: the home folder may be read-only.
        words = ["npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--loglevel=error", "--cache", str(tmp_path)]
        done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        if done.returncode != 0:
            reason = f"the Admin UI could not be fetched (npm ci in {HERE.name}): {done.stderr[-500:]}"
            pytest.fail(reason) if in_ci() else pytest.skip(reason)
    return PAGE


async def test_the_official_admin_ui_logs_in_looks_and_shows_a_client_out(ui: Path, tmp_path: Path) -> None:
    assert ui.is_file()
    chromium = require("chromium")
    require("socket.io-client")
    port = free_port()
    with open_server(
        PACELINE_ADMIN_TOKEN=TOKEN,
        PACELINE_ADMIN_UI="control",
        PACELINE_ALLOWED_ORIGINS=f"http://127.0.0.1:{port}",
    ) as server:
        said, code = await run_node(
            str(HERE / "admin_ui.mjs"),
            BASE_URL=server.base_url,
            ADMIN_TOKEN=TOKEN,
            UI_PORT=str(port),
            CHROMIUM=str(chromium),
            POLLING="on",
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said
        for step in ("refused", "dashboard", "came back", "socket", "shown out"):
            assert f'"step":"{step}"' in said
        assert '"polling":true' in said, "the dashboard over long-polling"
        assert not server.said(TOKEN), "the token is in the log"
        assert await asyncio.to_thread(server.stop) == 0
