"""Engine.IO and Socket.IO packets from their grammar, and the same packets bent.

Everything is drawn from a `random.Random` with a seed, so that a finding can be played again. A packet is built in layers, as
the protocols are: a payload (JSON, more or less), a Socket.IO head (type, attachments, namespace, acknowledgement id), an
Engine.IO type. Each layer is mostly right, because what is wrong everywhere is refused at the first byte and finds nothing.
"""

import json
import random
from collections.abc import Callable
from typing import Final

from tests.support.raw_socket import BINARY, TEXT
from tests.torture.target import ROOM

UUID: Final = "0190a0b0-0000-7000-8000-000000000001"
EVENTS: Final[dict[str, str]] = {
    "board.get": f'{{"class_id":"{ROOM}"}}',
    "room.join": '{"code":"ABCD"}',
    "room.leave": f'{{"class_id":"{ROOM}"}}',
    "stream.open": f'{{"stream":"{UUID}","started_at_ms":0}}',
    "stream.samples": f'{{"stream":"{UUID}","seq":0,"samples":[[0,100],[1000,101]]}}',
    "sensor.frame": f'{{"stream":"{UUID}","seq":0,"characteristic":"2a37","frames":[[0,"FjidBDgD"],[1000,""]]}}',
    "stream.finish": f'{{"stream":"{UUID}","samples":2}}',
    "cue.send": '{"class_id":"00000000-0000-0000-0000-00000000004d","text":"up"}',
    "chat.send": '{"class_id":"00000000-0000-0000-0000-00000000004d","text":"hello"}',
    "chat.mute": f'{{"class_id":"{ROOM}","n":2,"for_ms":60000}}',
    "chat.unmute": f'{{"class_id":"{ROOM}","n":2}}',
    "chat.remove": f'{{"class_id":"{ROOM}","message":"0f3a9c41-000000000012"}}',
    "chat.report": f'{{"class_id":"{ROOM}","message":"0f3a9c41-000000000012","reason":"spam"}}',
    "reaction.send": f'{{"class_id":"{ROOM}","kind":"high_five","to":2}}',
    "chat.history": f'{{"class_id":"{ROOM}","before":"0f3a9c41-000000000012","limit":10}}',
    "cue.seen": f'{{"class_id":"{ROOM}","cue":"0f3a9c41-000000000012","shown":false}}',
    "display.set": f'{{"class_id":"{ROOM}","mode":"alias","alias":"Fox"}}',
    "trainer.set": f'{{"class_id":"{ROOM}","target":{{"type":"power","watts":200}}}}',
    "class.create": '{"title":"Ride"}',
    "class.end": f'{{"class_id":"{ROOM}"}}',
    "class.ready": f'{{"class_id":"{ROOM}","ready":true}}',
    "class.control": f'{{"class_id":"{ROOM}","do":{{"type":"extend","by_ms":60000}}}}',
    "coach.appoint": f'{{"class_id":"{ROOM}","n":2,"to":"co_coach"}}',
    "ranking.set": f'{{"class_id":"{ROOM}","metric":"zone_minutes"}}',
    "board.filter": f'{{"class_id":"{ROOM}","here":true,"age_group":"40_49","friends":true}}',
    "member.remove": f'{{"class_id":"{ROOM}","n":2}}',
    "member.let_in": f'{{"class_id":"{ROOM}","n":2}}',
    "timeline.get": f'{{"class_id":"{ROOM}"}}',
    "clock.sync": '{"sent_ms":1000.25}',
    "token.renew": '{"token":"1"}',
    "inbox.read": f'{{"ids":["{ROOM}"]}}',
    "task.cancel": f'{{"task":"{ROOM}"}}',
    "challenge.watch": f'{{"challenge_id":"{ROOM}"}}',
    "challenge.unwatch": f'{{"challenge_id":"{ROOM}"}}',
    "replay.open": f'{{"class_id":"{ROOM}","from_ms":0,"speed":16}}',
    "replay.pace": f'{{"class_id":"{ROOM}","speed":null}}',
    "replay.seek": f'{{"class_id":"{ROOM}","to_ms":1790000000000}}',
    "replay.close": f'{{"class_id":"{ROOM}"}}',
    "safety.cancel": f'{{"incident":"{ROOM}"}}',
    "safety.acknowledge": f'{{"incident":"{ROOM}"}}',
}
"""A good payload for every client event."""

STRANGE: Final = (
    "", " ", "null", "true", "0", "-0", "1e400", "-1e400", "NaN", "Infinity", "9" * 400, "-" + "9" * 30, "1.5e-324", '""',
    '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"' + "x" * 5_000 + '"', "[]", "{}", "[" * 2_000, "{\"a\":" * 2_000,
    "[" * 500 + "]" * 500, '{"a":1,"a":2}', '{"":{}}', '{"__proto__":{}}', '{"_placeholder":true,"num":0}',
    '{"_placeholder":true,"num":-1}', "'", "//", "[,]", "[1,]", '{"a"}', "\x00", "\x1e", "\ufeff", "\u2028",
)  # fmt: skip
"""Payloads, or parts of payloads, that somebody has tripped over before."""

NAMESPACES: Final = (
    "/live,", "/live,", "/live,", "/live,", "/live", "", "/,", "/,", "/nowhere,", "/live/,", "//,", "/live?token=1,", "/LIVE,",
    "/" + "n" * 3_000 + ",", "/\x00,", "/é,", "/admin,", "live,", ",",
)  # fmt: skip
IDS: Final = ("", "", "", "0", "7", "12345", "007", "9" * 15, "9" * 16, "9" * 400, "-1", "1.5", "١", "0x1", " 1")
ATTACHMENTS: Final = ("", "", "", "", "", "0-", "1-", "2-", "-", "-1-", "1", "459999999999-", "9" * 400 + "-", "1e9-")

Packet = tuple[int, bytes]
"""The opcode of the frame, and what is in it."""


def payload(draw: random.Random) -> str:
    """The arguments of an event: a JSON array of its name and its payload, or something near it."""
    name = draw.choice(list(EVENTS))
    kind = draw.random()
    if kind < 0.5:
        return f'["{name}",{EVENTS[name]}]'
    if kind < 0.65:
        return f'["{name}",{draw.choice(STRANGE)}]'
    if kind < 0.75:
        return json.dumps([name, value(draw, 4)])
    if kind < 0.8:
        return f'["{name}",{EVENTS[name]},{draw.choice(STRANGE)}]'
    if kind < 0.85:
        return json.dumps(["".join(draw.choices("abc.\x00é/", k=draw.randint(0, 40))), {}])
    if kind < 0.9:
        good = EVENTS[name]
        return f'["{name}",{good[:-1]},{json.dumps(draw.choice(["x", "seq", "title"]))}:{draw.choice(STRANGE)}}}]'
    return draw.choice(STRANGE)


def value(draw: random.Random, depth: int) -> object:
    """Any JSON value."""
    plain: list[Callable[[], object]] = [
        lambda: None,
        lambda: draw.random() < 0.5,
        lambda: draw.choice([0, -1, 2**31, 2**53, 2**63, 2**64, -(2**70), 1.5, 1e308]),
        lambda: "".join(draw.choices('a"\\\x00ué€😀\x1e', k=draw.randint(0, 12))),
    ]
    if depth and draw.random() < 0.6:
        size = draw.randint(0, 4)
        if draw.random() < 0.5:
            return [value(draw, depth - 1) for _ in range(size)]
        return {draw.choice(["a", "", "class_id", "stream", "é"]): value(draw, depth - 1) for _ in range(size)}
    return draw.choice(plain)()


def socket_packet(draw: random.Random) -> str:
    """A Socket.IO packet."""
    kind = draw.choices("0123456789x", weights=[4, 1, 12, 3, 1, 3, 2, 1, 1, 1, 1])[0]
    body = '{"token":"5"}' if kind == "0" and draw.random() < 0.6 else payload(draw)
    if draw.random() < 0.75:  # right but for the payload
        return f"{kind}/live,{draw.choice(['', '1', '22'])}{body}"
    return kind + draw.choice(ATTACHMENTS) + draw.choice(NAMESPACES) + draw.choice(IDS) + body


def engine_packet(draw: random.Random) -> bytes:
    """An Engine.IO packet."""
    kind = draw.random()
    if kind < 0.85:
        return b"4" + socket_packet(draw).encode()
    if kind < 0.95:
        return draw.choice(
            (b"3", b"3", b"2probe", b"5", b"6", b"2", b"3probe", b"0", b'0{"sid":"x"}', b"", b"7", b"1", b"b4")
        )
    return draw.randbytes(draw.randint(0, 64))


def bent(draw: random.Random, data: bytes) -> bytes:
    """The packet with one thing done to it."""
    if not data:
        return data
    at = draw.randrange(len(data))
    to = min(len(data), at + draw.randint(1, 12))
    match draw.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at] + data[to:]
        case 3:
            return data[:to] + data[at:to] * draw.randint(1, 50) + data[to:]
        case 4:
            return data[:at] + draw.choice(STRANGE)[:200].encode() + data[at:]
        case _:
            return data[:at] + draw.randbytes(draw.randint(1, 4)) + data[to:]


def packet(draw: random.Random) -> Packet:
    """A packet, bent or not, in a text or (rarely) a binary frame."""
    data = engine_packet(draw)
    if draw.random() < 0.4:
        data = bent(draw, data)
    return (BINARY if draw.random() < 0.04 else TEXT), data


def conversation(seed: int) -> list[Packet]:
    """What one client sends."""
    draw = random.Random(seed)
    return [packet(draw) for _ in range(draw.randint(1, 8))]


def polling_body(draw: random.Random) -> bytes:
    """The body of a long-polling POST."""
    parts = []
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3, 20, 400])):
        if draw.random() < 0.15:
            parts.append(draw.choice([b"bAAEC", b"bAAE", b"b", b"b====", b"b\xff", b"bAAEC\n"]))
        else:
            data = engine_packet(draw)
            parts.append(bent(draw, data) if draw.random() < 0.3 else data)
    return draw.choice([b"\x1e", b"\x1e", b"\x1e", b"\x1e\x1e", b""]).join(parts)


def polling_query(draw: random.Random, sid: str) -> str:
    """The query of a long-polling request: right, or nearly so."""
    parts = {"EIO": "4", "transport": "polling", "sid": sid}
    match draw.randrange(12):
        case 0:
            parts["EIO"] = draw.choice(["3", "", "5", "4.0", "٤", "4" * 300])
        case 1:
            parts["transport"] = draw.choice(
                ["", "flashsocket", "websocket", "POLLING", "polling,websocket", "x" * 2_000]
            )
        case 2:
            parts["sid"] = draw.choice(["", "nobody", "../../etc/passwd", "%00", "x" * 4_000, sid + "%20"])
        case 3:
            parts["j"] = draw.choice(["0", "-1", "alert(1)"])
        case 4:
            parts["b64"] = "1"
        case 5:
            del parts[draw.choice(list(parts))]
        case _:
            pass
    return "&".join(f"{name}={given}" for name, given in parts.items())
