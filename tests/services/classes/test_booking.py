"""Places and the waitlist, whatever happens in whatever order."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.classes.booking import Booking, Taken, cancelled, placed, promoted, to_promote
from services.classes.offer import Terms
from services.kernel.ids import AccountId, BookingId, ClassId
from services.kernel.problems import ClassBookedUp

TERMS = Terms(title="Hills", duration_min=45, capacity=2, waitlist=2)
NOW = 1_790_000_000_000
NOBODY = Taken(0, 0)


def booking(n: int, terms: Terms = TERMS, taken: Taken = NOBODY) -> Booking:
    """The booking that the n-th wish becomes."""
    return Booking(BookingId(UUID(int=n)), ClassId(UUID(int=9)), AccountId(UUID(int=n)), n, placed(terms, taken), NOW)


@dataclass
class Book:
    """The bookings of one class, kept with the pure functions as the use cases keep them with the store."""

    terms: Terms = TERMS
    bookings: list[Booking] = field(default_factory=list)

    def of(self, state: str) -> list[Booking]:
        return [each for each in self.bookings if each.state == state]

    @property
    def taken(self) -> Taken:
        return Taken(len(self.of("confirmed")), len(self.of("waitlisted")))

    def book(self) -> None:
        self.bookings.append(booking(len(self.bookings) + 1, self.terms, self.taken))

    def cancel(self, which: int) -> None:
        self.bookings[which] = cancelled(self.bookings[which], "member", NOW)
        self.fill()

    def resize(self, capacity: int) -> None:
        self.terms = replace(self.terms, capacity=capacity)
        self.fill()

    def fill(self) -> None:
        for first in self.of("waitlisted")[: to_promote(self.terms, self.taken)]:
            self.bookings[first.n - 1] = promoted(first, NOW)


def test_wishes_fill_the_places_then_the_waitlist_then_nothing() -> None:
    book = Book()
    for _ in range(4):
        book.book()
    assert [each.state for each in book.bookings] == ["confirmed", "confirmed", "waitlisted", "waitlisted"]
    with pytest.raises(ClassBookedUp):
        book.book()


def test_a_place_that_is_given_back_goes_to_the_first_who_waits() -> None:
    book = Book()
    for _ in range(4):
        book.book()
    book.cancel(0)
    assert [each.state for each in book.bookings] == ["cancelled", "confirmed", "confirmed", "waitlisted"]
    assert book.bookings[2].promoted_ms == NOW


def test_whoever_leaves_the_waitlist_moves_nobody_but_those_behind() -> None:
    book = Book()
    for _ in range(4):
        book.book()
    book.cancel(2)
    assert book.taken == Taken(2, 1)
    book.cancel(1)
    assert book.bookings[3].state == "confirmed"


def test_what_was_cancelled_stays_as_it_was() -> None:
    first = cancelled(booking(1), "member", NOW)
    assert cancelled(first, "coach", NOW + 1) is first
    with pytest.raises(ValueError, match="only one that waits"):
        promoted(first, NOW)


@given(
    capacity=st.integers(1, 4),
    waitlist=st.integers(0, 4),
    steps=st.lists(st.tuples(st.sampled_from(["book", "cancel", "resize"]), st.integers(0, 30)), max_size=60),
)
def test_no_place_is_free_while_somebody_waits_and_nobody_is_overtaken(
    capacity: int, waitlist: int, steps: list[tuple[str, int]]
) -> None:
    book = Book(replace(TERMS, capacity=capacity, waitlist=waitlist))
    for step, number in steps:
        before = list(book.bookings)
        if step == "book":
            try:
                book.book()
            except ClassBookedUp:
                assert book.taken.waiting >= waitlist
                assert book.taken.confirmed >= book.terms.capacity or book.taken.waiting
        elif step == "cancel" and book.bookings:
            book.cancel(number % len(book.bookings))
        elif step == "resize":
            book.resize(number % 5 + 1)
        confirmed, waiting = book.taken
        had = sum(each.state == "confirmed" for each in before)
        assert confirmed <= max(book.terms.capacity, had)
        assert not waiting or confirmed >= book.terms.capacity
        came_in = {each.n for each in book.of("confirmed")} - {each.n for each in before if each.state == "confirmed"}
        assert all(n < still.n for n in came_in for still in book.of("waitlisted"))
        assert all(was == book.bookings[was.n - 1] for was in before if was.state == "cancelled")
        assert all(book.bookings[was.n - 1].stands for was in before if was.state == "confirmed" and step != "cancel")
