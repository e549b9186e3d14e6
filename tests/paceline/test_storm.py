"""F-60 of the catalogue of faults, in small: everybody is dropped at once, and everybody comes back at once."""

import asyncio
import json
import random
import time
import urllib.request
from pathlib import Path

from tests.support.crowd import Member, new_token, open_crowd
from tests.support.raw_socket import RawSocket, connected
from tests.support.server import open_server

SOCKETS = 500
PER_SECOND = 100
BACK_WITHIN_S = 30.0
CPU_PER_CONNECT_S = 0.003
"""A token check takes some 0.2 ms, a whole connect some 0.5; refusals, Postgres' own loops and a slow machine are in it too."""


def cpu_s(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def refused(base_url: str) -> float:
    """How many were asked to come later so far."""
    with urllib.request.urlopen(f"{base_url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.split(" ")[1])
        for line in lines
        if line.startswith('paceline_handshakes_refused_total{code="too_fast"}')
    )


async def back(port: int, token: str, lines: list[RawSocket]) -> tuple[int, float]:
    """Come back as a client does that heeds Retry-After; the attempts it took, and when it was in."""
    attempts = 0
    while True:
        attempts += 1
        raw = await connected(port)
        answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
        if answer.status == 101:
            lines.append(raw)
            assert json.loads((await raw.frame()).payload[1:])["sid"]
            await Member(raw).authenticate(token)
            return attempts, time.monotonic()
        raw.shut()
        assert answer.status == 503
        await asyncio.sleep(int(answer.headers["retry-after"]) * random.uniform(0.9, 1.1))


async def test_f60_five_hundred_dropped_at_once_are_back_at_the_rate_that_was_set_and_at_a_bounded_cost() -> None:
    with open_server(
        PACELINE_CONNECTIONS_PER_SECOND=str(PER_SECOND), PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0"
    ) as server:
        token = await new_token(server.base_url)
        lines: list[RawSocket] = []
        try:
            await asyncio.gather(*(back(server.port, token, lines) for _ in range(SOCKETS)))
            for raw in lines:
                raw.reset()
            lines.clear()
            cpu, turned_away = cpu_s(server.pid), await asyncio.to_thread(refused, server.base_url)
            began = time.monotonic()
            found = await asyncio.gather(*(back(server.port, token, lines) for _ in range(SOCKETS)))
            took = time.monotonic() - began
            attempts = sum(tries for tries, _ in found)
            assert took < BACK_WITHIN_S
            assert await asyncio.to_thread(refused, server.base_url) - turned_away == attempts - SOCKETS > 0
            assert cpu_s(server.pid) - cpu < SOCKETS * CPU_PER_CONNECT_S
            arrived = sorted(at - began for _, at in found)
            # The bucket's burst, and then so many a second.
            assert all(number <= PER_SECOND * (1 + at) + 1 for number, at in enumerate(arrived, 1))
            async with open_crowd(server.port, token, 1):
                pass
        finally:
            for raw in lines:
                raw.shut()
        assert server.stop() == 0
