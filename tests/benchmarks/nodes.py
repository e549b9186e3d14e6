"""The scenarios of many nodes: a class over two gateways, and a gateway that dies under two thousand phones.

Both run on a whole installation of several processes (installation.py), new for every run.
"""

import asyncio
import secrets
import time
from typing import Final

import msgspec

from loadtest.client import account_tokens
from loadtest.scenarios.class_load import ClassLoad
from loadtest.scenarios.crew import MAIL_DOMAIN, open_api
from tests.benchmarks.driver import open_driver
from tests.benchmarks.installation import Installation, open_installation
from tests.benchmarks.proc import cores, read_parts, rss_mib, used_parts
from tests.benchmarks.redis_calls import open_call_count, rates
from tests.benchmarks.results import BackRun, ClassRun, NodesRun
from tests.benchmarks.returning import Orders, Report, Seat
from tests.benchmarks.scenarios import default_board_hz
from tests.benchmarks.scrape import scrape
from tests.support.server import Server

QUIET_S: Final = 5.0
"""How long Redis is watched before anybody comes: nodes speak to each other also without a class."""
ROOM: Final = 100
"""Phones in each room of `back`: many rooms, as on a real node."""
SETTLE_S: Final = 2.0
"""Between everybody's entry and the kill."""


def nodes_run(athletes: int, seconds: int, quiet_s: float = QUIET_S, *, led: bool = False) -> NodesRun:
    """One class at 1 Hz, half of it on either of two gateways, with a third one beside them that has no members. `led`: with
    an open cockpit on the first, a screen on both, cues and consents."""
    board_hz = default_board_hz()
    with open_installation(3, PACELINE_BOARD_HZ=str(board_hz)) as there, open_call_count(there.redis_url) as redis:
        first, second, idle = there.gateways
        parts = _parts(there, first=first, second=second, idle=idle)
        calls_before = redis.rates_while(quiet_s)
        words = [
            "--athletes",
            str(athletes),
            "--seconds",
            str(seconds),
            "--url",
            first.base_url,
            *(["--led"] if led else []),
        ]
        with open_driver("loadtest.scenarios.class_load", *words, "--more-urls", second.base_url) as driver:
            driver.reach("connecting")
            rss_before = rss_mib(first.pid) + rss_mib(second.pid)
            driver.reach("streaming")
            began, began_calls, before = (
                [scrape(one.base_url) for one in there.gateways],
                redis.calls(),
                read_parts(parts),
            )
            time.sleep(seconds)
            after, ended_calls, ended = (
                read_parts(parts),
                redis.calls(),
                [scrape(one.base_url) for one in there.gateways],
            )
            rss_after = rss_mib(first.pid) + rss_mib(second.pid)
            load = driver.result("result", ClassLoad)
    spent = used_parts(before, after, len(cores()))
    received = [end.received - begin.received for begin, end in zip(began, ended, strict=True)]
    room = ClassRun(
        athletes=athletes,
        board_hz=board_hz,
        seconds=round(spent.seconds, 2),
        sent=load.sent,
        lost=load.lost,
        wrong=load.wrong_samples,
        passed_over=load.passed_over,
        not_live=load.not_live,
        board_ms=load.board_ms,
        ack_ms=load.ack_ms,
        late_ms=load.late_ms,
        frames=sum(end.deliveries - begin.deliveries for begin, end in zip(began, ended, strict=True)),
        frame_bytes=load.mean_frame_bytes,
        beats=ended[0].beats - began[0].beats,
        lag_ms=round(max(one.lag_ms for one in ended), 1),
        gateway_s=round(spent.parts["first"] + spent.parts["second"], 2),
        postgres_s=round(spent.parts["postgres"], 2),
        redis_s=round(spent.parts["redis"], 2),
        clients_s=round(spent.clients_s, 2),
        rss_before_mib=round(rss_before, 1),
        rss_mib=round(rss_after, 1),
        others=round(spent.others, 3),
        led=load.led,
    )
    decoded = (began[2].decoded, ended[2].decoded)
    return NodesRun(
        room=room,
        far_ms=load.far_ms,
        gateways_s=(round(spent.parts["first"], 2), round(spent.parts["second"], 2)),
        idle_s=round(spent.parts["idle"], 2),
        worker_s=round(spent.parts["worker"], 2),
        received=(received[0], received[1]),
        idle_received=received[2],
        idle_decoded=None if decoded[0] is None or decoded[1] is None else decoded[1] - decoded[0],
        calls=rates(began_calls, ended_calls, spent.seconds),
        calls_before=calls_before,
    )


def back_run(clients: int) -> BackRun:
    """So many phones on one of two gateways, a tenth as many on the other, and the first is killed."""
    stayed = max(1, clients // 10)
    rooms = max(1, clients // ROOM)
    with open_installation(2) as there:
        first, second = there.gateways
        parts = _parts(there, second=second)
        orders = _orders(there, clients, stayed, rooms)
        with open_driver("tests.benchmarks.returning") as driver:
            driver.go(msgspec.json.encode(orders).decode())
            driver.reach("entered")
            time.sleep(SETTLE_S)
            scrape(second.base_url)  # forgets how late its loop was until now
            killed_ns = time.monotonic_ns()
            first.kill()
            before = read_parts(parts)  # not earlier: the dead gateway would count as a client that gave its time back
            driver.go(f"killed {killed_ns}")
            report = driver.result("back", Report)
            spent = used_parts(before, read_parts(parts), len(cores()))
            lag_ms = scrape(second.base_url).lag_ms
    return BackRun(
        clients=clients,
        stayed=stayed,
        rooms=rooms,
        missing=report.missing,
        disturbed=report.disturbed,
        lost_ms=report.lost_ms,
        inside_ms=report.inside_ms,
        back_ms=report.back_ms,
        handshakes=report.handshakes,
        refused=report.refused,
        timed_out=report.timed_out,
        joins_refused=report.joins_refused,
        seconds=round(spent.seconds, 2),
        gateway_s=round(spent.parts["second"], 2),
        postgres_s=round(spent.parts["postgres"], 2),
        redis_s=round(spent.parts["redis"], 2),
        clients_s=round(spent.clients_s, 2),
        lag_ms=round(lag_ms, 1),
        others=round(spent.others, 3),
    )


def _parts(there: Installation, **gateways: Server) -> dict[str, int]:
    pids = {name: gateway.pid for name, gateway in gateways.items()}
    return {**pids, "worker": there.worker.pid, "postgres": there.postgres, "redis": there.redis}


def _orders(there: Installation, clients: int, stayed: int, rooms: int) -> Orders:
    """Everybody has an account of their own; those of both gateways sit in the same rooms."""
    codes = asyncio.run(_classes(there.gateways[1].base_url, rooms))
    tokens = there.people(clients + stayed)
    seats = tuple(
        Seat(token, codes[number % rooms], 0 if number < clients else 1) for number, token in enumerate(tokens)
    )
    return Orders(tuple(gateway.base_url for gateway in there.gateways), seats)


async def _classes(url: str, count: int) -> list[str]:
    """The join codes of so many classes, all of one coach."""
    async with open_api(url) as api:
        email = f"coach-{secrets.token_hex(6)}@{MAIL_DOMAIN}"
        coach = await account_tokens(api, email, secrets.token_urlsafe(24), "Coach", "coach")
        return [(await api.create_class(await coach.current(), f"Room {n + 1}")).code for n in range(count)]
