"""What was said into a room, told again to whoever missed it: with people as they are shown now. Pure.

The room's log keeps what was said as it was said. Somebody who has withdrawn their name since must not be named by what is read
from it afterwards; nor is somebody named of whom this node has not heard yet how they are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from realtime.codec import Frame, event_frame, payload_of
from realtime.wire import ChatSaid, ClassStanding, ClassSummaryView, RoomPresence
from rooms.board import Board
from services.classes.showing import Showing, is_named, on_board, public_name

UNKNOWN: Final = Showing("hidden")
_chat: Final = msgspec.json.Decoder(ChatSaid).decode
_presence: Final = msgspec.json.Decoder(RoomPresence).decode
_summary: Final = msgspec.json.Decoder(ClassSummaryView).decode


def retold(frames: tuple[Frame, ...], board: Board) -> tuple[Frame, ...]:
    """The same frames with nobody named who is not to be named now. Where nobody has decided anything, as they are."""
    if not board.decided:
        return frames
    showings = board.showings()
    named = {account_id for account_id in board.accounts() if is_named(board.showing(account_id))}
    told = []
    for frame in frames:
        match frame.event:
            case "chat.said":
                told.append(_chat_now(frame, showings))
            case "room.presence":
                said = _presence(payload_of(frame))
                joined = tuple(account_id for account_id in said.joined if account_id in named)
                left = tuple(account_id for account_id in said.left if account_id in named)
                told.append(event_frame(frame.event, msgspec.structs.replace(said, joined=joined, left=left)))
            case "class.summary":
                table = _summary(payload_of(frame))
                standings = tuple(_standings_now(table.standings, showings))
                told.append(event_frame(frame.event, msgspec.structs.replace(table, standings=standings)))
            case _:
                told.append(frame)
    return tuple(told)


def _standings_now(
    standings: tuple[ClassStanding, ...], showings: Mapping[int, Showing | None]
) -> Iterator[ClassStanding]:
    for line in standings:
        showing = showings.get(line.n, UNKNOWN)
        if on_board(showing):
            yield msgspec.structs.replace(line, name=public_name(showing, line.n, line.name))


def _chat_now(frame: Frame, showings: Mapping[int, Showing | None]) -> Frame:
    said = _chat(payload_of(frame))
    name = public_name(showings.get(said.n, UNKNOWN), said.n, said.name)
    return frame if name == said.name else event_frame(frame.event, msgspec.structs.replace(said, name=name))
