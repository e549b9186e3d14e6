"""Proving oneself anew, for a sensitive act: the use case behind `step_up.py`.

The login remembers the moment, so its next refresh says the same. Wrong passwords count as they do for logging in.
"""

from typing import Final

import msgspec
import structlog

from services.accounts.account import normal_password
from services.accounts.attempts import Attempts
from services.accounts.opening import Opening
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountTransactions
from services.accounts.step_up import FRESH_MS
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.problems import Forbidden, NotAuthenticated, WrongPassword

log = structlog.get_logger(__name__)


class SteppedUp(msgspec.Struct, frozen=True):
    """Use this access token from now on; sensitive acts are open to it until `fresh_until_ms` (ms since 1970)."""

    access_token: str
    expires_in_s: int
    fresh_until_ms: int

    def __repr__(self) -> str:
        return f"SteppedUp(until {self.fresh_until_ms})"


class StepUps:
    """The use case."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        opening: Opening,
        clock: Clock,
        attempts: Attempts,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._opening: Final = opening
        self._clock: Final = clock
        self._attempts: Final = attempts

    async def with_password(self, caller: Caller, password: str, *, address: str | None) -> SteppedUp:
        """Prove it with the password.

        Raises WrongPassword, Forbidden for a display, NotAuthenticated when the login has ended, TooManyAttempts, Busy.
        """
        if caller.class_id is not None:
            raise Forbidden("a display has no account; log in for this")
        password = normal_password(password)
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(caller.account_id)
            if account is None:
                raise NotAuthenticated
            known = await stores.accounts.credentials(account.email)
        await self._attempts.password(account.email, address)
        # No connection is held while the hash is computed, so the password is looked at once more under the lock.
        checked = await self._passwords.check(password, known.password_hash if known else None)
        if known is None or not checked.matches:
            log.info("step_up.refused", account=str(account.id))
            raise WrongPassword
        await self._attempts.succeeded(account.email, address)
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            if await stores.accounts.password_hash_locked(account.id) != known.password_hash:
                raise WrongPassword
            login = await stores.logins.save_fresh(caller.login_id, utc(now_ms), None)
        if login is None:
            raise NotAuthenticated
        log.info("step_up.done", account=str(account.id))
        issued = self._opening.access(account, login)
        return SteppedUp(issued.token, issued.expires_in_s, now_ms + FRESH_MS)
