"""F-60 to F-63, F-66, F-67: what clients do to a gateway, and what the others notice (nothing)."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from tests.faults.bench import SLOW, Bench, Case
from tests.faults.checkers import slow_answers
from tests.faults.history import Left
from tests.faults.people import Person
from tests.faults.roamer import Roamer
from tests.faults.watcher import Watcher
from tests.support import census
from tests.support.proxy import open_proxy
from tests.support.raw_socket import RawSocket, connected
from tests.torture import abuses
from tests.torture.client import LiveClient, tokens_from

SPIKE_KB: Final = 4 * 1024
STALL_S: Final = 10.0
"""How long who reads nothing is put up with (gateway/sockets/engine/heartbeat.py), before the ping finds out anyway."""


async def storm(bench: Bench) -> None:
    """F-60."""
    count, rounds, limit_s = int(bench.of(150, 2_000)), int(bench.of(2, 20)), bench.of(20, 60)
    gateway = bench.stand.gateways[0]
    people = await bench.swarm.strangers(count)
    cpu, began, slowest, refused = gateway.cpu_seconds(), time.monotonic(), 0.0, Counter[str]()
    with bench.fault(f"{count} clients come back at once, {rounds} times"):
        for number in range(rounds):
            started = time.monotonic()
            lines = await asyncio.gather(*(_back(bench, gateway.server.port, person, refused) for person in people))
            slowest = max(slowest, time.monotonic() - started)
            if number < max(1, rounds // 4):
                bench.stand.note_warm()
            for raw in lines:
                raw.reset()
    bench.must(slowest < limit_s, f"it took {slowest:.1f} s until all were back, {limit_s:g} are allowed")
    spent = (gateway.cpu_seconds() - cpu) / (time.monotonic() - began)
    bench.said |= {"all back after, s": round(slowest, 1), "sent away": refused.total(), "core": round(spent, 2)}
    _nobody_noticed(bench)


async def _back(bench: Bench, port: int, person: Person, refused: Counter[str]) -> RawSocket:
    """Come back as a client with jitter does: sent away, it waits a random time that doubles."""
    for turn in itertools.count():
        raw = await connected(port)
        try:
            answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
            if answer.status == 101:
                await raw.frame()
                await LiveClient(raw).connect(person.token)
                return raw
            refused[str(answer.status)] += 1
            bench.must("retry-after" in answer.headers, f"{answer.status} without Retry-After")
        except (AssertionError, EOFError, ConnectionError, TimeoutError) as fault:
            refused[type(fault).__name__] += 1
        raw.shut()
        await asyncio.sleep(bench.rng.uniform(0, min(10.0, 0.5 * 2**turn)))
    raise AssertionError("unreachable: it counts for ever")


async def read_slowly(bench: Bench) -> None:
    """F-61."""
    gateway, room = bench.stand.gateways[0], bench.swarm.devices[0].room
    slow_person, deaf_person = await bench.swarm.strangers(2)
    async with open_proxy(gateway.server.port, receive_buffer=4_096) as narrow:
        link = Roamer(bench.swarm, "slow", slow_person, home=0, addresses=[f"http://127.0.0.1:{narrow.port}"])
        slow = Watcher(bench.swarm, "slow", slow_person, room, link, "spectator")
        running = asyncio.create_task(link.run(), name="the slow reader")
        deaf = await connected(gateway.server.port, receive_buffer=4_096)
        try:
            await bench.until(lambda: slow.inside, 5, "the slow reader did not come in")
            client = LiveClient(await deaf.engine())
            await client.connect(deaf_person.token)
            await client.call("room.join", f'{{"code":"{room.code}","role":"spectator"}}')
            with bench.fault("one reads a kilobyte a second, one nothing"):
                narrow.throttle(1_000)
                for _ in range(100):
                    await client.event("board.get", f'{{"class_id":"{room.id}"}}')
                took = await bench.until(lambda: not deaf.established, STALL_S + 10, "who reads nothing is still there")
                narrow.heal()
            # A kilobyte a second may be less than what must arrive: then it is sent away, and comes back to everything it missed.
            await bench.until(
                lambda: slow.inside and not _is_behind(slow), 5, "who read slowly does not see the present"
            )
            bench.said |= {"cut after, s": round(took, 1), "slow one sent away": (link.connection or 1) - 1}
        finally:
            deaf.shut()
            bench.history.note(Left(t=bench.history.now(), who="slow"))
            await link.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    _nobody_noticed(bench)


def _is_behind(watcher: Watcher) -> bool:
    return any(row.freshness != "live" for row in watcher.look().rows)


async def vanish(bench: Bench) -> None:
    """F-62."""
    gateway, room = bench.stand.gateways[0], bench.swarm.devices[0].room
    people = await bench.swarm.strangers(20)
    seen = next(one for one in bench.swarm.members if one.room is room)
    lost = {person.account_id for person in people}
    async with open_proxy(gateway.server.port) as network:
        lines = []
        try:
            for person in people:
                raw = await connected(network.port)
                lines.append(raw)
                client = await LiveClient(await raw.engine()).connect(person.token)
                await client.call("room.join", f'{{"code":"{room.code}","role":"spectator"}}')
            with bench.fault("twenty clients fall silent"):
                network.blackhole()
                limit_s = bench.ping_s * 2 + 5
                took = await bench.until(network.reaped.is_set, limit_s, "the gateway still holds their lines")
                await bench.until(
                    lambda: not any(seat.present for seat in seen.fold.seats.values() if seat.account_id in lost),
                    limit_s,
                    "they are still present on a board",
                )
        finally:
            for raw in lines:
                raw.shut()
    bench.said["noticed after, s"] = round(took, 1)
    _nobody_noticed(bench)


async def exceed(bench: Bench) -> None:
    """F-63."""
    gateway = bench.stand.gateways[0]
    told: Counter[int | str | None] = Counter()
    with bench.fault("messages that are too large"):
        census.forget_peak(gateway.pid)
        before = census.peak_kb(gateway.pid)
        told = await _abused(
            bench, abuses.oversized_text, abuses.declared_gigabyte, abuses.fragments, abuses.empty_fragments
        )
        spike = census.peak_kb(gateway.pid) - before
    bench.must(spike <= SPIKE_KB, f"memory rose by {spike} kB for it, {SPIKE_KB} are allowed")
    bench.must(set(told) <= {1008, 1009, None}, f"they were answered with {dict(told)}")
    bench.said |= {"spike, kB": spike}
    _nobody_noticed(bench)


async def flood(bench: Bench) -> None:
    """F-66."""
    with bench.fault("floods of events, joins, names, acknowledgements and namespaces"):
        told = await _abused(
            bench,
            abuses.event_flood,
            abuses.event_flood_without_acks,
            abuses.unknown_events,
            abuses.room_joins,
            abuses.long_names,
            abuses.unasked_acks,
            abuses.namespaces,
        )
    bench.must(told[1008] + told[3501] > 0, f"nobody was sent away: {dict(told)}")
    bench.said["refusals"] = told["rate_limited"]
    _nobody_noticed(bench)


async def stay_outside(bench: Bench) -> None:
    """F-67."""
    port, count = bench.stand.gateways[0].server.port, int(bench.of(50, 500))
    began = time.monotonic()
    with bench.fault("sockets that never come in"):
        silent, busy, _ = await asyncio.gather(
            abuses.silent_sockets(port, count), abuses.never_quite_connecting(port, count // 2), abuses.slowloris(port)
        )
    took = time.monotonic() - began
    bench.must(abuses.STILL_OPEN not in silent, f"silent sockets are still open: {dict(silent)}")
    bench.must(set(silent) <= {3500}, f"silent sockets were closed with {dict(silent)}")
    bench.must(took < 25, f"the last of them was there for {took:.0f} s")
    bench.said |= {"silent closed": silent[3500], "busy closed": busy.total(), "seconds": round(took, 1)}
    _nobody_noticed(bench)


async def _abused(bench: Bench, *deeds: Callable[[int], Awaitable[abuses.Outcome]]) -> abuses.Outcome:
    """Do all of it to the first gateway, each with an account of its own."""
    people = iter(await bench.swarm.strangers(10 * len(deeds)))
    told: abuses.Outcome = Counter()
    with tokens_from(lambda: next(people).token):
        for deed in deeds:
            try:
                told += await deed(bench.stand.gateways[0].server.port)
            except TimeoutError:  # its questions are still being answered, one by one: that is no harm to anybody
                told["unfinished"] += 1
    return told


def _nobody_noticed(bench: Bench) -> None:
    """Neighbours are served as ever, and nothing went wrong inside."""
    for gateway in bench.stand.gateways:
        slow = slow_answers(bench.history, f"clerk-{gateway.name}", limit_ms=500)
        bench.must(slow < SLOW, f"{slow:.1%} of the answers of {gateway.name} took longer than 500 ms")
        bench.must(not gateway.server.said("Traceback"), f"{gateway.name} has a traceback in its log")


CASES: Final = (
    Case(
        id="F-60",
        title="everybody comes back at once",
        injected="150 sockets dropped and back at once, twice (full: 2,000, twenty times)",
        inject=storm,
    ),
    Case(
        id="F-61",
        title="slow readers",
        injected="one client reads 1 kB/s, another asks a hundred times and reads nothing",
        inject=read_slowly,
    ),
    Case(
        id="F-62",
        title="half-open connections",
        injected="black hole behind twenty clients in a room",
        inject=vanish,
    ),
    Case(
        id="F-63",
        title="too large",
        injected="a text of 1,001 kB, a declared gigabyte, 10,000 fragments, 10,000 empty ones",
        inject=exceed,
    ),
    Case(
        id="F-66",
        title="floods",
        injected="10,000 events, 1,000 unknown ones, 1,000 joins, names of 250 kB, 10,000 acks and namespaces, a socket each",
        inject=flood,
    ),
    Case(
        id="F-67",
        title="those who never come in",
        injected="50 (full: 500) silent sockets, half as many busy ones, a slowloris on the upgrade",
        inject=stay_outside,
    ),
)
