"""An app of a studio comes to the whole program with access tokens of the studio's own issuer, over HTTP and on a socket."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import socketio  # type: ignore[import-untyped]

from tests.support.identity_provider import IdentityProvider, Person, open_identity_provider
from tests.support.server import open_server

AUDIENCE: Final = "https://paceline.example.org"
ANNA: Final = Person("anna-1", "anna@example.org", name="Anna")
WAIT_S: Final = 60.0
TOKENS: Final = f"""
[studio.tokens]
audience = "{AUDIENCE}"
[studio.tokens.scopes]
"studio.me" = ["profile:read", "live:stream"]
"""


async def test_who_has_signed_in_once_comes_with_the_tokens_of_their_own_issuer(fresh_dsn: str, tmp_path: Path) -> None:
    async with open_identity_provider() as studio, aiohttp.ClientSession() as http:
        studio.people.append(ANNA)
        file = tmp_path / "sign-in.toml"
        file.write_text(studio.toml("studio", name="the studio") + TOKENS)
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
            token = studio.access_token(ANNA, AUDIENCE, "studio.me")

            async def me() -> tuple[int, dict[str, Any]]:
                headers = {"Authorization": f"Bearer {token}"}
                async with http.get(f"{server.base_url}/v1/me", headers=headers) as response:
                    return response.status, await response.json()

            async def refused() -> tuple[int, str]:
                status, answer = await me()
                return status, (answer.get("data") or {}).get("reason") or answer.get("code", "")

            # Until a worker has read the keys nobody can tell.
            async with asyncio.timeout(WAIT_S):
                while (said := await refused())[0] == 503:
                    await asyncio.sleep(0.1)
            assert said == (401, "not_linked")
            login = await sign_in(http, server.base_url, studio)
            status, answer = await me()
            assert (status, answer["id"]) == (200, login["account"]["id"])

            client = socketio.AsyncClient(reconnection=False)
            await client.connect(server.base_url, auth={"token": token}, namespaces=["/live"], transports=["websocket"])
            try:
                later = studio.access_token(ANNA, AUDIENCE, "studio.me")
                answer = await client.call("token.renew", {"token": later}, namespace="/live", timeout=WAIT_S)
                assert answer["ok"]["expires_in_ms"] > 0
                ended = asyncio.Event()
                client.on("disconnect", lambda *_: ended.set(), namespace="/live")
                headers = {"Authorization": f"Bearer {login['access_token']}"}
                async with http.post(f"{server.base_url}/v1/logins/end-others", headers=headers) as response:
                    assert response.status < 300, await response.text()
                async with asyncio.timeout(WAIT_S):
                    await ended.wait()
                    while (said := await refused())[0] == 200:
                        await asyncio.sleep(0.1)
                assert said == (401, "ended")
            finally:
                await client.shutdown()
            await asyncio.to_thread(stack.close)


async def sign_in(http: aiohttp.ClientSession, base_url: str, studio: IdentityProvider) -> dict[str, Any]:
    """Sign in as a page does; the login."""
    body = {"provider": "studio", "role": "member", "device": "phone"}
    async with http.post(f"{base_url}/v1/sign-ins", json=body) as response:
        begun = await response.json()
        assert response.status == 201, begun
    answer = studio.say_yes(begun["url"], ANNA.subject)
    assert dict(parse_qsl(urlsplit(begun["url"]).query))["state"] == answer["state"]
    came = {"secret": begun["secret"], "provider": "studio", **answer}
    async with http.post(f"{base_url}/v1/sign-ins/{begun['id']}/return", json=came) as response:
        assert response.status < 300, await response.text()
    async with asyncio.timeout(WAIT_S):
        while True:
            url = f"{base_url}/v1/sign-ins/{begun['id']}/finish"
            async with http.post(url, json={"secret": begun["secret"]}) as response:
                now: dict[str, Any] = await response.json()
                assert response.status < 300, now
            if now["state"] == "done":
                login: dict[str, Any] = now["login"]
                return login
            await asyncio.sleep(now["again_in_ms"] / 1_000)
