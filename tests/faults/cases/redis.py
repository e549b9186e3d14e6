"""F-10 to F-17: what happens to Redis and to the lines that lead to it."""

import contextlib
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, ResponseError

from realtime.wire import BY_NAME
from tests.faults.bench import SLOW, Bench, Case
from tests.faults.checkers import slow_answers
from tests.faults.process import Gateway, subscriber

NOTICED_S: Final = 10.0
"""How long a gateway may take to notice that it hears nothing."""
PIECE: Final = b"x" * 65_536
BLOCKS: Final = 1_000
FILLED: Final = "bench:filled"


async def die(bench: Bench) -> None:
    """F-10."""
    with bench.fault("Redis is dead"):
        await bench.stand.redis.kill()
        await bench.lasts(bench.of(3, 6))
        await bench.stand.redis.start()
    await _handlers_went_on(bench)
    await _everybody_listens(bench)


async def freeze(bench: Bench) -> None:
    """F-11."""
    with bench.fault("Redis is stopped"):
        bench.stand.redis.freeze()
        try:
            await bench.lasts(bench.of(4, 20))
        finally:
            bench.stand.redis.thaw()
    await _handlers_went_on(bench)
    await _everybody_listens(bench)


async def deafen(bench: Bench) -> None:
    """F-12."""
    deaf = bench.stand.gateways[0]
    with bench.fault(f"{deaf.name} hears nothing"):
        deaf.redis.blackhole(which=subscriber)
        bench.said["noticed after, s"] = round(await _unready(bench, deaf), 1)
        await bench.lasts(bench.of(0, 10))
        deaf.redis.heal()
    await _handlers_went_on(bench)
    await _everybody_listens(bench)


async def hang_up(bench: Bench) -> None:
    """F-13."""
    with bench.fault("subscribers are hung up on"):
        for _ in range(int(bench.of(4, 20))):
            async with bench.stand.knobs() as client:
                await client.client_kill_filter(_type="pubsub", skipme=False)
            await bench.lasts(bench.of(1, 3))
    await _everybody_listens(bench)


async def overflow(bench: Bench) -> None:
    """F-14."""
    sleeper = bench.stand.gateways[0]
    everybody = await bench.stand.channel_of_all()
    before = await bench.stand.listeners()
    with bench.fault(f"{sleeper.name} sleeps, and much is said"):
        sleeper.freeze()
        try:
            async with bench.stand.knobs() as client:
                for _ in range(BLOCKS // 20):
                    async with client.pipeline(transaction=False) as pipeline:
                        for _ in range(20):
                            pipeline.publish(everybody, PIECE)
                        await pipeline.execute()
                listening = await bench.stand.listeners()
        finally:
            sleeper.thaw()
    bench.must(listening < before, "Redis has hung up on nobody: the fault did not happen")
    await _everybody_listens(bench)


async def fill(bench: Bench) -> None:
    """F-15."""
    async with bench.stand.knobs() as client:
        used = int((await client.info("memory"))["used_memory"])
        with bench.fault("Redis is full"):
            # Three megabytes are less than a server with this many connections needs for itself.
            await client.config_set("maxmemory", str(max(3 * 1024 * 1024, used + 256 * 1024)))
            refused_before = len(bench.swarm.refusals)
            for _ in range(int(bench.of(30, 200))):
                await _fill_up(client)
                await bench.lasts(0.1)
            refused = len(bench.swarm.refusals) - refused_before
            await client.config_set("maxmemory", "0")
            await client.delete(FILLED)
    if "cue.send" not in bench.swarm.missing:
        bench.must(refused > 0, "what could not be stored was not refused")
    bench.said["refusals"] = refused
    await _handlers_went_on(bench)


async def _fill_up(client: Redis) -> None:
    """Write until not even a little has room; buffers of clients give some back all the time."""
    for size in (64 * 1024, 4 * 1024, 256):
        with contextlib.suppress(OutOfMemoryError, ResponseError):
            for _ in range(1_000):
                await client.rpush(FILLED, "x" * size)


async def fail_over(bench: Bench) -> None:
    """F-16."""
    async with bench.stand.with_replica():
        await bench.lasts(bench.of(0.5, 5))
        with bench.fault("the primary dies, a late replica takes over"):
            await bench.stand.promote_replica()
            await bench.lasts(bench.of(0.5, 2))
        await bench.recovered()
    with bench.fault("back to an empty primary"):
        await bench.lasts(0.1)
    await _handlers_went_on(bench)


async def part(bench: Bench) -> None:
    """F-17."""
    alone = bench.stand.gateways[0]
    with bench.fault(f"{alone.name} does not reach Redis"):
        alone.redis.blackhole()
        bench.said["noticed after, s"] = round(await _unready(bench, alone), 1)
        if "service.state" in BY_NAME:
            await bench.until(
                lambda: _all_told(bench, alone), 2.0, f"members on {alone.name} were not told that it is stale"
            )
        await bench.lasts(bench.of(0, 10))
        alone.redis.heal()
    await _handlers_went_on(bench)
    await _everybody_listens(bench)


def _all_told(bench: Bench, gateway: Gateway) -> bool:
    there = bench.stand.gateways.index(gateway)
    on_it = [one for one in bench.swarm.members if one.inside and one.link.at % len(bench.stand.gateways) == there]
    return bool(on_it) and all(one.told_stale for one in on_it)


async def _unready(bench: Bench, gateway: Gateway) -> float:
    """Wait until it says that it is not ready; how long that took."""

    async def red() -> bool:
        return await bench.stand.readiness(gateway) != []

    return await bench.until(red, NOTICED_S, f"{gateway.name} has not noticed")


async def _handlers_went_on(bench: Bench) -> None:
    """Whatever Redis does, what needs no Redis is answered at once."""
    for gateway in bench.stand.gateways:
        slow = slow_answers(bench.history, f"clerk-{gateway.name}")
        bench.must(slow < SLOW, f"{slow:.1%} of the answers of {gateway.name} took longer than 300 ms")


async def _everybody_listens(bench: Bench) -> None:
    """Every node listens to the channel of all nodes, exactly once."""
    nodes = len(bench.stand.gateways) + 1

    async def right() -> bool:
        return await bench.stand.listeners() == nodes

    await bench.until(right, 15, f"not exactly {nodes} listeners on the channel of all nodes")


CASES: Final = (
    Case(
        id="F-10",
        title="Redis dies and comes back empty",
        injected="`kill -9` of Redis, 3 s (full: 6 s) without, restart empty",
        inject=die,
        needs=("cue.send",),
    ),
    Case(
        id="F-11",
        title="Redis hangs",
        injected="SIGSTOP of Redis for 4 s (full: 20 s)",
        inject=freeze,
        needs=("cue.send",),
    ),
    Case(
        id="F-12",
        title="a gateway is deaf",
        injected="black hole on the subscriber's line of one gateway, new ones included, until it says so",
        inject=deafen,
        needs=("cue.send",),
    ),
    Case(
        id="F-13",
        title="Redis hangs up on its subscribers",
        injected="CLIENT KILL TYPE pubsub every second, four times (full: every 3 s for 60 s)",
        inject=hang_up,
        needs=("cue.send",),
    ),
    Case(
        id="F-14",
        title="a subscriber's buffer in Redis overflows",
        injected="1,000 × 64 KiB published to all nodes while one gateway is stopped (SIGSTOP)",
        inject=overflow,
        needs=("cue.send",),
    ),
    Case(
        id="F-15",
        title="Redis is full",
        injected="maxmemory at 3 MB or what it uses, noeviction, filled up, for 3 s (full: 20 s)",
        inject=fill,
        needs=("cue.send",),
    ),
    Case(
        id="F-16",
        title="Redis fails over to a late replica",
        injected="`kill -9` of the primary, promotion of a replica 500 ms behind",
        inject=fail_over,
        needs=("cue.send",),
    ),
    Case(
        id="F-17",
        title="a gateway is cut off from Redis, the other is not",
        injected="black hole on every line from one gateway to Redis until it says so",
        inject=part,
        needs=("cue.send", "service.state"),
    ),
)
