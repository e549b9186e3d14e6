"""The nodes of a scripted class: everything of a gateway below its sockets, on real servers, and one clock that jumps.

Between two seconds the site waits until what the last one has set off has come to rest: commits are done, and every living node has
on its board what the others have told. So the clock never runs ahead of the servers, and nothing is late because a test was quick.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from persistence.database import Database, open_database
from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.disconnect import Disconnect
from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.mailbox import Mailbox
from realtime.node import Node
from realtime.presence import Presence
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_presence import RedisRegister
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from rooms.clocks import Clocks
from rooms.rooms import Rooms
from rooms.speaking import Speaking
from rooms.streams import Streams
from rooms.tapes import Tapes
from services.classes.classes import Classes
from services.classes.showings import Showings
from services.classes.timelines import Timelines
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId, Uuid7Ids

BOARD_HZ: Final = 1.0
COMMIT_S: Final = 0.35
NUDGE_S: Final = 2.0
REST_S: Final = 20.0
"""What one second of class may take to come to rest: a site that never does is a fault, not a wait."""


class Line:
    """The far end of a connection: reads when it is asked to."""

    def __init__(self) -> None:
        self.ending: Disconnect | None = None

    def finish(self, ending: Disconnect) -> None:
        self.ending = ending

    def write_rest(self, data: bytes) -> None:
        raise AssertionError("nothing is put together for a line that is never clear")

    def slot(self) -> int:
        raise AssertionError("nothing is put together for a line that is never clear")


class SiteNode:
    """A node with all that a gateway has behind its sockets."""

    def __init__(self, name: str, database: Database, servers: RedisServers, clock: ManualClock) -> None:
        ids = Uuid7Ids(clock)
        transactions = Transactions(database, clock, ids)
        commands = RedisCommands(servers)
        self.clock: Final = clock
        self.node: Final = Node(name, Hub(), RedisBroker(servers, clock), clock)
        register = RedisRegister(servers, now_ms=lambda: round(clock.monotonic() * 1_000))
        self.presence: Final = Presence(name, register, clock)
        feeds = Feeds(self.node, RedisRoomLog(commands), clock)
        self.rooms: Final = Rooms(self.node, transactions, clock, feeds, board_hz=BOARD_HZ, presence=self.presence)
        self.clocks: Final = Clocks(self.rooms, transactions, clock)
        self.tapes: Final = Tapes(self.rooms, transactions, clock)
        self.speaking: Final = Speaking(self.rooms, clock)
        self.streams: Final = Streams(transactions, self.rooms, clock, ids, commit_interval_s=COMMIT_S)
        self.classes: Final = Classes(transactions, clock, ids, self.rooms)
        self.timelines: Final = Timelines(transactions, clock, self.clocks)
        self.showings: Final = Showings(transactions, clock, ids, self.rooms)
        self._tasks = [
            asyncio.create_task(loop, name=f"{name} {what}")
            for what, loop in (
                ("node", self.node.run()),
                ("streams", self.streams.run()),
                ("presence", self.presence.run()),
                ("rooms", self.rooms.run()),
                ("feeds", feeds.run()),
                ("clocks", self.clocks.run()),
                ("tapes", self.tapes.run()),
            )
        ]

    def connect(self, caller: Caller) -> Connection:
        """A connection of somebody to this node."""
        connection = Connection(str(uuid.uuid4()), caller, Mailbox(), Line(), opened_at=self.clock.monotonic())
        self.node.add(connection)
        return connection

    def cut(self, connection: Connection) -> None:
        """The line of a connection is gone."""
        connection.lost("transport")
        self.streams.drop(connection)
        self.rooms.drop(connection)
        self.node.remove(connection, "transport")

    async def die(self) -> None:
        """Nothing of this node runs any more; it has said nothing, and what it had not committed is gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    @property
    def working(self) -> bool:
        """Whether a commit is under way."""
        return self.streams.recorder.statistics.committing

    def at_rest(self, class_id: ClassId, others: list["SiteNode"]) -> bool:
        """Whether this node has committed, and has on its board what others have told."""
        if self.working:
            return False
        room = self.rooms.get(class_id)
        if room is None:
            return True
        for other in others:
            theirs = other.rooms.get(class_id)
            if other is not self and theirs is not None:
                told = max((entry.rev for entry in theirs.board.entries_of(other.node.id)), default=0)
                heard = max((entry.rev for entry in room.board.entries_of(other.node.id)), default=0)
                if heard < told:
                    return False
        return True


class Site:
    """Nodes on one database and one Redis."""

    def __init__(self, database: Database, dsn: str, redis_url: str) -> None:
        self.clock: Final = ManualClock()
        self.database: Final = database
        self.class_id: ClassId | None = None
        self.dsn: Final = dsn
        self.nodes: list[SiteNode] = []
        self._redis_url: Final = redis_url
        self._resources: Final = AsyncExitStack()
        self._numbers: Final = itertools.count(1)

    async def node(self) -> SiteNode:
        """One more node, which hears the others."""
        database = await self._resources.enter_async_context(open_database(self.dsn, size=3))
        servers = RedisServers(self._redis_url)
        self._resources.push_async_callback(servers.close)
        made = SiteNode(f"node-{next(self._numbers)}", database, servers, self.clock)
        self.nodes.append(made)
        await self.until(made.node.ready)
        return made

    async def kill(self, node: SiteNode) -> None:
        """A node dies between two words."""
        self.nodes.remove(node)
        await node.die()

    async def person(self, name: str, max_hr: int, *, coach: bool = False) -> Caller:
        """An account."""
        account_id = AccountId(uuid.UUID(int=next(self._numbers) << 64))
        roles = ["member", "coach"] if coach else ["member"]
        async with self.database.tx() as tx:
            await tx.execute(
                """
                INSERT INTO accounts (id, email, name, password_hash, roles, max_hr, created_at)
                VALUES ($1, $2, $3, '', $4, $5, now())
                """,
                account_id,
                f"{account_id}@example.org",
                name,
                roles,
                max_hr,
            )
        return Caller(account_id, LoginId(uuid.uuid4()), name, frozenset(roles), 2**50)  # type: ignore[arg-type]

    async def second(self) -> None:
        """Let a second pass, and come to rest."""
        await self.clock.advance(1.0)
        await self.until(lambda: all(self._rests(node) for node in self.nodes))

    def _rests(self, node: SiteNode) -> bool:
        return self.class_id is None or node.at_rest(self.class_id, self.nodes)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Give the servers the time that they need. Where they take `NUDGE_S`, the own clock goes on a little: what waits for
        them, as a line to Redis that has to be made anew, may itself be sleeping by it."""
        async with asyncio.timeout(REST_S):
            nudged = time.monotonic()
            while not reached():
                await asyncio.sleep(0.001)
                if time.monotonic() - nudged > NUDGE_S:
                    await self.clock.advance(0.25)
                    nudged = time.monotonic()

    async def close(self) -> None:
        for node in self.nodes:
            await node.die()
        await self._resources.aclose()


@asynccontextmanager
async def open_site(dsn: str, redis_url: str) -> AsyncIterator[Site]:
    """A site without nodes, which ends with all that it has."""
    async with open_database(dsn, size=2) as database:
        site = Site(database, dsn, redis_url)
        try:
            yield site
        finally:
            await site.close()


def read(connection: Connection) -> Iterator[tuple[str, Any]]:
    """Everything that has been pushed to a connection and not been read yet, as (name, payload)."""
    while (frame := connection.mailbox.take()) is not None:
        name, payload, *_ = msgspec.json.decode(frame.text[frame.text.index("[") :])
        yield name, payload
