"""One announcement from the operator's command line to inboxes and mails, through a whole process with a mail folder."""

import asyncio
import contextlib
import email
import os
import re
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paceline.__main__ import main
from tests.support.server import Server, open_server, shared_keys
from tests.support.task_buses import eventually
from tests.support.world import SEALING_KEYS

PASSWORD = "a sentence nobody guesses"


async def register(http: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    """Somebody new."""
    body = {"email": f"{name.lower()}@example.org", "password": PASSWORD, "name": name, "role": "member"}
    async with http.post("/v1/accounts", json=body) as made:
        assert made.status == 201
        reply: dict[str, Any] = await made.json()
    return {"Authorization": f"Bearer {reply['access_token']}"}


def mails(folder: Path) -> dict[str, EmailMessage]:
    """What was mailed, by address."""
    found = {}
    for path in folder.glob("*.eml"):
        mail = email.message_from_bytes(path.read_bytes(), policy=default)
        assert isinstance(mail, EmailMessage)
        assert mail["To"] not in found, "somebody was mailed twice"
        found[str(mail["To"])] = mail
    return found


@contextlib.contextmanager
def a_process(dsn: str, folder: Path) -> Any:
    """A whole Paceline on this database that mails into a folder."""
    settings = {
        "DATABASE_URL": dsn,
        **shared_keys(),
        "PACELINE_MAIL_URL": f"file://{folder}",
        "PACELINE_SIGNUP": "direct",
        "PACELINE_PUBLIC_URL": "https://run.example.org",
    }
    with open_server(**settings) as server:
        yield server


async def test_an_announcement_is_in_every_inbox_and_leaves_once_for_who_wants_mail(
    fresh_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mails"
    with contextlib.ExitStack() as stack:
        server: Server = await asyncio.to_thread(stack.enter_context, a_process(fresh_dsn, folder))
        async with aiohttp.ClientSession(server.base_url) as http:
            ada, bob = await register(http, "Ada"), await register(http, "Bob")
            await turn_mail_off(http, bob)
            monkeypatch.setenv("DATABASE_URL", fresh_dsn)
            monkeypatch.setenv("PACELINE_SEALING_KEYS", SEALING_KEYS)
            said = ["announce", "--title", "Hills from Monday", "--body", "At seven.\n\nBring water.", "--yes"]
            assert await asyncio.to_thread(main, said) == 0
            await eventually(lambda: unread_count(http, ada, 1))
            await eventually(lambda: unread_count(http, bob, 1))
            await eventually(lambda: mails(folder))
            async with http.get("/v1/notifications", headers=bob) as answer:
                (one,) = (await answer.json())["notifications"]
            assert (one["topic"], one["title"]) == ("announcement", "Hills from Monday")
            (to,) = mails(folder)
            assert to == "ada@example.org"
            mail = mails(folder)[to]
            assert "Hills from Monday" in mail["Subject"]
            assert "Bring water." in str(mail.get_body(("plain",)))
            assert "Bring water." in str(mail.get_body(("html",)))
            assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            (link,) = re.findall(r"<https://run\.example\.org(/unsubscribe\?[^>]+)>", mail["List-Unsubscribe"])
            async with http.post(link, data={"List-Unsubscribe": "One-Click"}) as stopped:
                assert stopped.status == 200
            assert await asyncio.to_thread(main, [*said[:-1], "--title", "Another", "--yes"]) == 0
            await eventually(lambda: unread_count(http, ada, 2))
        await asyncio.to_thread(stack.close)
    assert len(mails(folder)) == 1
    assert os.stat(next(folder.glob("*.eml"))).st_mode & 0o077 == 0


async def turn_mail_off(http: aiohttp.ClientSession, person: dict[str, Any]) -> None:
    """Somebody who wants announcements in the app alone."""
    wanted = {"chosen": {"announcement": {"email": "off"}}}
    async with http.put("/v1/notification-preferences", headers=person, json=wanted) as saved:
        assert saved.status == 200, await saved.text()


async def unread_count(http: aiohttp.ClientSession, person: dict[str, Any], count: int) -> bool:
    """Whether so many are unread."""
    async with http.get("/v1/notifications/unread", headers=person) as answer:
        return bool((await answer.json())["unread"] == count)
