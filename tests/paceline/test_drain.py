"""F-02 of the catalogue of faults: a gateway is asked to stop while thousands are connected, and one of them never reads."""

import asyncio
import json
import re
import signal
import sys
import time
import uuid
from collections import Counter

import aiohttp
import pytest

from loadtest.api import Api
from services.kernel.ids import WorkoutId
from tests.support.crowd import Ended, Member, new_token, open_crowd
from tests.support.raw_socket import ask, open_raw, text
from tests.support.server import Server, open_program, open_server

HOOKED = (sys.executable, "-m", "tests.paceline.hooked_program")
SOCKETS = 2_000
DRAIN_S = 12
SAMPLES = 30


async def all_ended(crowd: list[Member], within_s: float) -> list[Ended]:
    return await asyncio.gather(*(one.ended(within_s) for one in crowd))


async def stopped(server: Server) -> tuple[int, float]:
    """Wait until it has ended; its exit code and when."""
    code = await asyncio.to_thread(server.wait)
    return code, time.monotonic()


def spread(values: list[float]) -> float:
    """From the first to the last, a hundredth at either end left out."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    return ordered[-1 - cut] - ordered[cut]


async def test_f02_two_thousand_sockets_of_which_one_never_reads() -> None:
    with open_program(HOOKED, PACELINE_DRAIN_S=str(DRAIN_S), PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0") as server:
        token = await new_token(server.base_url)
        async with open_crowd(server.port, token, SOCKETS) as crowd:
            deaf, *reading = crowd
            listening = asyncio.create_task(all_ended(reading, 30))
            began = time.monotonic()
            server.send(signal.SIGTERM)
            ended = await listening
            code, at = await stopped(server)
        assert code == 0
        assert at - began < DRAIN_S
        assert Counter(one.code for one in ended) == {3000: SOCKETS - 1}, "and no 1006"
        assert server.said("the cleanup hook ran")
        assert server.said("Stopped.")
        assert any(re.search(rf"node.drained.* cut=1 .*sockets={SOCKETS}", line) for line in server.output), deaf.sid
        # Who does not know `bye` comes back a second after its close, who knows it at its own instant.
        assert spread([one.at for one in ended]) > 3
        back = [one.come_back_ms for one in ended if one.come_back_ms is not None]
        assert len(back) == SOCKETS - 1
        assert spread([float(ms) for ms in back]) > 4_500
        seconds = Counter(
            int(one.at - min(ended, key=lambda one: one.at).at + (one.come_back_ms or 0) / 1_000) for one in ended
        )
        assert max(seconds.values()) < SOCKETS / 4, "all those of one second are few"


async def test_what_was_sent_before_the_stop_is_committed_and_acknowledged() -> None:
    with open_server(PACELINE_COMMIT_INTERVAL_MS="5000") as server:
        token = await new_token(server.base_url)
        stream = str(uuid.uuid4())
        async with open_crowd(server.port, token, 1) as (member,):
            started_at_ms = round(time.time() * 1_000)
            await member.raw.send(
                text(f'42/live,1["stream.open",{{"stream":"{stream}","started_at_ms":{started_at_ms}}}]')
            )
            opened = json.loads((await member.raw.frame()).payload.partition(b"[")[2][:-1])["ok"]
            for seq in range(0, SAMPLES, 10):
                samples = json.dumps([[1_000 * n, 120 + n] for n in range(seq, seq + 10)])
                body = f'{{"stream":"{stream}","seq":{seq},"samples":{samples}}}'
                await member.raw.send(text(f'42/live,{seq + 2}["stream.samples",{body}]'))
            await member.raw.send(text('42/live,99["no.such.event",{}]'))
            heard = (await member.raw.frame()).payload
            assert heard.startswith(b"43/live,99["), "all of them were taken in, and none is committed yet"
            server.send(signal.SIGTERM)
            ended = await member.ended(20)
            code, _ = await stopped(server)
        assert (code, ended.code) == (0, 3000)
        assert f'"next_seq":{SAMPLES}' in "".join(member.heard)
        server.start()
        async with aiohttp.ClientSession() as http:
            stored = await Api(http, server.base_url).samples(token, WorkoutId(uuid.UUID(opened["workout"])))
        assert [(one.t, one.bpm) for one in stored] == [(1_000 * n, 120 + n) for n in range(SAMPLES)]


async def test_a_node_is_unready_first_and_refuses_when_balancers_have_had_time_to_see_it() -> None:
    polling, websocket = (f"/socket.io/?EIO=4&transport={one}" for one in ("polling", "websocket"))
    with open_server(PACELINE_DRAIN_DELAY_S="2") as server:
        token = await new_token(server.base_url)
        async with open_crowd(server.port, token, 1) as (member,):
            began = time.monotonic()
            server.send(signal.SIGTERM)
            while (await ask(server.port, "GET", "/readyz")).status == 200:
                assert time.monotonic() - began < 2
            async with open_crowd(server.port, token, 1):
                pass
            # It never comes for its goodbye, which keeps the drain long enough to be looked at.
            assert (await ask(server.port, "GET", polling)).status == 200
            ended = await member.ended(20)
            assert ended.code == 3000
            assert time.monotonic() - began > 2
        refused = await ask(server.port, "GET", polling)
        async with open_raw(server.port) as raw:
            shut_out = await raw.upgrade(websocket)
        for answer in (refused, shut_out):
            assert answer.status == 503
            assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert (await stopped(server))[0] == 0


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_skips_the_waiting_and_none_of_the_steps(again: signal.Signals) -> None:
    with open_program(
        HOOKED,
        PACELINE_DRAIN_DELAY_S="60",
        PACELINE_DRAIN_S="60",
        PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0",
    ) as server:
        token = await new_token(server.base_url)
        async with open_crowd(server.port, token, 200) as crowd:
            listening = asyncio.create_task(all_ended(crowd, 20))
            server.send(signal.SIGTERM)
            while (await ask(server.port, "GET", "/readyz")).status == 200:
                pass
            began = time.monotonic()
            server.send(again)
            ended = await listening
            code, at = await stopped(server)
        assert code == 0
        assert at - began < 5
        assert Counter(one.code for one in ended) == {3000: 200}
        assert spread([float(one.come_back_ms or 0) for one in ended]) > 3_000
        assert server.said("the cleanup hook ran")
        assert server.said("Stopped.")


async def test_without_time_for_a_drain_everybody_still_hears_goodbye() -> None:
    with open_server(PACELINE_DRAIN_S="0", PACELINE_MAX_CONNECTIONS_PER_ACCOUNT="0") as server:
        token = await new_token(server.base_url)
        async with open_crowd(server.port, token, 100) as crowd:
            listening = asyncio.create_task(all_ended(crowd, 20))
            server.send(signal.SIGTERM)
            assert Counter(one.code for one in await listening) == {3000: 100}
        assert (await stopped(server))[0] == 0
