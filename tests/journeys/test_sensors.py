"""A strap and a trainer, as a thin client has them: it passes on bytes in both directions and understands none."""

import asyncio
import base64
import secrets
import uuid
from typing import Any

import aiohttp

from services.training.ftms_control import TargetPower, decode_request
from tests.journeys.test_bad_input import PASSWORD, Person, connect
from tests.support.server import Server

NOTIFICATIONS = ("16 38 37 04 07 03", "16 39 1d 04", "04 00")


async def person(http: aiohttp.ClientSession, base_url: str, name: str, role: str) -> Person:
    body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD, "name": name, "role": role}
    async with http.post(f"{base_url}/v1/accounts", json=body) as answer:
        return await connect(base_url, await answer.json())


async def test_bytes_of_a_strap_become_a_workout_and_a_coachs_target_becomes_bytes(paceline_server: Server) -> None:
    base_url = paceline_server.base_url
    async with aiohttp.ClientSession() as http:
        coach, athlete = await person(http, base_url, "Mia", "coach"), await person(http, base_url, "Ada", "member")
        live = await coach.ok("class.create", {"title": "Ride"})
        boards: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        targets: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for news in ("board.changes", "board.snapshot"):
            coach.socket.on(news, boards.put, namespace="/live")
        await coach.ok("room.join", {"code": live["code"], "role": "coach"})
        athlete.socket.on("trainer.target", targets.put, namespace="/live")
        you = (await athlete.ok("room.join", {"code": live["code"]}))["you"]
        stream = str(uuid.uuid4())
        opening = {"stream": stream, "started_at_ms": 0, "class_code": live["code"], "sensor": "strap"}
        workout = (await athlete.ok("stream.open", opening))["workout"]

        frames = [[1_000 * n, base64.b64encode(bytes.fromhex(one)).decode()] for n, one in enumerate(NOTIFICATIONS)]
        message = {"stream": stream, "seq": 0, "characteristic": "2a37", "frames": frames}
        assert (await athlete.ok("sensor.frame", message))["next_seq"] == 3
        headers = {"Authorization": f"Bearer {athlete.token}"}
        async with http.get(f"{base_url}/v1/workouts/{workout}/samples", headers=headers) as answer:
            samples = (await answer.json())["samples"]
        assert samples == [[0, 56, [1054, 757], None], [1_000, 57, [1028], None], [2_000, None, [], None]]

        async with asyncio.timeout(30):
            while you["n"] not in {member["n"] for member in (await boards.get()).get("members", ())}:
                pass
        driven = {"class_id": live["id"], "n": you["n"], "target": {"type": "power", "watts": 180}}
        assert await coach.ok("trainer.set", driven) == {"athletes": 1}
        told = await asyncio.wait_for(targets.get(), 10)
        assert decode_request(base64.b64decode(told["data"])) == TargetPower(watts=180)
        for one in (coach, athlete):
            await one.socket.disconnect()
