"""Registering where an address is proved first, and proving the address of an account that is there already.

Whoever registers gets one answer, whether the address has an account or not. What they have typed waits, with the password hashed,
until somebody follows the link in the mail that goes to the address; an address that has an account gets a mail that says so. Many
may wait for one address, for none of them is the owner before they have shown that they read it.

Following the link is not enough: finishing asks for the password that was chosen. Otherwise somebody could register another's
address with a password of their own, and the one who reads the mail and clicks would make the account for them ("pre-hijacking").
Only who knows the password and reads the mail gets in.
"""

from typing import Final, Literal

import msgspec
import structlog

from services.accounts.account import (
    Account,
    SignupRole,
    check_password,
    normal_email,
    normal_name,
    normal_password,
    role_given,
)
from services.accounts.account_mail import LIFE_MS, Pending
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.accounts.breached import Breached
from services.accounts.opening import LoggedIn, Opening, let_in
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountTransactions
from services.flags.switches import ALL_ON, Switches
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AccountRegistered
from services.kernel.ids import AccountId, AccountMailId, Ids
from services.kernel.problems import Forbidden, LinkOver, NotAuthenticated, WrongPassword

log = structlog.get_logger(__name__)


class RegistrationBegun(msgspec.Struct, frozen=True):
    """A mail is on its way to `email`. It has a link that is good until `until_ms`, ms since 1970; with `id` it is sent again."""

    id: AccountMailId
    email: str
    until_ms: int


class Registrations:
    """The use cases. `address` arguments are where a request comes from, None when that says nothing about who."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        mails: AccountMails,
        opening: Opening,
        clock: Clock,
        ids: Ids,
        attempts: Attempts,
        *,
        breached: Breached | None = None,
        coach_signup: Literal["open", "closed"] = "open",
        switches: Switches = ALL_ON,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._mails: Final = mails
        self._opening: Final = opening
        self._clock: Final = clock
        self._ids: Final = ids
        self._attempts: Final = attempts
        self._breached: Final = breached
        self._coach_signup: Final = coach_signup
        self._switches: Final = switches

    async def begin(
        self, *, email: str, password: str, name: str, role: SignupRole, address: str | None
    ) -> RegistrationBegun:
        """Have a mail sent that finishes it, or says that there is an account already. One hash and one answer in each case.

        Raises RegisteringPaused, BadShape, WeakPassword, Forbidden (coach sign-up is closed), NotFound where no mail is sent,
        TooManyAttempts, Busy.
        """
        self._switches.require("registering")
        self._mails.require_offered()
        await self._attempts.from_address(address)
        email, name = normal_email(email), normal_name(name)
        password = normal_password(password)
        check_password(password, email=email, name=name)
        role_given(role, self._coach_signup)
        if self._breached is not None:
            await self._breached.refuse(password)
        pending = Pending(name, role, await self._passwords.hash(password))
        mail_id = self._mails.next_id()
        async with self._transactions() as stores:
            await self._mails.write(stores, "register", email, pending=pending, mail_id=mail_id)
        log.info("registration.begun", mail=str(mail_id))
        return RegistrationBegun(mail_id, email, self._clock.wall_ms() + LIFE_MS["register"])

    async def send_again(self, mail_id: AccountMailId, *, address: str | None) -> None:
        """Send the mail of a registration once more, as a new one with the same content. What is no registration, or is written to
        too often, is answered alike. Raises NotFound where no mail is sent, TooManyAttempts."""
        self._mails.require_offered()
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            mail = await stores.account_mails.by_id(mail_id)
            if mail is not None and mail.pending is not None and mail.ended_at_ms is None:
                await self._mails.write(stores, "register", mail.email, pending=mail.pending)

    async def finish(self, token: str, *, password: str, device: str, address: str | None) -> LoggedIn:
        """Make the account of a link and log it in, for whoever knows the password that was chosen for it.

        Raises RegisteringPaused (the link stays good), LinkOver, WrongPassword, EmailTaken when the address has got an account
        meanwhile, WeakPassword (absurdly long), TooManyAttempts, Busy.
        """
        self._switches.require("registering")
        password = normal_password(password)
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "register")
        pending = mail.pending
        if pending is None:
            raise LinkOver
        await self._attempts.password(mail.email, address)
        # No connection is held while the hash is computed, so the link is looked at once more under its lock.
        checked = await self._passwords.check(password, pending.password_hash)
        if not checked.matches:
            raise WrongPassword(
                "this is not the password that was chosen for this registration; register anew if it is lost"
            )
        await self._attempts.succeeded(mail.email, address)
        now_ms = self._clock.wall_ms()
        account = Account(
            id=AccountId(self._ids.next()),
            email=mail.email,
            name=pending.name,
            roles=frozenset({"member", pending.role}),
            created_at_ms=now_ms,
            verified_at_ms=now_ms,
        )
        async with self._transactions() as stores:
            await stores.account_mails.lock(mail.email)
            await self._mails.opened(stores, token, "register")
            await stores.accounts.add(account, pending.password_hash)
            await stores.account_mails.end(mail.email, "register", utc(now_ms))
            await stores.outbox.add(AccountRegistered(account.id), account.id)
            opened = await self._opening.open(stores, account, device, "registration")
        log.info("account.registered", account=str(account.id), role=pending.role)
        return let_in(opened)

    # -- the address of an account that is there

    async def ask_to_confirm(self, caller: Caller, *, address: str | None) -> None:
        """Have the mail sent that proves the caller's address; for one that is proved, none. Raises Forbidden for a display,
        NotAuthenticated when the account is gone, NotFound where no mail is sent, TooManyAttempts."""
        if caller.class_id is not None:
            raise Forbidden("a display has no account; log in for this")
        self._mails.require_offered()
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
            if account is None:
                raise NotAuthenticated
            if account.verified_at_ms is None:
                await self._mails.write(stores, "confirm", account.email, account_id=account.id)

    async def confirm(self, token: str, *, address: str | None) -> None:
        """The address of an account is proved. Raises LinkOver, also when the account has another address, TooManyAttempts."""
        await self._attempts.from_address(address)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "confirm")
            account = await stores.accounts.by_email_locked(mail.email)
            if account is None or account.id != mail.account_id:
                raise LinkOver
            await self._mails.opened(stores, token, "confirm")
            await stores.accounts.verify(account.id, now)
            await stores.account_mails.end(mail.email, "confirm", now)
        log.info("account.verified", account=str(account.id))
