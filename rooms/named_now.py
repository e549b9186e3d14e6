"""What was said into a room, told again to whoever missed it: with people as they are shown now. Pure.

The room's log keeps what was said as it was said. Somebody who has withdrawn their name since must not be named by what is read
from it afterwards; nor is somebody named of whom this node has not heard yet how they are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from realtime.codec import event_frame, payload_of
from realtime.frame import Frame
from realtime.wire import ChatSaid, ClassStanding, ClassSummaryView, RoomPresence
from rooms.board import Board
from services.classes.metric import MEASURES
from services.classes.showing import Showing, body_shown, is_named, on_board, public_name

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
                told.append(event_frame(frame.event, _table_now(table, showings)))
            case _:
                told.append(frame)
    return tuple(told)


def _table_now(table: ClassSummaryView, showings: Mapping[int, Showing | None]) -> ClassSummaryView:
    """The table without the lines and figures that are not shown now; and without its teams where one of them counted in a team:
    what is left of the others would tell what it was."""
    personal = MEASURES[table.metric].personal
    standings = tuple(_standings_now(table.standings, showings, personal=personal))
    shown = {line.n for line in standings if not personal or line.figure is not None}
    told = {line.n for line in table.standings if line.team is not None and (not personal or line.figure is not None)}
    return msgspec.structs.replace(table, standings=standings, teams=table.teams if told <= shown else ())


def _standings_now(
    standings: tuple[ClassStanding, ...], showings: Mapping[int, Showing | None], *, personal: bool
) -> Iterator[ClassStanding]:
    for line in standings:
        showing = showings.get(line.n, UNKNOWN)
        if not on_board(showing):
            continue
        now = msgspec.structs.replace(line, name=public_name(showing, line.n, line.name))
        keeps_body = personal and not body_shown(showing)
        yield msgspec.structs.replace(now, rank=None, figure=None) if keeps_body else now


def _chat_now(frame: Frame, showings: Mapping[int, Showing | None]) -> Frame:
    said = _chat(payload_of(frame))
    name = public_name(showings.get(said.n, UNKNOWN), said.n, said.name)
    return frame if name == said.name else event_frame(frame.event, msgspec.structs.replace(said, name=name))
