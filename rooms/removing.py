"""Messages of a chat that are taken down.

What is said stays in the room's log until the log forgets it, but from now on nobody is given it: not whoever comes back, not who
asks for the history. Everybody who has it on the screen is told to take it off, by an event that must arrive (`chat.removed`); it
follows the message in the log, so whoever gets the one gets the other. The text is kept as it was said, with who has decided, for
whoever asks later.

Stored first, then said; a worker says it once more under the same key, should this node die in between.
"""

from typing import Final

import structlog

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.position import NOWHERE, position_of
from realtime.room_log import LogAway
from realtime.wire import ChatRemove, ChatRemoved, ChatSaid, Done
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.screen import CHAT_EVENT, TAKEN_DOWN_EVENT, said_in, taken_down_in
from services.audit.entry import Entry, Thing, actor_of
from services.kernel.clock import Clock, utc
from services.kernel.facts import ClassMessageRemoved
from services.kernel.ids import ClassId, DecisionId, Ids
from services.kernel.problems import MessageGone, NotInRoom, Unavailable
from services.social.moderation import Decision, may_moderate

AGAIN_MS: Final = 1_000

log = structlog.get_logger(__name__)


class Removing:
    """The use case."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock, ids: Ids) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        rooms.feeds.on_delivered(self._delivered)

    async def remove(self, connection: Connection, message: ChatRemove) -> Done:
        """Take a message down; one that is down already stays so. Also after the class, as long as its log is kept. Raises
        `NotInRoom`, `Forbidden`, `MessageGone`, and `Unavailable` while the log does not answer."""
        room = self._rooms.get(message.class_id)
        if room is None or message.class_id not in connection.rooms:
            raise NotInRoom
        may_moderate(room.live, connection.caller, over=True)
        if message.message in room.taken_down:
            return Done()
        said = await message_at(self._rooms, room, message.message)
        author, by = room.account_of(said.n), connection.caller.account_id
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            if await stores.moderation.remove(room.live.id, said.position, author, said.text, by, now):
                decision = Decision(by, author, "remove", position=said.position)
                await stores.moderation.note(DecisionId(self._ids.next()), room.live.id, decision, now)
                fact = ClassMessageRemoved(class_id=room.live.id, position=said.position)
                await stores.outbox.add(fact, room.live.id)
                thing = Thing("class", str(room.live.id))
                await stores.audit.add(Entry(actor_of(connection.caller), "message.removed", author, thing))
        await self.removed(room.live.id, said.position)
        return Done()

    async def removed(self, class_id: ClassId, position: str) -> None:
        """A message is down, and that is stored: everybody in the room hears it, here and on the other nodes. When the log is away
        now, a worker says it later (workers/handlers.py), under the same key."""
        if (room := self._rooms.get(class_id)) is not None:
            room.taken_down.add(position)
        try:
            await self._rooms.say(
                class_id, TAKEN_DOWN_EVENT, taken_down_view(class_id, position), key=taken_down_key(position)
            )
        except Unavailable as problem:
            log.warning("removing.not_said", class_id=str(class_id), problem=problem.message)

    def _delivered(self, channel: str, frame: Frame) -> None:
        if frame.event == TAKEN_DOWN_EVENT and (room := self._rooms.of_channel(channel)) is not None:
            room.taken_down.add(taken_down_in(frame))


async def message_at(rooms: Rooms, room: Room, position: str) -> ChatSaid:
    """The message that stands at a position of a room's log. Raises `MessageGone`, and `Unavailable` while the log does not
    answer."""
    try:
        frames, _ = await rooms.feeds.back(room.channel, position_of(position).moved(1), 1)
    except LogAway as away:
        raise Unavailable("the room's log does not answer right now", retry_after_ms=AGAIN_MS) from away
    for frame in frames:
        if frame.event == CHAT_EVENT and (said := said_in(frame)).position == position:
            return said
    raise MessageGone(path="$.message")


def taken_down_view(class_id: ClassId, position: str) -> ChatRemoved:
    """What is said into the room's log."""
    return ChatRemoved(class_id, removed=position, position=NOWHERE)


def taken_down_key(position: str) -> str:
    """Under which it is said, by whoever is first."""
    return f"{TAKEN_DOWN_EVENT}:{position}"
