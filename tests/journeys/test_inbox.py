"""The inbox as people see it: on two devices at two nodes, in Chromium, and from the link of a real mail. The assertions of
the page live in js/inbox.mjs and js/units/."""

import asyncio
import contextlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from services.accounts.tokens import make_key
from services.kernel.ids import AccountId, NotificationId
from services.notifications.links import Linking
from services.notifications.ports import Reader
from services.notifications.rendering import Words
from services.notifications.topics import TOPICS
from services.notifications.unsubscribe import Unsubscribe
from services.notifications.wording import TEMPLATES, example
from tests.journeys.node import run_node
from tests.support.redis_server import open_redis
from tests.support.server import Server, open_server
from tests.support.system_parts import require

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
    said, code = await run_node("--test", "units/inbox.test.mjs", "units/choices.test.mjs")
    assert code == 0, said


async def test_an_inbox_on_two_nodes_and_in_a_browser(fresh_dsn: str, tmp_path: Path) -> None:
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with two_nodes(fresh_dsn, PACELINE_TOKEN_KEY=make_key().decode()) as (one, two):
        said, code = await run_node(
            "inbox.mjs",
            BASE_URL=one.base_url,
            OTHER_URL=two.base_url,
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
        assert code == 0, said


async def test_the_link_of_a_rendered_mail_stops_exactly_that_topic(fresh_dsn: str) -> None:
    key = make_key().decode()
    with contextlib.ExitStack() as stack:
        server = await asyncio.to_thread(
            stack.enter_context, open_server(DATABASE_URL=fresh_dsn, PACELINE_TOKEN_KEY=key)
        )
        async with aiohttp.ClientSession(server.base_url) as http:
            body = {"email": "jonas@example.org", "password": PASSWORD, "name": "Jonas", "role": "member"}
            async with http.post("/v1/accounts", json=body) as made:
                reply = await made.json()
            mail = rendered_mail(server.base_url, key, uuid.UUID(reply["account"]["id"]))
            [link] = re.findall(r'href="([^"]+/unsubscribe[^"]+)"', mail)
            before = await ways(http, reply["access_token"])
            # A scanner looks at it; then the mail program's button is pressed.
            async with http.get(link) as looked:
                assert looked.status == 200
            assert await ways(http, reply["access_token"]) == before
            async with http.post(link, data={"List-Unsubscribe": "One-Click"}, allow_redirects=False) as stopped:
                assert stopped.status == 200
            after = await ways(http, reply["access_token"])
            assert after == {**before, "announcement": {**before["announcement"], "email": "off"}}
        await asyncio.to_thread(stack.close)


def rendered_mail(base_url: str, key: str, account_id: uuid.UUID) -> str:
    """An announcement as the program renders it for this person, as HTML."""
    template = next(each for each in TEMPLATES if each.name == "announcement")
    linking = Linking(lambda: base_url, Unsubscribe(key.encode()))
    links = linking.of_notification(AccountId(account_id), TOPICS["announcement"], NotificationId(uuid.uuid4()))
    return Words().mail(example(template), Reader("Jonas", "en", "UTC"), links).html


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
