"""What is too large, too deep, too strange or not text at all: F-63 to F-65 of the catalogue of faults.

The offender is refused as soon as it can be known, which for a declared gigabyte is at its header; the process never holds more
for it than a few megabytes; and its neighbour is served as if nothing had happened.
"""

import json
import os
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.raw_socket import TEXT, ask, client_frame, open_raw, text
from tests.torture import abuses
from tests.torture.abuses import CONTENTS, STILL_OPEN, Outcome
from tests.torture.client import LiveClient, undisturbed
from tests.torture.process import Process, open_process

SPIKE_KB: Final = 4 * 1024
"""What a process may need for a while because of one offender, F-63."""
CPU_S_PER_FRAME: Final = 0.05
"""What reading one frame of nonsense may cost, F-64."""
PROBLEMS: Final = frozenset({"bad_json", "bad_shape", "too_large", "not_in_room", "rate_limited"})
CHUNKED: Final = (
    b"POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
)


async def without_a_spike(process: Process, abuse: Callable[[int], Awaitable[Outcome]]) -> Outcome:
    """The abuse, once to warm up and once with the memory watched."""
    await abuse(process.port)
    before = process.forget_peak()
    async with undisturbed(process.port):
        told = await abuse(process.port)
    assert process.peak_kb() - before <= SPIKE_KB
    return told


@pytest.mark.parametrize(
    ("abuse", "ending"),
    [
        (abuses.oversized_text, 1009),
        (abuses.declared_gigabyte, 1009),
        (abuses.fragments, 1008),
        (abuses.empty_fragments, 1008),
    ],
)
async def test_f63_what_is_too_large_is_refused_at_its_header_and_costs_nothing(
    usual: Process, abuse: Callable[[int], Awaitable[Outcome]], ending: int
) -> None:
    assert await without_a_spike(usual, abuse) == {ending: 1}


async def test_f63_a_polling_body_that_is_too_large_is_refused_at_its_header(usual: Process) -> None:
    path = "/socket.io/?EIO=4&transport=polling"
    async with polling(usual) as sid, undisturbed(usual.port):
        before = usual.forget_peak()
        assert (await ask(usual.port, "POST", f"{path}&sid={sid}", Content_Length=str(1 << 30))).status in (400, 413)
        assert (await ask(usual.port, "POST", f"{path}&sid={sid}", b"4" * 1_001_000)).status in (400, 413)
        async with open_raw(usual.port) as raw:
            await raw.send(CHUNKED % sid.encode() + b"10000\r\n" + b"4" * 65_536 + b"\r\n")
            for _ in range(40):
                try:
                    await raw.send(b"10000\r\n" + b"4" * 65_536 + b"\r\n")
                except ConnectionError:
                    break
            assert (await raw.response()).status in (400, 411, 413)
        assert usual.peak_kb() - before <= SPIKE_KB


@asynccontextmanager
async def polling(process: Process) -> AsyncIterator[str]:
    """A polling connection, closed properly afterwards if it is still there; its id."""
    path = "/socket.io/?EIO=4&transport=polling"
    opened = await ask(process.port, "GET", path)
    sid = str(json.loads(opened.body[1:])["sid"])
    yield sid
    await ask(process.port, "POST", f"{path}&sid={sid}", b"1")


# -- compression, where it is switched on ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compressing_target() -> Iterator[Process]:
    """A target that agrees to compression."""
    with open_process(compression=True) as process:
        yield process


@pytest.fixture
async def compressing(compressing_target: Process) -> AsyncIterator[Process]:
    """The same, watched."""
    baseline = compressing_target.census()
    yield compressing_target
    await compressing_target.settled(baseline)
    assert compressing_target.tracebacks() == []


async def test_f63_a_deflate_bomb_costs_what_a_message_may_cost(compressing: Process) -> None:
    assert await without_a_spike(compressing, abuses.deflate_bomb) == {1009: 1}


async def test_f63_compressed_garbage_is_refused_as_bytes_that_are_no_text(compressing: Process) -> None:
    async with undisturbed(compressing.port), open_raw(compressing.port) as raw:
        await raw.engine(deflate=True)
        await raw.send(client_frame(TEXT, b"\xff" * 1_000, rsv=4))
        assert (await raw.ending()).code == 1007


async def test_a_compressed_conversation_works_in_both_directions(compressing: Process) -> None:
    async with open_raw(compressing.port) as raw:
        await raw.engine(deflate=True)
        assert raw.deflate
        client = await LiveClient(raw).connect()
        packet = b'42/live,5["class.create",{"title":"' + b"x" * 79 + b'"}]'
        for body in (packet, packet):  # without context takeover: the second is understood without the first
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            packed = packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH)
            await raw.send(client_frame(TEXT, packed[:-4], rsv=4))
            assert (await client.ack(5))["ok"]["title"] == "x" * 79
        await raw.send(text(packet))  # and one that is not compressed
        assert (await client.ack(5))["ok"]["title"] == "x" * 79


# -- contents ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTENTS)
async def test_f64_nasty_contents_get_a_problem_quickly_and_quietly(usual: Process, name: str) -> None:
    logged = len(usual.log)
    async with undisturbed(usual.port):
        cpu = cpu_s(usual.pid)
        for _ in range(4):
            told = await abuses.nasty_content(usual.port, CONTENTS[name])
            told.pop(STILL_OPEN, None)
            assert told.keys() <= PROBLEMS, told
            assert sum(told.values()) == 1, told
        spent = cpu_s(usual.pid) - cpu
    # Of one frame and a connection to send it on; the clock of the kernel ticks in hundredths of a second.
    assert spent <= 4 * CPU_S_PER_FRAME + 0.02
    assert len(usual.lines(logged)) <= 1


def cpu_s(pid: int) -> float:
    """CPU time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'42/live,1["board.get",{"class_id":"\xff"}]', 1007),
        (b'42/live,1["board.get",{"class_id":"\xed\xa0\x80"}]', 1007),
        (b"42/live,1[", None),
        (b"42/live,99999999999999999999[{}]", 3504),
        (b'42/live,1e3["board.get",{}]', 3504),
        (b'42/live,-1["board.get",{}]', 3504),
        ("42/live,١[]".encode(), 3504),
        (b"4", 3504),
        (b"49", 3504),
        (b"47/live,", 3504),
        (b"", 3504),
        (b"x", 3504),
        (b"9", 3504),
        (b"2", 3504),
        (b"2probe", 3504),
        (b"5", 3504),
        (b"0", 3504),
        (b"33", 3504),
        (b"1x", 3504),
        (b"43/live,[]", 3504),
        (b"43/live,1{}", 3504),
        (b"41/live,[]", 3504),
        (b"44/live,{}", 3504),
    ],
)
async def test_what_no_client_sends_ends_the_connection_with_its_code(
    usual: Process, payload: bytes, code: int | None
) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await LiveClient(await raw.engine()).connect()
        told = await abuses.spoken(raw, [client_frame(TEXT, payload)])
        if code is None:
            assert told == {"bad_json": 1, STILL_OPEN: 1}
        else:
            assert told == {code: 1}


# -- binary -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authenticated", [True, False], ids=["authenticated", "before CONNECT"])
@pytest.mark.parametrize(
    "header",
    ["459999999999-/live,", "451-/live,", "450-/live,", "461-/live,7", "459999999999-", "45" + "9" * 4_000 + "-"],
)
async def test_f65_a_binary_flood_is_refused_at_its_header(usual: Process, header: str, authenticated: bool) -> None:
    async def flood(port: int) -> Outcome:
        return await abuses.binary_flood(port, header=header, authenticated=authenticated)

    assert await without_a_spike(usual, flood) == {3504: 1}


async def test_f65_binary_without_a_header_is_refused(usual: Process) -> None:
    async with undisturbed(usual.port), open_raw(usual.port) as raw:
        await LiveClient(await raw.engine()).connect()
        assert await abuses.spoken(raw, [client_frame(2, bytes(1_000))]) == {3504: 1}
