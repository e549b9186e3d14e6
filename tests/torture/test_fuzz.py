"""Packets from a grammar, and what becomes of them when they are bent.

Whatever is sent, there are three outcomes: an answer that the catalogue knows, a problem, or a clean end with a code that the
tables know. Not among them: silence (a ping of WebSocket must still be answered), a status 500, a traceback in the log, an
exception that reaches the event loop, something that is left over. A finding names its seed.
"""

import asyncio
import json
import random
from typing import Final

import pytest

from tests.support.raw_socket import CLOSE, PING, PONG, Frame, RawSocket, ask, client_frame, open_raw
from tests.torture import count
from tests.torture.catalogue import CLOSE_CODES, HTTP_STATUSES, check_frame, check_packet
from tests.torture.client import LiveClient, undisturbed
from tests.torture.grammar import Packet, conversation, engine_packet, polling_body, polling_query
from tests.torture.process import Process

CONVERSATIONS: Final = count(normal=400, long=20_000)
POLLED: Final = count(normal=150, long=5_000)
AT_ONCE: Final = 20
LINES_AT_MOST: Final = 200
"""Of log in all: limited per cause, not per offence."""


@pytest.mark.parametrize("authenticated", [True, False], ids=["authenticated", "before CONNECT"])
async def test_bent_packets_get_an_answer_of_the_catalogue_or_a_clean_end(usual: Process, authenticated: bool) -> None:
    logged = len(usual.log)
    seeds = iter(range(CONVERSATIONS // 2) if authenticated else range(CONVERSATIONS // 2, CONVERSATIONS))

    async def worker() -> None:
        for seed in seeds:
            try:
                await converse(usual.port, conversation(seed), authenticated)
            except Exception as finding:
                finding.add_note(f"seed {seed}: {shown(conversation(seed))}")
                raise

    async with undisturbed(usual.port), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    assert len(usual.lines(logged)) <= LINES_AT_MOST, usual.lines(logged)[:20]


async def converse(port: int, packets: list[Packet], authenticated: bool) -> None:
    """Say all of it, then a ping. Raises AssertionError for an answer or an end that is in no catalogue, `TimeoutError` for
    silence."""
    async with open_raw(port) as raw:
        await raw.engine()
        if authenticated:
            await LiveClient(raw).connect()
        try:
            for opcode, data in packets:
                await raw.send(client_frame(opcode, data))
            await raw.send(client_frame(PING, b"over"))
        except ConnectionError:
            pass  # ended while we were speaking; why is read below
        await outcome(raw)


async def outcome(raw: RawSocket) -> None:
    """Read to the pong of our last ping or to the end, and judge all of it."""
    while True:
        try:
            frame = await raw.frame()
        except EOFError:
            raise AssertionError("closed without a close frame") from None
        if frame == Frame(PONG, b"over"):
            return
        if frame.opcode == CLOSE:
            code = int.from_bytes(frame.payload[:2]) or 1005
            assert code in CLOSE_CODES, (code, frame.payload)
            return
        check_frame(frame)


def shown(packets: list[Packet]) -> str:
    return ", ".join(f"{opcode}:{data[:300]!r}" for opcode, data in packets)


async def test_bent_polling_requests_get_a_status_of_the_catalogue(usual: Process) -> None:
    logged = len(usual.log)
    seeds = iter(range(POLLED))

    async def worker() -> None:
        for seed in seeds:
            try:
                await poll(usual.port, random.Random(seed))
            except Exception as finding:
                finding.add_note(f"seed {seed}")
                raise

    async with undisturbed(usual.port), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    assert len(usual.lines(logged)) <= LINES_AT_MOST, usual.lines(logged)[:20]


async def poll(port: int, draw: random.Random) -> None:
    """A polling client whose requests are more or less right; it says goodbye properly."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = await ask(port, "GET", path)
    assert opened.status == 200, opened
    sid = json.loads(opened.body[1:])["sid"]
    if draw.random() < 0.7:
        token = draw.randrange(10**9)
        assert (await ask(port, "POST", f"{path}&sid={sid}", b'40/live,{"token":"%d"}' % token)).status == 200
    for _ in range(draw.randint(1, 4)):
        method = draw.choice(["POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
        query = polling_query(draw, sid)
        if method == "GET" and query.count("sid="):
            # A poll waits for something to be said: have it said.
            await ask(port, "POST", f"{path}&sid={sid}", b'42/live,1["board.get",{}]')
        answer = await ask(port, method, f"/socket.io/?{query}", polling_body(draw) if method == "POST" else b"")
        assert answer.status in HTTP_STATUSES, (method, query, answer)
        assert len(answer.body) < 300_000
        if method == "GET" and answer.status == 200 and not answer.body.startswith(b"0{"):
            for packet in answer.body.decode().split("\x1e"):
                check_packet(packet)
        elif method == "GET" and answer.status == 200:
            other = json.loads(answer.body[1:])["sid"]
            await ask(port, "POST", f"{path}&sid={other}", b"1")
    assert (await ask(port, "POST", f"{path}&sid={sid}", b"1")).status in (200, 400)


def test_the_grammar_makes_the_same_of_the_same_seed_and_mostly_good_packets() -> None:
    assert conversation(3) == conversation(3)
    draw = random.Random(1)
    good = sum(engine_packet(draw).startswith((b"40/live", b"42/live")) for _ in range(20_000))
    assert 0.35 < good / 20_000 < 0.9  # of a thousand the share moves by 0.015 from draw to draw
