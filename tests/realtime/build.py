"""Connections, frames and nodes in three words."""

import asyncio
import uuid
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from realtime.broker import InMemoryBroker, MemoryBus
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.disconnect import Disconnect
from realtime.frame import Frame
from realtime.hub import Hub
from realtime.mailbox import Mailbox
from realtime.node import Node
from realtime.position import NOWHERE
from realtime.room_log import Appended, Entry, LogAway, RoomLog, Told
from realtime.turn import NO_SLOT, Turn
from realtime.wire import (
    NAMESPACE,
    BoardChanges,
    BoardSnapshot,
    ClassEndedView,
    ProblemEvent,
    Row,
    StreamTaken,
)
from services.kernel.caller import Caller, Scope
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, LoginId, StreamId
from services.kernel.problems import ProblemView

ROOM = ClassId(uuid.UUID(int=77))


class Line:
    """A transport that notes what was written and how it was asked to close."""

    def __init__(self) -> None:
        self.ending: Disconnect | None = None
        self.written: list[bytes] = []
        self.number = NO_SLOT
        self.asked = 0

    def finish(self, ending: Disconnect) -> None:
        self.ending = ending

    def write_rest(self, data: bytes) -> None:
        self.written.append(data)

    def slot(self) -> int:
        self.asked += 1
        return self.number


def caller(account: int = 1, login: int | None = None) -> Caller:
    login_id = LoginId(uuid.UUID(int=account if login is None else login))
    return Caller(AccountId(uuid.UUID(int=account)), login_id, f"Athlete {account}", frozenset({"member", "coach"}), 0)


def connection(
    name: str = "a", account: int = 1, login: int | None = None, mailbox: Mailbox | None = None
) -> Connection:
    return Connection(name, caller(account, login), Mailbox() if mailbox is None else mailbox, Line(), opened_at=0.0)


def app_connection(name: str, scopes: frozenset[Scope]) -> Connection:
    """The same of an app, which hears what these scopes let it."""
    return Connection(name, replace(caller(99), scopes=scopes), Mailbox(), Line(), opened_at=0.0)


def clear(one: Connection, turn: Turn) -> list[bytes]:
    """Let the connection's peer read; what is written to it from now on."""
    written = line_of(one).written
    one.turn = turn
    one.clear(written.append)
    return written


def line_of(one: Connection) -> Line:
    line = one._transport
    assert isinstance(line, Line)
    return line


def changes(v: int, rows: int = 0) -> Frame:
    """A latest-only frame: the board's change number `v`, with so many rows."""
    some = tuple(Row(n, 1, 140, 70, 3, 1.5, "live") for n in range(rows))
    return event_frame("board.changes", BoardChanges(class_id=ROOM, epoch="e", v=v, at_ms=0, rows=some))


def snapshot(v: int) -> Frame:
    return event_frame("board.snapshot", BoardSnapshot(ROOM, "e", v, 0, (), ()))


def must(epoch: int = 1) -> Frame:
    return event_frame("stream.taken", StreamTaken(StreamId(uuid.UUID(int=5)), epoch))


def ended(title: str = "Spin") -> Frame:
    return event_frame("class.ended", ClassEndedView(ROOM, "ABCD", title, "Kim", "over", 0, 1, position=NOWHERE))


def droppable(text: str = "x") -> Frame:
    return event_frame("problem", ProblemEvent("room.join", ProblemView("busy", text)))


def taken(mailbox: Mailbox) -> list[Frame]:
    """Everything in a mailbox, in order."""
    frames = []
    while (frame := mailbox.take()) is not None:
        frames.append(frame)
    return frames


def texts(mailbox: Mailbox) -> list[str]:
    return [frame.text.removeprefix(f"2{NAMESPACE},") for frame in taken(mailbox)]


def node(name: str, bus: MemoryBus, clock: ManualClock | None = None) -> Node:
    return Node(name, Hub(), InMemoryBroker(bus), clock or ManualClock())


async def appended(log: RoomLog, channel: str, entries: list[Entry]) -> list[Appended]:
    """Append these in one step, and wait for what comes of it."""
    came: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()

    def told(what: list[Appended] | BaseException) -> None:
        if isinstance(what, BaseException):
            came.set_exception(what)
        else:
            came.set_result(what)

    log.append(channel, entries, told)
    return await came


async def tops_unknown(channels: Collection[str]) -> dict[str, LogAway]:
    """The `tops` of a log that is away."""
    return dict.fromkeys(channels, LogAway("away"))


def stores_nothing(_channel: str, _entries: Sequence[Entry], told: Told) -> None:
    """The `append` of a log that is full, or gone."""
    told(LogAway("OOM"))
