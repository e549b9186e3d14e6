"""The lobbies of classes without a coach, on this node: who is here says ready, and everybody hears it.

What is marked is stored first (services/classes/lobbies.py), then said in the room's log, from which every node takes it. A copy
that may be behind is read again with the clock of the room (clocks.py).
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from realtime.codec import payload_of
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.wire import ClassLobbyView, ClassReady, LobbyView
from rooms.room import Room
from rooms.rooms import Rooms
from services.classes.lobbies import Lobbies
from services.classes.lobby import LobbyNow
from services.classes.timeline import Timeline
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import NotInRoom, Unavailable

LOBBY_EVENT: Final = "class.lobby"

log = structlog.get_logger(__name__)
_decode: Final = msgspec.json.Decoder(ClassLobbyView).decode


class LobbyRoom:
    """The rooms as `services.classes.lobbies.Lobbies` sees them. `moved` tells that a class begins (clocks.py)."""

    def __init__(self, rooms: Rooms, moved: Callable[[ClassId, Timeline], Awaitable[None]]) -> None:
        self._rooms: Final = rooms
        self._moved: Final = moved
        rooms.feeds.on_delivered(self._delivered)

    async def lobby_changed(self, class_id: ClassId, lobby: LobbyNow) -> None:
        """See `services.classes.lobbies.Room`."""
        view = LobbyView(class_id, lobby.ready, lobby.n)
        try:
            await self._rooms.say(class_id, LOBBY_EVENT, said_lobby(view), key=lobby_key(view))
        except Unavailable as problem:
            log.warning("lobbying.not_said", class_id=str(class_id), problem=problem.message)

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """See `services.classes.lobbies.Room`."""
        await self._moved(class_id, timeline)

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event != LOBBY_EVENT:
            return
        said = _decode(payload_of(frame))
        room = self._rooms.get(said.class_id)
        if room is not None and room.channel == channel:
            room.take_lobby(LobbyView(said.class_id, said.ready, said.n))


class Lobbying:
    """What a client says in a lobby."""

    def __init__(self, rooms: Rooms, lobbies: Lobbies) -> None:
        self._rooms: Final = rooms
        self._lobbies: Final = lobbies

    async def ready(self, connection: Connection, message: ClassReady) -> LobbyView:
        """Say whether somebody is ready. Raises `NotInRoom`, and what `Lobbies.mark` raises."""
        class_id, caller = message.class_id, connection.caller
        room = self._rooms.get(class_id)
        if room is None or class_id not in connection.rooms:
            raise NotInRoom
        lobby = await self._lobbies.mark(caller, class_id, ready=message.ready, here=riding_here(room))
        return LobbyView(class_id, lobby.ready, lobby.n)


def riding_here(room: Room) -> set[AccountId]:
    """Who is present as an athlete, through whatever node."""
    return {each.account_id for each in room.board.here() if each.role == "athlete"}


def said_lobby(view: LobbyView) -> ClassLobbyView:
    """Who is ready, for the room's log."""
    return ClassLobbyView(class_id=view.class_id, ready=view.ready, n=view.n, position=NOWHERE)


def lobby_key(view: LobbyView) -> str:
    """Under which it is said, by whoever is first."""
    return f"{LOBBY_EVENT}:{view.n}"
