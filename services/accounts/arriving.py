"""Somebody arrives whom only another issuer knows: their new account, and the identity that it is linked to.

The account has the address that the issuer vouches for, and no password: nobody knows one that fits, until its owner sets one. If
there is an account with this address it is left alone: who has it here may have proven less, or more, than the issuer asks for.
"""

from typing import Final

import structlog

from services.accounts.account import Account, SignupRole, normal_email, normal_name
from services.accounts.id_token import Statement
from services.accounts.identity import Identity
from services.accounts.passwords import NO_PASSWORD
from services.accounts.sign_in_ports import SignInStores
from services.flags.switches import ALL_ON, Switches
from services.kernel.clock import Clock
from services.kernel.facts import AccountRegistered
from services.kernel.ids import AccountId, IdentityId, Ids
from services.kernel.problems import BadShape, EmailNotVouched, EmailTaken, IdentityTaken, LinkNeeded

log = structlog.get_logger(__name__)


class Arriving:
    """Makes accounts and identities, inside somebody else's transaction. `provider` is its name in the operator's file."""

    def __init__(self, clock: Clock, ids: Ids, switches: Switches = ALL_ON) -> None:
        self._clock: Final = clock
        self._ids: Final = ids
        self._switches: Final = switches

    async def new_account(
        self, stores: SignInStores, provider: str, statement: Statement, role: SignupRole = "member"
    ) -> Account:
        """An account for who was stated to be. Raises RegisteringPaused, EmailNotVouched, LinkNeeded, IdentityTaken."""
        self._switches.require("registering")
        account = Account(
            id=AccountId(self._ids.next()),
            email=_vouched_address(statement),
            name=_name_of(statement),
            roles=frozenset({"member", role}),
            created_at_ms=self._clock.wall_ms(),
            verified_at_ms=self._clock.wall_ms(),
        )
        try:
            await stores.accounts.add(account, NO_PASSWORD)
        except EmailTaken as taken:
            raise LinkNeeded(provider=provider) from taken
        await self.link(stores, account.id, provider, statement)
        await stores.outbox.add(AccountRegistered(account.id), account.id)
        log.info("account.registered", account=str(account.id), role=role, provider=provider)
        return account

    async def link(self, stores: SignInStores, account_id: AccountId, provider: str, statement: Statement) -> None:
        """Link who was stated to be to an account. Raises IdentityTaken."""
        now = self._clock.wall_ms()
        identity = Identity(
            id=IdentityId(self._ids.next()),
            issuer=statement.issuer,
            subject=statement.subject,
            account_id=account_id,
            provider=provider,
            email=statement.email,
            linked_ms=now,
            used_ms=now,
        )
        if not await stores.identities.add(identity):
            raise IdentityTaken


def _vouched_address(statement: Statement) -> str:
    if statement.email is None or not statement.email_verified:
        raise EmailNotVouched
    try:
        return normal_email(statement.email)
    except BadShape as cause:
        raise EmailNotVouched from cause


def _name_of(statement: Statement) -> str:
    """What the provider calls them, if that can be a name here; or else the front of their address."""
    front = (statement.email or "").partition("@")[0]
    for name in (statement.name or "", front, "Athlete"):
        try:
            return normal_name(name)
        except BadShape:
            continue
    return "Athlete"
