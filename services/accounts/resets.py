"""A new password for somebody who has lost theirs, by a link in a mail to the address of the account.

Asking looks at nothing but the address that was typed: the answer, the statements and so the time are the same with and without an
account. Whether there is one is looked up when the mail leaves.

Choosing the new password opens no login. Whoever has the mailbox has one proof of the account; they log in with it as ever, and an
account with a second factor asks for that (ASVS 6.4.3). All logins end, links that were asked for before die, and the address is
told. Whoever reads its mail has proved it, too.
"""

from typing import Final

import structlog

from services.accounts.account import check_password, normal_email, normal_password
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.accounts.breached import Breached
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountStores, AccountTransactions
from services.kernel.clock import Clock, utc
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId
from services.kernel.problems import LinkOver

PASSWORD_RESET: Final = "the password was chosen anew by mail"  # noqa: S105 - a reason

log = structlog.get_logger(__name__)


class Resets:
    """The use cases. `address` arguments are where a request comes from, None when that says nothing about who."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        mails: AccountMails,
        clock: Clock,
        attempts: Attempts,
        *,
        breached: Breached | None = None,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._mails: Final = mails
        self._clock: Final = clock
        self._attempts: Final = attempts
        self._breached: Final = breached

    async def ask(self, email: str, *, address: str | None) -> None:
        """Have a link sent, should the address have an account.

        Raises BadShape, NotFound where no mail is sent, TooManyAttempts.
        """
        self._mails.require_offered()
        await self._attempts.from_address(address)
        email = normal_email(email)
        async with self._transactions() as stores:
            await self._mails.write(stores, "reset", email)

    async def finish(self, token: str, *, password: str, address: str | None) -> None:
        """Replace the password of the account behind a link, and end all its logins. A refused password leaves the link good.

        Raises LinkOver, WeakPassword, TooManyAttempts, Busy.
        """
        await self._attempts.from_address(address)
        password = normal_password(password)
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "reset")
            account = await stores.accounts.by_email_locked(mail.email)
        if account is None:
            raise LinkOver
        check_password(password, email=account.email, name=account.name)
        if self._breached is not None:
            await self._breached.refuse(password)
        # No connection is held while the hash is computed, so the link is looked at once more under its lock.
        hashed = await self._passwords.hash(password)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            account = await stores.accounts.by_email_locked(mail.email)
            if account is None:
                raise LinkOver
            await self._mails.opened(stores, token, "reset")
            await stores.accounts.save_password_hash(account.id, hashed)
            await stores.accounts.verify(account.id, now)
            await stores.account_mails.end(mail.email, "reset", now)
            await end_all_logins(stores, account.id, self._clock, PASSWORD_RESET)
            await self._mails.write(stores, "password", account.email, account_id=account.id)
        log.info("password.reset", account=str(account.id))


async def end_all_logins(stores: AccountStores, account_id: AccountId, clock: Clock, reason: str) -> None:
    """End every login of an account; their sockets close as the facts are worked off."""
    for login_id in await stores.logins.end_all(account_id, utc(clock.wall_ms()), reason):
        await stores.outbox.add(LoginEnded(account_id, login_id, reason), login_id)
