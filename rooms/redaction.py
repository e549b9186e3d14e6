"""What of a member's entry leaves this node, and for whose eyes. Pure.

The node that knows somebody's figures first-hand cuts them out *before* it speaks: on a room's channel an entry has no more than
the room may see of that member (`for_room`). What only the coach may see travels on the coaches' channel of the class, which
nodes follow while its coach is connected there (`for_coach`); where a member is in the steps of the class goes with it. What is
hidden leaves the node on no channel.

A node may speak before it has heard of a decision that another node has taken. So whoever hears an entry cuts it again by the
newest decision it knows, see `Board`.

A figure that tells of the body (services/classes/metric.py) is kept from the room of everybody who has not said otherwise: it goes
to the coaches only.

Where a member shows everything the entry is handed on as it is: no copy, for them this costs two comparisons.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from realtime.peer import ShareEntry
from rooms.effort import NOTHING
from services.classes.metric import Figure, is_personal
from services.classes.showing import Showing, body_shown, on_board, public_name, shows_heart_rate

UNTOLD_MAX_HR: Final = 190
"""Stands in an entry that tells no heart rate: nothing is derived from it."""


def for_room(entry: ShareEntry, showing: Showing | None) -> ShareEntry:
    """The entry as the room may see it."""
    if entry.figure is not None and is_personal(entry.figure) and not body_shown(showing):
        entry = msgspec.structs.replace(entry, figure=None)
    if showing is None or showing.mode == "full":
        return entry if entry.showing == showing else msgspec.structs.replace(entry, showing=showing)
    name = public_name(showing, entry.n, entry.name)
    if showing.mode == "alias":
        return msgspec.structs.replace(
            entry, name=name, rest_hr=None, first=False, doing=None, showing=showing, above_own=None
        )
    if showing.mode == "zone":
        zone = entry.zone if entry.bpm is not None or _told_zone_only(entry) else None
        return msgspec.structs.replace(
            entry,
            bpm=None,
            zone=zone,
            max_hr=UNTOLD_MAX_HR,
            rest_hr=None,
            first=False,
            doing=None,
            showing=showing,
            above_own=None,
        )
    return _nothing_of(entry, name, showing)


def for_coach(entry: ShareEntry, showing: Showing | None) -> ShareEntry:
    """The entry as the coach of the class may see it."""
    if showing is not None and not shows_heart_rate(showing):
        return _nothing_of(entry, public_name(showing, entry.n, entry.name), showing)
    return entry if entry.showing == showing else msgspec.structs.replace(entry, showing=showing)


def _nothing_of(entry: ShareEntry, name: str, showing: Showing) -> ShareEntry:
    """Only that there is somebody of this number, present or not."""
    return msgspec.structs.replace(
        entry,
        name=name,
        bpm=None,
        zone=None,
        at_ms=None,
        max_hr=UNTOLD_MAX_HR,
        rest_hr=None,
        first=False,
        zone_ms=NOTHING,
        doing=None,
        showing=showing,
        figure=None,
        above_own=None,
        off_ms=None,
        team=None,
    )


def _told_zone_only(entry: ShareEntry) -> bool:
    return entry.showing is not None and entry.showing.mode == "zone"


def sees_less(showing: Showing | None, figure: Figure | None) -> bool:
    """Whether the room sees less of a member than there is, who is shown like this and has this figure."""
    in_full = showing is None or showing.mode == "full"
    return not in_full or (is_personal(figure) and not body_shown(showing))


class Eyes(NamedTuple):
    """For whom a board is: how entries are cut for them, and whom they see on it, by what they have decided and the figure that is
    told of them."""

    cut: Callable[[ShareEntry, Showing | None], ShareEntry]
    sees: Callable[[Showing | None, Figure | None], bool]


def _room_sees(showing: Showing | None, figure: Figure | None) -> bool:
    return on_board(showing)


def _only_coach_sees(showing: Showing | None, figure: Figure | None) -> bool:
    return sees_less(showing, figure) and not (showing is not None and showing.mode == "hidden")


ROOM: Final = Eyes(for_room, _room_sees)
COACH: Final = Eyes(for_coach, _only_coach_sees)
"""Those whom the coach sees better than the room does; the others stand on the room's board."""
