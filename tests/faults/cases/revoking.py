"""F-71: rights that are taken away while their sockets are open, with Redis and without it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from persistence.database import open_database
from persistence.stores import Transactions
from services.accounts.staff import AccountActs
from services.audit.entry import SYSTEM
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from tests.faults.bench import Bench, Case
from tests.faults.cases.gateways import connect_all
from tests.faults.people import Person
from tests.faults.process import Gateway
from tests.faults.stand import Stand
from tests.support.raw_socket import RawSocket
from tests.torture.client import LiveClient

WITH_REDIS_S: Final = 5.0
WITHOUT_REDIS_S: Final = 30.0
"""What is promised: so long after an account was suspended no socket of it is open on any node."""
PATIENCE_S: Final = 40.0
"""How long an ending is waited for; what comes after its bound is a finding with a figure. Shorter than a ping and its answer may
take, which nobody gives here."""


async def revoke(bench: Bench) -> None:
    """F-71."""
    count = int(bench.of(20, 300))
    stays, *people = await bench.swarm.strangers(1 + 2 * count)
    async with AsyncExitStack() as resources:
        acts = await resources.enter_async_context(_acts(bench.stand))
        # Gateways of their own, whose pings are so far apart that nobody has to answer one.
        gateways = [await bench.stand.open_gateway(name, resources, BENCH_PING_S="25") for name in ("this", "that")]
        (kept,) = await connect_all(gateways[0], [stays])
        resources.callback(kept.shut)
        slowest = await _suspended(bench, acts, gateways, people[:count], resources)
        bench.must(slowest < WITH_REDIS_S, f"with Redis it took {slowest:.1f} s, {WITH_REDIS_S:g} are allowed")
        bench.said |= {"sockets": 4 * count, "ended after, s": round(slowest, 1)}
        with bench.fault("Redis is dead"):
            await bench.stand.redis.kill()
            slowest = await _suspended(bench, acts, gateways, people[count:], resources)
            await bench.stand.redis.start()
        bench.must(slowest < WITHOUT_REDIS_S, f"without Redis it took {slowest:.1f} s, {WITHOUT_REDIS_S:g} are allowed")
        bench.said["without Redis, s"] = round(slowest, 1)
        answer = await LiveClient(kept).call("room.join", '{"code":"NOSUCH"}')
        bench.must("problem" in answer, f"who was not suspended got {answer}")


async def _suspended(
    bench: Bench, acts: AccountActs, gateways: Sequence[Gateway], people: Sequence[Person], resources: AsyncExitStack
) -> float:
    """Suspend all of them, each with a socket on every gateway; the longest time that one was open afterwards, s. Their tokens must
    open nothing then."""
    sockets = [await connect_all(gateway, list(people)) for gateway in gateways]
    for raw in (raw for on_one in sockets for raw in on_one):
        resources.callback(raw.shut)
    endings = [[asyncio.create_task(_ended_at(raw)) for raw in of_one] for of_one in zip(*sockets, strict=True)]
    began = []
    for person in people:
        await acts.suspend(SYSTEM, person.account_id, "the bench", None)
        began.append(time.monotonic())
    slowest = 0.0
    for since, of_one in zip(began, endings, strict=True):
        slowest = max(slowest, *(at - since for at in await asyncio.gather(*of_one)))
    for gateway in gateways:
        headers = {"Authorization": f"Bearer {people[0].token}"}
        async with bench.stand.http.get(f"{gateway.url}/v1/me", headers=headers) as answer:
            bench.must(answer.status == 401, f"{gateway.name} still takes the token: {answer.status}")
    return slowest


async def _ended_at(raw: RawSocket) -> float:
    """When the line ended; so late that it is a finding when it did not."""
    try:
        await raw.ending(within_s=PATIENCE_S)
    except TimeoutError:
        return time.monotonic() + PATIENCE_S
    return time.monotonic()


@asynccontextmanager
async def _acts(stand: Stand) -> AsyncIterator[AccountActs]:
    clock = SystemClock()
    ids = Uuid7Ids(clock)
    async with open_database(stand.database_url, size=1) as database:
        yield AccountActs(Transactions(database, clock, ids), clock, ids)


CASES: Final = (
    Case(
        id="F-71",
        title="accounts are suspended while their sockets are open",
        injected="20 (full: 300) accounts suspended, a socket of each on two gateways; as many again with Redis dead (`kill -9`)",
        inject=revoke,
    ),
)
