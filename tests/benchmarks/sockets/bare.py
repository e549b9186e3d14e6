"""A room server over a bare WebSocket library: the little protocol by hand, one send per member and event.

It shows what the library's transport costs without Socket.IO: no tokens, no limits, no bound on what a slow reader is sent. A
peer derives from `Bare` and says how a text is sent to one of its sockets.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from tests.benchmarks.sockets.job import (
    OPENED,
    WELCOME,
    Board,
    Job,
    ack_text,
    checked,
    event_of,
    event_text,
    room_of,
    row,
    stored,
    told,
)

S = TypeVar("S")


class Bare(Generic[S]):
    """All sockets `S` of a peer, their rooms and their pings. `send(socket, text)` must not wait."""

    def __init__(self, this: Job, send: Callable[[S, str], None]) -> None:
        self._job: Final = this
        self._send: Final = send
        self._members: Final[dict[str, dict[S, None]]] = {}
        self._boards: Final[dict[str, Board]] = {}
        self._room_of: Final[dict[S, str]] = {}
        self._sockets: Final[dict[S, None]] = {}

    def opened(self, socket: S) -> None:
        """A WebSocket is open."""
        self._sockets[socket] = None
        self._send(socket, OPENED.format(sid=id(socket), ms=int(self._job.ping_s * 1000)))

    def closed(self, socket: S) -> None:
        """It is gone."""
        self._sockets.pop(socket, None)
        room = self._room_of.pop(socket, None)
        if room is not None:
            self._members[room].pop(socket, None)

    def received(self, socket: S, message: str) -> None:
        """A text came in. Raises Wrong for what no client of the benchmark sends."""
        if message == "3":
            return
        if message.startswith("40"):
            self._send(socket, WELCOME)
            return
        ack_id, name, payload = event_of(message)
        if name == "room.join":
            room = self._room_of[socket] = room_of(payload["code"])
            self._members.setdefault(room, {})[socket] = None
            self._boards.setdefault(room, Board(room))
            self._send(socket, ack_text(ack_id, {"ok": {}}))
            return
        taken = checked(payload)
        if self._job.is_ingest:
            self._send(socket, ack_text(ack_id, stored(taken)))
        elif self._job.is_board:
            room = self._room_of[socket]
            self._to_all(room, "board.changes", self._boards[room].changes([row(taken)]))
        else:
            self._to_all(self._room_of[socket], "stream.taken", told(taken))

    async def ping(self) -> None:
        """Ping everybody once per interval, spread over it."""
        slices = 100
        while True:
            everybody = list(self._sockets)
            for part in range(slices):
                await asyncio.sleep(self._job.ping_s / slices)
                for socket in everybody[part::slices]:
                    if socket in self._sockets:
                        self._send(socket, "2")

    def _to_all(self, room: str, name: str, payload: Any) -> None:
        text = event_text(name, payload)
        for socket in self._members[room]:
            self._send(socket, text)
