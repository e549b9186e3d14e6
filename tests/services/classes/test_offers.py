"""Offers and series on a real database: what is planned for later, what comes again, and the doors."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from persistence.database import Database
from services.classes.offer import MS_PER_MINUTE, OfferQuery, OfferView, Terms
from services.classes.offers import Offers, open_doors
from services.classes.recurring import Recurring, grow
from services.classes.series import AHEAD_DAYS, Weekly
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import ClassCalledOff, ClassEnded, ClassReminderDue
from services.kernel.ids import ClassId, SeriesId
from services.kernel.problems import BadShape, Forbidden, KeyReused, NotFound, OfferFixed
from tests.support.world import World

TERMS = Terms(title="Hills", duration_min=45, capacity=10)
DAILY = Weekly(
    days=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), at="18:30", zone="Europe/Vienna", from_day=date(2026, 1, 1)
)


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def offers(world: World) -> Offers:
    return Offers(world.transactions, world.clock, world.ids)


@pytest.fixture
def recurring(world: World) -> Recurring:
    return Recurring(world.transactions, world.clock, world.ids)


async def coach(world: World) -> Caller:
    return await world.account("Mira", "member", "coach")


async def planned(world: World) -> dict[str, int]:
    """What is to be told later, by kind of fact, in minutes from now."""
    async with world.transactions() as stores:
        rows = await stores.tx.fetch("SELECT kind, due_at FROM schedule_once ORDER BY due_at")
    now = utc(world.clock.wall_ms())
    return {row["kind"]: round((row["due_at"] - now) / timedelta(minutes=1)) for row in rows}


async def doors(world: World, class_id: ClassId) -> bool:
    """Say that the doors of a class are due; whether they opened."""
    async with world.transactions() as stores:
        return await open_doors(stores, class_id, world.clock.wall_ms()) is not None


async def test_an_offer_plans_its_doors_and_its_reminder_and_takes_them_along(world: World, offers: Offers) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, in_min=300)
    assert await planned(world) == {"class.reminder_due": 240, "class.doors_due": 285}
    later_ms = world.clock.wall_ms() + 500 * MS_PER_MINUTE
    await offers.change(mira, class_id, later_ms, Terms(title="Hills", duration_min=45, capacity=10, remind_min=30))
    assert await planned(world) == {"class.reminder_due": 470, "class.doors_due": 485}
    await offers.change(mira, class_id, later_ms, Terms(title="Hills", duration_min=45, capacity=10, remind_min=0))
    assert await planned(world) == {"class.doors_due": 485}
    await offers.call_off(mira, class_id)
    assert await planned(world) == {}
    assert await world.told() == [ClassCalledOff(class_id=class_id)]


async def test_a_reminder_that_was_told_is_told_again_when_the_class_is_put_off(world: World, offers: Offers) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, in_min=61)
    await world.clock.advance(60)
    async with world.transactions() as stores:
        await stores.schedule.tell(stores.outbox, utc(world.clock.wall_ms()), 10)
    assert await world.told() == [ClassReminderDue(class_id=class_id)]
    await offers.change(mira, class_id, world.clock.wall_ms() + 200 * MS_PER_MINUTE, TERMS)
    assert await planned(world) == {"class.reminder_due": 140, "class.doors_due": 185}


async def test_what_is_offered_too_late_to_be_reminded_of_reminds_nobody(world: World) -> None:
    await world.offer(await coach(world), in_min=30)
    assert await planned(world) == {"class.doors_due": 15}


async def test_the_same_offer_again_is_found_and_another_under_its_key_is_refused(world: World, offers: Offers) -> None:
    mira, starts_ms = await coach(world), world.clock.wall_ms() + 60 * MS_PER_MINUTE
    first = await offers.create(mira, starts_ms, TERMS, "key")
    assert await offers.create(mira, starts_ms, TERMS, "key") == first
    with pytest.raises(KeyReused):
        await offers.create(mira, starts_ms + 1, TERMS, "key")
    assert len(await offers.page(mira, OfferQuery(from_ms=0))) == 1


async def test_only_coaches_offer_and_only_what_is_to_come(world: World, offers: Offers) -> None:
    now = world.clock.wall_ms()
    with pytest.raises(Forbidden):
        await offers.create(await world.account(), now + 60 * MS_PER_MINUTE, TERMS, "key")
    with pytest.raises(BadShape):
        await offers.create(await coach(world), now + 15 * MS_PER_MINUTE, TERMS, "key")


async def test_the_doors_open_once_and_the_class_has_the_id_of_its_offer(world: World, offers: Offers) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, in_min=60)
    assert not await doors(world, class_id), "it was put off since it was planned"
    await world.clock.advance(45 * 60)
    assert await doors(world, class_id)
    assert not await doors(world, class_id)
    async with world.transactions() as stores:
        live = await stores.classes.by_id(class_id)
    assert live is not None
    assert (live.title, live.coach_id, live.created_ms, live.over) == (
        "Hills",
        mira.account_id,
        world.clock.wall_ms(),
        False,
    )
    with pytest.raises(OfferFixed):
        await offers.change(mira, class_id, world.clock.wall_ms() + 60 * MS_PER_MINUTE, TERMS)


async def test_a_class_that_is_called_off_with_its_doors_open_ends(world: World, offers: Offers) -> None:
    mira = await coach(world)
    class_id = await world.offer(mira, in_min=16)
    await world.clock.advance(60)
    assert await doors(world, class_id)
    off = await offers.call_off(mira, class_id)
    assert await offers.call_off(mira, class_id) == off
    assert await world.told() == [ClassCalledOff(class_id=class_id), ClassEnded(class_id=class_id)]
    assert not await doors(world, class_id)


async def test_whoever_has_a_place_finds_the_join_code_once_the_doors_are_open(world: World) -> None:
    class_id = await world.offer(await coach(world), in_min=60, capacity=1)
    ada, bob = await world.account("Ada"), await world.account("Bob")
    of_ada, of_bob = await world.book(ada, class_id), await world.book(bob, class_id)
    assert of_ada.code is None
    await world.clock.advance(45 * 60)
    await doors(world, class_id)
    async with world.transactions() as stores:
        live = await stores.classes.by_id(class_id)
        seen = [await stores.bookings.booked(each.id) for each in (of_ada, of_bob)]
    assert live is not None
    assert [each.code for each in seen if each is not None] == [live.code, None]


# -- series -----------------------------------------------------------------------------------------------------------


async def test_a_class_has_the_teams_that_were_offered_also_one_of_a_series(
    world: World, offers: Offers, recurring: Recurring
) -> None:
    mira = await coach(world)
    single = await world.offer(mira, in_min=60, teams=(" Red", "Blue "))
    terms = Terms(title="Derby", duration_min=45, capacity=10, teams=("Hills", "Flats"))
    (first, *_) = await offered(world, offers, mira, (await recurring.create(mira, DAILY, terms, "key")).id)
    others = Terms(title="Derby", duration_min=45, capacity=10, teams=("North", "South", "West"))
    await offers.change(mira, first.id, first.starts_at_ms, others)
    for class_id, teams in ((single, ("Red", "Blue")), (first.id, ("North", "South", "West"))):
        offer = await offers.by_id(mira, class_id)
        assert offer.terms.teams == teams
        await world.clock.advance((offer.doors_open_at_ms - world.clock.wall_ms()) / 1_000)
        assert await doors(world, class_id)
        async with world.transactions() as stores:
            live = await stores.classes.by_id(class_id)
        assert live is not None
        assert live.teams == teams


async def test_a_program_that_knows_no_teams_reads_the_terms_of_classes_without_any(world: World) -> None:
    await world.offer(await coach(world))
    await world.offer(await coach(world), teams=("Red", "Blue"))
    async with world.transactions() as stores:
        rows = await stores.tx.fetch("SELECT terms ? 'teams' AS says, terms FROM class_offers ORDER BY id")
    assert [row["says"] for row in rows] == [False, True]
    assert [msgspec.json.decode(row["terms"], type=Terms).teams for row in rows] == [(), ("Red", "Blue")]


async def offered(world: World, offers: Offers, viewer: Caller, series: SeriesId) -> list[OfferView]:
    found: list[OfferView] = []
    while page := await offers.page(
        viewer, OfferQuery(from_ms=0, series=series, limit=50, after=found[-1].id if found else None)
    ):
        found += page
    return found


async def grown(world: World) -> int:
    """One bite of the job that offers what comes next."""
    async with world.transactions() as stores:
        return await grow(stores, world.ids, world.clock.wall_ms(), 10)


async def test_a_series_offers_four_weeks_and_then_day_by_day(
    world: World, offers: Offers, recurring: Recurring
) -> None:
    mira = await coach(world)
    made = await recurring.create(mira, DAILY, TERMS, "key")
    first = await offered(world, offers, mira, made.id)
    assert made.offered_through == utc(world.clock.wall_ms()).date() + timedelta(days=AHEAD_DAYS)
    assert len(first) == AHEAD_DAYS + 1  # at 14:13 UTC, that of today is still to come
    assert await grown(world) == 0
    await world.clock.advance(24 * 3_600)
    assert (await grown(world), await grown(world)) == (1, 0)
    then = await offered(world, offers, mira, made.id)
    assert len(then) == len(first) + 1
    assert then[:-1] == first


async def test_what_was_called_off_or_put_off_is_not_made_again(
    world: World, offers: Offers, recurring: Recurring
) -> None:
    mira = await coach(world)
    made = await recurring.create(mira, DAILY, TERMS, "key")
    first, second, *rest = await offered(world, offers, mira, made.id)
    await offers.call_off(mira, first.id)
    moved = await offers.change(mira, second.id, second.starts_at_ms + 60 * MS_PER_MINUTE, TERMS)
    async with world.transactions() as stores:
        await stores.offers.made(made.id, date(2026, 1, 1))  # as if nothing had been made
    assert await grown(world) == 1
    assert await offered(world, offers, mira, made.id) == [moved, *rest]


async def test_a_series_that_is_ended_offers_no_more_and_keeps_what_it_has(
    world: World, offers: Offers, recurring: Recurring
) -> None:
    mira = await coach(world)
    made = await recurring.create(mira, DAILY, TERMS, "key")
    before = await offered(world, offers, mira, made.id)
    with pytest.raises(Forbidden):
        await recurring.end(await coach(world), made.id)
    ended = await recurring.end(mira, made.id)
    assert ended.ended_at_ms == world.clock.wall_ms()
    await world.clock.advance(48 * 3_600)
    assert await recurring.end(mira, made.id) == ended
    assert await grown(world) == 0
    assert await offered(world, offers, mira, made.id) == before
    with pytest.raises(NotFound):
        await recurring.end(mira, SeriesId(world.ids.next()))


async def test_a_series_whose_last_day_has_come_is_left_alone(world: World, recurring: Recurring) -> None:
    now = datetime.fromtimestamp(world.clock.wall_ms() / 1_000, UTC).date()
    rule = Weekly(days=("mon",), at="07:00", zone="UTC", from_day=now, until_day=now + timedelta(days=3))
    await recurring.create(await coach(world), rule, TERMS, "key")
    await world.clock.advance(5 * 24 * 3_600)
    assert await grown(world) == 0


async def test_the_same_series_again_is_found_and_another_under_its_key_is_refused(
    world: World, offers: Offers, recurring: Recurring
) -> None:
    mira = await coach(world)
    made = await recurring.create(mira, DAILY, TERMS, "key")
    assert await recurring.create(mira, DAILY, TERMS, "key") == made
    with pytest.raises(KeyReused):
        await recurring.create(mira, DAILY, Terms(title="Flats", duration_min=45, capacity=10), "key")
    assert await recurring.own(mira, None, 10) == (made,)
    assert len(await offered(world, offers, mira, made.id)) == AHEAD_DAYS + 1
