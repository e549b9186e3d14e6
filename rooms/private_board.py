"""What is seen of a class beyond its board: by the coach, of everybody whom the room does not see in full, and by such a member of
themselves.

It is told whole each time, in place of the last one, so nothing of it can be missed and what was withdrawn is gone with the next
telling. In a class where nobody ever decided anything it costs nothing, unless it is ranked by a figure that tells of the body.
"""

from collections.abc import Iterable
from typing import Final

from realtime.peer import ShareEntry
from realtime.wire import BoardPrivate, Figured, Member, Row
from rooms.board import Board, row_of
from rooms.redaction import COACH, for_coach, sees_less
from services.classes.metric import Metric, score_of, shown
from services.classes.showing import on_board
from services.kernel.ids import ClassId


class Private:
    """See the module."""

    def __init__(self) -> None:
        self.board: Final = Board(COACH)
        self._told: dict[str, BoardPrivate] = {}

    def __bool__(self) -> bool:
        """Whether anybody in this class has ever decided how they are shown, as far as is known here."""
        return len(self.board) > 0

    def put(self, node: str, entry: ShareEntry) -> None:
        """Take an entry of somebody of whom the room may not see everything; only what the coach may see is kept."""
        self.board.put(node, for_coach(entry, entry.showing))

    def of_coach(self, class_id: ClassId, public: Board, now_ms: int) -> BoardPrivate:
        """What the coach sees, once `public` was brought up to `now_ms`."""
        feeds = [(line.feed, line.present) for line in self.board.seen()]
        return BoardPrivate(
            class_id=class_id,
            at_ms=now_ms,
            members=tuple(_member(feed, present=present) for feed, present in feeds),
            rows=tuple(_row(feed, public, now_ms) for feed, _ in feeds if feed.role == "athlete"),
            figures=_figures((feed for feed, _ in feeds if feed.role == "athlete"), public.metric),
        )

    def of_themselves(self, class_id: ClassId, own: ShareEntry, public: Board, now_ms: int) -> BoardPrivate:
        """What a member sees of themselves: nothing when the room sees as much."""
        if not sees_less(own.showing, own.figure):
            return BoardPrivate(class_id=class_id, at_ms=now_ms)
        feeds = (own,) if own.role == "athlete" else ()
        return BoardPrivate(
            class_id=class_id,
            at_ms=now_ms,
            members=(_member(own, present=own.present),),
            rows=tuple(_row(feed, public, now_ms) for feed in feeds),
            figures=_figures(feeds, public.metric),
        )

    def is_news(self, connection_id: str, view: BoardPrivate) -> bool:
        """Whether a connection was told something else; from now on it was told this."""
        told = self._told.get(connection_id)
        if told is not None and (told.members, told.rows, told.figures) == (view.members, view.rows, view.figures):
            return False
        self._told[connection_id] = view
        return told is not None or bool(view.members)

    def told(self, connection_id: str) -> bool:
        """Whether a connection was ever told anything."""
        return connection_id in self._told

    def forget(self, connection_id: str) -> None:
        """A connection has left the room."""
        self._told.pop(connection_id, None)


def _member(feed: ShareEntry, *, present: bool) -> Member:
    return Member(n=feed.n, account_id=feed.account_id, name=feed.name, role=feed.role, present=present, team=feed.team)


def _row(feed: ShareEntry, public: Board, now_ms: int) -> Row:
    rank = public.rank_of(feed.n) if on_board(feed.showing) else None
    return row_of(feed, rank, now_ms)


def _figures(feeds: Iterable[ShareEntry], metric: Metric) -> tuple[Figured, ...]:
    if metric == "effort":
        return ()
    return tuple(Figured(feed.n, shown(metric, score_of(metric, feed.zone_ms, feed.figure))) for feed in feeds)
