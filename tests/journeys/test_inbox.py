"""The inbox as people see it: on two devices at two nodes, in Chromium, and from the link of a real mail. The assertions of
the page live in js/inbox.mjs and js/units/."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import aiohttp

from tests.journeys.node import run_node
from tests.support.providers import open_sms, sms_server
from tests.support.redis_server import open_redis
from tests.support.server import ROOT, Server, open_server, shared_keys
from tests.support.system_parts import require
from tests.support.world import SEALING_KEYS

PASSWORD = "a sentence nobody guesses"
ADMIN_TOKEN = "kettle-moss-anchor-violet-2031"


@asynccontextmanager
async def two_nodes(dsn: str, **settings: str) -> AsyncIterator[tuple[Server, Server]]:
    """Two processes on one database and one Redis."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis())
        environ = {"DATABASE_URL": dsn, "REDIS_URL": redis.url, "PACELINE_DB_POOL": "6", **settings}
        servers = [contextlib.ExitStack() for _ in range(2)]
        for each in servers:
            stack.push_async_callback(asyncio.to_thread, each.close)
        one, two = await asyncio.gather(
            *(asyncio.to_thread(each.enter_context, open_server(**environ)) for each in servers)
        )
        yield one, two


async def test_the_words_of_the_page() -> None:
    require("node")
    words = ("inbox", "choices", "phone", "safety", "contact")
    said, code = await run_node("--test", *(f"units/{name}.test.mjs" for name in words))
    assert code == 0, said


async def test_an_inbox_on_two_nodes_and_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with (
        open_sms() as texts,
        two_nodes(
            fresh_dsn,
            **shared_keys(),
            PACELINE_SMS_ACCOUNT=sms_server.SID,
            PACELINE_SMS_TOKEN=sms_server.TOKEN,
            PACELINE_SMS_FROM=sms_server.SENDER,
            PACELINE_SMS_URL=texts.url,
        ) as (one, two),
    ):
        said, code = await run_node(
            "inbox.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            TEXTS_URL=f"{texts.url}/messages",
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said


async def test_the_link_of_a_mail_that_was_sent_stops_exactly_that_topic(fresh_dsn: str, tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": fresh_dsn,
        **shared_keys(),
        "PACELINE_MAIL_URL": f"file://{tmp_path}",
        "PACELINE_SIGNUP": "direct",
    }
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, open_server(**settings))
        async with aiohttp.ClientSession(server.base_url) as http:
            body = {"email": "jonas@example.org", "password": PASSWORD, "name": "Jonas", "role": "member"}
            async with http.post("/v1/accounts", json=body) as made:
                token = (await made.json())["access_token"]
            mail = await announced(settings, tmp_path)
            html = mail.get_body(("html",))
            assert html is not None
            [link] = re.findall(r'href="([^"]+/unsubscribe[^"]+)"', html.get_content())
            assert mail["List-Unsubscribe"] == f"<{link}>"
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

            before = await ways(http, token)
            async with http.get(link) as looked:  # as a scanner does
                assert looked.status == 200
            assert await ways(http, token) == before
            async with http.post(link, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False) as stopped:
                assert stopped.status == 200
            after = await ways(http, token)
            assert after == {**before, "announcement": {**before["announcement"], "email": "off"}}
        await asyncio.to_thread(stack.close)


async def announced(settings: dict[str, str], folder: Path) -> EmailMessage:
    """What everybody gets who is told something now, as their mail program reads it."""
    announce = (sys.executable, "-m", "paceline", "announce", "--title", "New bikes", "--body", "In hall 2.", "--yes")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
    process = await asyncio.create_subprocess_exec(
        *announce,
        cwd=ROOT,
        env=environ | settings | {"PACELINE_SEALING_KEYS": SEALING_KEYS},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()
    async with asyncio.timeout(30):
        while not (mails := list(folder.rglob("*.eml"))):
            await asyncio.sleep(0.1)
    mail = message_from_bytes(mails[0].read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


async def ways(http: aiohttp.ClientSession, token: str) -> dict[str, dict[str, str]]:
    """How each topic leaves on each channel now."""
    headers = {"Authorization": f"Bearer {token}"}
    async with http.get("/v1/notification-preferences", headers=headers) as answer:
        view = await answer.json()
    return {
        topic["topic"]: {channel: choice["way"] for channel, choice in topic["channels"].items()}
        for topic in view["topics"]
    }


async def test_the_preview_of_all_words_in_a_browser(tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(stack.enter_context, open_server(PACELINE_ADMIN_TOKEN=ADMIN_TOKEN))
        said, code = await run_node(
            "words.mjs",
            BASE_URL=server.base_url,
            ADMIN_TOKEN=ADMIN_TOKEN,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said
        assert not server.said(ADMIN_TOKEN), "the token is in the log"
        await asyncio.to_thread(stack.close)
