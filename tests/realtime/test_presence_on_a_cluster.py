"""Who is in a room, while the room's slot moves from master to master: nobody is forgotten, nobody stays who has left."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.crc import key_slot

from realtime.presence import Presence
from realtime.redis_presence import RedisRegister
from realtime.redis_servers import RedisServers
from realtime.register import Answer, News, Report, Seen, Terms
from services.kernel.clock import SystemClock
from services.kernel.ids import AccountId
from tests.support.redis_cluster import Cluster, open_cluster

ROOM = "room:moving"
WAIT_S = 20.0
PEOPLE = [AccountId(uuid.UUID(int=number)) for number in range(1, 41)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


class Two:
    """Two nodes that report one room, and the number that the last announcement of either told."""

    def __init__(self, cluster: Cluster) -> None:
        self.servers = [RedisServers(cluster.url) for _ in range(2)]
        terms = Terms(grace_ms=200, news_ms=50, settle_ms=0)
        self.nodes = [
            Presence(name, RedisRegister(servers, terms), SystemClock())
            for name, servers in zip(("one", "two"), self.servers, strict=True)
        ]
        self.here: tuple[set[AccountId], set[AccountId]] = (set(), set())
        self.announced: int | None = None
        for node in self.nodes:
            node.on_news = self._news
            node.follow(ROOM)

    async def _news(self, _: str, news: News) -> None:
        self.announced = news.count

    def move(self, draw: random.Random) -> None:
        """Somebody comes to a node, or leaves it."""
        account, at = draw.choice(PEOPLE), draw.randrange(2)
        if account in self.here[at]:
            self.here[at].discard(account)
            self.nodes[at].leave(ROOM, account)
        else:
            self.here[at].add(account)
            self.nodes[at].enter(ROOM, account)

    def agree(self) -> bool:
        truth = len(self.here[0] | self.here[1])
        return [node.count(ROOM) for node in self.nodes] == [truth, truth] and self.announced == truth


@asynccontextmanager
async def two(cluster: Cluster) -> AsyncIterator[Two]:
    made = Two(cluster)
    loops = [asyncio.create_task(node.run()) for node in made.nodes]
    try:
        await until(lambda: all(node.statistics().reports for node in made.nodes))
        yield made
    finally:
        for node in made.nodes:
            node.stop()
        await asyncio.wait(loops, timeout=WAIT_S)
        for servers in made.servers:
            await servers.close()


async def test_a_slot_that_moves_while_people_come_and_go_forgets_nobody_and_keeps_nobody() -> None:
    draw = random.Random(7)
    async with open_cluster() as cluster, two(cluster) as both:
        over = asyncio.Event()

        async def flow() -> None:
            while not over.is_set():
                both.move(draw)
                await asyncio.sleep(0.002)

        flowing = asyncio.create_task(flow())
        for _ in range(3):
            before = [node.statistics().reports for node in both.nodes]
            await cluster.move(both.servers[0].name(ROOM).encode())
            await until(
                lambda before=before: all(  # type: ignore[misc]
                    node.statistics().reports > was + 2 for node, was in zip(both.nodes, before, strict=True)
                )
            )
        over.set()
        await flowing
        if len(both.here[0] | both.here[1]) == both.announced:
            both.move(draw)  # so that there is something to announce
        await until(both.agree)


async def test_a_slot_that_nobody_serves_is_the_trouble_of_its_rooms_only() -> None:
    async with open_cluster() as cluster:
        servers = RedisServers(cluster.url)
        register = RedisRegister(servers, Terms())
        rooms = [f"room:{n}" for n in range(8)]
        slot = key_slot(servers.name(rooms[3]).encode())
        try:
            for master in cluster.masters:
                await master.command("CLUSTER", "DELSLOTS", slot)
            reports = [Report(room, "one", came=(PEOPLE[0],), whole=True) for room in rooms]
            answers = await register.exchange(reports)
            assert [isinstance(answer, Answer) for answer in answers] == [room != rooms[3] for room in rooms]
            seen = await register.look(rooms)
            assert [each.count if isinstance(each, Seen) else None for each in seen] == [1, 1, 1, None, 1, 1, 1, 1]
        finally:
            await servers.close()
