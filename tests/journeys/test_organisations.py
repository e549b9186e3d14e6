"""An organisation is made, somebody invited and removed, in Chromium. The assertions live in js/organisations.mjs and js/units/."""

import asyncio
import contextlib
import os
from pathlib import Path

from tests.journeys.node import run_node
from tests.journeys.test_doors import mailbox_of
from tests.support.providers import open_smtp
from tests.support.server import open_server
from tests.support.system_parts import require


async def test_what_a_page_offers_and_says_about_an_organisation() -> None:
    require("node")
    said, code = await run_node("--test", "units/organisation.test.mjs")
    assert code == 0, said


async def test_somebody_is_invited_by_mail_takes_the_seat_and_is_removed(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    async with open_smtp() as mail_server, mailbox_of(mail_server) as mails:
        settings = {
            "DATABASE_URL": fresh_dsn,
            "PACELINE_MAIL_URL": f"smtp://localhost:{mail_server.port}?starttls=off",
            "PACELINE_MAIL_FROM": "Paceline <coach@paceline.example>",
        }
        with contextlib.ExitStack() as stack:
            server = await asyncio.to_thread(stack.enter_context, open_server(**settings))
            said, code = await run_node(
                "organisations.mjs",
                BASE_URL=server.base_url,
                MAILS_URL=mails,
                CHROMIUM=str(chromium),
                ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
            )
            await asyncio.to_thread(stack.close)
    assert code == 0, said
