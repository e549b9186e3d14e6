"""Log-ins with more than a password: the one that waits for its second factor, and the one that a passkey opens by itself."""

from typing import Final

import structlog

from services.accounts import passkey
from services.accounts.attempts import Attempts
from services.accounts.opening import LoggedIn, Opening, let_in
from services.accounts.passkey import RequestOptions, ShownPasskey
from services.accounts.ports import AccountTransactions
from services.accounts.proving import Evidence, Proving
from services.accounts.second_factor import WaitingLogin, continuation_hash, password_mark
from services.kernel.clock import Clock, utc
from services.kernel.facts import SecondFactorChanged
from services.kernel.problems import FactorRefused, LoginNotWaiting, PasskeyRefused

PURPOSE: Final = "log in"

log = structlog.get_logger(__name__)


class FactorLogins:
    """The use cases. `address` is where a request comes from, None when that says nothing about who."""

    def __init__(
        self, transactions: AccountTransactions, proving: Proving, opening: Opening, clock: Clock, attempts: Attempts
    ) -> None:
        self._transactions: Final = transactions
        self._proving: Final = proving
        self._opening: Final = opening
        self._clock: Final = clock
        self._attempts: Final = attempts

    async def options(self, *, address: str | None) -> RequestOptions:
        """What to ask of an authenticator, of whoever is there: nothing tells whether anybody has a passkey. Raises
        TooManyAttempts."""
        await self._attempts.from_address(address)
        challenge = self._proving.challenges.make(PURPOSE, self._clock.wall_ms())
        return passkey.request_options(self._proving.site(), challenge)

    async def with_passkey(self, shown: ShownPasskey, *, device: str, address: str | None) -> LoggedIn:
        """Open a login with a passkey alone. Raises PasskeyRefused, TooManyAttempts."""
        await self._attempts.from_address(address)
        account_id = await self._proving.passkey(shown, PURPOSE)
        async with self._transactions() as stores:
            account = await stores.accounts.locked(account_id)
            # Whoever has taken it away since it was judged has locked the account, too.
            known = await stores.second_factors.passkey_locked(passkey.shown(shown).credential_id)
            if account is None or known is None:
                raise PasskeyRefused
            opened = await self._opening.open(stores, account, device, "passkey")
        log.info("login.opened", account=str(account_id), by="passkey")
        return let_in(opened)

    async def finish(self, token: str, shown: Evidence, *, address: str | None) -> LoggedIn:
        """Open the login that waits with this continuation.

        Raises LoginNotWaiting, FactorRefused with the guesses that are left, TooManyAttempts, Busy.
        """
        await self._attempts.from_address(address)
        key = continuation_hash(token)
        waiting, left = await self._guess(key)
        try:
            await self._proving.check(waiting.account_id, shown, PURPOSE, address)
        except (FactorRefused, PasskeyRefused) as refused:
            if left == 0:
                await self._guessed(waiting)
            raise FactorRefused(f"{refused.message} {_again(left)}", guesses_left=left) from refused
        async with self._transactions() as stores:
            mark = password_mark(await stores.accounts.password_hash_locked(waiting.account_id))
            account = await stores.accounts.by_id(waiting.account_id)
            taken = await stores.second_factors.take(key, utc(self._clock.wall_ms()))
            if account is None or taken is None or taken.password_mark != mark:
                raise LoginNotWaiting
            opened = await self._opening.open(stores, account, waiting.device, "second_factor")
        log.info("login.opened", account=str(account.id), by="second factor")
        return let_in(opened)

    async def _guess(self, key: bytes) -> tuple[WaitingLogin, int]:
        """Count the guess before anything is looked at. Raises LoginNotWaiting, also when the password has changed."""
        async with self._transactions() as stores:
            waiting = await stores.second_factors.waiting(key)
            if waiting is None:
                raise LoginNotWaiting
            # First the account, then what waits for it, as everybody does who locks both.
            mark = password_mark(await stores.accounts.password_hash_locked(waiting.account_id))
            guessed = await stores.second_factors.guess(key, utc(self._clock.wall_ms()))
            if guessed is None or guessed[0].password_mark != mark:
                raise LoginNotWaiting
        return guessed

    async def _guessed(self, waiting: WaitingLogin) -> None:
        """Somebody who knows the password has no second factor, which its owner wants to know."""
        async with self._transactions() as stores:
            change = SecondFactorChanged(waiting.account_id, "guessed", self._clock.wall_ms())
            await stores.outbox.add(change, waiting.account_id)
        log.warning("factor.guessed", account=str(waiting.account_id))


def _again(left: int) -> str:
    return "You may try again." if left else "Log in again."
