"""F-05 of the catalogue of faults: a gateway that may have 256 descriptors, and more clients than that."""

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from loadtest.api import Api
from tests.support.crowd import Member, new_token
from tests.support.raw_socket import RawSocket, ask, connected
from tests.support.server import Server, open_program

LIMIT = 256
CLIENTS = 400
FEW_DESCRIPTORS = (
    sys.executable,
    "-c",
    f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT})); "
    "import sys; sys.argv = ['paceline', 'run']; runpy.run_module('paceline', run_name='__main__', alter_sys=True)",
)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_s(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def arrive(port: int, token: str, lines: list[RawSocket]) -> str:
    """Try to come in; how that went."""
    raw = await connected(port)
    lines.append(raw)
    try:
        answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
        if answer.status != 101:
            return str(answer.status)
        await raw.frame()
        await Member(raw).authenticate(token)
    except (EOFError, ConnectionError):
        return "closed"
    return "in"


@contextlib.contextmanager
def closed_at_last(lines: list[RawSocket]) -> Iterator[None]:
    try:
        yield
    finally:
        for raw in lines:
            raw.shut()


async def ready(server: Server) -> bool:
    with contextlib.suppress(ConnectionError, EOFError):
        return (await ask(server.port, "GET", "/readyz")).status == 200
    return False


async def test_f05_more_clients_than_descriptors_are_refused_and_the_node_lives_on() -> None:
    with open_program(FEW_DESCRIPTORS, PACELINE_DB_POOL="10", PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0") as server:
        token = await new_token(server.base_url)
        lines: list[RawSocket] = []
        with closed_at_last(lines):
            found = Counter(await asyncio.gather(*(arrive(server.port, token, lines) for _ in range(CLIENTS))))
            assert set(found) <= {"in", "503", "closed"}, found
            assert found["in"] > 100, found
            assert found["503"] + found["closed"] == CLIENTS - found["in"] > 0, found
            assert descriptors(server.pid) < LIMIT
            # What is kept in reserve is there: HTTP and Postgres work, also for what needs connections of its own.
            assert await ready(server)
            async with aiohttp.ClientSession() as http:
                classes = [Api(http, server.base_url).create_class(token, f"Ride {n}") for n in range(8)]
                assert len({made.code for made in await asyncio.gather(*classes)}) == 8
            # Nothing spins: those who keep trying cost what saying no costs.
            before, began = cpu_s(server.pid), time.monotonic()
            again = Counter([await arrive(server.port, token, lines) for _ in range(20)])
            assert again["in"] == 0, again
            await asyncio.sleep(2.0)
            assert (cpu_s(server.pid) - before) / (time.monotonic() - began) < 0.5
        deadline = time.monotonic() + 20
        back: list[RawSocket] = []
        with closed_at_last(back):
            while await arrive(server.port, token, back) != "in":
                assert time.monotonic() < deadline
            assert Counter([await arrive(server.port, token, back) for _ in range(50)]) == {"in": 50}
        assert server.stop() == 0
        assert not server.said("Traceback")
