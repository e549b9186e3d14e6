"""F-01 to F-05: what happens to gateway processes."""

import asyncio
import json
import subprocess
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Final

from tests.faults.bench import SLOW, Bench, Case
from tests.faults.checkers import slow_answers
from tests.faults.officials import open_officials
from tests.faults.people import Person
from tests.faults.process import Gateway
from tests.support.raw_socket import TEXT, Ending, RawSocket, connected
from tests.torture.client import LiveClient

OFFICIALS: Final = 4
"""Members with the JavaScript client, beside the reference client's."""
DRAIN_LIMIT_S: Final = 25.0
"""Flush, waves, loops and resources together, with 2,000 sockets: what `paceline run` promises is less."""


async def kill(bench: Bench) -> None:
    """F-01."""
    for _ in range(int(bench.of(1, 3))):
        await bench.lasts(bench.rng.uniform(0.2, bench.of(0.8, 5.0)))
        victim = bench.rng.choice(bench.stand.gateways)
        with bench.fault(f"kill -9 of {victim.name}"):
            await victim.kill()
            await bench.lasts(bench.of(0.5, 5.0))
            await victim.start()
        if bench.form == "full":
            await bench.recovered()


async def terminate(bench: Bench) -> None:
    """F-02."""
    count = int(bench.of(200, 2_000))
    room = bench.swarm.devices[0].room
    async with AsyncExitStack() as resources:
        leaving = await bench.stand.open_gateway("leaving", resources, BENCH_PING_S="25")
        people = await bench.swarm.strangers(count)
        sockets = await connect_all(leaving, people)
        for raw in sockets:
            resources.callback(raw.shut)
        deaf, readers = sockets[0], sockets[1:]
        await LiveClient(deaf).call("room.join", json.dumps({"code": room.code, "role": "spectator"}))
        endings = [asyncio.create_task(raw.ending(within_s=60)) for raw in readers]
        began = time.monotonic()
        with bench.fault("SIGTERM"):
            try:
                code = await leaving.stop()
            except subprocess.TimeoutExpired:
                code = -1
        took = time.monotonic() - began
        ended = await asyncio.gather(*endings)
    bench.must(code == 0, f"the exit code is {code}")
    bench.must(took < DRAIN_LIMIT_S, f"it took {took:.1f} s, {DRAIN_LIMIT_S:g} are allowed")
    codes = Counter(ending.code for ending in ended)
    bench.must(set(codes) <= {3000, 1001, 1012}, f"sockets were closed with {dict(codes)}")
    waits = sorted(wait for ending in ended if (wait := _come_back_ms(ending)) is not None)
    bench.must(len(waits) == len(ended), f"{len(ended) - len(waits)} clients were not told when to come back")
    width = waits[-1] - waits[0] if waits else 0
    bench.must(width >= 2_000, f"all clients are to come back within {width} ms")
    bench.said |= {"sockets": count, "exit, s": round(took, 1), "come back within, ms": width}


def _come_back_ms(ending: Ending) -> int | None:
    for frame in ending.before:
        if frame.opcode == TEXT and frame.payload.startswith(b'42/live,["bye",'):
            told: int | None = json.loads(frame.payload[len("42/live,") :])[1].get("come_back_ms")
            return told
    return None


async def connect_all(gateway: Gateway, people: list[Person]) -> list[RawSocket]:
    """A socket in the namespace for each of them, fifty at a time."""
    gate = asyncio.Semaphore(50)

    async def one(person: Person) -> RawSocket:
        async with gate:
            raw = await connected(gateway.server.port, receive_buffer=4_096)
            await LiveClient(await raw.engine()).connect(person.token)
            return raw

    return list(await asyncio.gather(*(one(person) for person in people)))


async def roll(bench: Bench) -> None:
    """F-03."""
    own = [gateway.url for gateway in bench.stand.gateways]
    room = bench.swarm.devices[0].room
    people = await bench.swarm.strangers(OFFICIALS)
    async with (
        bench.stand.behind_haproxy() as balancer,
        open_officials(bench.swarm, room, people, balancer.url) as officials,
    ):
        await _move(bench, [balancer.url])
        await bench.until(officials.settled, 10, "the official clients did not come in")
        for gateway in bench.stand.gateways:
            with bench.fault(f"restart of {gateway.name}"):
                await balancer.drain(gateway)
                code = await gateway.stop()
                bench.must(code == 0, f"{gateway.name} ended with {code}")
                await gateway.start()
                await balancer.back(gateway)
            await bench.stand.ready()
            await bench.until(lambda: not bench.swarm.not_settled(), 15, "a class was not itself again after a restart")
            await bench.until(officials.settled, 10, "the official clients did not come back after a restart")
        await bench.recovered()
        with bench.fault("everybody moves"):
            await _move(bench, own)


async def _move(bench: Bench, addresses: list[str]) -> None:
    for link in bench.swarm.roamers:
        link.lead_to(addresses)
        await link.drop()
    await bench.until(lambda: not bench.swarm.not_settled(), 15, "not everybody came in by the other address")


async def block(bench: Bench) -> None:
    """F-04."""
    blocked, other = bench.stand.gateways
    seconds = bench.of(4, 12)
    began = bench.history.now()
    with bench.fault(f"{blocked.name} computes"):
        await blocked.ask("block", seconds=seconds)
        await bench.lasts(seconds)
    slow = slow_answers(bench.history, f"clerk-{other.name}", began, began + seconds)
    bench.must(slow < SLOW, f"{slow:.1%} of the answers of {other.name} took longer than 300 ms meanwhile")
    lag = await bench.stand.metric(blocked, "loop_lag_max_seconds")
    bench.must(lag > seconds * 0.7, f"{blocked.name} says its loop was late by {lag:.1f} s at most")
    bench.said["loop lag told, s"] = round(lag, 1)


async def starve(bench: Bench) -> None:
    """F-05."""
    async with AsyncExitStack() as resources:
        poor = await bench.stand.open_gateway("poor", resources, descriptors_at_most=256, BENCH_PING_S="25")
        inside, *others = await bench.swarm.strangers(401)
        neighbour = await connect_all(poor, [inside])
        resources.callback(neighbour[0].shut)
        tried: list[RawSocket] = []
        resources.callback(_shut, tried)
        with bench.fault("more sockets than descriptors"):
            outcomes = Counter(await asyncio.gather(*(_try_in(poor, person, tried) for person in others)))
            cpu, began = poor.cpu_seconds(), time.monotonic()
            await bench.lasts(2.0)
            spent = (poor.cpu_seconds() - cpu) / (time.monotonic() - began)
            answer = await LiveClient(neighbour[0]).call("room.join", '{"code":"NOSUCH"}')
            bench.must("problem" in answer, f"who was inside got {answer}")
            bench.must(poor.server.runs, "the gateway has ended")
        bench.must(outcomes["in"] >= 100, f"only {outcomes['in']} of 400 came in with 256 descriptors")
        bench.must(outcomes["in"] < 256, "more came in than there are descriptors")
        bench.must(spent < 0.5, f"full, it uses {spent:.0%} of a core: it accepts in vain, again and again")
        bench.said |= {name: outcomes[name] for name in ("in", "503", "closed")} | {"core when full": round(spent, 2)}
        _shut(tried)

        async def lets_in() -> bool:
            return await _try_in(poor, inside, tried) == "in"

        await bench.until(lets_in, 10, "with descriptors to spare again nobody is let in")


def _shut(lines: list[RawSocket]) -> None:
    for raw in lines:
        raw.shut()
    lines.clear()


async def _try_in(gateway: Gateway, person: Person, tried: list[RawSocket]) -> str:
    """How it went: in, 503, or closed."""
    raw = await connected(gateway.server.port)
    tried.append(raw)
    try:
        async with asyncio.timeout(4):
            answer = await raw.upgrade("/socket.io/?EIO=4&transport=websocket")
            if answer.status != 101:
                return str(answer.status)
            await raw.frame()
            await LiveClient(raw).connect(person.token)
    except (EOFError, ConnectionError, TimeoutError):
        return "closed"
    except AssertionError:
        return "refused"
    return "in"


CASES: Final = (
    Case(
        id="F-01",
        title="a gateway is killed",
        injected="`kill -9` of a random gateway in mid-stream (short: once, full: three times), started again afterwards",
        inject=kill,
        needs=("cue.send",),
    ),
    Case(
        id="F-02",
        title="a gateway is asked to stop",
        injected="SIGTERM to a gateway with 200 (full: 2,000) open sockets, one of which never reads",
        inject=terminate,
    ),
    Case(
        id="F-03",
        title="both gateways are restarted in turn",
        injected="everybody behind HAProxy, four of them with the official client; each gateway drained by the runtime socket, "
        "stopped with SIGTERM, started again",
        inject=roll,
        needs=("cue.send",),
        parts=("haproxy", "node", "socket.io-client"),
    ),
    Case(
        id="F-04",
        title="a gateway computes and does not answer",
        injected="a failpoint blocks the event loop of one gateway for 4 s (full: 12 s)",
        inject=block,
        needs=("cue.send",),
    ),
    Case(
        id="F-05",
        title="a gateway has no descriptors left",
        injected="a gateway with a limit of 256 descriptors, and 400 sockets that want in",
        inject=starve,
    ),
)
