"""Proving oneself anew, for a sensitive act: the use cases behind `step_up.py`.

With the password; but where there is a second factor, with that, since whoever has only the password is who it is there for.
The login remembers the moment, so its next refresh says the same. Wrong passwords and codes count as they do for logging in.
"""

from typing import Final

import msgspec
import structlog

from services.accounts import passkey
from services.accounts.account import Account, normal_password
from services.accounts.attempts import Attempts
from services.accounts.opening import Opening
from services.accounts.passkey import RequestOptions
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountTransactions, Login
from services.accounts.proving import Evidence, Proving
from services.accounts.step_up import FRESH_MS
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId
from services.kernel.problems import FactorRefused, Forbidden, NotAuthenticated, NotFound, WrongPassword

log = structlog.get_logger(__name__)


class SteppedUp(msgspec.Struct, frozen=True):
    """Use this access token from now on; sensitive acts are open to it until `fresh_until_ms` (ms since 1970)."""

    access_token: str
    expires_in_s: int
    fresh_until_ms: int

    def __repr__(self) -> str:
        return f"SteppedUp(until {self.fresh_until_ms})"


class StepUps:
    """The use cases. All raise Forbidden for a display, NotAuthenticated when the login has ended, TooManyAttempts."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        proving: Proving,
        opening: Opening,
        clock: Clock,
        attempts: Attempts,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._proving: Final = proving
        self._opening: Final = opening
        self._clock: Final = clock
        self._attempts: Final = attempts

    async def options(self, caller: Caller) -> RequestOptions:
        """What to ask of an authenticator that holds one of the caller's passkeys. Raises NotFound when they have none."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            have = await stores.second_factors.passkeys(account_id)
        if not have:
            raise NotFound("you have no passkey here")
        challenge = self._proving.challenges.make(_purpose(caller), self._clock.wall_ms())
        return passkey.request_options(self._proving.site(), challenge, have)

    async def with_factor(self, caller: Caller, shown: Evidence, *, address: str | None) -> SteppedUp:
        """Prove it with a second factor. Raises FactorRefused, PasskeyRefused, Busy."""
        account_id = _own(caller)
        await self._proving.check(account_id, shown, _purpose(caller), address)
        async with self._transactions() as stores:
            account = await stores.accounts.locked(account_id)
            now = utc(self._clock.wall_ms())
            login = await stores.logins.save_fresh(caller.login_id, now, now)
        return self._stepped_up(account, login)

    async def with_password(self, caller: Caller, password: str, *, address: str | None) -> SteppedUp:
        """Prove it with the password. Raises WrongPassword, FactorRefused where there is a second factor, Busy."""
        account_id = _own(caller)
        password = normal_password(password)
        async with self._transactions() as stores:
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotAuthenticated
            known = await stores.accounts.credentials(account.email)
            factors = await stores.second_factors.of(account_id)
        if factors.any:
            raise FactorRefused(
                "you have a second factor: the password alone does not prove that it is you",
                factors=" ".join(factors.kinds()),
            )
        await self._attempts.password(account.email, address)
        # No connection is held while the hash is computed, so the password is looked at once more under the lock.
        checked = await self._passwords.check(password, known.password_hash if known else None)
        if known is None or not checked.matches:
            log.info("step_up.refused", account=str(account_id))
            raise WrongPassword
        await self._attempts.succeeded(account.email, address)
        async with self._transactions() as stores:
            if await stores.accounts.password_hash_locked(account_id) != known.password_hash:
                raise WrongPassword
            login = await stores.logins.save_fresh(caller.login_id, utc(self._clock.wall_ms()), None)
        return self._stepped_up(account, login)

    def _stepped_up(self, account: Account | None, login: Login | None) -> SteppedUp:
        if account is None or login is None:
            raise NotAuthenticated
        log.info("step_up.done", account=str(account.id))
        issued = self._opening.access(account, login)
        return SteppedUp(issued.token, issued.expires_in_s, self._clock.wall_ms() + FRESH_MS)


def _own(caller: Caller) -> AccountId:
    if caller.class_id is not None:
        raise Forbidden("a display has no account; log in for this")
    return caller.account_id


def _purpose(caller: Caller) -> str:
    return f"step up {caller.account_id} {caller.login_id}"
