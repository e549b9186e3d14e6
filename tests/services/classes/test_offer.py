"""What may be done with an offer, and when."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from services.classes.offer import (
    MS_PER_MINUTE,
    Asked,
    Offer,
    Terms,
    check_start,
    checked,
    doors_due,
    may_book,
    may_call_off,
    may_change,
    may_come_in,
    reminder_due,
)
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId, OrganisationId
from services.kernel.problems import (
    BadShape,
    BookingShut,
    ClassCalledOff,
    DoorsShut,
    Forbidden,
    NotBooked,
    OfferFixed,
    Problem,
)

START = 1_790_000_000_000
TERMS = Terms(title="Hills", duration_min=45, capacity=20, booking_opens_min=600, booking_closes_min=30)
BOOKED, STRANGER = Asked(booked=True, member=False), Asked(booked=False, member=False)


def person(n: int, *roles: AccountRole) -> Caller:
    return Caller(AccountId(UUID(int=n)), LoginId(UUID(int=n)), f"Person {n}", frozenset(roles or ("member",)), 2**53)


MIRA, CLEO, JONAS = person(1, "member", "coach"), person(2, "member", "coach"), person(3)
SCREEN = person(4, "display")
OFFER = Offer(ClassId(UUID(int=9)), MIRA.account_id, "Mira", START, TERMS, START - 1_000 * MS_PER_MINUTE)
OFF = replace(OFFER, called_off_ms=START - 700 * MS_PER_MINUTE)


def at(minutes: int) -> int:
    """An instant by minutes from the start."""
    return START + minutes * MS_PER_MINUTE


@pytest.mark.parametrize(("minutes", "open_"), [(-601, False), (-600, True), (-31, True), (-30, False), (5, False)])
def test_places_are_taken_while_booking_is_open(minutes: int, open_: bool) -> None:
    if open_:
        may_book(OFFER, JONAS, at(minutes))
        return
    with pytest.raises(BookingShut) as refused:
        may_book(OFFER, JONAS, at(minutes))
    assert refused.value.data == {"opens_at_ms": at(-600), "closes_at_ms": at(-30)}


@pytest.mark.parametrize(
    ("offer", "caller", "problem"),
    [(OFFER, MIRA, Forbidden), (OFFER, SCREEN, Forbidden), (OFF, JONAS, ClassCalledOff)],
)
def test_some_take_no_place_at_all(offer: Offer, caller: Caller, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        may_book(offer, caller, at(-100))


def test_only_its_coach_changes_it_and_only_while_the_doors_are_shut() -> None:
    may_change(OFFER, MIRA, at(-16))
    for offer, caller, minutes, problem in (
        (OFFER, CLEO, -100, Forbidden),
        (OFFER, MIRA, -15, OfferFixed),
        (OFF, MIRA, -100, ClassCalledOff),
    ):
        with pytest.raises(problem):
            may_change(offer, caller, at(minutes))


def test_it_can_be_called_off_until_its_end_and_again() -> None:
    may_call_off(OFFER, MIRA, at(44))
    may_call_off(OFF, MIRA, at(100))
    with pytest.raises(OfferFixed):
        may_call_off(OFFER, MIRA, at(45))
    with pytest.raises(Forbidden):
        may_call_off(OFFER, CLEO, at(0))


@pytest.mark.parametrize(
    ("caller", "asked", "minutes", "problem"),
    [
        (JONAS, BOOKED, -16, DoorsShut),
        (JONAS, BOOKED, -15, None),
        (JONAS, BOOKED, 9, None),
        (JONAS, BOOKED, 10, DoorsShut),
        (JONAS, Asked(booked=True, member=True), 30, None),
        (JONAS, STRANGER, 0, NotBooked),
        (JONAS, Asked(booked=False, member=True), 0, NotBooked),
        (CLEO, STRANGER, 0, NotBooked),
        (MIRA, STRANGER, -200, None),
        (SCREEN, STRANGER, 40, None),
    ],
)
def test_who_is_let_in(caller: Caller, asked: Asked, minutes: int, problem: type[Problem] | None) -> None:
    if problem is None:
        may_come_in(OFFER, caller, asked, at(minutes))
        return
    with pytest.raises(problem):
        may_come_in(OFFER, caller, asked, at(minutes))


FIRST = replace(TERMS, organisation=OrganisationId(UUID(int=7)), members="first", others_open_min=120)
ONLY = replace(FIRST, members="only")


@pytest.mark.parametrize(
    ("minutes", "seated", "open_"), [(-600, True, True), (-121, False, False), (-120, False, True)]
)
def test_members_book_before_others_where_the_terms_say_so(minutes: int, seated: bool, open_: bool) -> None:
    offer = replace(OFFER, terms=FIRST)
    if open_:
        may_book(offer, JONAS, at(minutes), seated=seated)
        return
    with pytest.raises(BookingShut) as refused:
        may_book(offer, JONAS, at(minutes), seated=seated)
    assert refused.value.data == {"opens_at_ms": at(-120), "closes_at_ms": at(-30)}


def test_a_class_for_members_only_lets_in_its_coach_its_screens_and_members_who_have_a_place() -> None:
    """ASVS 8.2.2."""
    offer = replace(OFFER, terms=ONLY)
    may_come_in(offer, JONAS, replace(BOOKED, seated=True), at(0))
    for caller in (MIRA, SCREEN):
        may_come_in(offer, caller, STRANGER, at(0))
    for asked in (BOOKED, Asked(booked=True, member=True)):
        with pytest.raises(Forbidden, match="members of its organisation"):
            may_come_in(offer, JONAS, asked, at(0))
    with pytest.raises(NotBooked):
        may_come_in(offer, JONAS, replace(STRANGER, seated=True), at(0))


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (replace(ONLY, organisation=None), "$.terms.members"),
        (replace(FIRST, others_open_min=30), "$.terms.others_open_min"),
        (replace(FIRST, others_open_min=600), "$.terms.others_open_min"),
    ],
)
def test_members_of_no_organisation_and_others_before_them_or_too_late_are_refused(terms: Terms, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        checked(terms)
    assert refused.value.path == path
    for fine in (FIRST, ONLY, replace(ONLY, others_open_min=0)):
        checked(fine)


def test_without_booked_only_the_doors_alone_decide() -> None:
    everybody = replace(OFFER, terms=replace(TERMS, booked_only=False, doors_close_min=None))
    may_come_in(everybody, JONAS, STRANGER, at(44))
    with pytest.raises(DoorsShut):
        may_come_in(everybody, JONAS, STRANGER, at(45))


def test_nobody_but_its_coach_is_let_into_what_was_called_off() -> None:
    with pytest.raises(ClassCalledOff):
        may_come_in(OFF, JONAS, BOOKED, at(0))


@pytest.mark.parametrize(
    ("offer", "minutes", "doors", "reminder"),
    [
        (OFFER, -62, False, False),
        (OFFER, -61, False, True),
        (OFFER, -17, False, True),
        (OFFER, -16, True, True),  # by the clock of another node it is time
        (OFFER, -1, True, True),
        (OFFER, 0, True, False),
        (OFFER, 44, True, False),
        (OFFER, 45, False, False),
        (OFF, -15, False, False),
        (replace(OFFER, starts_ms=START + 3_600_000), -15, False, False),
    ],
)
def test_what_is_said_to_be_due_is_so_only_while_what_was_offered_holds(
    offer: Offer, minutes: int, doors: bool, reminder: bool
) -> None:
    assert (doors_due(offer, at(minutes)), reminder_due(offer, at(minutes))) == (doors, reminder)


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (replace(TERMS, booking_closes_min=600), "$.terms.booking_closes_min"),
        (replace(TERMS, doors_close_min=46), "$.terms.doors_close_min"),
        (replace(TERMS, equipment=("bike", "Bike")), "$.terms.equipment"),
        (replace(TERMS, teams=("Red",)), "$.terms.teams"),
        (replace(TERMS, teams=("Red", " red")), "$.terms.teams"),
    ],
)
def test_terms_that_contradict_themselves_are_refused_where_they_do(terms: Terms, path: str) -> None:
    checked(TERMS)
    with pytest.raises(BadShape) as refused:
        checked(terms)
    assert refused.value.path == path


def test_a_start_leaves_time_for_the_doors_and_is_at_most_a_year_away() -> None:
    check_start(START, TERMS, at(-16))
    for now_ms in (at(-15), at(-367 * 24 * 60)):
        with pytest.raises(BadShape):
            check_start(START, TERMS, now_ms)


def test_who_is_not_reminded_has_no_time_for_it() -> None:
    assert OFFER.reminds_ms == at(-60)
    assert replace(OFFER, terms=replace(TERMS, remind_min=0)).reminds_ms is None
