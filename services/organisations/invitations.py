"""Inviting people into an organisation, by mail, and their answer.

The answer is given by whoever reads the mail of the address: the link in it is sealed and good once, as that of any mail about an
account (services/accounts/account_mail.py), for a week. To say no one needs nothing else. To say yes one needs an account with
that very address; the link proves the address if nothing has yet. Whoever has none makes one first and follows the link again.

Inviting an address says nothing of it: the answer is the same whether it has an account, or sits in the organisation already. The
mail names neither the organisation nor who invites, because those are words that a stranger has typed; they stand on the page.
"""

from typing import Final

import msgspec
import structlog

from services.access import permission as may
from services.access.policy import require, require_held
from services.access.role import OrgRole
from services.accounts.account import normal_email
from services.accounts.account_mail import DAY_MS, LIFE_MS
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.audit.entry import SYSTEM, actor_of
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountMailId, Ids, OrganisationId
from services.kernel.problems import Forbidden, LinkOver, NotFound, TooManyInvitations
from services.organisations.benefits import Benefits
from services.organisations.organisation import (
    MAX_INVITED_A_DAY,
    Invitation,
    InvitedAs,
    Organisation,
    require_room,
    seated,
    to_seat,
)
from services.organisations.organisations import allowed, locked, require_place, told
from services.organisations.ports import OrganisationStores, OrganisationTransactions

log = structlog.get_logger(__name__)


class InvitationView(msgspec.Struct, frozen=True):
    """An invitation that waits for its answer, as owners and admins see it."""

    id: AccountMailId
    email: str
    role: InvitedAs
    asked_at_ms: int
    until_ms: int


class InvitationSeen(msgspec.Struct, frozen=True):
    """What a link asks: to be this in that organisation, with the account that has this address."""

    organisation: str
    email: str
    role: InvitedAs
    until_ms: int


class Seated(msgspec.Struct, frozen=True):
    """In which organisation you sit now, and as what."""

    organisation_id: OrganisationId
    name: str
    role: OrgRole


class Invitations:
    """The use cases. `address` is where a request comes from, None when that says nothing about who."""

    def __init__(
        self, transactions: OrganisationTransactions, mails: AccountMails, clock: Clock, ids: Ids, attempts: Attempts
    ) -> None:
        self._transactions: Final = transactions
        self._mails: Final = mails
        self._clock: Final = clock
        self._attempts: Final = attempts
        self._benefits: Final = Benefits(clock, ids)

    # -- owners and admins ------------------------------------------------------------------------------------------------

    async def invite(
        self, caller: Caller, organisation_id: OrganisationId, email: str, role: InvitedAs
    ) -> InvitationView:
        """Ask whoever reads this address. One who was asked already is asked anew, and the link from before is over.

        Raises `NotFound`, also where no mail is sent, `Forbidden`, `BadShape`, `OrganisationFull`, `TooManyInvitations`.
        """
        email = normal_email(email)
        async with self._transactions() as stores:
            organisation = await locked(stores, organisation_id)
            own = await allowed(stores, caller, organisation_id, may.READ_ORGANISATION)
            require(caller, to_seat(role), seated(own))
            self._mails.require_offered()
            waiting = await self._waiting(stores, organisation_id)
            others = [each for each in waiting if each.email != email]
            require_room(organisation, len(await stores.organisations.members(organisation_id)) + len(others))
            now_ms = self._clock.wall_ms()
            if await stores.organisations.invited_by(caller.account_id, utc(now_ms - DAY_MS)) >= MAX_INVITED_A_DAY:
                raise TooManyInvitations(f"an account invites at most {MAX_INVITED_A_DAY} times a day")
            asked = Invitation(
                self._mails.next_id(), organisation_id, email, role, caller.account_id, asked_at_ms=now_ms
            )
            if not await self._mails.write(stores, "invite", email, mail_id=asked.id):
                raise TooManyInvitations
            for before in waiting:
                if before.email == email:
                    require(caller, to_seat(before.role), seated(own))
                    await stores.account_mails.end_one(before.id, utc(now_ms))
            await stores.organisations.invite(asked)
            await stores.audit.add(told(actor_of(caller), "organisation.invited", organisation_id, role=role))
        log.info("organisation.invited", organisation=str(organisation_id), invitation=str(asked.id))
        return _view(asked)

    async def waiting(self, caller: Caller, organisation_id: OrganisationId) -> tuple[InvitationView, ...]:
        """Those that nobody has answered yet, the oldest first. Raises `NotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            await allowed(stores, caller, organisation_id, may.SEAT_MEMBERS)
            return tuple(map(_view, await self._waiting(stores, organisation_id)))

    async def withdraw(self, caller: Caller, organisation_id: OrganisationId, invitation_id: AccountMailId) -> None:
        """Its link is over, and its seat free. Raises `NotFound`, `Forbidden`."""
        async with self._transactions() as stores:
            await locked(stores, organisation_id)
            own = await allowed(stores, caller, organisation_id, may.SEAT_MEMBERS)
            found = [each for each in await self._waiting(stores, organisation_id) if each.id == invitation_id]
            if not found:
                raise NotFound("no invitation with this id waits for an answer here")
            require(caller, to_seat(found[0].role), seated(own))
            await stores.account_mails.end_one(invitation_id, utc(self._clock.wall_ms()))
            entry = told(actor_of(caller), "organisation.invitation_ended", organisation_id, side="organisation")
            await stores.audit.add(entry)

    # -- whoever was invited ----------------------------------------------------------------------------------------------

    async def look(self, token: str, *, address: str | None) -> InvitationSeen:
        """What the link asks. Raises `LinkOver`, `TooManyAttempts`."""
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "invite")
            asked = await stores.organisations.invitation(mail.id)
            organisation = None if asked is None else await stores.organisations.by_id(asked.organisation_id)
        if asked is None or organisation is None:
            raise LinkOver
        return InvitationSeen(organisation.name, asked.email, asked.role, asked.until_ms)

    async def accept(self, caller: Caller, token: str) -> Seated:
        """Take the seat. Who sits there already stays what they are.

        Raises `LinkOver`, `Forbidden` for an account with another address, `OrganisationFull`, `TooManyOrganisations`.
        """
        require_held(caller, may.USE_ORGANISATIONS)
        async with self._transactions() as stores:
            organisation, asked = await self._asked(stores, token)
            role = await self._sit(stores, caller, organisation, asked)
            await stores.account_mails.end_one(asked.id, utc(self._clock.wall_ms()))
            entry = told(actor_of(caller), "organisation.joined", organisation.id, caller.account_id, role=role)
            await stores.audit.add(entry)
        log.info("organisation.joined", organisation=str(organisation.id), account=str(caller.account_id))
        return Seated(organisation.id, organisation.name, role)

    async def decline(self, token: str, *, address: str | None) -> None:
        """Say no: the seat is free. Raises `LinkOver`, `TooManyAttempts`."""
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            organisation, asked = await self._asked(stores, token)
            await stores.account_mails.end_one(asked.id, utc(self._clock.wall_ms()))
            entry = told(SYSTEM, "organisation.invitation_ended", organisation.id, side="invited")
            await stores.audit.add(entry)
        log.info("organisation.declined", organisation=str(organisation.id), invitation=str(asked.id))

    async def _asked(self, stores: OrganisationStores, token: str) -> tuple[Organisation, Invitation]:
        """What the link asks, locked: the organisation first, as by everybody."""
        mail = await self._mails.found(stores, token, "invite")
        asked = await stores.organisations.invitation(mail.id)
        organisation = None if asked is None else await stores.organisations.lock(asked.organisation_id)
        if asked is None or organisation is None:
            raise LinkOver
        await self._mails.opened(stores, token, "invite")
        return organisation, asked

    async def _sit(
        self, stores: OrganisationStores, caller: Caller, organisation: Organisation, asked: Invitation
    ) -> OrgRole:
        account_id = caller.account_id
        sitting = await stores.organisations.seat_of(organisation.id, account_id)
        account = await require_place(stores, account_id, asked.role, sits=sitting is not None)
        if account.email != asked.email:
            raise Forbidden("this invitation went to another address: answer it with the account that has it")
        now = utc(self._clock.wall_ms())
        await stores.accounts.verify(account_id, now)
        if sitting is not None:
            return sitting
        require_room(organisation, len(await stores.organisations.members(organisation.id)))
        await stores.organisations.seat(organisation.id, account_id, asked.role, now)
        await self._benefits.gain(stores, actor_of(caller), organisation.id, account_id)
        return asked.role

    async def _waiting(self, stores: OrganisationStores, organisation_id: OrganisationId) -> list[Invitation]:
        return await stores.organisations.invitations(organisation_id, utc(self._clock.wall_ms() - LIFE_MS["invite"]))


def _view(asked: Invitation) -> InvitationView:
    return InvitationView(asked.id, asked.email, asked.role, asked.asked_at_ms, asked.until_ms)
