"""What an organisation has, its members have: entitlements by seat.

The operator entitles the organisation. Everybody on a seat is granted the same, with the source `organisation:ID`, in the
transaction in which they sit down, and it is withdrawn in the one in which they go. So nothing else in the program has to know of
organisations: a class that needs an entitlement asks for grants, as ever, at the moment it matters, and whoever has the same from
another source keeps it.
"""

from collections.abc import Sequence
from typing import Final

from services.accounts.entitlement import check_times
from services.accounts.entitlements import give, take
from services.audit.entry import Actor
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, Ids, OrganisationId
from services.kernel.problems import BadShape
from services.organisations.organisation import Held
from services.organisations.ports import OrganisationStores

MOST_HELD: Final = 20
"""Entitlements of one organisation: each is one more grant for everybody who sits down."""


def source_of(organisation_id: OrganisationId) -> str:
    """What the grants of its members name as their source."""
    return f"organisation:{organisation_id}"


class Benefits:
    """Gives and takes inside the transactions of others, who hold the organisation's row."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock: Final = clock
        self._ids: Final = ids

    async def gain(
        self, stores: OrganisationStores, by: Actor, organisation_id: OrganisationId, account_id: AccountId
    ) -> None:
        """Somebody has sat down: they have what the organisation has."""
        for held in await stores.organisations.held(organisation_id):
            await self._give(stores, by, organisation_id, account_id, held)

    async def lose(
        self,
        stores: OrganisationStores,
        by: Actor,
        organisation_id: OrganisationId,
        accounts: Sequence[AccountId],
    ) -> None:
        """These go, in the order of their ids: they have it no more."""
        for held in await stores.organisations.held(organisation_id):
            for account_id in accounts:
                await self._take(stores, by, organisation_id, account_id, held.name)

    async def hold(
        self,
        stores: OrganisationStores,
        by: Actor,
        organisation_id: OrganisationId,
        name: str,
        from_ms: int | None,
        until_ms: int | None,
    ) -> bool:
        """Entitle the organisation and everybody in it; whether that was news. Raises `BadShape`."""
        before = {each.name: each for each in await stores.organisations.held(organisation_id)}
        if name not in before and len(before) >= MOST_HELD:
            raise BadShape(f"an organisation has at most {MOST_HELD} entitlements", path="path.name")
        begun_ms = before[name].from_ms if name in before else self._clock.wall_ms()
        held = Held(name, begun_ms if from_ms is None else from_ms, until_ms)
        check_times(held.from_ms, until_ms)
        if before.get(name) == held:
            return False
        await stores.organisations.hold(organisation_id, held)
        for account_id in await _in_order(stores, organisation_id):
            await self._give(stores, by, organisation_id, account_id, held)
        return True

    async def let_go(self, stores: OrganisationStores, by: Actor, organisation_id: OrganisationId, name: str) -> bool:
        """Take it back from the organisation and everybody in it; whether it had it."""
        if all(each.name != name for each in await stores.organisations.held(organisation_id)):
            return False
        await stores.organisations.let_go(organisation_id, name)
        for account_id in await _in_order(stores, organisation_id):
            await self._take(stores, by, organisation_id, account_id, name)
        return True

    async def _give(
        self, stores: OrganisationStores, by: Actor, organisation_id: OrganisationId, account_id: AccountId, held: Held
    ) -> None:
        now_ms = self._clock.wall_ms()
        source = source_of(organisation_id)
        if not await stores.entitlements.lock_account(account_id):
            return
        if held.until_ms is not None and held.until_ms <= now_ms:
            await take(stores, account_id, held.name, source, now_ms, by)
            return
        begins_ms = held.from_ms if held.from_ms > now_ms else None
        await give(stores, self._ids, account_id, held.name, source, begins_ms, held.until_ms, now_ms, by)

    async def _take(
        self, stores: OrganisationStores, by: Actor, organisation_id: OrganisationId, account_id: AccountId, name: str
    ) -> None:
        if await stores.entitlements.lock_account(account_id):
            await take(stores, account_id, name, source_of(organisation_id), self._clock.wall_ms(), by)


async def _in_order(stores: OrganisationStores, organisation_id: OrganisationId) -> list[AccountId]:
    """Everybody in it, in the order in which accounts are locked."""
    return sorted(member.account_id for member in await stores.organisations.members(organisation_id))
