"""Too much of what is allowed: F-60, F-66 and F-67 of the catalogue of faults.

A flood is refused cheaply, then ended with a code that says not to come back; those who come all at once are let in at a rate; and
those who open and do not come in are shown out in time. What each costs is bounded, and gone afterwards.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from realtime.disconnect import ABUSE, NOT_AUTHENTICATED
from realtime.limits import EVENTS_BURST, STRIKES
from tests.support.census import LOOK_EVERY_S
from tests.support.raw_socket import ask, connected, open_raw, text
from tests.torture import abuses, count
from tests.torture.abuses import STILL_OPEN, Outcome
from tests.torture.client import BOARD_GET, LiveClient, fresh_token, open_client, undisturbed
from tests.torture.process import Process, open_process

STORM: Final = count(normal=500, long=2_000)
STORMS: Final = count(normal=3, long=20)
PATIENCE_S: Final = 20.0
"""Twice what the catalogue of faults allows for a request to come in."""
LINES_AT_MOST: Final = 12
"""Of log, for a dozen offenders of one kind within a second or two."""


# -- F-66 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        abuses.event_flood,
        abuses.event_flood_without_acks,
        abuses.unknown_events,
        abuses.room_joins,
        abuses.namespaces,
        abuses.connect_storm,
        abuses.in_and_out,
        abuses.leave_flood,
        abuses.unasked_acks,
        abuses.ping_flood,
        abuses.empty_pings,
        abuses.pong_flood,
        abuses.behind_a_slow_handler,
    ],
)
async def test_f66_a_flood_is_refused_and_then_ended(
    usual: Process, flood: Callable[[int], Awaitable[Outcome]]
) -> None:
    async with undisturbed(usual.port) as neighbour:
        for _ in range(3):
            told = await flood(usual.port)
            assert told[ABUSE.code] == 1, told
            assert told["internal_fault"] == told[STILL_OPEN] == 0, told
            await neighbour.served()


async def test_f66_who_joins_and_leaves_in_one_read_is_nobody_by_then(usual: Process) -> None:
    async with undisturbed(usual.port) as neighbour:
        assert await abuses.come_and_go(usual.port) == {1000: 300}
        await neighbour.served()


async def test_f66_a_header_that_is_all_space_is_read_once(usual: Process) -> None:
    async with undisturbed(usual.port) as neighbour:
        logged = len(usual.log)
        assert await abuses.wide_headers(usual.port) == {400: 20}
        assert len(usual.lines(logged)) <= LINES_AT_MOST
        await neighbour.served()


async def test_f66_who_probes_without_end_is_answered_once(usual: Process) -> None:
    async with undisturbed(usual.port) as neighbour:
        before = usual.forget_peak()
        assert await abuses.probe_flood(usual.port) == {1002: 1}
        assert usual.peak_kb() - before <= 4 * 1024
        await neighbour.served()


async def test_f66_a_compressed_body_is_not_inflated(usual: Process) -> None:
    async with undisturbed(usual.port) as neighbour:
        before, logged = usual.forget_peak(), len(usual.log)
        assert await abuses.compressed_posts(usual.port) == {400: 20}
        assert usual.peak_kb() - before <= 4 * 1024
        assert not [line for line in usual.lines(logged) if "http.fault" in line]
        await neighbour.served()


async def test_f66_what_a_flooder_is_told_is_bounded(usual: Process) -> None:
    told = await abuses.event_flood(usual.port)
    assert told["rate_limited"] == STRIKES
    assert usual.ask("hub")["closed"]["abuse"] >= 1


async def test_f66_a_flood_of_rooms_leaves_a_bounded_number_of_them(usual: Process) -> None:
    async with open_client(usual.port) as client:
        before = usual.census().channels
        await client.raw.send(b"".join(text(f'42/live,["room.join",{{"code":"R{n:05}"}}]') for n in range(1_000)))
        most = 0
        while usual.census().connections:
            most = max(most, usual.census().channels)
            if (await abuses.end_of(client.raw, within_s=5))[ABUSE.code]:
                break
        assert most - before <= EVENTS_BURST + STRIKES


async def test_f66_names_of_a_quarter_of_a_million_characters_are_refused(usual: Process) -> None:
    async with undisturbed(usual.port):
        before = usual.forget_peak()
        told = await abuses.long_names(usual.port)
        assert usual.peak_kb() - before <= 4 * 1024
    assert told["unknown_event"] == 1, told
    assert told["bad_shape"] == 1, told
    assert told[3504] + told["not_found"] + told[ABUSE.code] == 2, told


async def test_f66_the_log_says_so_a_few_times_and_not_once_per_offender(usual: Process) -> None:
    logged = len(usual.log)
    for _ in range(40):
        await abuses.unknown_events(usual.port, 30)
    assert len(usual.lines(logged)) <= LINES_AT_MOST, usual.lines(logged)


async def test_f66_one_account_on_many_connections_gets_no_more_than_its_share(usual: Process) -> None:
    token = fresh_token()
    served = refused = 0
    for _ in range(8):
        async with open_client(usual.port, token) as client:
            await client.raw.send(b"".join(text(f'42/live,{n}["board.get",{BOARD_GET}]') for n in range(150)))
            for n in range(150):
                answer = await client.ack(n)
                served += "ok" in answer
                refused += answer.get("problem", {}).get("code") == "rate_limited"
    assert served + refused == 8 * 150
    assert refused > 0
    assert served < 8 * 150


async def test_f66_who_asks_and_does_not_read_is_not_remembered_at_length(usual: Process) -> None:
    async with undisturbed(usual.port):
        before = usual.forget_peak()
        told = await abuses.asks_and_does_not_read(usual.port)
        assert usual.peak_kb() - before <= 4 * 1024
    assert told[STILL_OPEN] == 0, told


# -- F-67 -----------------------------------------------------------------------------------------------------------------


async def test_f67_sockets_that_open_and_say_nothing_are_closed_in_time(brisk: Process) -> None:
    async with undisturbed(brisk.port):
        told = await abuses.silent_sockets(brisk.port, count(normal=200, long=2_000))
    assert told == {NOT_AUTHENTICATED.code: count(normal=200, long=2_000)}


async def test_f67_being_busy_does_not_buy_time(brisk: Process) -> None:
    async with undisturbed(brisk.port):
        told = await abuses.never_quite_connecting(brisk.port, 40)
    assert told[NOT_AUTHENTICATED.code] == 40, told


async def test_f67_pollers_that_open_and_say_nothing_are_forgotten(brisk: Process) -> None:
    for _ in range(20):
        assert (await ask(brisk.port, "GET", "/socket.io/?EIO=4&transport=polling")).status == 200
    assert brisk.statistics()["unauthenticated"] >= 20
    # What is left of them is looked at by the census.


async def test_f67_a_request_that_never_ends_is_not_waited_for(brisk: Process) -> None:
    """The head of an upgrade and the body of a poll, a byte at a time, and a line that never says a word. All at once: each of them
    takes the whole patience of the server."""

    async def says_nothing(port: int) -> Outcome:
        async with open_raw(port) as raw:
            return Counter({(await raw.ending(within_s=PATIENCE_S)).code: 1})

    drips = (abuses.slowloris, abuses.slow_body, says_nothing)
    outcomes = await asyncio.gather(*(drip(brisk.port) for drip in drips), return_exceptions=True)
    found = {drip.__name__: outcome for drip, outcome in zip(drips, outcomes, strict=True) if outcome != {None: 1}}
    assert not found, f"still listened to after {PATIENCE_S} s"
    async with undisturbed(brisk.port):
        pass


# -- F-60 -----------------------------------------------------------------------------------------------------------------


async def test_f60_storms_of_reconnects_are_served_and_leave_nothing(usual: Process) -> None:
    warm = await abuses.reconnect_storm(usual.port, STORM, 1)
    assert warm["back"] == STORM
    async with undisturbed(usual.port):
        before = usual.census()
        told = await abuses.reconnect_storm(usual.port, STORM, STORMS)
        assert told == {"back": STORM * STORMS}
        await usual.settled(before, within_s=20, rss_tolerance_kb=4 * 1024)


async def test_f60_newcomers_are_let_in_at_a_rate_and_told_when_to_come_back() -> None:
    with open_process(handshakes_per_second=100.0) as process:
        baseline = process.census()
        told = await abuses.reconnect_storm(process.port, 200, 1)
        assert told == {"back": 200}
        assert process.statistics()["refused"]["too_fast"] > 0
        await process.settled(baseline)


async def test_f60_a_full_node_sends_newcomers_away_and_keeps_who_is_there() -> None:
    with open_process(max_links=20) as process:
        lines = [await (await connected(process.port)).engine() for _ in range(20)]
        clients = [await LiveClient(raw).connect() for raw in lines]
        async with open_raw(process.port) as raw:
            refused = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
        for client in clients:
            await client.served()
        clients[0].raw.reset()
        while process.census().links == 20:
            await asyncio.sleep(LOOK_EVERY_S)
        async with open_client(process.port) as newcomer:
            await newcomer.served()
        for raw in lines[1:]:
            raw.shut()
