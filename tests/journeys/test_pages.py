"""The pages served to people: their scripts in Node, their looks and behaviour in Chromium.

The assertions live in JavaScript, beside this file: `js/units/` tests the pure modules of `gateway/web/assets/js` without a
browser, `js/pages.mjs` opens the real pages against a real server and watches what a person would see. This file
runs them and passes on what they said. Set ARTIFACTS to a folder to keep the screenshots.
"""

import asyncio
import hashlib
import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.server import Server
from tests.support.system_parts import JS, require

ROOT: Final = Path(__file__).resolve().parents[2]
WEB: Final = ROOT / "gateway" / "web"
VENDOR: Final = WEB / "assets" / "vendor"
PAGES: Final = sorted(WEB.glob("*.html"))
CHAPTERS: Final = (
    "landing",
    "board",
    "sensor_lost",
    "cut",
    "frozen",
    "coach_and_athlete",
    "offline_workout",
    "two_tabs",
    "sizes_and_themes",
    "wrong_code",
)
LONGEST_CHAPTER_S: Final = 180


async def test_the_pure_scripts_keep_their_promises() -> None:
    units = sorted(str(path.relative_to(JS)) for path in (JS / "units").glob("*.test.mjs"))
    assert units

    said, code = await _run(str(require("node")), "--test", *units)

    assert code == 0, said


@pytest.mark.parametrize("chapter", CHAPTERS)
async def test_the_pages_in_a_browser(chapter: str, paceline_server: Server, tmp_path: Path) -> None:
    node, chromium = require("node"), require("chromium")
    require("socket.io-client")

    said, code = await _run(
        str(node),
        "pages.mjs",
        chapter,
        BASE_URL=paceline_server.base_url,
        CHROMIUM=str(chromium),
        ARTIFACTS=os.environ.get("ARTIFACTS", str(tmp_path)),
    )

    assert code == 0, said


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


async def _run(*words: str, **settings: str) -> tuple[str, int]:
    """Runs a program in the folder of the JavaScript journeys; what it said and its exit code."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=JS,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), LONGEST_CHAPTER_S)
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        pytest.fail(f"{words[1]} took longer than {LONGEST_CHAPTER_S} s and said: {said.decode()}")
    return said.decode(), process.returncode or 0
