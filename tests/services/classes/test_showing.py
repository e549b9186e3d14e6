"""What of a member is shown in each mode, and what they agree to with it."""

import itertools

import pytest

from services.classes.showing import (
    CONSENTS,
    DisplayMode,
    Showing,
    is_named,
    ledger_moves,
    newer,
    on_board,
    public_name,
)

MODES: tuple[DisplayMode, ...] = ("full", "zone", "alias", "coach", "hidden")


@pytest.mark.parametrize("mode", MODES)
def test_what_is_shown_is_what_was_agreed_to(mode: DisplayMode) -> None:
    showing, agreed = Showing(mode), CONSENTS[mode]
    assert on_board(showing) == (agreed.get("score") == "room")
    assert is_named(showing) == (agreed.get("name") == "room")


def test_who_is_not_named_is_called_by_alias_or_number() -> None:
    assert public_name(None, 7, "Ada") == "Ada"
    assert public_name(Showing("zone", "Fox"), 7, "Ada") == "Ada"
    assert public_name(Showing("alias", "Fox"), 7, "Ada") == "Fox"
    assert public_name(Showing("hidden"), 7, "Ada") == "Athlete 7"


def test_the_later_decision_counts_in_whatever_order_they_come() -> None:
    first, second = Showing("hidden", "", 1), Showing("full", "", 2)
    assert newer(first, second) is newer(second, first) is second
    assert newer(None, first) is newer(first, None) is first


@pytest.mark.parametrize(("before", "after"), tuple(itertools.product(MODES, MODES)))
def test_after_a_move_of_the_ledger_exactly_what_the_mode_needs_stands(before: DisplayMode, after: DisplayMode) -> None:
    standing = set(CONSENTS[before].items())
    withdrawn, given = ledger_moves(standing, CONSENTS[after])
    assert withdrawn <= standing
    assert not given & standing
    assert standing - withdrawn | given == set(CONSENTS[after].items())
