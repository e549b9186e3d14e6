"""A television that somebody lets in with their phone, in Chromium. The assertions live in js/pairing.mjs."""

import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.support.server import open_server
from tests.support.system_parts import require


async def test_a_television_is_let_in_with_a_phone(fresh_dsn: str, tmp_path: Path) -> None:
    """RFC 8628, 3.3.1, 5.4: by the address in the picture and by the typed code; what is refused gets nothing."""
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    with open_server(DATABASE_URL=fresh_dsn) as server:
        said, code = await run_node(
            "pairing.mjs",
            BASE_URL=server.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
    assert code == 0, said
