"""Classes in the name of an organisation: who offers, finds and books them, and what whoever goes loses; on a real database."""

import asyncio
from datetime import date

import msgspec
import pytest

from persistence.database import Database
from rooms.seating import admit, seat
from services.access.role import OrgRole
from services.classes.booking import BookingView
from services.classes.bookings import Bookings
from services.classes.live_class import LiveClass
from services.classes.offer import MS_PER_MINUTE, OfferQuery, OfferView, Terms
from services.classes.offers import Offers, open_doors
from services.classes.recurring import Recurring, grow
from services.classes.series import Weekly
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import BookingCancelled, BookingPromoted, ClassMemberRemoved
from services.kernel.ids import ClassId, OrganisationId
from services.kernel.problems import BookingShut, ClassNotFound, Forbidden, NotFound, RemovedFromClass
from services.organisations.organisations import Organisations
from tests.support.world import World

IN_MIN = 24 * 60
TERMS = Terms(title="Hills", duration_min=45, capacity=1)


class Gym:
    """An organisation with an owner Mira who coaches classes, and whoever is seated."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.organisations = Organisations(world.transactions, world.clock, world.ids)
        self.offers = Offers(world.transactions, world.clock, world.ids)
        self.bookings = Bookings(world.transactions, world.clock, world.ids)
        self.mira: Caller
        self.id: OrganisationId

    async def opened(self) -> "Gym":
        mira = await self.world.account("Mira", "member", "coach")
        self.mira = msgspec.structs.replace(mira, fresh_at_ms=self.world.clock.wall_ms())
        self.id = (await self.organisations.make(self.mira, "Harbour Gym")).organisation.id
        return self

    async def seated(self, name: str, role: OrgRole = "member") -> Caller:
        who = await self.world.account(name, "member", "coach")
        async with self.world.transactions() as stores:
            await stores.organisations.seat(self.id, who.account_id, role, utc(self.world.clock.wall_ms()))
        return who

    async def offer(self, coach: Caller | None = None, **terms: object) -> ClassId:
        wanted = {"organisation": self.id, "members": "only", "capacity": 1} | terms
        return await self.world.offer(coach or self.mira, IN_MIN, **wanted)

    async def book(self, who: Caller, class_id: ClassId) -> BookingView:
        return await self.bookings.book(who, class_id, "key")

    async def state(self, who: Caller, booking: BookingView) -> tuple[str, str | None]:
        found = await self.bookings.by_id(who, booking.id)
        return found.state, found.cancelled_by

    async def found(self, who: Caller, organisation: OrganisationId | None = None) -> list[OfferView]:
        return list(await self.offers.page(who, OfferQuery(0, organisation=organisation)))

    async def live(self, class_id: ClassId) -> LiveClass:
        """The class, once its doors are open."""
        await self.world.clock.advance((IN_MIN - 10) * 60)
        async with self.world.transactions() as stores:
            live = await open_doors(stores, class_id, self.world.clock.wall_ms())
        assert live is not None
        return live

    async def come_in(self, who: Caller, live: LiveClass) -> None:
        """As a room lets somebody in."""
        now = utc(self.world.clock.wall_ms())
        async with self.world.transactions() as stores:
            await admit(stores, live, who, now)
            await seat(stores, live, who.account_id, "athlete", now)

    async def is_in(self, who: Caller, live: LiveClass) -> bool:
        async with self.world.transactions() as stores:
            found = await stores.classes.membership(live.id, who.account_id)
        return found is not None and not found.removed


@pytest.fixture
async def gym(database: Database) -> Gym:
    return await Gym(World(database)).opened()


async def test_owners_admins_and_coaches_offer_in_its_name_and_for_strangers_it_does_not_exist(gym: Gym) -> None:
    """OWASP API5:2023."""
    for name, role in (("Ada", "admin"), ("Ben", "coach")):
        who = await gym.seated(name, role)  # type: ignore[arg-type]
        assert (await gym.offers.by_id(who, await gym.offer(who))).organisation == "Harbour Gym"
    with pytest.raises(Forbidden, match="coaches of this organisation"):
        await gym.offer(await gym.seated("Cleo"))
    stranger = await gym.world.account("Dora", "member", "coach")
    with pytest.raises(NotFound) as refused:
        await gym.offer(stranger)
    assert refused.value.message == NotFound().message
    own = await gym.world.offer(stranger, IN_MIN)
    start = (await gym.offers.by_id(stranger, own)).starts_at_ms
    with pytest.raises(NotFound):
        await gym.offers.change(stranger, own, start, msgspec.structs.replace(TERMS, organisation=gym.id))


async def test_what_is_for_members_only_does_not_exist_for_others(gym: Gym) -> None:
    """OWASP API1:2023: neither found, nor booked, nor told apart from an id that nobody has."""
    class_id, open_to_all = await gym.offer(), await gym.offer(members="all")
    ana, eve = await gym.seated("Ana"), await gym.world.account("Eve", "member", "coach")
    assert [each.id for each in await gym.found(ana, gym.id)] == [class_id, open_to_all]
    assert [each.id for each in await gym.found(eve)] == [open_to_all]
    start = (await gym.offers.by_id(ana, class_id)).starts_at_ms
    for attempt in (
        gym.offers.by_id(eve, class_id),
        gym.book(eve, class_id),
        gym.bookings.roster(eve, class_id, 0, 10),
        gym.offers.change(eve, class_id, start, TERMS),
        gym.offers.call_off(eve, class_id),
    ):
        with pytest.raises(ClassNotFound) as refused:
            await attempt
        assert refused.value.message == ClassNotFound().message
    assert (await gym.book(ana, class_id)).state == "confirmed"


async def test_members_book_first_and_others_when_it_is_their_time(gym: Gym) -> None:
    class_id = await gym.offer(members="first", others_open_min=120, capacity=5)
    ana, eve = await gym.seated("Ana"), await gym.world.account("Eve")
    theirs, hers = await gym.offers.by_id(eve, class_id), await gym.offers.by_id(ana, class_id)
    assert theirs.booking_opens_at_ms == theirs.starts_at_ms - 120 * MS_PER_MINUTE > hers.booking_opens_at_ms
    with pytest.raises(BookingShut):
        await gym.book(eve, class_id)
    assert (await gym.book(ana, class_id)).state == "confirmed"
    await gym.world.clock.advance((IN_MIN - 120) * 60)
    assert (await gym.book(eve, class_id)).state == "confirmed"


async def test_who_administers_it_sees_who_has_booked_and_nobody_else_does(gym: Gym) -> None:
    ben = await gym.seated("Ben", "coach")
    class_id = await gym.offer(ben)
    ana = await gym.seated("Ana")
    await gym.book(ana, class_id)
    for who in (ben, gym.mira, await gym.seated("Ada", "admin")):
        assert [line.name for line in await gym.bookings.roster(who, class_id, 0, 10)] == ["Ana"]
    for who in (ana, await gym.seated("Carl", "coach")):
        with pytest.raises(Forbidden):
            await gym.bookings.roster(who, class_id, 0, 10)


@pytest.mark.parametrize("how", ["removed", "leaves", "dissolved"])
async def test_who_goes_loses_the_place_and_the_next_one_has_it_at_once(gym: Gym, how: str) -> None:
    """ASVS 8.3.2: what is taken from somebody holds at once."""
    class_id, public = await gym.offer(), await gym.offer(members="all")
    ana, ben = await gym.seated("Ana"), await gym.seated("Ben")
    hers, his, other = await gym.book(ana, class_id), await gym.book(ben, class_id), None
    other = await gym.bookings.book(ana, public, "other")
    if how == "removed":
        await gym.organisations.remove(gym.mira, gym.id, ana.account_id)
    elif how == "leaves":
        await gym.organisations.leave(ana, gym.id)
    else:
        await gym.organisations.dissolve(gym.mira, gym.id)
    assert await gym.state(ana, hers) == ("cancelled", "organisation")
    assert await gym.state(ana, other) == ("confirmed", None), "what everybody may book stays"
    told = [each for each in await gym.world.told() if isinstance(each, BookingCancelled | BookingPromoted)]
    gone = BookingCancelled(class_id, hers.id, ana.account_id, "organisation")
    if how == "dissolved":
        assert await gym.state(ben, his) == ("cancelled", "organisation")
        assert told == [gone, BookingCancelled(class_id, his.id, ben.account_id, "organisation")]
    else:
        assert await gym.state(ben, his) == ("confirmed", None)
        assert told == [gone, BookingPromoted(class_id, his.id, ben.account_id)]
    with pytest.raises(ClassNotFound):
        await gym.bookings.book(ana, class_id, "again")


async def test_a_booking_and_a_removal_at_once_leave_no_booking(gym: Gym) -> None:
    """ASVS 15.4.2: whichever is first."""
    classes = [await gym.offer(capacity=20) for _ in range(4)]
    ana = await gym.seated("Ana")
    answers = await asyncio.gather(
        *(gym.bookings.book(ana, class_id, str(n)) for n, class_id in enumerate(classes)),
        gym.organisations.remove(gym.mira, gym.id, ana.account_id),
        return_exceptions=True,
    )
    assert answers[-1] is None
    assert all(isinstance(each, BookingView | ClassNotFound) for each in answers[:-1])
    for class_id in classes:
        assert not await gym.bookings.roster(gym.mira, class_id, 0, 10)


async def test_whoever_waited_before_it_was_for_members_only_is_not_given_a_place(gym: Gym) -> None:
    class_id = await gym.offer(members="all")
    ana, eve, ben = await gym.seated("Ana"), await gym.world.account("Eve"), await gym.seated("Ben")
    await gym.book(ana, class_id)
    hers, his = await gym.book(eve, class_id), await gym.book(ben, class_id)
    view = await gym.offers.by_id(gym.mira, class_id)
    terms = msgspec.structs.replace(view.terms, members="only", capacity=2)
    await gym.offers.change(gym.mira, class_id, view.starts_at_ms, terms)
    assert await gym.state(eve, hers) == ("cancelled", "organisation")
    assert await gym.state(ben, his) == ("confirmed", None)


async def test_who_is_removed_is_sent_out_of_the_class_that_goes_on_and_not_let_in_again(gym: Gym) -> None:
    """ASVS 8.3.2: the fact is what nodes put them out by, on every connection."""
    class_id = await gym.offer(capacity=5, booked_only=False)
    ana, eve = await gym.seated("Ana"), await gym.world.account("Eve")
    live = await gym.live(class_id)
    with pytest.raises(Forbidden, match="members of its organisation"):
        await gym.come_in(eve, live)
    await gym.come_in(ana, live)
    assert await gym.is_in(ana, live)
    await gym.organisations.remove(gym.mira, gym.id, ana.account_id)
    (fact,) = [each for each in await gym.world.told() if isinstance(each, ClassMemberRemoved)]
    assert (fact.class_id, fact.account_id, fact.removals) == (class_id, ana.account_id, 1)
    assert not await gym.is_in(ana, live)
    with pytest.raises(Forbidden):
        await gym.come_in(ana, live)
    async with gym.world.transactions() as stores:
        seat_again = utc(gym.world.clock.wall_ms())
        await stores.organisations.seat(gym.id, ana.account_id, "member", seat_again)
    with pytest.raises(RemovedFromClass):
        await gym.come_in(ana, live)


async def test_coming_in_and_being_removed_at_once_leaves_nobody_in_the_class(gym: Gym) -> None:
    """ASVS 15.4.2: whichever is first."""
    class_id = await gym.offer(capacity=5, booked_only=False)
    people = [await gym.seated(f"Ana {n}") for n in range(5)]
    live = await gym.live(class_id)
    removals = (gym.organisations.remove(gym.mira, gym.id, each.account_id) for each in people)
    answers = await asyncio.gather(*(gym.come_in(each, live) for each in people), *removals, return_exceptions=True)
    assert all(each is None or isinstance(each, Forbidden) for each in answers)
    assert answers[len(people) :] == [None] * len(people)
    assert not any([await gym.is_in(each, live) for each in people])


async def test_the_coach_of_a_class_leads_it_to_its_end_also_when_they_are_removed(gym: Gym) -> None:
    ben = await gym.seated("Ben", "coach")
    live = await gym.live(await gym.offer(ben, booked_only=False))
    await gym.come_in(ben, live)
    await gym.organisations.remove(gym.mira, gym.id, ben.account_id)
    assert await gym.is_in(ben, live)


async def test_a_series_in_its_name_ends_once_its_coach_does_not_coach_there(gym: Gym) -> None:
    world = gym.world
    ben = await gym.seated("Ben", "coach")
    recurring = Recurring(world.transactions, world.clock, world.ids)
    rule = Weekly(days=("mon", "thu"), at="18:30", zone="UTC", from_day=date(2026, 1, 1))
    terms = msgspec.structs.replace(TERMS, organisation=gym.id, members="only")
    with pytest.raises(Forbidden):
        await recurring.create(await gym.seated("Cleo"), rule, terms, "key")
    made = await recurring.create(ben, rule, terms, "key")
    offered = await gym.found(ben)
    await gym.organisations.seat(gym.mira, gym.id, ben.account_id, "member")
    await world.clock.advance(7 * 24 * 3_600)
    async with world.transactions() as stores:
        assert await grow(stores, world.ids, world.clock.wall_ms(), 10) == 1
        assert await grow(stores, world.ids, world.clock.wall_ms(), 10) == 0
    (ended,) = await recurring.own(ben, None, 10)
    assert (ended.id, ended.ended_at_ms) == (made.id, world.clock.wall_ms())
    assert await gym.found(ben) == offered, "what is offered stays"
