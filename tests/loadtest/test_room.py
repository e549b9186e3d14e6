"""The reference client stays in its room: over a lost connection it gets what it missed, once and in order."""

import asyncio
from collections.abc import Callable

import aiohttp

from loadtest.api import Api
from loadtest.client import PacelineClient, account_tokens, open_client
from realtime.wire import CueSend, Said
from services.kernel.ids import ClassId
from tests.support.server import open_server

PASSWORD = "seven brown foxes rowing"
WAIT_S = 15.0


async def test_what_was_said_while_the_connection_was_away_is_heard_after_it() -> None:
    with open_server() as server:
        async with aiohttp.ClientSession() as http:
            api = Api(http, server.base_url, patience_s=20)
            coach = await account_tokens(api, "coach@example.org", PASSWORD, "Mia", "coach")
            rider = await account_tokens(api, "rider@example.org", PASSWORD, "Rider")
            live = await api.create_class(await coach.current(), "Evening ride")
            async with open_client(api, coach) as desk, open_client(api, rider) as phone:
                await desk.join(live.code, "coach")
                heard: list[str] = []
                phone.link.on("cue", lambda cue: heard.append(cue.text))
                joined = await phone.join(live.code)
                room = phone.rooms[live.id]
                assert room.position == joined.position
                await say(desk, live.id, "1")
                await until(lambda: heard == ["1"])
                first = await phone.link.opened()
                await phone.link.drop()
                for text in ("2", "3"):
                    await say(desk, live.id, text)
                await until(lambda: heard == ["1", "2", "3"])
                await say(desk, live.id, "4")
                await until(lambda: heard == ["1", "2", "3", "4"])
                assert await phone.link.opened() == first + 1
                assert room.recoveries == 1


async def say(desk: PacelineClient, class_id: ClassId, text: str) -> None:
    await desk.call("cue.send", CueSend(class_id=class_id, text=text), Said)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)
