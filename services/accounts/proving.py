"""Judging what somebody shows as a second factor, for whoever needs to know: a log-in that waits, a login that steps up.

What was right is used up at once, in a transaction of its own: whatever comes of it afterwards, a code, a recovery code and a
passkey's signature open nothing twice (ASVS 6.5.1), also when two come at the same moment on two nodes. Guesses are counted
before anything is looked at.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from services.accounts import passkey, recovery_code, totp
from services.accounts.attempts import Attempts
from services.accounts.passkey import Passkey, PasskeyChallenges, ShownPasskey, Site
from services.accounts.passwords import Passwords
from services.accounts.ports import AccountStores, AccountTransactions
from services.kernel.clock import Clock, utc
from services.kernel.facts import SecondFactorChanged
from services.kernel.ids import AccountId
from services.kernel.problems import FactorRefused, PasskeyRefused, TooManyAttempts
from services.kernel.sealing import Seals

log = structlog.get_logger(__name__)


class TypedCode(msgspec.Struct, frozen=True):
    """A code of an authenticator app, as it was typed."""

    code: str


class TypedRecoveryCode(msgspec.Struct, frozen=True):
    """A recovery code, as it was typed."""

    code: str


Evidence = TypedCode | TypedRecoveryCode | ShownPasskey


def about_totp(account_id: AccountId) -> bytes:
    """What the secret of an account's app is sealed about: one row's is no other's."""
    return f"totps.sealed {account_id}".encode()


class Proving:
    """The judge. `site` is asked late: a process learns its own address when it has one."""

    def __init__(
        self,
        transactions: AccountTransactions,
        passwords: Passwords,
        seals: Seals,
        site: Callable[[], Site],
        clock: Clock,
        attempts: Attempts,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._seals: Final = seals
        self._clock: Final = clock
        self._attempts: Final = attempts
        self.site: Final = site
        self.challenges: Final = PasskeyChallenges(seals)

    async def check(self, account_id: AccountId, shown: Evidence, purpose: str, address: str | None) -> None:
        """Return when this is a second factor of the account, and use it up. `purpose` is what a passkey's challenge was made for.

        Raises FactorRefused, PasskeyRefused, TooManyAttempts, Busy.
        """
        await self._attempts.factor(str(account_id), address)
        match shown:
            case TypedCode(code=typed):
                await self._totp(account_id, typed)
            case TypedRecoveryCode(code=typed):
                await self._recovery_code(account_id, typed)
            case ShownPasskey():
                await self.passkey(shown, purpose, account_id)

    async def passkey(self, shown: ShownPasskey, purpose: str, of: AccountId | None = None) -> AccountId:
        """Whose passkey this is; `of` somebody in particular, or of whomever. Raises PasskeyRefused."""
        said = passkey.shown(shown)
        now_ms = self._clock.wall_ms()
        until_ms = self.challenges.check(said.challenge, purpose, now_ms)
        async with self._transactions() as stores:
            known = await stores.second_factors.passkey_locked(said.credential_id)
            if known is None or (of is not None and known.account_id != of):
                raise PasskeyRefused
            signatures = passkey.signatures_of(self.site(), shown, known)
            if not await stores.second_factors.use_challenge(
                passkey.challenge_hash(said.challenge), utc(until_ms), utc(now_ms)
            ):
                raise PasskeyRefused("this was shown before; begin again")
            copied = passkey.is_copied(known, signatures)
            if copied:
                await self._copied(stores, known, now_ms)
            else:
                await stores.second_factors.passkey_used(known.id, signatures, utc(now_ms))
        # Raised after the commit: its owner is told.
        if copied:
            raise PasskeyRefused(
                "the counter of this passkey went backwards, as that of a copy would; remove it, and make another one"
            )
        return known.account_id

    async def _totp(self, account_id: AccountId, typed: str) -> None:
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            await stores.second_factors.lock(account_id)
            known = await stores.second_factors.totp(account_id)
            if known is None or known.confirmed_at_ms is None:
                raise FactorRefused("this account has no authenticator app")
            guessed = known.guess(now_ms)
            if isinstance(guessed, int):
                raise TooManyAttempts("too many codes were wrong; wait, or use another factor", retry_after_ms=guessed)
            secret = self.open_secret(account_id, known)
            step = totp.matching_step(secret, typed, now_ms, known.used_step)
            await stores.second_factors.save_totp(account_id, guessed if step is None else guessed.used(step))
        # Raised after the commit: a wrong guess counts.
        if step is None:
            log.info("factor.refused", account=str(account_id), kind="totp")
            raise FactorRefused

    async def _recovery_code(self, account_id: AccountId, typed: str) -> None:
        code = recovery_code.normal_code(typed)
        if code is None:
            raise FactorRefused("this is not a recovery code: they have three groups of four letters and digits")
        name = recovery_code.name_of(code)
        async with self._transactions() as stores:
            known = await stores.second_factors.code_hash(account_id, name)
        checked = await self._passwords.check(code, known)
        now_ms = self._clock.wall_ms()
        async with self._transactions() as stores:
            await stores.second_factors.lock(account_id)
            if (
                known is None
                or not checked.matches
                or not await stores.second_factors.use_code(account_id, name, known, utc(now_ms))
            ):
                log.info("factor.refused", account=str(account_id), kind="recovery_code")
                raise FactorRefused
            left = await stores.second_factors.codes_left(account_id)
            await stores.outbox.add(SecondFactorChanged(account_id, "code_used", now_ms, left=left), account_id)
        log.info("factor.recovery_code_used", account=str(account_id), left=left)

    def open_secret(self, account_id: AccountId, known: totp.Totp) -> bytes:
        """The secret of an app. Raises CannotOpen."""
        return bytes.fromhex(self._seals.open(known.sealed, about_totp(account_id)))

    def seal_secret(self, account_id: AccountId, secret: bytes) -> bytes:
        """The secret of an app, to be stored for this account."""
        return self._seals.seal(secret.hex(), about_totp(account_id))

    async def _copied(self, stores: AccountStores, known: Passkey, now_ms: int) -> None:
        change = SecondFactorChanged(known.account_id, "passkey_copied", now_ms, name=known.name)
        await stores.outbox.add(change, known.account_id)
        log.warning("passkey.copied", account=str(known.account_id), passkey=str(known.id))
