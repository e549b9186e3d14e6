"""The coach's pages in Chromium: leading with others, a script as it is written, the library, five hundred athletes.

See test_pages.py.
"""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.node import run_node
from tests.support.server import Server
from tests.support.system_parts import JS, require

CHAPTERS: Final = ("people", "script", "library", "five_hundred")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_coachs_pages_in_a_browser(chapter: str, paceline_server: Server, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    said, _ = asyncio.run(
        run_node(
            "cockpit.mjs",
            chapter,
            BASE_URL=paceline_server.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
    )
    told = [json.loads(line) for line in said.splitlines() if line.startswith('{"step"')]

    assert [line.get("problem") for line in told if line["step"] == chapter] == [None], said


def test_every_chapter_is_run() -> None:
    assert tuple(re.findall(r"^  async (\w+)\(browser", (JS / "cockpit.mjs").read_text(), re.MULTILINE)) == CHAPTERS
