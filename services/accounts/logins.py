"""Where an account is logged in, ending that from anywhere, and changing the password.

Ending a login takes its refresh tokens away in the same transaction and closes its sockets on every node (`LoginEnded`), as logging
out does; an access token that is out already is refused within 5 s (revoked.py).

A password is changed by somebody who is logged in and knows the old one: a phone that was left on a bench does not suffice;
nor does that, for an account with a second factor, unless this login has shown it just now (`step_up.py`). All other logins
end with it, because who changes a password does so, more often than not, since somebody else knows it. A log-in that was
being checked against the old one at that moment opens nothing (`Accounts.log_in` looks again under the account's lock).
"""

from datetime import datetime
from typing import Final

import msgspec
import structlog

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.account import check_password, normal_password
from services.accounts.account_mails import AccountMails
from services.accounts.attempts import Attempts
from services.accounts.breached import Breached
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountStores, AccountTransactions
from services.accounts.step_up import require_fresh
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import LoginEnded
from services.kernel.ids import AccountId, LoginId
from services.kernel.problems import NotAuthenticated, NotFound, WrongPassword

ENDED_BY_OWNER: Final = "ended from another device"
PASSWORD_CHANGED: Final = "the password was changed"  # noqa: S105 - a reason

log = structlog.get_logger(__name__)


class LoginView(msgspec.Struct, frozen=True):
    """One login. `device` is what it calls itself; `used_at_ms` is when it last asked for new tokens, every quarter of an hour
    while it is used, by default. `current`: the one that asks."""

    id: LoginId
    device: str
    created_at_ms: int
    used_at_ms: int
    current: bool


class Logins:
    """The use cases. All raise Forbidden for a display, which has no login."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        clock: Clock,
        attempts: Attempts,
        *,
        mails: AccountMails | None = None,
        breached: Breached | None = None,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._clock: Final = clock
        self._attempts: Final = attempts
        self._mails: Final = mails
        self._breached: Final = breached

    async def all(self, caller: Caller) -> tuple[LoginView, ...]:
        """Where the caller is logged in, the one used last first."""
        account_id = _account_of(caller)
        async with self._transactions() as stores:
            live = await stores.logins.live(account_id, utc(self._clock.wall_ms()))
        return tuple(
            LoginView(
                id=use.login.id,
                device=use.login.device,
                created_at_ms=_ms(use.login.created_at),
                used_at_ms=_ms(use.used_at),
                current=use.login.id == caller.login_id,
            )
            for use in live
        )

    async def end(self, caller: Caller, login_id: LoginId) -> None:
        """End one of the caller's logins. Again is fine. Raises NotFound, also for somebody else's."""
        account_id = _account_of(caller)
        async with self._transactions() as stores:
            login = await stores.logins.by_id(login_id)
            if login is None or login.account_id != account_id:
                raise NotFound("you have no such login")
            now = utc(self._clock.wall_ms())
            if await stores.logins.end(login_id, now, ENDED_BY_OWNER):
                await stores.outbox.add(LoginEnded(account_id, login_id, ENDED_BY_OWNER), login_id)

    async def end_others(self, caller: Caller) -> int:
        """End all of the caller's logins but this one; how many that were."""
        account_id = _account_of(caller)
        async with self._transactions() as stores:
            return await self._end_others(stores, account_id, caller.login_id, ENDED_BY_OWNER)

    async def change_password(self, caller: Caller, *, old: str, new: str, address: str | None) -> int:
        """Replace the password and end all other logins; how many that were. The address is told, and links that were sent there
        to choose another one die.

        Raises StepUpNeeded when the account has a second factor that was not shown just now, WrongPassword for the old one,
        WeakPassword for the new one, NotAuthenticated when the account is gone, TooManyAttempts, Busy.
        """
        account_id = _account_of(caller)
        old, new = normal_password(old, "$.old"), normal_password(new, "$.new")
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotAuthenticated
            known = await stores.accounts.credentials(account.email)
            if await stores.second_factors.any(account_id):
                require_fresh(caller, self._clock.wall_ms(), second_factor=True)
        await self._attempts.password(account.email, address)
        check_password(new, email=account.email, name=account.name, path="$.new")
        # No connection is held while hashes are computed, so the password is looked at once more under the lock.
        checked = await self._passwords.check(old, known.password_hash if known else None)
        if known is None or not checked.matches:
            log.info("password.refused", account=str(account_id))
            raise WrongPassword
        await self._attempts.succeeded(account.email, address)
        if self._breached is not None:
            await self._breached.refuse(new, "$.new")
        hashed = await self._passwords.hash(new)
        async with self._transactions() as stores:
            if await stores.accounts.password_hash_locked(account_id) != known.password_hash:
                raise WrongPassword
            await stores.accounts.save_password_hash(account_id, hashed)
            ended = await self._end_others(stores, account_id, caller.login_id, PASSWORD_CHANGED)
            await stores.account_mails.end(account.email, "reset", utc(self._clock.wall_ms()))
            if self._mails is not None:
                await self._mails.write(stores, "password", account.email, account_id=account_id)
        log.info("password.changed", account=str(account_id), ended=ended)
        return ended

    async def _end_others(self, stores: AccountStores, account_id: AccountId, keep: LoginId, reason: str) -> int:
        ended = await stores.logins.end_others(account_id, keep, utc(self._clock.wall_ms()), reason)
        for login_id in ended:
            await stores.outbox.add(LoginEnded(account_id, login_id, reason), login_id)
        return len(ended)


def _account_of(caller: Caller) -> AccountId:
    require_held(caller, may.READ_LOGINS)
    return caller.account_id


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)
