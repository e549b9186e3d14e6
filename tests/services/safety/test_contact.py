"""Who may be asked, how often, and what stands of an answer."""

import uuid

import msgspec
import pytest

from services.kernel.ids import AccountId, ContactId
from services.kernel.problems import BadShape
from services.notifications.contact_letter import ANSWER_MS
from services.safety.contact import (
    ASKS_A_DAY,
    ASKS_A_WEEK,
    DAY_MS,
    PAUSE_MS,
    WEEK_MS,
    Contact,
    checked,
    wait_ms,
)
from services.safety.question import may_agree, state_of

NOW = 1_790_000_000_000
ASKED = Contact(
    id=ContactId(uuid.UUID(int=1)),
    account_id=AccountId(uuid.UUID(int=2)),
    athlete="Ada",
    name="Ben",
    email="ben@example.org",
    asked_at_ms=NOW,
)


def but(**said: int) -> Contact:
    """The same contact, of whom this has been said since."""
    return msgspec.structs.replace(ASKED, **said)


def test_a_question_can_be_agreed_to_for_two_weeks() -> None:
    assert may_agree(ASKED, NOW + ANSWER_MS - 1)
    assert (state_of(ASKED, NOW + ANSWER_MS), may_agree(ASKED, NOW + ANSWER_MS)) == ("unanswered", False)


def test_who_has_agreed_stays_it_after_the_question_has_ended() -> None:
    assert state_of(but(agreed_at_ms=NOW + 1), NOW + ANSWER_MS) == "agreed"


def test_a_no_goes_before_everything_and_a_dead_address_before_a_yes() -> None:
    assert state_of(but(agreed_at_ms=NOW + 1, dead_at_ms=NOW + 2, refused_at_ms=NOW + 3), NOW + 4) == "refused"
    assert state_of(but(agreed_at_ms=NOW + 1, dead_at_ms=NOW + 2), NOW + 4) == "unreachable"


@pytest.mark.parametrize("said", ["agreed_at_ms", "refused_at_ms", "dead_at_ms", "replaced_at_ms"])
def test_what_is_answered_or_asked_no_more_cannot_be_agreed_to(said: str) -> None:
    assert not may_agree(but(**{said: NOW + 1}), NOW + 2)


def test_nobody_is_their_own_contact_however_they_write_it() -> None:
    with pytest.raises(BadShape) as refused:
        checked("Me", " ADA@example.org", "ada@example.org")
    assert refused.value.path == "$.email"


@pytest.mark.parametrize(("name", "email", "path"), [("", "b@example.org", "$.name"), ("Ben", "ben", "$.email")])
def test_what_is_no_name_or_no_address_is_refused_with_its_place(name: str, email: str, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        checked(name, email, "ada@example.org")
    assert refused.value.path == path


def test_a_name_and_an_address_are_stored_as_they_are_compared() -> None:
    assert checked("  Ben   Okafor ", "Ben@Example.org", "ada@example.org") == ("Ben Okafor", "ben@example.org")


def test_the_first_question_waits_for_nothing_and_the_next_of_an_account_for_ten_minutes() -> None:
    assert wait_ms([], [], NOW) == 0
    assert wait_ms([NOW], [], NOW + 1_000) == PAUSE_MS - 1_000
    assert wait_ms([NOW], [], NOW + PAUSE_MS) == 0


def test_an_account_asks_so_often_a_day() -> None:
    hours = [NOW + hour * 3_600_000 for hour in range(ASKS_A_DAY)]
    assert wait_ms(hours, [], NOW + 6 * 3_600_000) == DAY_MS - 6 * 3_600_000
    assert wait_ms(hours, [], NOW + DAY_MS) == 0


def test_an_address_is_asked_so_often_a_week_whoever_asks() -> None:
    days = [NOW + day * DAY_MS for day in range(ASKS_A_WEEK)]
    assert wait_ms([], days, NOW + 4 * DAY_MS) == WEEK_MS - 4 * DAY_MS
    assert wait_ms([], days, NOW + WEEK_MS) == 0
