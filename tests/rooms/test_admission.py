"""Who is let into a class that was offered beforehand, through the room and through a stream."""

import msgspec
import pytest

from persistence.stores import Transactions
from rooms.audience import said_removed
from rooms.hall import removal_key
from rooms.room import channel_of
from services.accounts.entitlements import Entitlements
from services.classes.bookings import Bookings
from services.classes.offer import MS_PER_MINUTE, Terms
from services.classes.offers import Offers, open_doors
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import ClassId, Uuid7Ids
from services.kernel.problems import DoorsShut, EntitlementNeeded, Forbidden, NotBooked
from services.organisations.organisations import Organisations
from tests.rooms.conftest import World

IN_MIN = 20


class Hall:
    """A class that begins in twenty minutes, with its doors open for five of them and for ten after."""

    def __init__(self, world: World) -> None:
        ids = Uuid7Ids(world.clock)
        self.world, self.transactions = world, Transactions(world.database, world.clock, ids)
        self.offers = Offers(self.transactions, world.clock, ids)
        self.bookings = Bookings(self.transactions, world.clock, ids)
        self.entitlements = Entitlements(self.transactions, world.clock, ids)

    async def offer(self, coach: Caller, *, booked_only: bool = True) -> ClassId:
        terms = Terms(title="Hills", duration_min=45, capacity=5, booked_only=booked_only, doors_open_min=5)
        starts_ms = self.world.clock.wall_ms() + IN_MIN * MS_PER_MINUTE
        return (await self.offers.create(coach, starts_ms, terms, "key")).id

    async def open(self, class_id: ClassId) -> str:
        """Wait for the doors; the join code."""
        await self.world.advance((IN_MIN - 5) * 60)
        async with self.transactions() as stores:
            live = await open_doors(stores, class_id, self.world.clock.wall_ms())
        assert live is not None
        return live.code


@pytest.fixture
def hall(world: World) -> Hall:
    return Hall(world)


async def test_only_who_has_a_place_is_let_in_by_either_way(world: World, hall: Hall) -> None:
    node, mia = world.node(), await world.person("Mia", coach=True)
    ada, bob = await world.person("Ada"), await world.person("Bob")
    class_id = await hall.offer(mia)
    await hall.bookings.book(ada, class_id, "key")
    code = await hall.open(class_id)
    assert (await node.join(node.connect(ada), code)).room.id == class_id
    assert (await node.open(node.connect(ada), code)).class_id == class_id
    for attempt in (node.join, node.open):
        with pytest.raises(NotBooked):
            await attempt(node.connect(bob), code)
    with pytest.raises(NotBooked):
        await node.join(node.connect(bob), code, "spectator")
    assert (await node.join(node.connect(mia), code, "coach")).room.id == class_id
    rides_along = (await node.join(node.connect(mia), code, "athlete")).you
    assert rides_along is not None
    assert (rides_along.n, rides_along.role) == (2, "athlete"), "who was refused has no number"


async def test_when_the_doors_are_shut_newcomers_stay_out_and_who_was_in_comes_back(world: World, hall: Hall) -> None:
    node = world.node()
    ada, bob = await world.person("Ada"), await world.person("Bob")
    class_id = await hall.offer(await world.person("Mia", coach=True), booked_only=False)
    code = await hall.open(class_id)
    first = node.connect(ada)
    await node.join(first, code)
    stream = (await node.open(first, code)).stream
    node.cut(first)
    await world.advance(15 * 60)
    for attempt in (node.join, node.open):
        with pytest.raises(DoorsShut):
            await attempt(node.connect(bob), code)
    again = node.connect(ada)
    await node.join(again, code)
    assert (await node.open(again, code, stream)).epoch == 2
    assert (await node.open(node.connect(ada), code)).class_id == class_id, "with another device, too"


async def test_a_class_that_was_never_offered_lets_in_whoever_knows_its_code(world: World) -> None:
    node = world.node()
    live = await node.create_class(await world.person("Mia", coach=True))
    assert (await node.join(node.connect(await world.person("Bob")), live.code)).room.id == live.id


async def test_a_class_that_needs_something_asks_every_newcomer_for_it_at_that_moment_on_every_node(
    world: World, hall: Hall
) -> None:
    here, there = world.node(), world.node()
    mia = await world.person("Mia", coach=True)
    ada, bob = await world.person("Ada"), await world.person("Bob")
    live = await here.classes.create(mia, "Hills", "premium")
    assert (await here.join(here.connect(mia), live.code, "coach")).room.needs == "premium"
    for node in (here, there):
        for attempt in (node.join, node.open):
            with pytest.raises(EntitlementNeeded):
                await attempt(node.connect(ada), live.code)
    for person in (ada, bob):
        await hall.entitlements.grant(person.account_id, "premium", "operator", None, None)
    assert (await there.join(there.connect(ada), live.code)).room.id == live.id
    await hall.entitlements.withdraw(bob.account_id, "premium", "operator")
    for node in (here, there):
        with pytest.raises(EntitlementNeeded) as refused:
            await node.join(node.connect(bob), live.code)
        assert refused.value.data == {"needs": "premium", "reason": "withdrawn"}


async def test_who_is_in_finishes_the_class_though_the_entitlement_has_run_out(world: World, hall: Hall) -> None:
    here, there = world.node(), world.node()
    ada = await world.person("Ada")
    live = await here.classes.create(await world.person("Mia", coach=True), "Hills", "premium")
    ends_ms = world.clock.wall_ms() + 60_000
    await hall.entitlements.grant(ada.account_id, "premium", "voucher", None, ends_ms)
    first = here.connect(ada)
    await here.join(first, live.code)
    await world.advance(120)
    here.cut(first)
    assert (await there.join(there.connect(ada), live.code)).room.id == live.id
    assert (await there.open(there.connect(ada), live.code)).class_id == live.id
    another = await here.classes.create(await world.person("Cleo", coach=True), "Valley", "premium")
    with pytest.raises(EntitlementNeeded):
        await here.join(here.connect(ada), another.code)


async def test_a_screen_of_the_class_needs_nothing(world: World) -> None:
    node = world.node()
    live = await node.classes.create(await world.person("Mia", coach=True), "Hills", "premium")
    screen = msgspec.structs.replace(await world.person("Wall"), roles=frozenset({"display"}), class_id=live.id)
    assert (await node.join(node.connect(screen), live.code, "spectator")).you is None


async def test_who_is_removed_from_its_organisation_is_out_of_a_class_for_members_on_an_open_connection(
    world: World, hall: Hall
) -> None:
    """ASVS 8.3.2: a right that is taken holds at once, on what has been open all along; as a worker says it on every node."""
    node, mia, ada = world.node(), await world.person("Mia", coach=True), await world.person("Ada")
    organisations = Organisations(hall.transactions, world.clock, Uuid7Ids(world.clock))
    gym = (await organisations.make(mia, "Harbour Gym")).organisation.id
    async with hall.transactions() as stores:
        await stores.organisations.seat(gym, ada.account_id, "member", utc(world.clock.wall_ms()))
    terms = Terms("Hills", 45, 5, booked_only=False, doors_open_min=5, organisation=gym, members="only")
    starts_ms = world.clock.wall_ms() + IN_MIN * MS_PER_MINUTE
    class_id = (await hall.offers.create(mia, starts_ms, terms, "key")).id
    code = await hall.open(class_id)
    phone, watch = node.connect(ada), node.connect(ada)
    joined = await node.join(phone, code)
    assert joined.you is not None
    await organisations.remove(mia, gym, ada.account_id)
    with pytest.raises(Forbidden, match="members of its organisation"):
        await node.join(watch, code)
    said = said_removed(class_id, ada.account_id, joined.you.n, 1)
    await node.rooms.feeds.append(channel_of(class_id), "room.removed", said, removal_key(ada.account_id, 1))
    await world.advance(0)
    assert class_id not in phone.rooms
