"""Grants on a real database: what is told, what stays to be read, and the waitlist of a class that needs one."""

import pytest

from persistence.database import Database
from services.accounts.entitlements import Entitlements
from services.classes.bookings import Bookings
from services.classes.offers import open_doors
from services.kernel.caller import Caller
from services.kernel.facts import BookingCancelled, BookingPromoted, EntitlementGranted, EntitlementWithdrawn
from services.kernel.ids import AccountId
from services.kernel.problems import BadShape, EntitlementNeeded, NotFound
from tests.support.world import World


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


@pytest.fixture
def entitlements(world: World) -> Entitlements:
    return Entitlements(world.transactions, world.clock, world.ids)


@pytest.fixture
def bookings(world: World) -> Bookings:
    return Bookings(world.transactions, world.clock, world.ids)


async def entitled(entitlements: Entitlements, *people: Caller, name: str = "premium") -> None:
    """Grant something to all of these, without an end."""
    for person in people:
        await entitlements.grant(person.account_id, name, "operator", None, None)


async def test_the_same_grant_again_changes_nothing_and_tells_nothing(world: World, entitlements: Entitlements) -> None:
    ada = await world.account()
    now_ms = world.clock.wall_ms()
    for _ in range(2):
        (view,) = await entitlements.grant(ada.account_id, "premium", "voucher:1", None, now_ms + 1_000)
        await world.clock.advance(0.5)
    assert (view.name, view.source, view.holds, view.from_ms) == ("premium", "voucher:1", True, now_ms)
    fact = EntitlementGranted(ada.account_id, "premium", "voucher:1", now_ms, now_ms + 1_000)
    assert await world.told() == [fact]


async def test_another_grant_of_a_source_replaces_the_one_before_and_both_stay_to_be_read(
    world: World, entitlements: Entitlements
) -> None:
    ada = await world.account()
    now_ms = world.clock.wall_ms()
    await entitlements.grant(ada.account_id, "premium", "sub", None, now_ms + 1_000)
    await world.clock.advance(0.4)
    longer, before = await entitlements.grant(ada.account_id, "premium", "sub", None, now_ms + 9_000)
    assert (longer.holds, longer.from_ms, longer.until_ms) == (True, now_ms, now_ms + 9_000)
    assert (before.holds, before.withdrawn_at_ms) == (False, now_ms + 400)


async def test_what_was_over_when_it_is_granted_again_begins_anew(world: World, entitlements: Entitlements) -> None:
    ada = await world.account()
    now_ms = world.clock.wall_ms()
    await entitlements.grant(ada.account_id, "premium", "sub", None, now_ms + 1_000)
    await world.clock.advance(5)
    newest, _ = await entitlements.grant(ada.account_id, "premium", "sub", None, None)
    assert newest.from_ms == now_ms + 5_000


async def test_what_one_source_takes_back_another_still_gives(world: World, entitlements: Entitlements) -> None:
    ada = await world.account()
    for source in ("voucher", "subscription"):
        await entitlements.grant(ada.account_id, "premium", source, None, None)
    for _ in range(2):
        left = await entitlements.withdraw(ada.account_id, "premium", "voucher")
    assert {(each.source, each.holds) for each in left} == {("voucher", False), ("subscription", True)}
    assert (await world.told())[2:] == [EntitlementWithdrawn(ada.account_id, "premium", "voucher")]
    assert await entitlements.own(ada) == left


async def test_what_cannot_be_granted_is_refused(world: World, entitlements: Entitlements) -> None:
    ada = await world.account()
    with pytest.raises(NotFound):
        await entitlements.grant(AccountId(world.ids.next()), "premium", "operator", None, None)
    with pytest.raises(BadShape):
        await entitlements.grant(ada.account_id, "premium", "operator", 2_000, 1_000)
    assert await world.told() == []


async def test_who_lacks_what_a_class_needs_cannot_book_it(
    world: World, entitlements: Entitlements, bookings: Bookings
) -> None:
    mira, ada = await world.account("Mira", "member", "coach"), await world.account()
    class_id = await world.offer(mira, needs="premium")
    with pytest.raises(EntitlementNeeded) as refused:
        await world.book(ada, class_id)
    assert refused.value.data == {"needs": "premium", "reason": "never"}
    await entitled(entitlements, ada)
    assert (await world.book(ada, class_id)).state == "confirmed"


async def test_whose_turn_it_is_without_what_is_needed_loses_the_number_and_the_next_one_has_the_place(
    world: World, entitlements: Entitlements, bookings: Bookings
) -> None:
    mira = await world.account("Mira", "member", "coach")
    ada, bob, cleo, dora = [await world.account(name) for name in ("Ada", "Bob", "Cleo", "Dora")]
    await entitled(entitlements, ada, bob, cleo, dora)
    class_id = await world.offer(mira, capacity=1, needs="premium")
    place, first, second, third = [await world.book(each, class_id) for each in (ada, bob, cleo, dora)]
    for person in (bob, cleo):
        await entitlements.withdraw(person.account_id, "premium", "operator")
    told = len(await world.told())
    await bookings.cancel(ada, place.id)
    assert [(await bookings.by_id(mira, each.id)).state for each in (first, second, third)] == [
        "cancelled",
        "cancelled",
        "confirmed",
    ]
    assert (await bookings.by_id(bob, first.id)).cancelled_by == "entitlement"
    assert (await world.told())[told + 1 :] == [
        BookingCancelled(class_id, first.id, bob.account_id, "entitlement"),
        BookingCancelled(class_id, second.id, cleo.account_id, "entitlement"),
        BookingPromoted(class_id, third.id, dora.account_id),
    ]


async def test_a_place_that_was_booked_stays_when_the_entitlement_runs_out(
    world: World, entitlements: Entitlements, bookings: Bookings
) -> None:
    mira, ada = await world.account("Mira", "member", "coach"), await world.account()
    await entitled(entitlements, ada)
    booked = await world.book(ada, await world.offer(mira, needs="premium"))
    await entitlements.withdraw(ada.account_id, "premium", "operator")
    assert (await bookings.by_id(ada, booked.id)).state == "confirmed"


async def test_a_class_whose_doors_open_needs_what_its_offer_needed(world: World) -> None:
    mira = await world.account("Mira", "member", "coach")
    class_id = await world.offer(mira, in_min=60, needs="premium", doors_open_min=5)
    await world.clock.advance(55 * 60)
    async with world.transactions() as stores:
        await open_doors(stores, class_id, world.clock.wall_ms())
        live = await stores.classes.by_id(class_id)
    assert live is not None
    assert live.needs == "premium"
