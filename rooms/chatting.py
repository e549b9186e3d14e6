"""The chat of a room, for whoever asks what was said before.

There is no second store of it: a page comes out of the room's log (realtime/room_log.py), backwards from where the members here
stand, as long as the log keeps it. So a message has one text, the one that everybody got; its name is what its sender goes by now.
"""

from typing import Final

from realtime.connection import Connection
from realtime.frame import Frame
from realtime.position import Position, position_of
from realtime.room_log import LogAway
from realtime.wire import ChatHistory, ChatPage, ChatSaid
from rooms.named_now import retold
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.screen import CHAT_EVENT, said_in
from services.kernel.ids import AccountId
from services.kernel.problems import NotInRoom, Unavailable
from services.limits.table import HISTORY

PAGE_EVENTS: Final = 128
"""Events that are read from the log at once, chat among cues and who came and left. A log holds four times as many."""
MAX_PAGE_BYTES: Final = 64 * 1024
"""Messages of one answer, in bytes. Full means: the rest comes with the next page."""
AGAIN_MS: Final = 1_000


class Chatting:
    """The use cases."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms: Final = rooms

    async def history(self, connection: Connection, page: ChatPage) -> ChatHistory:
        """What was said before a position, or at last. Raises `NotInRoom`, `RateLimited`, and `Unavailable` while the log is
        away."""
        room = self._rooms.get(page.class_id)
        if room is None or page.class_id not in connection.rooms:
            raise NotInRoom
        await self._rooms.limits.spend(HISTORY, str(connection.caller.account_id), message="too many pages of the chat")
        try:
            found, before = await self._read(room, page, connection.caller.account_id)
        except LogAway as away:
            raise Unavailable("the room's log does not answer right now", retry_after_ms=AGAIN_MS) from away
        return ChatHistory(page.class_id, tuple(reversed(found)), None if before is None else str(before))

    async def _read(self, room: Room, page: ChatPage, account_id: AccountId) -> tuple[list[ChatSaid], Position | None]:
        """Messages, newest first, and where to go on; None at the end of what is kept."""
        found: list[ChatSaid] = []
        size = 0
        before: Position | None = await self._start(room, page.before)
        while before is not None:
            frames, oldest = await self._rooms.feeds.back(room.channel, before, PAGE_EVENTS)
            for frame in self._rooms.screen.shown(
                room, account_id, retold(tuple(filter(_is_chat, frames)), room.board)
            ):
                size += frame.size
                if len(found) == page.limit or (found and size > MAX_PAGE_BYTES):
                    return found, position_of(found[-1].position)
                found.append(said_in(frame))
            before = oldest
        return found, None

    async def _start(self, room: Room, before: str | None) -> Position:
        if before is not None:
            return position_of(before)
        at = await self._rooms.feeds.known(room.channel)
        if at is None:
            raise LogAway("nobody here knows yet where this log stands")
        return at.moved(1)


def _is_chat(frame: Frame) -> bool:
    return frame.event == CHAT_EVENT
