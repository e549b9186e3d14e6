"""A login that has ended loses its sockets on every node: at once over the carrier, and within 30 s without it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from gateway.sockets.login_watch import LoginWatch
from persistence import outbox, tasks
from persistence.database import Database, open_database
from realtime.broker import MemoryBus
from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.feeds import Feeds
from realtime.room_log import MemoryRoomLog
from services.accounts.accounts import Accounts
from services.accounts.keyring import load_key, make_key
from services.accounts.opening import Opening
from services.accounts.passwords import Cost, Passwords
from services.accounts.tokens import Tokens
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock, SystemClock
from services.kernel.ids import LoginId
from tests.realtime import build
from tests.support.notified import PlainWords, notifying
from tests.support.world import World
from workers.consumer import Consumer
from workers.handlers import QUEUES, table
from workers.postgres_bus import PostgresBus
from workers.push import NodePush
from workers.relay import Relay
from workers.wakeups import Wakeups

PASSWORD = "violet anchor moss kettle"
WAIT_S = 10.0


class House:
    """People with logins, as they are stored."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self.passwords, self._tokens = (
            Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1)),
            Tokens(load_key(make_key())),
        )
        self.accounts = Accounts(
            self.world.transactions,
            self.passwords,
            Opening(self._tokens, self.world.clock, self.world.ids),
            self.world.clock,
            self.world.ids,
        )

    async def log_in(self, name: str) -> Caller:
        logged_in = await self.accounts.register(
            email=f"{name}@example.org", password=PASSWORD, name=name, role="member", device="watch", address=None
        )
        return self._tokens.identify(logged_in.access_token, self.world.clock.wall_ms())

    def connection(self, name: str, caller: Caller) -> Connection:
        made = build.connection(name)
        return Connection(name, caller, made.mailbox, build.Line(), opened_at=0.0)


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    made = House(database)
    yield made
    made.passwords.close()


@asynccontextmanager
async def workers(house: House, push: NodePush) -> AsyncIterator[None]:
    """What carries the end of a login, as one worker process has it."""
    clock, transactions = SystemClock(), house.world.transactions
    wakeups = Wakeups(house.world.database, clock, (outbox.CHANNEL, tasks.CHANNEL))
    bus = PostgresBus(house.world.database, clock, QUEUES, wakeups)
    relay = Relay(transactions, bus, clock, wakeups)
    listening = asyncio.create_task(wakeups.run())
    loops = [asyncio.create_task(relay.run())]
    for row in table(clock, push, notifying(house.world), house.world.webhook_facts()):
        loops.append(asyncio.create_task(bus.consume(row.queue, Consumer(row.queue, row.handler, transactions, clock))))
    async with AsyncExitStack() as stack:
        stack.callback(listening.cancel)
        stack.callback(relay.stop)
        stack.callback(bus.stop)
        yield
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*loops)
        await asyncio.wait({listening})


async def test_logging_out_ends_the_sockets_of_the_login_on_another_node_within_5_s(house: House) -> None:
    ada, bob = await house.log_in("ada"), await house.log_in("bob")
    bus = MemoryBus()
    worker, gateway = build.node("worker", bus), build.node("gateway", bus)
    feeds = Feeds(worker, MemoryRoomLog(bus.send, ManualClock()), ManualClock())
    phone, other = house.connection("phone", ada), house.connection("other", bob)
    for connection in (phone, other):
        gateway.add(connection)
    nodes = [asyncio.create_task(node.run()) for node in (worker, gateway)]
    try:
        async with workers(house, NodePush(worker, feeds, PlainWords())):
            await house.accounts.log_out(ada)
            async with asyncio.timeout(5):
                while not phone.closed:
                    await asyncio.sleep(0.005)
    finally:
        for node in nodes:
            node.cancel()
        await asyncio.wait(nodes)
    assert phone.ending is LOGIN_ENDED
    assert not other.closed


async def test_without_any_carrier_it_ends_within_30_s(house: House) -> None:
    ada, bob = await house.log_in("ada"), await house.log_in("bob")
    clock = ManualClock()
    gateway = build.node("gateway", MemoryBus(), clock)  # it does not run: it hears nobody
    phone, other = house.connection("phone", ada), house.connection("other", bob)
    screen = house.connection(
        "screen", msgspec.structs.replace(bob, login_id=LoginId(uuid.UUID(int=5)), class_id=build.ROOM)
    )
    for connection in (phone, other, screen):
        gateway.add(connection)
    watch = LoginWatch(gateway, house.world.transactions, clock)
    task = asyncio.create_task(watch.run())
    try:
        await clock.advance(25)
        await until_idle(watch, rounds=1)
        assert not phone.closed
        await house.accounts.log_out(ada)
        await clock.advance(20)
        await until_idle(watch, rounds=2)
        assert phone.ending is LOGIN_ENDED
        assert not other.closed
        assert not screen.closed, "a display has no login of its own to ask about"
        assert watch.ended == 1
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_a_token_of_an_ended_login_gets_in_and_not_far(house: House) -> None:
    ada = await house.log_in("ada")
    await house.accounts.log_out(ada)
    gateway = build.node("gateway", MemoryBus())
    phone = house.connection("phone", ada)
    gateway.add(phone)
    await LoginWatch(gateway, house.world.transactions, ManualClock()).ask()
    assert phone.ending is LOGIN_ENDED


async def test_a_database_that_is_away_ends_nobody_and_is_asked_again(house: House, fresh_dsn: str) -> None:
    ada = await house.log_in("ada")
    clock = ManualClock()
    gateway = build.node("gateway", MemoryBus(), clock)
    phone = house.connection("phone", ada)
    gateway.add(phone)
    async with open_database(fresh_dsn, size=1) as small:
        watch = LoginWatch(gateway, World(small).transactions, clock)
        task = asyncio.create_task(watch.run())
        try:
            async with small.connection():  # nobody else gets one
                await clock.advance(20)
                await until_idle(watch, rounds=1)
                assert not phone.closed
            await house.accounts.log_out(ada)
            await clock.advance(20)
            await until_idle(watch, rounds=2)
            assert phone.ending is LOGIN_ENDED
        finally:
            task.cancel()
            await asyncio.wait({task})


async def until_idle(watch: LoginWatch, *, rounds: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while watch.rounds < rounds:
            await asyncio.sleep(0.005)
