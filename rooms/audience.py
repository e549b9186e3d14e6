"""For whom an event of a room's log is. Pure.

Most are for everybody. Some name the numbers of those they are for: these, and whoever leads the class, get them, live and when
they come back; to others they are never handed.
"""

from typing import Final

import msgspec

from realtime.codec import event_frame, payload_of
from realtime.frame import Frame
from realtime.position import NOWHERE
from realtime.wire import Cue, RoomLetIn, RoomRemoved
from services.kernel.ids import AccountId, ClassId

CUE_EVENT: Final = "cue"
REMOVED_EVENT: Final = "room.removed"
LET_IN_EVENT: Final = "room.let_in"

_cue: Final = msgspec.json.Decoder(Cue).decode
_removed: Final = msgspec.json.Decoder(RoomRemoved).decode
_let_in: Final = msgspec.json.Decoder(RoomLetIn).decode


def audience_of(frame: Frame) -> tuple[int, ...] | None:
    """The numbers of those it is for; None: everybody."""
    match frame.event:
        case "cue":
            return cue_of(frame).to
        case "room.removed" | "room.let_in":
            return (removal_of(frame).n,)
        case _:
            return None


def said_removed(
    class_id: ClassId, account_id: AccountId, n: int, removals: int, position: str = NOWHERE
) -> RoomRemoved:
    """That a member was sent out: for the room's log, or for them where it stands at `position`."""
    return RoomRemoved(class_id=class_id, n=n, account_id=account_id, removals=removals, position=position)


def for_member(frame: Frame) -> Frame:
    """An event for some, as it is told to each of them: without the numbers of the others."""
    if frame.event != CUE_EVENT:
        return frame
    return event_frame(CUE_EVENT, msgspec.structs.replace(cue_of(frame), to=None, personal=True))


def cue_of(frame: Frame) -> Cue:
    """The cue in a frame of the room's log."""
    return _cue(payload_of(frame))


def removal_of(frame: Frame) -> RoomRemoved | RoomLetIn:
    """Who was sent out or let back in, in a frame of the room's log."""
    return _removed(payload_of(frame)) if frame.event == REMOVED_EVENT else _let_in(payload_of(frame))
