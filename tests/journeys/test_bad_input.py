"""What a client must not send is answered with a problem that says what and where; nothing is stored, nobody is disturbed."""

import json
import secrets
import urllib.request
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import socketio  # type: ignore[import-untyped]

from tests.support.server import Server

PASSWORD = "a sentence nobody guesses"


@dataclass
class Person:
    """An account, and the official protocol's Python client connected with it."""

    account: str
    token: str
    socket: socketio.AsyncClient

    async def ask(self, event: str, payload: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.socket.call(event, payload, namespace="/live", timeout=10)
        return answer

    async def ok(self, event: str, payload: Any) -> dict[str, Any]:
        answer = await self.ask(event, payload)
        assert "ok" in answer, answer
        found: dict[str, Any] = answer["ok"]
        return found


@dataclass
class Hall:
    """A live class with a coach and two athletes, one of whom misbehaves in each test."""

    http: aiohttp.ClientSession
    base_url: str
    coach: Person
    good: Person
    bad: Person
    code: str
    class_id: str
    good_stream: str
    bad_stream: str
    bad_workout: str

    async def stored(self, person: Person, workout: str) -> int:
        headers = {"Authorization": f"Bearer {person.token}"}
        async with self.http.get(f"{self.base_url}/v1/workouts/{workout}/samples", headers=headers) as answer:
            return len((await answer.json())["samples"])


@pytest.fixture(scope="module")
def accounts(paceline_server: Server) -> list[dict[str, Any]]:
    """A coach and two members, registered once: hashing three passwords per test would be most of the time."""

    def register(name: str, role: str) -> dict[str, Any]:
        body = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD, "name": name, "role": role}
        request = urllib.request.Request(
            f"{paceline_server.base_url}/v1/accounts",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            made: dict[str, Any] = json.load(answer)
            return made

    return [register("Mia", "coach"), register("Ada", "member"), register("Bob", "member")]


async def connect(base_url: str, account: dict[str, Any]) -> Person:
    socket = socketio.AsyncClient(reconnection=False)
    await socket.connect(
        base_url,
        auth={"token": account["access_token"]},
        namespaces=["/live"],
        transports=["websocket"],
        wait_timeout=10,
    )
    return Person(account["account"]["id"], account["access_token"], socket)


@pytest.fixture
async def hall(paceline_server: Server, accounts: list[dict[str, Any]]) -> AsyncIterator[Hall]:
    base_url = paceline_server.base_url
    async with aiohttp.ClientSession() as http:
        coach, good, bad = [await connect(base_url, account) for account in accounts]
        live = await coach.ok("class.create", {"title": "Ride"})
        streams = []
        for person in (good, bad):
            await person.ok("room.join", {"code": live["code"]})
            opening = {"stream": str(uuid.uuid4()), "started_at_ms": 0, "class_code": live["code"]}
            streams.append(await person.ok("stream.open", opening))
        yield Hall(
            http,
            base_url,
            coach,
            good,
            bad,
            live["code"],
            live["id"],
            streams[0]["stream"],
            streams[1]["stream"],
            streams[1]["workout"],
        )
        for person in (coach, good, bad):
            await person.socket.disconnect()


def samples(*readings: Any, stream: str, seq: int = 0) -> dict[str, Any]:
    return {"stream": stream, "seq": seq, "samples": list(readings)}


SAMPLES = "stream.samples"
BAD: dict[str, tuple[str, Any, str, str | None]] = {
    "unknown event": ("stream.explode", {}, "unknown_event", None),
    "missing field": (SAMPLES, {"stream": "S", "samples": [[0, 100]]}, "bad_shape", "$"),
    "unknown field": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 100]], "admin": True}, "bad_shape", "$"),
    "text for a number": (SAMPLES, {"stream": "S", "seq": "0", "samples": [[0, 100]]}, "bad_shape", "$.seq"),
    "truth for a number": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, True]]}, "bad_shape", "$.samples[0][1]"),
    "fraction for a whole number": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 99.5]]}, "bad_shape", "$.samples[0][1]"),
    "heart rate 0": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 0]]}, "bad_shape", "$.samples[0][1]"),
    "heart rate 300": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 100], [1, 300]]}, "bad_shape", "$.samples[1][1]"),
    "heart rate 1e308": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 1e308]]}, "bad_shape", "$.samples[0][1]"),
    "negative time": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[-1, 100]]}, "bad_shape", "$.samples[0][0]"),
    "negative sequence": (SAMPLES, {"stream": "S", "seq": -1, "samples": [[0, 100]]}, "bad_shape", "$.seq"),
    "no samples": (SAMPLES, {"stream": "S", "seq": 0, "samples": []}, "bad_shape", "$.samples"),
    "too many samples": (SAMPLES, {"stream": "S", "seq": 0, "samples": [[0, 100]] * 1_001}, "bad_shape", "$.samples"),
    "no stream's id": (SAMPLES, {"stream": "nonsense", "seq": 0, "samples": [[0, 100]]}, "bad_shape", "$.stream"),
    "a stream of nobody": (SAMPLES, {"stream": "NEW", "seq": 0, "samples": [[0, 100]]}, "stream_not_open", None),
    "somebody else's stream": (SAMPLES, {"stream": "GOOD", "seq": 0, "samples": [[0, 100]]}, "stream_not_open", None),
    "a sequence from elsewhere": (SAMPLES, {"stream": "S", "seq": 9_000, "samples": [[0, 100]]}, "sequence_gap", "$.seq"),
    "opening somebody else's stream": ("stream.open", {"stream": "GOOD", "started_at_ms": 0}, "forbidden", "$.stream"),
    "a class that does not exist": ("room.join", {"code": "NOSUCH"}, "class_not_found", "$.code"),
    "a code with a wildcard": ("room.join", {"code": "%%%%%%"}, "bad_shape", "$.code"),
    "a role one does not have": ("room.join", {"code": "CODE", "role": "coach"}, "forbidden", None),
    "a role that does not exist": ("room.join", {"code": "CODE", "role": "admin"}, "bad_shape", "$.role"),
    "creating a class as a member": ("class.create", {"title": "Mine"}, "forbidden", None),
    "a class without a title": ("class.create", {"title": "   "}, "bad_shape", "$.title"),
    "a title with a NUL": ("class.create", {"title": "a\x00b"}, "bad_shape", "$.title"),
    "ending somebody else's class": ("class.end", {"class_id": "CLASS"}, "forbidden", None),
    "a room one is not in": ("board.get", {"class_id": "NEW"}, "not_in_room", None),
    "finishing too early": ("stream.finish", {"stream": "S", "samples": 5}, "sequence_gap", "$.samples"),
    "a list where an object belongs": ("room.join", ["CODE"], "bad_shape", "$"),
    "nothing where an object belongs": ("room.join", None, "bad_shape", None),
}  # fmt: skip


def frames(*moments: Any, stream: str = "S", characteristic: str = "2a37") -> dict[str, Any]:
    return {"stream": stream, "seq": 0, "characteristic": characteristic, "frames": list(moments)}


def driving(target: str, class_id: str = "CLASS") -> dict[str, Any]:
    return {"class_id": class_id, "target": {"type": target}}


FRAMES = "sensor.frame"
OPENING = {"stream": "NEW", "started_at_ms": 0}
BAD |= {
    "a frame cut in an interval": (FRAMES, frames([0, "AIw="], [1_000, "EIwA"]), "bad_shape", "$.frames[1][1]"),
    "a frame that is not base64": (FRAMES, frames([0, "00 8c"]), "bad_shape", "$.frames[0][1]"),
    "a battery for a heart": (FRAMES, frames([0, "ZA=="], characteristic="2a19"), "bad_shape", "$.characteristic"),
    "no characteristic": (FRAMES, frames([0, "AIw="], characteristic="heart"), "bad_shape", "$.characteristic"),
    "frames of somebody else": (FRAMES, frames([0, "AIw="], stream="GOOD"), "stream_not_open", None),
    "a sensor that does not exist": ("stream.open", OPENING | {"sensor": "tooth"}, "bad_shape", "$.sensor"),
    "driving where one is not": ("trainer.set", driving("start", "NEW"), "not_in_room", None),
    "a target that does not exist": ("trainer.set", driving("speed"), "bad_shape", "$.target.type"),
}


def filled(payload: Any, hall: Hall) -> Any:
    """The payload with the hall's own ids in place of the words."""
    words = {
        "S": hall.bad_stream,
        "GOOD": hall.good_stream,
        "NEW": str(uuid.uuid4()),
        "CODE": hall.code,
        "CLASS": hall.class_id,
    }
    if isinstance(payload, dict):
        return {name: words.get(value, value) if isinstance(value, str) else value for name, value in payload.items()}
    return payload


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_refused_with_code_and_path(hall: Hall, case: str) -> None:
    event, payload, code, path = BAD[case]
    answer = await hall.bad.ask(event, filled(payload, hall))
    problem = answer["problem"]
    assert problem["code"] == code
    assert problem.get("path") == path
    assert problem["message"]
    # Nothing was stored, the connection is kept, and it may go on at once.
    stored = await hall.bad.ok(SAMPLES, samples([0, 120], [1_000, 121], stream=hall.bad_stream))
    assert stored["next_seq"] == 2
    assert await hall.stored(hall.bad, hall.bad_workout) == 2
    # And nobody else was disturbed.
    other = await hall.good.ok(SAMPLES, samples([0, 140], stream=hall.good_stream))
    assert other["next_seq"] == 1


async def test_a_class_that_is_over_cannot_be_joined_or_fed(hall: Hall) -> None:
    await hall.coach.ok("class.end", {"class_id": hall.class_id})
    joined = await hall.good.ask("room.join", {"code": hall.code})
    assert joined["problem"]["code"] == "class_over"
    opening = {"stream": str(uuid.uuid4()), "started_at_ms": 0, "class_code": hall.code}
    assert (await hall.good.ask("stream.open", opening))["problem"]["code"] == "class_over"


async def test_repeated_abuse_ends_the_connection_with_a_reason_and_nobody_elses(hall: Hall) -> None:
    farewell: list[dict[str, Any]] = []
    hall.bad.socket.on("bye", farewell.append, namespace="/live")
    for _ in range(200):
        if not hall.bad.socket.connected:
            break
        await hall.bad.socket.emit("no.such.event", {}, namespace="/live")
        await hall.bad.socket.sleep(0)
    for _ in range(200):
        if not hall.bad.socket.connected:
            break
        await hall.bad.socket.sleep(0.02)
    assert not hall.bad.socket.connected
    assert farewell
    assert farewell[0]["code"] == 3501
    other = await hall.good.ok(SAMPLES, samples([0, 140], stream=hall.good_stream))
    assert other["next_seq"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/classes", 405, "method_not_allowed"),
        ("GET", "/v1/me", 401, "not_authenticated"),
        ("GET", "/v1/classes/nonsense", 401, "not_authenticated"),
        ("POST", "/v1/logins", 415, "unsupported_media_type"),
    ],
)
async def test_http_failures_are_problems_too(
    paceline_server: Server, method: str, path: str, status: int, code: str
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{paceline_server.base_url}{path}", data=b"x" if method == "POST" else None) as answer,
    ):
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert (await answer.json())["code"] == code
