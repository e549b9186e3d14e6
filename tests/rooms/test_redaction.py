"""What of an entry leaves a node, and that a board shows no more than the newest decision allows."""

import itertools
import uuid
from typing import Final

import pytest

from realtime.peer import ShareEntry
from rooms.board import Board
from rooms.redaction import for_coach, for_room
from services.classes.course import Doing
from services.classes.showing import DisplayMode, Showing
from services.classes.steps import Body, begin
from services.kernel.ids import AccountId
from tests.rooms.test_board import NOW, entry

MODES: Final[tuple[DisplayMode, ...]] = ("full", "zone", "alias", "coach", "hidden")
DOING: Final = Doing(0, begin(0), Body(190, 60))


def told(mode: DisplayMode, **changes: object) -> ShareEntry:
    return entry(1, doing=DOING, showing=Showing(mode, "Fox", 1), **changes)


def test_what_leaves_for_the_room_by_mode() -> None:
    shown = {mode: for_room(told(mode), Showing(mode, "Fox", 1)) for mode in MODES}
    assert shown["full"] == told("full")
    assert [(one.name, one.bpm, one.zone) for one in shown.values()] == [
        ("Athlete 1", 140, 3),
        ("Athlete 1", None, 3),
        ("Fox", 140, 3),
        ("Fox", None, None),
        ("Fox", None, None),
    ]
    assert {mode for mode, one in shown.items() if one.doing is not None} == {"full"}
    assert {mode for mode, one in shown.items() if any(one.zone_ms)} == {"full", "zone", "alias"}


def test_the_coach_is_told_everything_of_all_but_the_hidden() -> None:
    for mode in MODES:
        cut = for_coach(told(mode), Showing(mode, "Fox", 1))
        assert (cut == told(mode)) == (mode != "hidden")
    assert (cut.name, cut.bpm, cut.at_ms, any(cut.zone_ms), cut.doing) == ("Fox", None, None, False, None)


@pytest.mark.parametrize(("told_as", "shown_as"), tuple(itertools.product(MODES, MODES)))
def test_a_board_cuts_what_a_node_said_that_had_not_heard_of_the_decision(
    told_as: DisplayMode, shown_as: DisplayMode
) -> None:
    """As if that node had known: by the names, figures and rows of the board, though what was withheld before is not there yet."""
    board, fresh = Board(), Board()
    decision = Showing(shown_as, "Owl", 2)
    board.put("b", for_room(told(told_as), Showing(told_as, "Fox", 1)))
    board.show(AccountId(uuid.UUID(int=1)), decision)
    fresh.put("b", for_room(told("full"), decision))
    for each in (board, fresh):
        each.refresh(NOW)
    assert {member.n for member in board.members()} == {member.n for member in fresh.members()}
    for mine, ideal in zip(board.rows(), fresh.rows(), strict=True):
        assert mine.bpm in (None, ideal.bpm)
        assert mine.zone in (None, ideal.zone)
    for member in board.members():
        if shown_as == "alias":
            assert (member.name, member.account_id) == ("Owl", None)


def test_a_decision_that_is_older_changes_nothing() -> None:
    board = Board()
    board.put("a", entry(1, showing=Showing("hidden", "", 2)))
    assert not board.show(AccountId(uuid.UUID(int=1)), Showing("full", "", 1))
    board.refresh(NOW)
    assert (board.rows(), board.members()) == ((), ())


def test_ranks_are_those_of_whom_the_room_sees() -> None:
    board = Board()
    board.put("a", entry(1, zone_ms=(0, 0, 0, 0, 0, 600_000), showing=Showing("coach", "", 1)))
    board.put("a", entry(2))
    board.refresh(NOW)
    assert [(row.n, row.rank) for row in board.rows()] == [(2, 1)]


def test_an_entry_in_full_is_handed_on_as_it_is() -> None:
    whole = entry(1)
    assert for_room(whole, None) is whole
    assert for_coach(whole, None) is whole
