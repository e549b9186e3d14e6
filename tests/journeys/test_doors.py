"""Registering, losing the password and moving to another address, in Chromium. The assertions live in js/doors.mjs."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.journeys.node import run_node
from tests.support.mailed import text_of
from tests.support.providers import SmtpServer, open_smtp
from tests.support.server import open_server
from tests.support.system_parts import require


@asynccontextmanager
async def mailbox_of(server: SmtpServer) -> AsyncIterator[str]:
    """What the mail server has taken, for a program to read: the address of a page with it."""

    async def mails(_: web.Request) -> web.Response:
        return web.json_response(
            [{"to": mail["To"], "subject": mail["Subject"], "text": text_of(mail)} for mail in server.mails]
        )

    app = web.Application()
    app.router.add_get("/mails", mails)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mails"
    finally:
        await runner.cleanup()


async def test_somebody_registers_loses_their_password_and_moves_to_another_address(
    fresh_dsn: str, tmp_path: Path
) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with open_smtp() as mail_server, mailbox_of(mail_server) as mails:
        settings = {
            "DATABASE_URL": fresh_dsn,
            "PACELINE_MAIL_URL": f"smtp://localhost:{mail_server.port}?starttls=off",
            "PACELINE_MAIL_FROM": "Paceline <coach@paceline.example>",
        }
        with contextlib.ExitStack() as stack:
            server = await asyncio.to_thread(stack.enter_context, open_server(**settings))
            said, code = await run_node(
                "doors.mjs",
                BASE_URL=server.base_url,
                MAILS_URL=mails,
                CHROMIUM=str(chromium),
                ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
            )
            await asyncio.to_thread(stack.close)
    assert code == 0, said
