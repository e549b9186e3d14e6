"""Administration in Chromium, by somebody with an authenticator app. The assertions live in js/admin.mjs and js/units/."""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp

from persistence.database import open_database
from services.accounts.totp import code_at, step_of
from tests.journeys.node import run_node
from tests.journeys.test_inbox import two_nodes
from tests.support.server import shared_keys
from tests.support.system_parts import require

PASSWORD = "a sentence nobody guesses"


async def test_the_words_of_the_page() -> None:
    require("node")
    said, code = await run_node("--test", "units/admin-words.test.mjs")
    assert code == 0, said


async def posted(http: aiohttp.ClientSession, path: str, body: object, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(path, json=body, headers=headers) as answer:
        said = await answer.json()
        assert answer.status < 300, said
        return said


async def register(http: aiohttp.ClientSession, name: str, role: str = "member") -> Any:
    body = {"email": f"{name.lower()}@example.org", "password": PASSWORD, "name": name, "role": role}
    return await posted(http, "/v1/accounts", body)


async def bare_administrator(http: aiohttp.ClientSession, dsn: str) -> Any:
    """Somebody with the role and no second factor."""
    made = await register(http, "Nora")
    async with open_database(dsn, size=1) as database, database.tx() as tx:
        await tx.execute("UPDATE accounts SET roles = roles || '{admin}' WHERE email = 'nora@example.org'")
    return await posted(http, "/v1/logins/refresh", {"refresh_token": made["refresh_token"]})


async def administrator(http: aiohttp.ClientSession, dsn: str) -> tuple[Any, str]:
    """Somebody with the role and an authenticator app, who has shown its code too long ago; and its secret."""
    made = await register(http, "Otto")
    app = await posted(http, "/v1/me/totp", None, made["access_token"])
    secret = app["secret"]
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    code = code_at(raw, step_of(round(time.time() * 1_000)))
    await posted(http, "/v1/me/totp/confirm", {"code": code}, made["access_token"])
    async with open_database(dsn, size=1) as database, database.tx() as tx:
        await tx.execute("UPDATE accounts SET roles = roles || '{admin}' WHERE email = 'otto@example.org'")
        await tx.execute(
            "UPDATE logins SET second_factor_at = now() - interval '1 hour' WHERE second_factor_at IS NOT NULL"
        )
        # An hour ago it was another code, so that the one of now is still good for the page.
        await tx.execute("UPDATE totps SET used_step = used_step - 120")
    return await posted(http, "/v1/logins/refresh", {"refresh_token": made["refresh_token"]}), secret


async def test_an_administrator_ends_the_logins_of_somebody_and_finds_it_in_the_audit(
    fresh_dsn: str, tmp_path: Path
) -> None:
    """ASVS 7.4.5: an administrator ends active logins; OWASP API5: the page is for those who hold the role."""
    chromium = require("chromium")
    require("node")
    require("socket.io-client")
    async with two_nodes(fresh_dsn, **shared_keys()) as (one, _):
        async with aiohttp.ClientSession(one.base_url) as http:
            admin, secret = await administrator(http, fresh_dsn)
            bare = await bare_administrator(http, fresh_dsn)
            member = await register(http, "Ana")
            coach, rider = await register(http, "Mia", role="coach"), await register(http, "Ben")
            live = await posted(http, "/v1/classes", {"title": "Thursday hills"}, coach["access_token"])
        said, code = await run_node(
            "admin.mjs",
            BASE_URL=one.base_url,
            ADMIN=json.dumps(admin),
            BARE=json.dumps(bare),
            MEMBER=json.dumps(member),
            SECRET=secret,
            COACH=json.dumps(coach),
            RIDER=json.dumps(rider),
            CLASS=json.dumps(live),
            CHROMIUM=str(chromium),
            ARTIFACTS=os.environ.get("ARTIFACTS") or str(tmp_path),
        )
    assert code == 0, said
