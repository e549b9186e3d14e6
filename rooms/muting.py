"""Mutes: whom the coach of a class does not let speak, for a time or for the rest of it.

A mute is stored, and then holds on every node: on this one when it is answered, on the others as soon as they hear of it
(rooms/doubts.py). It is between the coach and whoever is muted: only they are told.
"""

from collections.abc import Collection
from typing import Final

from persistence.stores import Transactions
from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.node import channel_of_account
from realtime.peer import MutesChanged
from realtime.wire import ChatMute, ChatMuted, ChatUnmute, Done
from rooms.doubts import Doubts
from rooms.room import Room
from rooms.rooms import Rooms
from services.audit.entry import Entry, Thing, actor_of
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, ClassId, DecisionId, Ids
from services.kernel.problems import BadShape, NotInRoom
from services.social.moderation import Decision, Mute, may_be_muted, may_moderate


class Muting:
    """The use cases. They raise `NotInRoom`, `ClassOver`, `Forbidden`, and `BadShape` for a number that nobody has."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock, ids: Ids) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._doubts: Final = Doubts("muting", self._read, rooms.loaded, clock)
        rooms.node.listen(MutesChanged, lambda channel, _: self._gap((channel,)))
        rooms.node.on_gap(self._gap)

    async def run(self) -> None:
        """Read what is in doubt, until cancelled."""
        await self._doubts.run()

    async def mute(self, connection: Connection, message: ChatMute) -> Done:
        """Do not let a member speak any more. A second mute takes the place of the first."""
        room, about = self._member(connection, message.class_id, message.n)
        may_be_muted(room.live, about)
        mute = Mute(None if message.for_ms is None else self._clock.wall_ms() + message.for_ms)
        decision = Decision(connection.caller.account_id, about, "mute", until_ms=mute.until_ms)
        async with self._transactions() as stores:
            await stores.moderation.mute(room.live.id, about, mute)
            await stores.moderation.note(self._new_id(), room.live.id, decision, utc(self._clock.wall_ms()))
            await stores.audit.add(_entry(connection, "chat.muted", room, about))
        self._holds(room, about, mute)
        return Done()

    async def unmute(self, connection: Connection, message: ChatUnmute) -> Done:
        """Let a member speak again. One who was not muted is fine, too."""
        room, about = self._member(connection, message.class_id, message.n)
        async with self._transactions() as stores:
            await stores.moderation.unmute(room.live.id, about)
            decision = Decision(connection.caller.account_id, about, "unmute")
            await stores.moderation.note(self._new_id(), room.live.id, decision, utc(self._clock.wall_ms()))
            await stores.audit.add(_entry(connection, "chat.unmuted", room, about))
        self._holds(room, about, None)
        return Done()

    def _new_id(self) -> DecisionId:
        return DecisionId(self._ids.next())

    def _member(self, connection: Connection, class_id: ClassId, n: int) -> tuple[Room, AccountId]:
        room = self._rooms.get(class_id)
        if room is None or class_id not in connection.rooms:
            raise NotInRoom
        may_moderate(room.live, connection.caller)
        account_id = room.account_of(n)
        if account_id is None:
            raise BadShape("no member of this number is in the room", path="$.n")
        return room, account_id

    def _holds(self, room: Room, account_id: AccountId, mute: Mute | None) -> None:
        room.muted = {one: held for one, held in room.muted.items() if one != account_id}
        if mute is not None:
            room.muted[account_id] = mute
        node = self._rooms.node
        node.publish(room.channel, MutesChanged())
        told = ChatMuted(room.live.id, muted=mute is not None, until_ms=None if mute is None else mute.until_ms)
        node.tell(channel_of_account(account_id), event_frame("chat.muted", told))

    def _gap(self, channels: tuple[str, ...]) -> None:
        rooms = map(self._rooms.of_channel, channels)
        self._doubts.doubt(room.live.id for room in rooms if room is not None)

    async def _read(self, class_ids: Collection[ClassId]) -> None:
        """Bring the mutes of these rooms up to what is stored. Raises `Unavailable`."""
        for class_id in class_ids:
            room = self._rooms.get(class_id)
            if room is None or room.live.over:
                continue
            async with self._transactions() as stores:
                room.muted = await stores.moderation.mutes(class_id)


def _entry(connection: Connection, act: str, room: Room, about: AccountId) -> Entry:
    return Entry(actor_of(connection.caller), act, about, Thing("class", str(room.live.id)))
