"""Making an organisation and deciding who is in it. Invitations have a module of their own (invitations.py).

What somebody is in an organisation stands in no token. It is read when something is asked, so whoever was removed, or is not an
admin any more, is refused by the very next question, on every node and on a connection that has been open all day.

Whoever changes who sits in one holds its row first, then accounts, in the order of their ids where they are several. Each change
is in the audit, in its transaction. For somebody who is not in it an organisation does not exist.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from services.access import permission as may
from services.access.permission import Permission
from services.access.policy import require, require_held
from services.access.role import OrgRole
from services.accounts.account import Account, normal_email, normal_name
from services.accounts.step_up import require_fresh
from services.audit.entry import SYSTEM, Actor, Entry, Thing, Value, actor_of
from services.classes.organised import gone
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, Ids, OrganisationId
from services.kernel.problems import BadShape, NotAuthenticated, NotFound, TooManyOrganisations
from services.organisations.benefits import Benefits
from services.organisations.organisation import (
    MAX_OWNED,
    MAX_SEATED,
    SEATS,
    Held,
    Member,
    Organisation,
    heir_of,
    require_owner_left,
    seated,
    to_seat,
)
from services.organisations.ports import OrganisationStores, OrganisationTransactions

log = structlog.get_logger(__name__)


class OrganisationView(msgspec.Struct, frozen=True):
    """An organisation that you are in, and as what."""

    id: OrganisationId
    name: str
    seats: int
    role: OrgRole
    created_at_ms: int


class MemberView(msgspec.Struct, frozen=True):
    """Somebody in an organisation, as the others in it see them."""

    account_id: AccountId
    name: str
    role: OrgRole
    joined_at_ms: int


class OrganisationDetails(msgspec.Struct, frozen=True):
    """An organisation that you are in, and everybody on its seats, in the order in which they came."""

    organisation: OrganisationView
    members: tuple[MemberView, ...]


class SeatsView(msgspec.Struct, frozen=True):
    """An organisation as the operator sees it: how many of its seats are taken, by how many owners, and what whoever sits has."""

    id: OrganisationId
    name: str
    seats: int
    taken: int
    owners: int
    entitlements: tuple[Held, ...]


class Organisations:
    """The use cases of people. All raise `Forbidden` for a display."""

    def __init__(self, transactions: OrganisationTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._benefits: Final = Benefits(clock, ids)

    async def make(self, caller: Caller, name: str) -> OrganisationDetails:
        """A new one, owned by the caller. Raises `BadShape`, `TooManyOrganisations`."""
        require_held(caller, may.USE_ORGANISATIONS)
        now_ms = self._clock.wall_ms()
        made = Organisation(OrganisationId(self._ids.next()), normal_name(name), SEATS, now_ms)
        async with self._transactions() as stores:
            await require_place(stores, caller.account_id, "owner")
            await stores.organisations.add(made)
            await stores.organisations.seat(made.id, caller.account_id, "owner", utc(now_ms))
            await stores.audit.add(told(actor_of(caller), "organisation.made", made.id, caller.account_id))
            log.info("organisation.made", organisation=str(made.id), account=str(caller.account_id))
            return await self._details(stores, made, "owner")

    async def own(self, caller: Caller) -> tuple[OrganisationView, ...]:
        """Those that the caller is in, the oldest first."""
        require_held(caller, may.USE_ORGANISATIONS)
        async with self._transactions() as stores:
            return tuple(_view(each, role) for each, role in await stores.organisations.of_account(caller.account_id))

    async def by_id(self, caller: Caller, organisation_id: OrganisationId) -> OrganisationDetails:
        """One that the caller is in, with its members. Raises `NotFound`."""
        async with self._transactions() as stores:
            organisation = await stores.organisations.by_id(organisation_id)
            role = await allowed(stores, caller, organisation_id, may.READ_ORGANISATION)
            return await self._details(stores, _there(organisation), role)

    async def rename(self, caller: Caller, organisation_id: OrganisationId, name: str) -> OrganisationDetails:
        """Call it otherwise. Raises `BadShape`, `NotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            role = await allowed(stores, caller, organisation_id, may.RENAME_ORGANISATION)
            renamed = msgspec.structs.replace(organisation, name=normal_name(name))
            if renamed != organisation:
                await stores.organisations.save(renamed)
                await stores.audit.add(told(actor_of(caller), "organisation.renamed", organisation_id))
            return await self._details(stores, renamed, role)

    async def seat(
        self, caller: Caller, organisation_id: OrganisationId, account_id: AccountId, role: OrgRole
    ) -> OrganisationDetails:
        """Make a member something else. Raises `NotFound`, `Forbidden`, `LastOwner`, `TooManyOrganisations`."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            own = await allowed(stores, caller, organisation_id, may.READ_ORGANISATION)
            members = await stores.organisations.members(organisation_id)
            before = _sitting(members, account_id).role
            require(caller, to_seat(before, role), seated(own))
            if role != before:
                if before == "owner":
                    require_owner_left(members, without=account_id)
                await _change(stores, actor_of(caller), organisation_id, account_id, role)
            return await self._details(stores, organisation, role if account_id == caller.account_id else own)

    async def remove(self, caller: Caller, organisation_id: OrganisationId, account_id: AccountId) -> None:
        """Put somebody out. Raises `NotFound`, `Forbidden`, `LastOwner`."""
        async with self._transactions() as stores:
            await locked(stores, organisation_id)
            own = await allowed(stores, caller, organisation_id, may.READ_ORGANISATION)
            members = await stores.organisations.members(organisation_id)
            role = _sitting(members, account_id).role
            require(caller, to_seat(role), seated(own))
            require_owner_left(members, without=account_id)
            await stores.organisations.unseat(organisation_id, account_id)
            await self._gone(stores, caller, organisation_id, account_id)
            entry = told(actor_of(caller), "organisation.removed", organisation_id, account_id, role=role)
            await stores.audit.add(entry)
        log.info("organisation.removed", organisation=str(organisation_id), account=str(account_id))

    async def leave(self, caller: Caller, organisation_id: OrganisationId) -> None:
        """Give one's own seat back. Raises `NotFound`, `LastOwner`."""
        async with self._transactions() as stores:
            await locked(stores, organisation_id)
            role = await allowed(stores, caller, organisation_id, may.LEAVE_ORGANISATION)
            require_owner_left(await stores.organisations.members(organisation_id), without=caller.account_id)
            await stores.organisations.unseat(organisation_id, caller.account_id)
            await self._gone(stores, caller, organisation_id, caller.account_id)
            entry = told(actor_of(caller), "organisation.left", organisation_id, caller.account_id, role=role)
            await stores.audit.add(entry)
        log.info("organisation.left", organisation=str(organisation_id), account=str(caller.account_id))

    async def go(self, caller: Caller, organisation_id: OrganisationId) -> None:
        """Give one's own seat back because one's account goes. An organisation that nobody is left in is dissolved; one without an
        owner is its longest-serving admin's, who is not asked, so it does not matter how many they own; without an admin the
        operator makes an owner. Raises `NotFound`."""
        async with self._transactions() as stores:
            await locked(stores, organisation_id)
            role = await allowed(stores, caller, organisation_id, may.LEAVE_ORGANISATION)
            members = await stores.organisations.members(organisation_id)
            await stores.organisations.unseat(organisation_id, caller.account_id)
            await self._gone(stores, caller, organisation_id, caller.account_id)
            await stores.audit.add(told(SYSTEM, "organisation.left", organisation_id, caller.account_id, role=role))
            if len(members) == 1:
                await stores.organisations.dissolve(organisation_id, utc(self._clock.wall_ms()))
                await stores.audit.add(told(SYSTEM, "organisation.dissolved", organisation_id, count=0))
            elif (heir := heir_of(members, caller.account_id)) is not None:
                await stores.organisations.change(organisation_id, heir.account_id, "owner")
                entry = told(SYSTEM, "organisation.role_changed", organisation_id, heir.account_id, role="owner")
                await stores.audit.add(entry)
            elif role == "owner":
                log.warning("organisation.no_owner", organisation=str(organisation_id))

    async def hand_over(
        self, caller: Caller, organisation_id: OrganisationId, account_id: AccountId
    ) -> OrganisationDetails:
        """Make another member the owner in the caller's place, who is an admin from then on.

        Raises `NotFound`, `Forbidden`, `StepUpNeeded`, `BadShape` for oneself, `TooManyOrganisations`.
        """
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            await allowed(stores, caller, organisation_id, may.HAND_OVER)
            require_fresh(caller, self._clock.wall_ms())
            if account_id == caller.account_id:
                raise BadShape("it is yours already: hand it over to another member", path="$.account_id")
            heir = _sitting(await stores.organisations.members(organisation_id), account_id)
            if heir.role != "owner":
                await require_place(stores, account_id, "owner", sits=True)
                await stores.organisations.change(organisation_id, account_id, "owner")
            await stores.organisations.change(organisation_id, caller.account_id, "admin")
            await stores.audit.add(told(actor_of(caller), "organisation.handed_over", organisation_id, account_id))
            log.info("organisation.handed_over", organisation=str(organisation_id), account=str(account_id))
            return await self._details(stores, organisation, "admin")

    async def dissolve(self, caller: Caller, organisation_id: OrganisationId) -> None:
        """There is no such organisation any more, and nobody in it; its classes stay. Raises `NotFound`, `Forbidden`,
        `StepUpNeeded`."""
        async with self._transactions() as stores:
            await locked(stores, organisation_id)
            await allowed(stores, caller, organisation_id, may.DISSOLVE)
            require_fresh(caller, self._clock.wall_ms())
            members = await stores.organisations.members(organisation_id)
            by, now_ms = actor_of(caller), self._clock.wall_ms()
            accounts = sorted(member.account_id for member in members)
            await self._benefits.lose(stores, by, organisation_id, accounts)
            await stores.organisations.dissolve(organisation_id, utc(now_ms))
            await gone(stores, by, caller.account_id, organisation_id, accounts, now_ms)
            await stores.audit.add(
                told(actor_of(caller), "organisation.dissolved", organisation_id, count=len(members))
            )
        log.info("organisation.dissolved", organisation=str(organisation_id))

    async def _gone(
        self, stores: OrganisationStores, caller: Caller, organisation_id: OrganisationId, account_id: AccountId
    ) -> None:
        """What somebody had by the seat that they have lost, they have no more."""
        by = actor_of(caller)
        await gone(stores, by, caller.account_id, organisation_id, [account_id], self._clock.wall_ms())
        await self._benefits.lose(stores, by, organisation_id, [account_id])

    async def _details(
        self, stores: OrganisationStores, organisation: Organisation, role: OrgRole
    ) -> OrganisationDetails:
        members = await stores.organisations.members(organisation.id)
        return OrganisationDetails(
            _view(organisation, role),
            tuple(MemberView(each.account_id, each.name, each.role, each.joined_at_ms) for each in members),
        )


class OrganisationActs:
    """What the operator does. Who may is decided by the way in: the admin token, or a command on the server; `by` is who does.
    All raise `NotFound`."""

    def __init__(self, transactions: OrganisationTransactions, clock: Clock, ids: Ids) -> None:
        self._transactions: Final = transactions
        self._benefits: Final = Benefits(clock, ids)

    async def look(self, organisation_id: OrganisationId) -> SeatsView:
        """How many sit in it."""
        async with self._transactions() as stores:
            return await _counted(stores, _there(await stores.organisations.by_id(organisation_id)))

    async def set_seats(self, by: Actor, organisation_id: OrganisationId, seats: int) -> SeatsView:
        """Give it so many. With fewer than are taken, whoever sits stays, and nobody comes in until there is room."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            changed = msgspec.structs.replace(organisation, seats=seats)
            if changed != organisation:
                await stores.organisations.save(changed)
                await stores.audit.add(told(by, "organisation.seats_set", organisation_id, seats=seats))
            return await _counted(stores, changed)

    async def entitle(
        self, by: Actor, organisation_id: OrganisationId, name: str, from_ms: int | None, until_ms: int | None
    ) -> SeatsView:
        """Let everybody in it have something while they sit: from now on unless `from_ms` says otherwise, without an end unless
        `until_ms` does. The same again changes nothing. Raises `BadShape`."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            if await self._benefits.hold(stores, by, organisation_id, name, from_ms, until_ms):
                await stores.audit.add(told(by, "organisation.entitled", organisation_id, name=name))
            return await _counted(stores, organisation)

    async def unentitle(self, by: Actor, organisation_id: OrganisationId, name: str) -> SeatsView:
        """Take it back, from everybody in it, too. Again is fine."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            if await self._benefits.let_go(stores, by, organisation_id, name):
                await stores.audit.add(told(by, "organisation.unentitled", organisation_id, name=name))
            return await _counted(stores, organisation)

    async def make_owner(self, by: Actor, organisation_id: OrganisationId, email: str) -> SeatsView:
        """Make a member an owner: for an organisation whose last one has left Paceline. Raises `BadShape`,
        `TooManyOrganisations`."""
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            account = await stores.accounts.by_email_locked(normal_email(email))
            members = await stores.organisations.members(organisation_id)
            if account is None or all(member.account_id != account.id for member in members):
                raise NotFound(f"nobody with the address {email} is in this organisation")
            if _sitting(members, account.id).role != "owner":
                await _change(stores, by, organisation_id, account.id, "owner")
            return await _counted(stores, organisation)


async def locked(stores: OrganisationStores, organisation_id: OrganisationId) -> Organisation:
    """The organisation; nobody else changes who sits in it before this transaction ends. Raises `NotFound`."""
    return _there(await stores.organisations.lock(organisation_id))


async def allowed(
    stores: OrganisationStores, caller: Caller, organisation_id: OrganisationId, permission: Permission
) -> OrgRole:
    """What the caller is in the organisation, which lets them do this. Raises `NotFound` for somebody who is nothing in it,
    `Forbidden`."""
    role = await stores.organisations.seat_of(organisation_id, caller.account_id)
    require(caller, may.READ_ORGANISATION, seated(role))
    require(caller, permission, seated(role))
    if role is None:
        raise NotFound
    return role


async def require_place(
    stores: OrganisationStores, account_id: AccountId, role: OrgRole, *, sits: bool = False
) -> Account:
    """Raise `TooManyOrganisations` unless an account may be this in one more; `sits`: it is in it already. The account is locked,
    so that of two organisations at once the second counts the first."""
    account = await stores.accounts.locked(account_id)
    if account is None:
        raise NotAuthenticated
    theirs = [each for _, each in await stores.organisations.of_account(account_id)]
    if role == "owner" and theirs.count("owner") >= MAX_OWNED:
        raise TooManyOrganisations(f"an account owns at most {MAX_OWNED} organisations", limit=MAX_OWNED)
    if not sits and len(theirs) >= MAX_SEATED:
        raise TooManyOrganisations(f"an account is in at most {MAX_SEATED} organisations", limit=MAX_SEATED)
    return account


def told(
    by: Actor, act: str, organisation_id: OrganisationId, account_id: AccountId | None = None, **data: Value
) -> Entry:
    """The entry of the audit about this."""
    return Entry(by, act, account_id, Thing("organisation", str(organisation_id)), data=data)


async def _change(
    stores: OrganisationStores,
    by: Actor,
    organisation_id: OrganisationId,
    account_id: AccountId,
    role: OrgRole,
) -> None:
    if role == "owner":
        await require_place(stores, account_id, "owner", sits=True)
    await stores.organisations.change(organisation_id, account_id, role)
    await stores.audit.add(told(by, "organisation.role_changed", organisation_id, account_id, role=role))


async def _counted(stores: OrganisationStores, organisation: Organisation) -> SeatsView:
    members = await stores.organisations.members(organisation.id)
    owners = sum(member.role == "owner" for member in members)
    held = tuple(await stores.organisations.held(organisation.id))
    return SeatsView(organisation.id, organisation.name, organisation.seats, len(members), owners, held)


def _there(organisation: Organisation | None) -> Organisation:
    if organisation is None:
        raise NotFound
    return organisation


def _sitting(members: Sequence[Member], account_id: AccountId) -> Member:
    for member in members:
        if member.account_id == account_id:
            return member
    raise NotFound("nobody with this id is in this organisation")


def _view(organisation: Organisation, role: OrgRole) -> OrganisationView:
    return OrganisationView(organisation.id, organisation.name, organisation.seats, role, organisation.created_at_ms)
