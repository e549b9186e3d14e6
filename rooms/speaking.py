"""Cues and chat: what people say into a room.

Both go through the room's log, so the answer "said" means that everybody gets it or learns that they missed something. When
nobody knows whether it was stored, the answer is a problem to be retried with the same key; a client that gave none gets none,
because we could not tell its second try from a second cue.
"""

import asyncio
import secrets
from typing import Final

from realtime.connection import Connection
from realtime.frame import Frame
from realtime.limits import CHAT_BURST, CHAT_PER_SECOND, AccountAllowances
from realtime.position import NOWHERE
from realtime.wire import ChatSaid, ChatSend, Cue, CueSeen, CueSend, Done, Said, ToMembers, ToZone
from rooms.audience import CUE_EVENT
from rooms.room import Room
from rooms.rooms import Rooms
from rooms.screen import CHAT_EVENT
from services.classes.plain_text import one_line
from services.classes.saying import MAX_CHAT_UNITS, may_acknowledge, may_chat, may_cue
from services.flags.switches import ALL_ON, Switches
from services.kernel.clock import Clock
from services.kernel.ids import ClassId
from services.kernel.problems import BadShape, ClassOver, NobodyThere, NotInRoom, RateLimited
from services.social.moderation import may_speak


class Speaking:
    """The use cases. They refuse at once with `NotInRoom`, `ClassOver`, `Forbidden`, `BadShape`, `RateLimited`, `Muted`; what they
    return is there when it is said, or raises `Unavailable`. What is said into one room keeps its order without anybody waiting
    for an answer."""

    def __init__(self, rooms: Rooms, clock: Clock, switches: Switches = ALL_ON) -> None:
        self._rooms: Final = rooms
        self._clock: Final = clock
        self._switches: Final = switches
        self._chat: Final = AccountAllowances(CHAT_PER_SECOND, CHAT_BURST)
        rooms.feeds.on_delivered(self._delivered)

    def cue(self, connection: Connection, message: CueSend) -> "asyncio.Future[Said]":
        """Who leads the class says something to the room, or to some in it. Raises `NobodyThere` for a zone without anybody."""
        room = self._room_of(connection, message.class_id)
        may_cue(room.live, connection.caller)
        cue = Cue(
            class_id=message.class_id,
            text=one_line(message.text),
            coach_name=room.live.coach_name,
            at_ms=self._clock.wall_ms(),
            to=self._audience(room, message.to),
            position=NOWHERE,
        )
        return self._rooms.say(message.class_id, CUE_EVENT, cue, key=_key("cue", connection, message.key))

    def seen(self, connection: Connection, message: CueSeen) -> Done:
        """A client has got a cue. Raises `NotInRoom`, `Forbidden` for a display, `CueUnknown`."""
        room = self._rooms.get(message.class_id)
        if room is None or message.class_id not in connection.rooms:
            raise NotInRoom
        may_acknowledge(connection.caller)
        room.receive(connection.caller.account_id, message.cue, self._clock.wall_ms(), shown=message.shown)
        return Done()

    def _audience(self, room: Room, to: ToMembers | ToZone | None) -> tuple[int, ...] | None:
        match to:
            case None:
                return None
            case ToZone(zone=zone):
                found = room.in_zone(zone, self._clock.wall_ms())
                if not found:
                    raise NobodyThere(f"nobody is in zone {zone} right now")
                return found
            case ToMembers(n=numbers):
                members = {line.feed.n for line in room.lines_for_coach()}
                for place, n in enumerate(numbers):
                    if n not in members:
                        raise BadShape("nobody of this number is in the class", path=f"$.to.n[{place}]")
                return tuple(dict.fromkeys(numbers))

    def chat(self, connection: Connection, message: ChatSend) -> "asyncio.Future[Said]":
        """A member says something. Raises `ChatPaused`, too."""
        room = self._room_of(connection, message.class_id)
        caller = connection.caller
        may_chat(caller)
        member = room.in_public(caller.account_id)
        if member is None:
            raise NotInRoom
        self._switches.require("chat")
        may_speak(room.muted.get(caller.account_id), self._clock.wall_ms())
        text = one_line(message.text, MAX_CHAT_UNITS)
        self._allow(connection, room)
        said = ChatSaid(
            class_id=message.class_id,
            n=member.n,
            name=member.name,
            text=text,
            at_ms=self._clock.wall_ms(),
            position=NOWHERE,
        )
        room.pace.waiting += 1
        answer = self._rooms.say(message.class_id, CHAT_EVENT, said, key=_key("chat", connection, message.key))
        answer.add_done_callback(lambda _: room.pace.settled())
        return answer

    def _room_of(self, connection: Connection, class_id: ClassId) -> Room:
        room = self._rooms.get(class_id)
        if room is None or class_id not in connection.rooms:
            raise NotInRoom
        if room.live.over:
            raise ClassOver(class_id=str(class_id))
        return room

    def _allow(self, connection: Connection, room: Room) -> None:
        """The room first: it refuses without taking anything."""
        now = self._clock.monotonic()
        if (wait_s := room.pace.wait_s(now)) > 0:
            raise RateLimited(
                "everybody talks at once in this room; wait a moment", retry_after_ms=int(wait_s * 1000) + 1
            )
        bucket = self._chat.of(connection.caller.account_id, now)
        if not bucket.take(now):
            raise RateLimited(
                "too many chat messages; wait a moment", retry_after_ms=int(bucket.wait_s(now) * 1000) + 1
            )

    def _delivered(self, channel: str, frame: Frame) -> None:
        """Something came out of a room's log, whoever said it."""
        if frame.event == CHAT_EVENT and (room := self._rooms.of_channel(channel)) is not None:
            room.pace.said(self._clock.monotonic())


def _key(what: str, connection: Connection, key: str | None) -> str:
    """The key in the room's log: nobody can take another's."""
    return f"{what}:{connection.caller.account_id}:{key or secrets.token_hex(8)}"
