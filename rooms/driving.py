"""Driving trainers: what a coach asks of the machines in a class, to the phones that hold them.

The server holds no trainer. It makes the bytes that go to a control point (services/training/ftms_control.py) and says them to
every device of the athlete; the phone that holds the machine writes them, if its rider agrees. A target means now: it is in no
log, and whoever was away gets the next one.
"""

from typing import Final

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.node import channel_of_account
from realtime.peer import ShareEntry
from realtime.wire import TrainerAsked, TrainerSet, TrainerTarget
from rooms.room import Room
from rooms.rooms import Rooms
from services.classes.saying import may_cue
from services.kernel.clock import Clock
from services.kernel.problems import BadShape, ClassOver, NotInRoom
from services.training.ftms_control import CONTROL_POINT, encode_request


class Driving:
    """The use case. Refuses with `NotInRoom`, `ClassOver`, `Forbidden`, `BadShape`."""

    def __init__(self, rooms: Rooms, clock: Clock) -> None:
        self._rooms: Final = rooms
        self._clock: Final = clock

    def set(self, connection: Connection, message: TrainerSet) -> TrainerAsked:
        """Tell a target to one athlete of the class or to all that are there, on whatever node."""
        room = self._rooms.get(message.class_id)
        if room is None or message.class_id not in connection.rooms:
            raise NotInRoom
        if room.live.over:
            raise ClassOver(class_id=str(message.class_id))
        may_cue(room.live, connection.caller)
        athletes = _athletes(room, message.n)
        frame = event_frame("trainer.target", self._target(message))
        for athlete in athletes:
            self._rooms.node.tell(channel_of_account(athlete.account_id), frame)
        return TrainerAsked(athletes=len(athletes))

    def _target(self, message: TrainerSet) -> TrainerTarget:
        try:
            data = encode_request(message.target)
        except (OverflowError, ValueError) as beyond:
            raise BadShape(
                "no trainer can be told this: the numbers do not fit into its bytes", path="$.target"
            ) from beyond
        return TrainerTarget(
            class_id=message.class_id,
            target=message.target,
            characteristic=f"{CONTROL_POINT:04x}",
            data=data,
            at_ms=self._clock.wall_ms(),
        )


def _athletes(room: Room, n: int | None) -> list[ShareEntry]:
    here = [member for member in room.board.here() if member.role == "athlete"]
    if n is None:
        return here
    chosen = [athlete for athlete in here if athlete.n == n]
    if not chosen:
        raise BadShape("no athlete of this number is in the room", path="$.n")
    return chosen
