"""What an organisation has, its members have while they sit, and not a question longer; against a real database."""

import pytest

from persistence.database import Database
from rooms.seating import admit
from services.accounts.entitlements import Entitlements
from services.audit.entry import SYSTEM
from services.classes.live_class import LiveClass
from services.classes.offers import open_doors
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import ClassId
from services.kernel.problems import BadShape, EntitlementNeeded
from services.organisations.benefits import MOST_HELD, source_of
from tests.services.organisations.test_organisations import Gym
from tests.support.world import World

NAME = "harbour-live"
HOUR_MS = 3_600_000
GRANTED, WITHDRAWN = "account.entitlement_granted", "account.entitlement_withdrawn"


@pytest.fixture
async def gym(database: Database) -> Gym:
    return await Gym(World(database)).opened()


async def had(gym: Gym, who: Caller, name: str = NAME) -> list[str]:
    """The sources from which somebody has something right now."""
    entitlements = Entitlements(gym.world.transactions, gym.world.clock, gym.world.ids)
    return [each.source for each in await entitlements.own(who) if each.name == name and each.holds]


async def facts(gym: Gym) -> list[str]:
    async with gym.world.database.connection() as connection:
        rows = await connection.fetch("SELECT type FROM outbox WHERE type LIKE '%entitlement%' ORDER BY seq")
    return [row["type"] for row in rows]


async def test_whoever_sits_has_it_and_whoever_sits_down_later_too(gym: Gym) -> None:
    ana = await gym.joined("Ana")
    await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    ben = await gym.joined("Ben")
    for who in (gym.mira, ana, ben):
        assert await had(gym, who) == [source_of(gym.id)]
    assert await facts(gym) == [GRANTED] * 3


async def test_whoever_goes_has_it_no_more_however_they_go(gym: Gym) -> None:
    """ASVS 8.3.2."""
    ana, ben, cleo = await gym.joined("Ana"), await gym.joined("Ben"), await gym.joined("Cleo")
    await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    await gym.organisations.remove(gym.mira, gym.id, ana.account_id)
    assert await had(gym, ana) == []
    await gym.organisations.leave(ben, gym.id)
    assert await had(gym, ben) == []
    assert await had(gym, cleo) == [source_of(gym.id)]
    await gym.organisations.dissolve(gym.mira, gym.id)
    assert await had(gym, cleo) == await had(gym, gym.mira) == []
    assert await facts(gym) == [GRANTED] * 4 + [WITHDRAWN] * 4


async def test_what_another_source_gave_stays(gym: Gym) -> None:
    ana = await gym.joined("Ana")
    entitlements = Entitlements(gym.world.transactions, gym.world.clock, gym.world.ids)
    await entitlements.grant(ana.account_id, NAME, "voucher:SPRING", None, None)
    await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    await gym.organisations.remove(gym.mira, gym.id, ana.account_id)
    assert await had(gym, ana) == ["voucher:SPRING"]


async def test_the_same_again_changes_nothing_and_other_times_take_its_place(gym: Gym) -> None:
    until_ms = gym.world.clock.wall_ms() + HOUR_MS
    for _ in range(2):
        await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    assert await facts(gym) == [GRANTED]
    view = await gym.acts.entitle(SYSTEM, gym.id, NAME, None, until_ms)
    assert [(held.name, held.until_ms) for held in view.entitlements] == [(NAME, until_ms)]
    await gym.world.clock.advance(HOUR_MS / 1_000)
    assert await had(gym, gym.mira) == []
    assert await had(gym, await gym.joined("Ana")) == []


async def test_what_is_taken_back_is_gone_for_everybody(gym: Gym) -> None:
    ana = await gym.joined("Ana")
    await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    for _ in range(2):
        view = await gym.acts.unentitle(SYSTEM, gym.id, NAME)
    assert view.entitlements == ()
    assert await had(gym, ana) == await had(gym, gym.mira) == []
    assert await had(gym, await gym.joined("Ben")) == []


async def test_an_organisation_holds_only_so_much_and_nothing_that_ends_before_it_begins(gym: Gym) -> None:
    for n in range(MOST_HELD):
        await gym.acts.entitle(SYSTEM, gym.id, f"thing-{n}", None, None)
    with pytest.raises(BadShape):
        await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    with pytest.raises(BadShape):
        await gym.acts.entitle(SYSTEM, gym.id, "thing-1", 2_000, 1_000)


async def test_a_class_for_the_members_is_shut_for_whoever_was_just_removed(gym: Gym) -> None:
    """ASVS 8.3.2: the door of a room asks the database, so an open connection is refused by its very next question."""
    ana, coach = await gym.joined("Ana"), await gym.world.account("Kim", "member", "coach")
    await gym.acts.entitle(SYSTEM, gym.id, NAME, None, None)
    class_id = await gym.world.offer(coach, in_min=60, needs=NAME, booked_only=False)
    await gym.world.clock.advance(50 * 60)
    live = await opened(gym, class_id)
    await knock(gym, live, ana)
    await gym.organisations.remove(gym.mira, gym.id, ana.account_id)
    with pytest.raises(EntitlementNeeded):
        await knock(gym, live, ana)
    await knock(gym, live, gym.mira)


async def opened(gym: Gym, class_id: ClassId) -> LiveClass:
    async with gym.world.transactions() as stores:
        live = await open_doors(stores, class_id, gym.world.clock.wall_ms())
    assert live is not None
    return live


async def knock(gym: Gym, live: LiveClass, who: Caller) -> None:
    async with gym.world.transactions() as stores:
        await admit(stores, live, who, utc(gym.world.clock.wall_ms()))
