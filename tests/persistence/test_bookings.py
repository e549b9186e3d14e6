"""Places and waitlists on a real database, with people who come at the same moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from persistence.bookings import Bookings as BookingStore
from persistence.database import Database, open_database
from persistence.offers import Offers as OfferStore
from services.classes.booking import BookingView, Taken
from services.classes.bookings import Bookings
from services.classes.offer import OfferQuery
from services.classes.offers import Offers
from services.kernel.caller import Caller
from services.kernel.facts import BookingCancelled, BookingPromoted, ClassBooked
from services.kernel.ids import AccountId, BookingId, ClassId
from services.kernel.problems import (
    AlreadyBooked,
    BookingShut,
    ClassBookedUp,
    ClassNotFound,
    Forbidden,
    KeyReused,
    NotFound,
)
from tests.support.explaining import Explaining
from tests.support.world import World

AT_ONCE = 20
"""People who are at the database in the same moment."""
HOUR = 3_600


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def bookings(world: World) -> Bookings:
    return Bookings(world.transactions, world.clock, world.ids)


async def coach(world: World) -> Caller:
    return await world.account("Mira", "member", "coach")


async def people(world: World, count: int) -> list[Caller]:
    return [await world.account(f"Person {n}") for n in range(count)]


async def all_at_once(dsn: str, whole: list[Callable[[World], Coroutine[Any, Any, Any]]]) -> list[Any]:
    """Do all of this with as many connections as there are people at the database, each as soon as one is free."""
    queue = list(enumerate(whole))
    answers: list[Any] = [None] * len(whole)
    async with open_database(dsn, size=AT_ONCE) as database:
        world = World(database)

        async def go_on() -> None:
            while queue:
                n, work = queue.pop()
                try:
                    answers[n] = await work(world)
                except ClassBookedUp as problem:
                    answers[n] = problem

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(go_on())
    return answers


def wish(caller: Caller, class_id: ClassId, key: str = "key") -> Callable[[World], Coroutine[Any, Any, BookingView]]:
    return lambda world: Bookings(world.transactions, world.clock, world.ids).book(caller, class_id, key)


def regret(caller: Caller, booking_id: BookingId) -> Callable[[World], Coroutine[Any, Any, BookingView]]:
    return lambda world: Bookings(world.transactions, world.clock, world.ids).cancel(caller, booking_id)


async def test_a_hundred_want_the_last_place_and_one_has_it(world: World, fresh_dsn: str, bookings: Bookings) -> None:
    mira, crowd = await coach(world), await people(world, 100)
    class_id = await world.offer(mira, capacity=1, waitlist=89)
    answers = await all_at_once(fresh_dsn, [wish(person, class_id) for person in crowd])
    had = [answer for answer in answers if isinstance(answer, BookingView)]
    assert sum(answer.state == "confirmed" for answer in had) == 1
    assert sorted(answer.ahead for answer in had if answer.ahead is not None) == list(range(89))
    assert sum(isinstance(answer, ClassBookedUp) for answer in answers) == 10
    roster = [*await bookings.roster(mira, class_id, 0, 200)]
    assert [line.n for line in roster] == list(range(1, 91))
    assert [line.state for line in roster] == ["confirmed"] + ["waitlisted"] * 89
    told = [fact for fact in await world.told() if isinstance(fact, ClassBooked)]
    assert [fact.booking_id for fact in told] == [line.booking for line in roster], "in the order in which it happened"


async def test_whatever_comes_at_once_no_place_is_free_while_somebody_waits(world: World, fresh_dsn: str) -> None:
    class_id = await world.offer(await coach(world), capacity=10)
    crowd = await people(world, 50)
    first = [await world.book(person, class_id) for person in crowd[:30]]
    cancelling = [regret(person, booking.id) for person, booking in zip(crowd[:30:2], first[::2], strict=True)]
    await all_at_once(fresh_dsn, [*cancelling, *(wish(person, class_id) for person in crowd[30:])])
    async with world.transactions() as stores:
        assert await stores.bookings.taken(class_id) == Taken(10, 25)
        (next_one, *_) = await stores.bookings.first_waiting(class_id, 1)
        placed = await stores.tx.fetchval(
            "SELECT max(n) FROM class_bookings WHERE class_id = $1 AND state = 'confirmed'", class_id
        )
    assert placed < next_one.n, "nobody was overtaken"


async def test_a_place_that_is_given_back_has_its_next_owner_in_the_same_transaction(
    world: World, bookings: Bookings
) -> None:
    class_id = await world.offer(await coach(world), capacity=1)
    ada, bob, cleo = await people(world, 3)
    of_ada, of_bob, of_cleo = [await world.book(person, class_id) for person in (ada, bob, cleo)]
    assert (of_ada.ahead, of_bob.ahead, of_cleo.ahead) == (None, 0, 1)
    given_back = await bookings.cancel(ada, of_ada.id)
    assert (given_back.state, given_back.cancelled_by) == ("cancelled", "member")
    now_bob, now_cleo = await bookings.by_id(bob, of_bob.id), await bookings.by_id(cleo, of_cleo.id)
    assert (now_bob.state, now_bob.promoted_at_ms) == ("confirmed", world.clock.wall_ms())
    assert (now_cleo.state, now_cleo.ahead) == ("waitlisted", 0)
    assert (await world.told())[-2:] == [
        BookingCancelled(class_id=class_id, booking_id=of_ada.id, account_id=ada.account_id, by="member"),
        BookingPromoted(class_id=class_id, booking_id=of_bob.id, account_id=bob.account_id),
    ]


async def test_cancelling_again_changes_nothing(world: World, bookings: Bookings) -> None:
    class_id = await world.offer(await coach(world))
    (ada,) = await people(world, 1)
    booked = await world.book(ada, class_id)
    once = await bookings.cancel(ada, booked.id)
    told = await world.told()
    await world.clock.advance(HOUR)
    assert await bookings.cancel(ada, booked.id) == once
    assert await world.told() == told


async def test_the_same_request_again_finds_the_booking_as_it_is_now(world: World, bookings: Bookings) -> None:
    mira = await coach(world)
    class_id, another = await world.offer(mira), await world.offer(mira)
    (ada,) = await people(world, 1)
    first = await bookings.book(ada, class_id, "key")
    assert await bookings.book(ada, class_id, "key") == first
    await bookings.cancel(ada, first.id)
    late = await bookings.book(ada, class_id, "key")
    assert (late.id, late.state) == (first.id, "cancelled"), "a late request brings nothing back"
    with pytest.raises(KeyReused):
        await bookings.book(ada, another, "key")
    assert sum(isinstance(fact, ClassBooked) for fact in await world.told()) == 1


async def test_nobody_has_two_places_and_who_comes_again_is_last(world: World, bookings: Bookings) -> None:
    class_id = await world.offer(await coach(world), capacity=1)
    ada, bob = await people(world, 2)
    first = await world.book(ada, class_id)
    with pytest.raises(AlreadyBooked) as refused:
        await world.book(ada, class_id)
    assert refused.value.data == {"booking": str(first.id)}
    await world.book(bob, class_id)
    await bookings.cancel(ada, first.id)
    again = await world.book(ada, class_id)
    assert (again.state, again.ahead) == ("waitlisted", 0)


async def test_more_room_goes_to_those_who_waited_and_less_takes_from_nobody(world: World) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, capacity=1)
    for person in await people(world, 4):
        await world.book(person, class_id)
    offers = Offers(world.transactions, world.clock, world.ids)
    offer = await offers.by_id(mira, class_id)
    for capacity, taken in ((3, Taken(3, 1)), (1, Taken(3, 1)), (9, Taken(4, 0))):
        terms = type(offer.terms)(title="Hills", duration_min=45, capacity=capacity)
        await offers.change(mira, class_id, offer.starts_at_ms, terms)
        async with world.transactions() as stores:
            assert await stores.bookings.taken(class_id) == taken


async def test_a_place_can_be_given_back_until_the_class_begins_and_taken_away_until_it_ends(
    world: World, bookings: Bookings
) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, in_min=60, capacity=1)
    ada, bob = await people(world, 2)
    booked, waiting = await world.book(ada, class_id), await world.book(bob, class_id)
    await world.clock.advance(HOUR)
    with pytest.raises(BookingShut):
        await bookings.cancel(ada, booked.id)
    assert (await bookings.cancel(mira, booked.id)).cancelled_by == "coach"
    assert (await bookings.by_id(bob, waiting.id)).state == "waitlisted", "it has begun: nobody is promoted any more"
    await world.clock.advance(HOUR)
    with pytest.raises(BookingShut):
        await bookings.cancel(mira, waiting.id)


async def test_what_belongs_to_others_is_not_found(world: World, bookings: Bookings) -> None:
    mira, another = await coach(world), await coach(world)
    class_id = await world.offer(mira)
    ada, bob = await people(world, 2)
    booked = await world.book(ada, class_id)
    for stranger in (bob, another):
        for attempt in (bookings.by_id, bookings.cancel):
            with pytest.raises(NotFound):
                await attempt(stranger, booked.id)
        with pytest.raises(Forbidden):
            await bookings.roster(stranger, class_id, 0, 10)
        assert await bookings.own(stranger) == ()
    assert (await bookings.by_id(mira, booked.id)).id == booked.id
    with pytest.raises(ClassNotFound):
        await bookings.book(ada, ClassId(world.ids.next()), "key")


async def test_own_bookings_come_in_pages_and_those_to_come_by_themselves(world: World, bookings: Bookings) -> None:
    mira = await coach(world)
    (ada,) = await people(world, 1)
    soon, later, given_back = [
        await world.book(ada, await world.offer(mira, in_min=minutes)) for minutes in (60, 600, 700)
    ]
    await bookings.cancel(ada, given_back.id)
    first = await bookings.own(ada, limit=2)
    assert [each.id for each in first] == [given_back.id, later.id]
    assert [each.id for each in await bookings.own(ada, before=later.id)] == [soon.id]
    assert [each.id for each in await bookings.own(ada, upcoming=True)] == [later.id, soon.id]
    await world.clock.advance(2 * HOUR)
    assert [each.id for each in await bookings.own(ada, upcoming=True)] == [later.id]


async def test_offers_are_found_by_what_people_look_for(world: World) -> None:
    mira, cleo = await coach(world), await coach(world)
    (ada,) = await people(world, 1)
    full = await world.offer(mira, in_min=100, capacity=1, level="advanced", equipment=("bike", "strap"))
    easy = await world.offer(mira, in_min=200, level="beginner")
    other = await world.offer(cleo, in_min=200, equipment=("bike",))
    gone = await world.offer(cleo, in_min=300)
    offers = Offers(world.transactions, world.clock, world.ids)
    await offers.call_off(cleo, gone)
    mine = await world.book(ada, full)
    now = world.clock.wall_ms()

    async def found(**query: Any) -> list[ClassId]:
        return [each.id for each in await offers.page(ada, OfferQuery(**{"from_ms": now, **query}))]

    assert await found() == [full, easy, other]
    assert await found(coach=cleo.account_id) == [other]
    assert await found(level="beginner") == [easy]
    assert await found(equipment="bike") == [full, other]
    assert await found(free=True) == [easy, other]
    assert await found(until_ms=now + 200 * 60_000) == [full]
    assert await found(from_ms=now + 200 * 60_000) == [easy, other]
    assert await found(limit=1) == [full]
    assert await found(after=full, limit=1) == [easy]
    assert await found(after=easy) == [other]
    (seen, *_) = await offers.page(ada, OfferQuery(from_ms=now))
    assert (seen.confirmed, seen.waiting, seen.booking, seen.booking_state) == (1, 0, mine.id, "confirmed")
    assert (await offers.by_id(ada, gone)).state == "called_off"


async def test_what_is_asked_for_at_every_join_and_booking_reads_few_rows(world: World) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira)
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            INSERT INTO accounts (id, email, name, password_hash, roles, created_at)
            SELECT gen_random_uuid(), n || '@crowd.example', 'A', '', '{member}', now() FROM generate_series(1, 2000) AS n
            """
        )
        await stores.tx.execute(
            """
            INSERT INTO class_offers (id, coach_id, key, starts_at, terms, created_at)
            SELECT gen_random_uuid(), coach_id, 'many' || n, starts_at + n * interval '1 hour', terms, created_at
            FROM class_offers, generate_series(1, 2000) AS n
            """
        )
        await stores.tx.execute(
            """
            INSERT INTO class_bookings (id, class_id, account_id, key, n, state, booked_at, cancelled_at, cancelled_by)
            SELECT gen_random_uuid(), $1, id, 'k', row_number() OVER (), 'cancelled', now(), now(), 'member' FROM accounts
            """,
            class_id,
        )
        await stores.tx.execute("ANALYZE accounts, class_offers, class_bookings")
        explaining = Explaining(stores.tx)
        seen: Any = explaining
        somebody = AccountId(world.ids.next())
        places, offers = BookingStore(seen), OfferStore(seen)
        await offers.admission(class_id, somebody)
        await places.taken(class_id)
        await places.first_waiting(class_id, 5)
        await places.standing(class_id, somebody)
        await places.next_number(class_id)
        await places.by_key(somebody, "key")
        await places.confirmed_after(class_id, None, 100)
        await places.of_account(somebody, upcoming_at=None, before=None, limit=20)
        await offers.page(OfferQuery(from_ms=world.clock.wall_ms()), somebody)
        assert explaining.most <= 50, explaining.worst
