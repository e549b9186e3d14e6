"""Reactions of a room: gathered for a moment, told as counts; and those for one person, told to them.

A thousand people clap at the same instant. So each node gathers what its people send, four times a second tells the others who has
reacted how, and its own members how many there were; what it hears from the others goes into the next count. A moment without a
reaction costs nothing. All of it is a hint: a frame may be left out for a slow reader, a message between nodes may be lost, and
nobody is told twice.

Nobody sees the reactions of whom they have blocked: they get a count of their own without them, everybody else gets one frame. What
is for one person goes to whatever nodes they are on, and is looked at there, where their blocks are known; whoever sent it is
answered the same.
"""

import asyncio
from collections import Counter
from functools import partial
from typing import Final

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.crew import Crew
from realtime.frame import Frame
from realtime.limits import REACTIONS_BURST, REACTIONS_PER_SECOND, AccountAllowances
from realtime.node import channel_of_account
from realtime.peer import Reacted, ReactedTo
from realtime.wire import Done, ReactionCounts, ReactionReceived, ReactionSend
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.screening import Screening
from services.classes.saying import may_chat
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, ClassId
from services.kernel.problems import BadShape, ClassOver, NotInRoom, RateLimited
from services.social.moderation import may_speak
from services.social.reaction import Reaction, counts_of

TELL_EVERY_S: Final = 0.25
"""How long reactions are gathered. As often as a board changes at 4 Hz; a touch is answered on the own screen at once anyway."""
MAX_GATHERED: Final = 4_000
"""Pairs of author and kind that are gathered for one room. Full means: further ones are not counted; nobody sees the difference."""
END_WITHIN_S: Final = 2.0


class Reacting:
    """The use case. Refuses with `NotInRoom`, `ClassOver`, `Forbidden`, `Muted`, `RateLimited`, `BadShape`."""

    def __init__(self, rooms: Rooms, screening: Screening, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._screening: Final = screening
        self._clock: Final = clock
        self._allowances: Final = AccountAllowances(REACTIONS_PER_SECOND, REACTIONS_BURST)
        self._here: dict[ClassId, Counter[tuple[AccountId, Reaction]]] = {}
        self._to_tell: dict[ClassId, Counter[tuple[AccountId, Reaction]]] = {}
        self._wake: Final = asyncio.Event()
        rooms.node.listen(Reacted, self._heard)
        rooms.node.listen(ReactedTo, lambda _, told: self._give(told))

    def send(self, connection: Connection, message: ReactionSend) -> Done:
        """Somebody reacts, to the room or to one member."""
        room = self._rooms.get(message.class_id)
        if room is None or message.class_id not in connection.rooms:
            raise NotInRoom
        if room.live.over:
            raise ClassOver(class_id=str(message.class_id))
        author = connection.caller.account_id
        may_chat(connection.caller)
        may_speak(room.muted.get(author), self._clock.wall_ms())
        told = None if message.to is None else self._for_one(room, author, message.to, message.kind)
        self._allow(author)
        if told is None:
            self._gather(self._here, message.class_id, author, message.kind)
            self._gather(self._to_tell, message.class_id, author, message.kind)
        else:
            self._rooms.node.publish(channel_of_account(told.account_id), told)
            self._give(told)
        return Done()

    async def run(self) -> None:
        """Tell what was gathered, until cancelled."""
        crew = Crew("reacting", END_WITHIN_S)
        await crew.live(telling=self._keep_telling(crew))

    async def _keep_telling(self, crew: Crew) -> None:
        while not crew.over:
            await self._wake.wait()
            await self._clock.sleep(TELL_EVERY_S)
            self._wake.clear()
            self.tell()

    def tell(self) -> None:
        """Tell the other nodes what was gathered here, and the members here what was gathered anywhere."""
        here, self._here = self._here, {}
        for class_id, gathered in here.items():
            if (room := self._rooms.get(class_id)) is not None:
                entries = tuple((author, kind, count) for (author, kind), count in gathered.items())
                self._rooms.node.publish(room.channel, Reacted(class_id, entries))
        to_tell, self._to_tell = self._to_tell, {}
        for class_id, gathered in to_tell.items():
            if (room := self._rooms.get(class_id)) is not None:
                self._broadcast(room, gathered)

    def _broadcast(self, room: Room, gathered: Counter[tuple[AccountId, Reaction]]) -> None:
        without = self._screening.without(room, {author for author, _ in gathered})
        self._rooms.node.broadcast(room.channel, self._frame(room, counts_of(gathered)), without=without)
        for connection in without:
            hidden = partial(self._rooms.screen.hides, account_id=connection.caller.account_id)
            if counts := counts_of(gathered, hidden):
                connection.push(self._frame(room, counts))

    def _frame(self, room: Room, counts: tuple[tuple[Reaction, int], ...]) -> Frame:
        return event_frame("reaction.counts", ReactionCounts(room.live.id, self._clock.wall_ms(), counts))

    def _for_one(self, room: Room, author: AccountId, n: int, kind: Reaction) -> ReactedTo:
        member, account_id = room.member(author), room.account_of(n)
        if member is None:
            raise NotInRoom
        if account_id is None or account_id == author:
            raise BadShape("no other member of this number is in the room", path="$.to")
        return ReactedTo(room.live.id, author, account_id, member.n, member.name, kind)

    def _give(self, told: ReactedTo) -> None:
        """Tell somebody who is here, in the room, and has not blocked the author."""
        room = self._rooms.get(told.class_id)
        if room is None or self._rooms.screen.hides(told.author, told.account_id):
            return
        frame = event_frame(
            "reaction.received",
            ReactionReceived(told.class_id, told.n, told.name, told.kind, self._clock.wall_ms()),
        )
        for connection_id in room.connections_of(told.account_id):
            if (connection := self._rooms.node.hub.get(connection_id)) is not None:
                connection.push(frame)

    def _heard(self, channel: str, reacted: Reacted) -> None:
        room = self._rooms.get(reacted.class_id)
        if room is None or room.channel != channel:
            return
        for author, kind, count in reacted.entries:
            self._gather(self._to_tell, reacted.class_id, author, kind, count)

    def _gather(
        self,
        place: dict[ClassId, Counter[tuple[AccountId, Reaction]]],
        class_id: ClassId,
        author: AccountId,
        kind: Reaction,
        count: int = 1,
    ) -> None:
        gathered = place.setdefault(class_id, Counter())
        if len(gathered) < MAX_GATHERED or (author, kind) in gathered:
            gathered[author, kind] += count
            self._wake.set()

    def _allow(self, author: AccountId) -> None:
        now = self._clock.monotonic()
        bucket = self._allowances.of(author, now)
        if not bucket.take(now):
            raise RateLimited("too many reactions; wait a moment", retry_after_ms=int(bucket.wait_s(now) * 1000) + 1)
