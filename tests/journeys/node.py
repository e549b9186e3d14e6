"""Runs the JavaScript journeys as programs of their own and passes on what they said."""

import asyncio
import os

import pytest

from tests.support.system_parts import JS, require

LONGEST_S = 180


async def run_node(*words: str, **settings: str) -> tuple[str, int]:
    """`node WORDS` in the folder of the journeys with these variables added; what it said and its exit code."""
    process = await asyncio.create_subprocess_exec(
        str(require("node")),
        *words,
        cwd=JS,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), LONGEST_S)
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        pytest.fail(f"node {words[0]} took longer than {LONGEST_S} s and said: {said.decode()}")
    assert process.returncode is not None
    return said.decode(), process.returncode
