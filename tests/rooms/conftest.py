"""A node in one process, with rooms and streams on a real database and connections made of three lines."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from persistence.database import Database
from persistence.stores import Transactions
from realtime.broker import InMemoryBroker, MemoryBus
from realtime.connection import Connection
from realtime.disconnect import Disconnect
from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.mailbox import Mailbox
from realtime.node import Node
from realtime.presence import Presence
from realtime.records import MemoryRecords
from realtime.register import MemoryRegister
from realtime.room_log import MemoryRoomLog
from realtime.wire import RoomJoin, RoomJoined, SampleBatch, SamplesStored, StreamOpen, StreamOpened
from rooms.befriended import Befriended
from rooms.chatting import Chatting
from rooms.clocks import Clocks
from rooms.comebacks import Comebacks
from rooms.deciding import Deciding
from rooms.guarding import Guarding
from rooms.hall import Hall
from rooms.lobbying import Lobbying, LobbyRoom
from rooms.muting import Muting
from rooms.rankings import Boards
from rooms.reacting import Reacting
from rooms.removing import Removing
from rooms.reporting import Reporting
from rooms.rooms import Rooms
from rooms.screening import Screening
from rooms.speaking import Speaking
from rooms.streams import Streams
from rooms.tapes import Tapes
from services.classes.classes import Classes
from services.classes.coaches import Coaches
from services.classes.live_class import LiveClass
from services.classes.lobbies import Lobbies
from services.classes.metric import Metric
from services.classes.on_demands import OnDemands
from services.classes.rankings import Rankings
from services.classes.showings import Showings
from services.classes.timelines import Timelines
from services.flags.switches import Switches
from services.kernel.caller import Caller
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId, StreamId, Uuid7Ids
from services.kernel.problems import Problem
from services.safety.safety import Safety
from services.social.blocks import Blocks
from services.social.friends import Friends
from services.social.reports import Reports
from services.training.provenance import SensorKind
from services.training.sample import Sample


class Line:
    """A transport that only remembers how it ended."""

    def __init__(self) -> None:
        self.ending: Disconnect | None = None

    def finish(self, ending: Disconnect) -> None:
        self.ending = ending

    def write_rest(self, data: bytes) -> None:
        raise AssertionError("nothing was put together for a line that is never clear")

    def slot(self) -> int:
        raise AssertionError("nothing was put together for a line that is never clear")


@dataclass
class Answer:
    """An acknowledgement, as it comes back."""

    said: SamplesStored | Problem | None = None

    def ok(self, shape: SamplesStored) -> None:
        self.said = shape

    def problem(self, problem: Problem) -> None:
        self.said = problem


def events(connection: Connection) -> Iterator[tuple[str, Any]]:
    """Everything that has been pushed to a connection and not been read yet, as (name, payload)."""
    while (frame := connection.mailbox.take()) is not None:
        name, payload, *_ = msgspec.json.decode(frame.text[frame.text.index("[") :])
        yield name, payload


@dataclass
class World:
    """Nodes that share one database and one bus, and the people in it."""

    database: Database
    clock: ManualClock = field(default_factory=ManualClock)
    bus: MemoryBus = field(default_factory=MemoryBus)
    register: MemoryRegister = field(init=False)
    log: MemoryRoomLog = field(init=False)
    records: MemoryRecords = field(init=False)
    switches: Switches = field(default_factory=Switches)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    nodes: list["TestNode"] = field(default_factory=list)
    busy: list[Callable[[], bool]] = field(default_factory=list)
    """What else time sets off on a real database, each as whether it is at work: `advance` waits for it."""

    def __post_init__(self) -> None:
        self.register = MemoryRegister(lambda: round(self.clock.monotonic() * 1_000))
        self.log = MemoryRoomLog(self.bus.send, self.clock)
        self.records = MemoryRecords(self.clock)

    def node(self, *, max_buffered: int | None = None) -> "TestNode":
        """One more node of the same installation."""
        made = TestNode(self, f"node-{next(self._numbers)}", max_buffered)
        made.tasks = [
            asyncio.ensure_future(made.node.run()),
            asyncio.ensure_future(made.streams.run()),
            asyncio.ensure_future(made.presence.run()),
            asyncio.ensure_future(made.rooms.feeds.run()),
            asyncio.ensure_future(made.comebacks.run()),
            asyncio.ensure_future(made.clocks.run()),
            asyncio.ensure_future(made.guarding.run()),
            asyncio.ensure_future(made.muting.run()),
            asyncio.ensure_future(made.screening.run()),
            asyncio.ensure_future(made.befriended.run()),
            asyncio.ensure_future(made.deciding.run()),
            asyncio.ensure_future(made.reacting.run()),
        ]
        self._tasks += made.tasks
        self.nodes.append(made)
        return made

    async def person(self, name: str, *, coach: bool = False, max_hr: int | None = 190) -> Caller:
        """An account."""
        number = next(self._numbers)
        account_id = AccountId(uuid.UUID(int=number << 64))
        roles = ["member", "coach"] if coach else ["member"]
        async with self.database.tx() as tx:
            await tx.execute(
                """
                INSERT INTO accounts (id, email, name, password_hash, roles, max_hr, created_at)
                VALUES ($1, $2, $3, '', $4, $5, now())
                """,
                account_id,
                f"{number}@example.org",
                name,
                roles,
                max_hr,
            )
        return Caller(account_id, LoginId(uuid.uuid4()), name, frozenset(roles), 2**50)  # type: ignore[arg-type]

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what it sets off come to its end: commits, and messages between nodes."""
        await self.clock.advance(seconds)
        while any(made.streams.recorder.statistics.committing for made in self.nodes) or any(
            at_work() for at_work in self.busy
        ):
            await asyncio.sleep(0.001)
        await self.clock.advance(0)

    async def settled(self, condition: Callable[[], Any]) -> None:
        """Let everything run until something is true. Raises `TimeoutError`."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.001)

    async def database_mute(self, class_id: ClassId, account_id: AccountId) -> None:
        """A mute that is stored, of which no node has heard."""
        async with self.database.tx() as tx:
            await tx.execute("INSERT INTO class_mutes (class_id, account_id) VALUES ($1, $2)", class_id, account_id)

    async def database_block(self, account_id: AccountId, blocked_id: AccountId) -> None:
        """A block that is stored, of which no node has heard."""
        async with self.database.tx() as tx:
            await tx.execute("INSERT INTO blocks VALUES ($1, $2, now())", account_id, blocked_id)

    async def close(self) -> None:
        for made in self.nodes:
            made.streams.recorder.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class TestNode:
    """A node with everything in it."""

    __test__ = False

    def __init__(self, world: World, name: str, max_buffered: int | None) -> None:
        self.world = world
        ids = Uuid7Ids(world.clock)
        transactions = Transactions(world.database, world.clock, ids)
        self.node = Node(name, Hub(), InMemoryBroker(world.bus), world.clock)
        self.tasks: list[asyncio.Task[None]] = []
        self.presence = Presence(name, world.register, world.clock)
        feeds = Feeds(self.node, world.log, world.clock)
        self.rooms = Rooms(self.node, transactions, world.clock, feeds, board_hz=2, presence=self.presence)
        self.clocks = Clocks(self.rooms, transactions, world.clock)
        self.comebacks = Comebacks(self.rooms, world.records, transactions, world.clock)
        self.tapes = Tapes(self.rooms, transactions, world.clock)
        self.speaking = Speaking(self.rooms, world.clock, world.switches)
        self.chatting = Chatting(self.rooms)
        self.safety = Safety(transactions, world.clock, ids)
        self.guarding = Guarding(self.safety, world.clock)
        self.muting = Muting(self.rooms, transactions, world.clock, ids)
        self.screening = Screening(self.rooms, transactions, world.clock)
        self.removing = Removing(self.rooms, transactions, world.clock, ids)
        self.reporting = Reporting(self.rooms, transactions, world.clock, ids)
        self.reports = Reports(transactions, world.clock, ids, self.removing)
        self.reacting = Reacting(self.rooms, self.screening, world.clock)
        self.befriended = Befriended(self.rooms, transactions, world.clock)
        self.deciding = Deciding(self.rooms, transactions, world.clock)
        self.friends = Friends(transactions, world.clock, self.befriended)
        self.blocks = Blocks(transactions, world.clock, self.screening, self.befriended)
        self.streams = Streams(
            transactions,
            self.rooms,
            world.clock,
            ids,
            commit_interval_s=0.2,
            max_buffered=max_buffered,
            guarding=self.guarding,
        )
        self.classes = Classes(transactions, world.clock, ids, self.rooms)
        self.timelines = Timelines(transactions, world.clock, self.clocks)
        self.lobbying = Lobbying(
            self.rooms, Lobbies(transactions, world.clock, LobbyRoom(self.rooms, self.clocks.moved))
        )
        self.on_demand = OnDemands(transactions, world.clock, ids)
        self.showings = Showings(transactions, world.clock, ids, self.rooms)
        self.coaches = Coaches(transactions, world.clock, Hall(self.rooms))
        self.rankings = Rankings(transactions, Boards(self.rooms))

    def connect(self, caller: Caller) -> Connection:
        """A connection of somebody to this node."""
        connection = Connection(str(uuid.uuid4()), caller, Mailbox(), Line(), opened_at=self.world.clock.monotonic())
        self.node.add(connection)
        return connection

    def cut(self, connection: Connection) -> None:
        """The line of a connection is gone."""
        connection.lost("transport")
        self.streams.drop(connection)
        self.rooms.drop(connection)
        self.comebacks.gone(connection)
        self.node.remove(connection, "transport")

    async def die(self) -> None:
        """Nothing of this node runs any more, and it has said nothing."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def create_class(self, coach: Caller, title: str = "Ride", metric: Metric = "effort") -> LiveClass:
        return await self.classes.create(coach, title, metric=metric)

    async def join(
        self, connection: Connection, code: str, role: str = "athlete", *, since: str | None = None
    ) -> RoomJoined:
        return await self.rooms.join(connection, RoomJoin(code=code, role=role, since=since))  # type: ignore[arg-type]

    async def open(
        self,
        connection: Connection,
        code: str | None = None,
        stream: StreamId | None = None,
        sensor: SensorKind | None = None,
    ) -> StreamOpened:
        return await self.streams.open(
            connection,
            StreamOpen(stream=stream or StreamId(uuid.uuid4()), started_at_ms=0, class_code=code, sensor=sensor),
        )

    def send(self, connection: Connection, stream: StreamId, seq: int, samples: tuple[Sample, ...]) -> Answer:
        """Samples as a socket would hand them over."""
        answer = Answer()
        try:
            self.streams.accept(connection, SampleBatch(stream=stream, seq=seq, samples=samples), answer)
        except Problem as problem:
            answer.said = problem
        return answer


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    world = World(database)
    yield world
    await world.close()
