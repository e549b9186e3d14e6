"""Valid input for the addresses of organisations, as routes.py has it for the others."""

import uuid

from services.access.role import OrgRole
from services.accounts.account_mail import AccountMail, MailTokens
from services.kernel.clock import utc
from services.kernel.ids import AccountId, AccountMailId
from services.organisations.organisation import Invitation, InvitedAs
from tests.matrix.roles import Who
from tests.matrix.routes import RouteInput
from tests.matrix.scene import Asked, Evening

WITH_ACCOUNT = frozenset(Who) - {Who.SUSPENDED, Who.DISPLAY, Who.OPERATOR, Who.NOBODY}


def the_organisation(said: object = None) -> RouteInput:
    """The owner's, with the same body for everybody."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": await evening.organisation()}, body=said)

    return ask


def an_entitlement(said: object = None) -> RouteInput:
    """Something that the organisation has or gets."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": await evening.organisation(), "name": "premium"}, body=said)

    return ask


def a_seat(role: OrgRole = "member", said: object = None) -> RouteInput:
    """One more in the organisation, who is this."""

    async def ask(evening: Evening, _: Who) -> Asked:
        return Asked({"id": await evening.organisation(), "account": await _sits(evening, role)}, body=said)

    return ask


async def leaving(evening: Evening, _: Who) -> Asked:
    """Whoever asks may go: there is one more owner."""
    await _sits(evening, "owner")
    return Asked({"id": await evening.organisation()})


async def handing_over(evening: Evening, _: Who) -> Asked:
    heir = await _sits(evening, "member")
    return Asked({"id": await evening.organisation()}, body={"account_id": heir})


def inviting(role: InvitedAs = "member") -> RouteInput:
    """Somebody whom nobody knows."""

    async def ask(evening: Evening, _: Who) -> Asked:
        email = f"{uuid.uuid4()}@example.org"
        return Asked({"id": await evening.organisation()}, body={"email": email, "role": role})

    return ask


async def an_invitation(evening: Evening, _: Who) -> Asked:
    asked = await _invited(evening, f"{uuid.uuid4()}@example.org")
    return Asked({"id": asked.organisation_id, "invitation": asked.id})


async def invitation_link(evening: Evening, who: Who) -> Asked:
    """The link of an invitation of whoever asks."""
    email = f"{uuid.uuid4()}@example.org"
    if who in WITH_ACCOUNT:
        caller = await evening.caller(who)
        async with evening.world.transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
        assert account is not None
        email = account.email
    asked = await _invited(evening, email)
    return Asked(body={"token": MailTokens(evening.stage.secret).token(asked.id, "invite")})


async def _sits(evening: Evening, role: OrgRole) -> AccountId:
    account_id = (await evening.world.account("Newcomer")).account_id
    async with evening.world.transactions() as stores:
        await stores.organisations.seat(await evening.organisation(), account_id, role, utc(evening.now_ms()))
    return account_id


async def _invited(evening: Evening, email: str) -> Invitation:
    organisation_id, owner = await evening.organisation(), await evening.caller(Who.OWNER)
    mail = AccountMail(AccountMailId(evening.world.ids.next()), "invite", email, evening.now_ms())
    asked = Invitation(mail.id, organisation_id, email, "member", owner.account_id, mail.asked_at_ms)
    async with evening.world.transactions() as stores:
        await stores.account_mails.add(mail, utc(mail.asked_at_ms), utc(mail.until_ms))
        await stores.organisations.invite(asked)
    return asked
