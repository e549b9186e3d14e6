"""The refresh race of two honest tabs, and the refresh token that was stolen, with their sockets (F-73, ASVS 10.4.5, 7.4.1).

The whole gateway on a clock that jumps, and no worker: what the end of a login does to sockets must not wait for one.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from gateway.sockets.login_watch import ASK_EVERY_S
from gateway.sockets.revocation import READ_EVERY_S
from realtime.disconnect import LOGIN_ENDED
from realtime.wire import NAMESPACE
from services.accounts.accounts import GRACE
from tests.gateway.sockets.test_renewal_in_a_class import PASSWORD, WAIT_S, Hall, connected, hall

__all__ = ["hall"]


async def registered(hall: Hall) -> dict[str, Any]:
    body = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada", "role": "member"}
    return await hall.post("/v1/accounts", body)


async def refreshed(hall: Hall, refresh_token: str) -> tuple[int, dict[str, Any]]:
    url = f"{hall.parts.base_url}/v1/logins/refresh"
    async with hall.http.post(url, json={"refresh_token": refresh_token}) as answer:
        return answer.status, await answer.json()


async def until_read(hall: Hall) -> None:
    """Let time pass until what has ended by now is read: one reading may have begun before, the next one has not."""
    await a_reading(hall)
    await a_reading(hall)


async def a_reading(hall: Hall) -> None:
    before = hall.parts.revocation.readings
    await hall.pass_time(READ_EVERY_S)
    await hall.until(lambda: hall.parts.revocation.readings > before)


async def test_two_tabs_that_refresh_at_once_both_stay_and_renew_their_sockets(hall: Hall) -> None:
    ada = await registered(hall)
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(connected(hall, ada["access_token"])) for _ in range(2)]
        await hall.pass_time(2)
        answers = await asyncio.gather(*(refreshed(hall, ada["refresh_token"]) for _ in tabs))
        assert [status for status, _ in answers] == [200, 200]
        told = [body for _, body in answers]
        assert told[0]["refresh_token"] != told[1]["refresh_token"]
        for tab, body in zip(tabs, told, strict=True):
            asked = {"token": body["access_token"]}
            renewed = await hall.in_time(
                asyncio.create_task(tab.call("token.renew", asked, namespace=NAMESPACE, timeout=WAIT_S))
            )
            assert "ok" in renewed
        # Each goes its own way from there, and the database's own look at all logins finds nothing wrong.
        for body in told:
            assert (await refreshed(hall, body["refresh_token"]))[0] == 200
        rounds = hall.parts.login_watch.rounds
        await hall.pass_time(ASK_EVERY_S + 1)
        await hall.until(lambda: hall.parts.login_watch.rounds > rounds)
        await until_read(hall)
        assert all(tab.connected for tab in tabs)
        assert len(hall.parts.node.hub) == 2


async def test_a_refresh_token_that_is_used_by_two_ends_the_login_and_closes_both_sockets(hall: Hall) -> None:
    ada = await registered(hall)
    status, thief = await refreshed(hall, ada["refresh_token"])
    assert status == 200
    async with AsyncExitStack() as stack:
        byes = asyncio.Queue[Any]()
        for token in (ada["access_token"], thief["access_token"]):
            client = await stack.enter_async_context(connected(hall, token))
            client.on("bye", byes.put_nowait, namespace=NAMESPACE)
        ticket = await issued(hall, thief["access_token"])
        await hall.pass_time(GRACE.total_seconds() + 1)
        status, refused = await refreshed(hall, ada["refresh_token"])
        assert (status, refused["code"]) == (401, "refresh_refused")
        await until_read(hall)
        async with asyncio.timeout(WAIT_S):
            told = [await byes.get() for _ in range(2)]
        assert [bye["code"] for bye in told] == [LOGIN_ENDED.code] * 2
        assert all(bye.get("come_back_ms") is None for bye in told)
    # What the thief still holds opens nothing: neither the next refresh token, nor the access token, nor a ticket.
    assert (await refreshed(hall, thief["refresh_token"]))[0] == 401
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await issued(hall, thief["access_token"])
    assert await connect_error(hall, {"ticket": ticket}) == "ticket_refused"


async def issued(hall: Hall, token: str) -> str:
    """A ticket for whoever has this access token. Raises aiohttp.ClientResponseError."""
    headers = {"Authorization": f"Bearer {token}"}
    async with hall.http.post(f"{hall.parts.base_url}/v1/tickets", headers=headers) as answer:
        answer.raise_for_status()
        return str((await answer.json())["ticket"])


async def connect_error(hall: Hall, auth: dict[str, str]) -> str:
    """The code with which a handshake is refused."""
    url = f"{hall.parts.base_url}/socket.io/?EIO=4&transport=websocket"
    async with hall.http.ws_connect(url) as socket:
        await socket.receive()
        await socket.send_str("40/live," + json.dumps(auth))
        async with asyncio.timeout(WAIT_S):
            answer = str((await socket.receive()).data)
        assert answer.startswith("44/live,"), answer
        return str(json.loads(answer.removeprefix("44/live,"))["data"]["code"])
