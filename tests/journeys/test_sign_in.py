"""Signing in with others in Chromium, with two providers on loopback. The assertions live in js/sign_in.mjs."""

import asyncio
import contextlib
import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.support.identity_provider import Person, open_identity_provider
from tests.support.server import open_server
from tests.support.system_parts import require


async def test_people_sign_in_with_others_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    """ASVS 6.8.1, 10.1.2, 10.2.1, 10.5.1: in a real browser, with redirects and with a form that is posted."""
    chromium = require("chromium")
    require("node")
    async with open_identity_provider() as studio, open_identity_provider() as gym:
        studio.people.append(Person("anna-1", "anna@example.org", name="Anna"))
        gym.people.append(Person("anna-9", "anna@example.org", name="Anna at the gym"))
        gym.people.append(Person("ben-1", "ben@gym.example.org", name="Ben at the gym"))
        file = tmp_path / "sign-in.toml"
        file.write_text(
            studio.toml("studio", name="the studio") + gym.toml("gym", name="the gym", response_mode="form_post")
        )
        with contextlib.ExitStack() as stack:
            server = await asyncio.to_thread(
                stack.enter_context,
                open_server(
                    DATABASE_URL=fresh_dsn,
                    PACELINE_DB_POOL="6",
                    PACELINE_SIGN_IN_FILE=str(file),
                    PACELINE_OUTBOUND_ALLOW="127.0.0.0/8",
                ),
            )
            said, code = await run_node(
                "sign_in.mjs",
                BASE_URL=server.base_url,
                PROVIDERS=f"{studio.issuer},{gym.issuer}",
                CHROMIUM=str(chromium),
                ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
            )
            await asyncio.to_thread(stack.close)
    assert code == 0, said
