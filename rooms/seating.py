"""A person's place in a class: the one they have, or a new one; and whether they are let in at all.

Numbers on the board are handed out one by one, so a newcomer waits for the class's row. Whoever has a place already only reads
it: when a gateway dies, a whole class comes back within a second, and must not queue for one lock.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from persistence.heats import Heats
from persistence.stores import Stores
from services.accounts.entitlement import require
from services.classes.live_class import MAX_MEMBERS, LiveClass, Membership, Role, role_after
from services.classes.metric import BASELINE_DAYS, baseline_of
from services.classes.offer import may_come_in
from services.classes.on_demand import may_come_late
from services.classes.showings import group_in
from services.classes.team import team_named
from services.kernel.caller import Caller
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId
from services.kernel.problems import ClassFull, ClassNotFound, RemovedFromClass


async def admit(stores: Stores, live: LiveClass, caller: Caller, now: datetime) -> None:
    """Raise `NotBooked`, `DoorsShut` or `ClassCalledOff` when a class that was offered does not let the caller in now,
    `Forbidden` when it is for the members of an organisation only; `EntitlementNeeded` where a newcomer lacks what it needs;
    `DoorsShut` for who comes too late to one without a coach. One that was never offered and needs nothing lets in whoever
    knows its code."""
    found = await stores.offers.admission(live.id, caller.account_id)
    if found is not None:
        offer, asked = found
        if offer.members_of is not None:
            # Who takes the seat waits for this transaction, and then finds them in the class (services/classes/organised.py).
            asked = replace(asked, seated=await stores.organisations.hold_seat(offer.members_of, caller.account_id))
        may_come_in(offer, caller, asked, to_wall_ms(now))
    asks = live.needs is not None or live.group is not None
    if asks and "display" not in caller.roles and not live.is_led_by(caller.account_id):
        await _newcomer(stores, live, caller.account_id, to_wall_ms(now))


async def _newcomer(stores: Stores, live: LiveClass, account_id: AccountId, now_ms: int) -> None:
    """Who is in already may come back, whatever has run out since: see `services/accounts/entitlement.py`."""
    if await stores.classes.membership(live.id, account_id) is not None:
        return
    if live.needs is not None:
        granted = await stores.entitlements.named((account_id,), live.needs)
        require(live.needs, granted[account_id], now_ms)
    if live.group is not None:
        may_come_late(live, live.group, await stores.timelines.of(live.id), now_ms)


async def admit_rider(heats: Heats, live: LiveClass, caller: Caller, path: str) -> None:
    """Raise `ClassNotFound` at `path` when a class is the room of a heat in which the caller is not: that there is one is not
    theirs to know."""
    if live.heat and not await heats.lets_in(live.id, caller.account_id):
        raise ClassNotFound(path=path)


async def seat(
    stores: Stores, live: LiveClass, account_id: AccountId, role: Role, now: datetime, team: str | None = None
) -> Membership:
    """Have somebody's place in this role (`role_after` says what becomes of the one they had); what an athlete's improvement is
    measured by, and the age group of who shows one, are looked up before anybody waits for them. Where there are teams an
    athlete who is in none comes into the one that is named, or the smallest; in a heat into that of its challenge. Raises
    `ClassFull`, `BadShape` for a team that there is not, and `RemovedFromClass` for who was sent out."""
    classes, wanted = stores.classes, team_named(live.teams, team)
    found = await classes.membership(live.id, account_id)
    if found is not None and found.removed:
        raise RemovedFromClass
    if found is not None and role_after(found.role, role) == found.role and not _lacks_team(live, found):
        return found
    baseline = None
    if role == "athlete":
        baseline = baseline_of(await classes.past_zones(account_id, now - timedelta(days=BASELINE_DAYS)))
    shows_age = found is None and await stores.showings.shows_age(account_id)
    age_group = await group_in(stores.accounts, live, account_id) if shows_age else None
    await classes.lock(live.id)
    found = await classes.membership(live.id, account_id)
    places = MAX_MEMBERS if live.group is None else live.group.places
    if found is None and not await classes.has_place(live.id, places):
        raise ClassFull(limit=places)
    role = role if found is None else role_after(found.role, role)
    own = await _team(stores, live, account_id, wanted) if live.teams and role == "athlete" else None
    return await classes.enter(live.id, account_id, role, now, baseline, age_group, own)


def _lacks_team(live: LiveClass, found: Membership) -> bool:
    return bool(live.teams) and found.role == "athlete" and found.team is None


async def _team(stores: Stores, live: LiveClass, account_id: AccountId, wanted: int | None) -> int | None:
    if live.heat:
        return await stores.heats.team_of(live.id, account_id)
    return await stores.classes.smallest_team(live.id, len(live.teams)) if wanted is None else wanted
