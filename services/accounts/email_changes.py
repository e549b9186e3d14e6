"""Another address for an account, and the way back.

Whoever has the address has the account, by a reset of its password. So a move is asked for by a login that has just proven itself
(`step_up.py`, ASVS 7.5.1), nothing moves before the new address is proved, and the old one is told twice: when the move is asked
for, and when it is done, then with a link that takes it back for two weeks.

Taking it back is for somebody whose account was taken over. It restores the address, ends all logins, makes the
password nobody's, takes away what came to the account since (`taking_back.py`), and sends the old address the link to
choose a new one. Whatever further moves were made since are over with it; links that take back earlier ones stay good,
because who moves an account on has a way back of their own, and must not shut the owner's with it.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec
import structlog

from services.accounts.account import Account, normal_email
from services.accounts.account_mail import PAUSE_MS, AccountMail
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountStores
from services.accounts.resets import end_all_logins
from services.accounts.step_up import require_fresh
from services.accounts.taking_back import ReturningStores, take_what_came
from services.kernel.caller import Caller
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.problems import BadShape, Forbidden, LinkOver, NotAuthenticated, TooManyAttempts

MOVED_BACK: Final = "the account was moved back to its old address"

log = structlog.get_logger(__name__)


class EmailChanges:
    """The use cases. `address` arguments are where a request comes from, None when that says nothing about who."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[ReturningStores]],
        passwords: Passwords,
        mails: AccountMails,
        clock: Clock,
        attempts: Attempts,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._mails: Final = mails
        self._clock: Final = clock
        self._attempts: Final = attempts

    async def ask(self, caller: Caller, email: str, *, address: str | None) -> None:
        """Have a link sent to the new address, and the old one told. One answer, whether the new address has an account
        or not. The link takes the place of the one before it; asked for again too soon, that one to this address stays.

        Raises Forbidden for a display, StepUpNeeded, BadShape, NotFound where no mail is sent, NotAuthenticated when
        the account is gone, TooManyAttempts, also when the address is written to too often and has no good link.
        """
        if caller.class_id is not None:
            raise Forbidden("a display has no account; log in for this")
        require_fresh(caller, self._clock.wall_ms())
        self._mails.require_offered()
        await self._attempts.from_address(address)
        email = normal_email(email)
        async with self._transactions() as stores:
            account = await stores.accounts.locked(caller.account_id)
            # A move that is taken back ends logins; their tokens live on for seconds, and must not move it once more.
            login = await stores.logins.by_id(caller.login_id)
            if account is None or login is None or login.ended_at is not None:
                raise NotAuthenticated
            if account.email == email:
                raise BadShape("this is the address that the account has", path="$.email")
            for each in sorted(
                {email, account.email}
            ):  # two accounts that ask for each other's address do not wait in a circle
                await stores.account_mails.lock(each)
            mail_id = self._mails.next_id()
            if await self._mails.write(stores, "change", email, account_id=account.id, mail_id=mail_id):
                now = utc(self._clock.wall_ms())
                await stores.account_mails.end_of_account(account.id, ("change",), now, but=mail_id)
            else:
                await self._require_link(stores, account, email)
            await self._mails.write(stores, "moving", account.email, account_id=account.id)
        log.info("email.change_asked", account=str(account.id))

    async def finish(self, token: str, *, address: str | None) -> None:
        """Move the account of a link to its address. Raises LinkOver, EmailTaken when that has an account, TooManyAttempts."""
        await self._attempts.from_address(address)
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "change")
            account = await _owner(stores, mail)
            await self._mails.opened(stores, token, "change")
            await stores.accounts.save_email(account.id, mail.email, now)
            await stores.account_mails.end_of_account(account.id, ("change", "confirm"), now)
            # A link that was sent to the old address, perhaps to somebody else by now, chooses nobody's password any more.
            await stores.account_mails.end(account.email, "reset", now)
            # No move without its way back.
            if not await self._mails.write(stores, "undo", account.email, account_id=account.id):
                raise TooManyAttempts("this account has been moved too often; try again later", retry_after_ms=PAUSE_MS)
        log.info("email.changed", account=str(account.id))

    async def undo(self, token: str, *, address: str | None) -> None:
        """Move the account of a link back to the address that the link was sent to.

        Raises LinkOver, EmailTaken when that has another account by now, TooManyAttempts, Busy.
        """
        await self._attempts.from_address(address)
        async with self._transactions() as stores:
            await self._mails.found(stores, token, "undo")
        nobodys = await self._passwords.hash(secrets.token_urlsafe(32))
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            mail = await self._mails.found(stores, token, "undo")
            account = await _owner(stores, mail)
            await self._mails.opened(stores, token, "undo")
            await stores.accounts.save_email(account.id, mail.email, now)
            await stores.accounts.save_password_hash(account.id, nobodys)
            await stores.account_mails.end_of_account(account.id, ("change", "confirm"), now)
            await stores.account_mails.end_of_account(account.id, ("undo",), now, since=utc(mail.asked_at_ms))
            await stores.account_mails.end(account.email, "reset", now)
            await end_all_logins(stores, account.id, self._clock, MOVED_BACK)
            gone = await take_what_came(
                stores, account.id, since_ms=mail.asked_at_ms, now_ms=to_wall_ms(now), reason=MOVED_BACK
            )
            await self._mails.write(stores, "reset", mail.email)
        log.info("email.moved_back", account=str(account.id), gone=msgspec.to_builtins(gone))

    async def _require_link(self, stores: AccountStores, account: Account, email: str) -> None:
        """Return when a good link that moves the account to this address is in its mailbox. Raises TooManyAttempts."""
        links = await stores.account_mails.open_of_account(account.id, "change")
        if not any(mail.email == email and self._clock.wall_ms() < mail.until_ms for mail in links):
            raise TooManyAttempts("this address is written to too often; try again later", retry_after_ms=PAUSE_MS)


async def _owner(stores: AccountStores, mail: AccountMail) -> Account:
    account = None if mail.account_id is None else await stores.accounts.locked(mail.account_id)
    if account is None:
        raise LinkOver
    return account
