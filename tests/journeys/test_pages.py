"""The pages served to people: their scripts in Node, their looks and behaviour in Chromium.

The assertions live in JavaScript, beside this file: `js/units/` tests the pure modules of `gateway/web/assets/js` without a
browser, `js/pages.mjs` opens the real pages against a real server and watches what a person would see. This file
runs them and passes on what they said: all chapters that were asked for in one browser, then a test for each. Set
ARTIFACTS to a folder to keep the screenshots.
"""

import asyncio
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.journeys.node import run_node
from tests.support.server import Server
from tests.support.system_parts import JS, require

ROOT: Final = Path(__file__).resolve().parents[2]
WEB: Final = ROOT / "gateway" / "web"
VENDOR: Final = WEB / "assets" / "vendor"
PAGES: Final = sorted([*WEB.glob("*.html"), *WEB.glob("parts/*.html")])
CHAPTERS: Final = (
    "landing",
    "safety",
    "board",
    "sensor_lost",
    "cut",
    "out_of_step",
    "second_screen",
    "frozen",
    "behind",
    "coach_and_athlete",
    "ranked",
    "chat",
    "cases",
    "offline_workout",
    "no_sensor",
    "two_tabs",
    "sizes_and_themes",
    "wrong_code",
)


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, paceline_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | None]:
    """What the chapters that this run asks for came to: None, or what was not as promised."""
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    calls = [
        item.callspec for item in request.session.items if isinstance(item, pytest.Function) and _has_chapter(item)
    ]
    said, _ = asyncio.run(
        run_node(
            "pages.mjs",
            *(str(call.params["chapter"]) for call in calls),
            BASE_URL=paceline_server.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path_factory.mktemp("pages")),
        )
    )
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"step"')]
    return dict.fromkeys(CHAPTERS, said) | {line["step"]: line.get("problem") for line in lines}


async def test_what_the_pages_work_out_without_a_browser() -> None:
    require("node")
    said, code = await run_node("--test", *sorted(f"units/{path.name}" for path in (JS / "units").glob("*.test.mjs")))
    assert code == 0, said


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_pages_in_a_browser(chapter: str, told: dict[str, str | None]) -> None:
    assert told[chapter] is None, told[chapter]


def test_every_chapter_is_run() -> None:
    told = re.findall(r"^  async (\w+)\(browser", (JS / "pages.mjs").read_text(), re.MULTILINE)

    assert tuple(told) == CHAPTERS


def test_vendored_files_are_what_the_table_says() -> None:
    listed = re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.MULTILINE)

    assert {name for name, _ in listed} == {path.name for path in VENDOR.glob("*.js")}
    for name, digest in listed:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_the_vendored_client_is_the_published_one() -> None:
    package = require("socket.io-client")

    ours = VENDOR / "socket.io-4.8.4.esm.min.js"

    assert ours.read_bytes() == (package / "dist" / "socket.io.esm.min.js").read_bytes()
    assert (VENDOR / "socket.io-LICENSE.txt").read_text() == (package / "LICENSE").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_holds_nothing_that_the_content_policy_forbids(page: Path) -> None:
    text = page.read_text()

    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "an inline script"
    assert not re.search(r"<style|\sstyle=|\son\w+=", text), "an inline style or handler"
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text), "somebody else's origin"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_everything_a_page_asks_for_is_there(page: Path) -> None:
    for address in re.findall(r"""(?:src|href)="(/assets/[^"]+)\"""", page.read_text()):
        assert (WEB / address.removeprefix("/")).is_file(), address


def test_every_import_of_a_script_is_there() -> None:
    for script in sorted((WEB / "assets" / "js").glob("*.js")):
        for name in re.findall(r"""^(?:import\b.*|\}) from "([^"]+)";$""", script.read_text(), re.MULTILINE):
            assert name.startswith("."), f"{script.name} imports {name}"
            assert (script.parent / name).resolve().is_file(), f"{script.name} imports {name}"


def _has_chapter(item: pytest.Function) -> bool:
    return item.function is test_the_pages_in_a_browser
