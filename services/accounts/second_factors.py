"""What an account has besides its password: adding it, looking at it, taking it away. The use cases.

Everything that changes something asks for a login that has proven itself just now, with the second factor where there is one
(`step_up.py`, ASVS 7.5.1); and the owner is told, in case it was not they. A new app or passkey is a proof of its own, so whoever
adds one gets an access token that says so.

Recovery codes are made on request, shown once, and replace the ones before. They go with the last factor.
"""

from typing import Final

import msgspec
import structlog

from services.accounts import passkey, totp
from services.accounts.account import normal_device, normal_email
from services.accounts.identity import has_way_in
from services.accounts.opening import Opening
from services.accounts.passkey import CreationOptions, MadePasskey, Passkey
from services.accounts.passwords import Passwords, can_fit
from services.accounts.ports import AccountStores, AccountTransactions
from services.accounts.proving import Proving
from services.accounts.qr import picture_of
from services.accounts.recovery_code import grouped, make_codes, name_of
from services.accounts.second_factor import Change, Factors
from services.accounts.sign_in_ports import SignInTransactions
from services.accounts.step_up import FRESH_MS, require_fresh
from services.accounts.step_ups import SteppedUp
from services.accounts.totp import Totp
from services.audit.entry import Actor, Entry
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import SecondFactorChanged
from services.kernel.ids import AccountId, Ids, PasskeyId
from services.kernel.problems import (
    AlreadySetUp,
    CodeExpired,
    FactorRefused,
    Forbidden,
    LastWayIn,
    NotAuthenticated,
    NotFound,
    PasskeyRefused,
    TooManyAttempts,
    TooManyPasskeys,
)

log = structlog.get_logger(__name__)


class TotpToScan(msgspec.Struct, frozen=True):
    """A secret for an authenticator app, shown once: as `uri`, as the QR code of it (`picture`, an SVG), and to be typed. It
    counts once a code has confirmed it, until `expires_at_ms`."""

    secret: str
    uri: str
    picture: str
    expires_at_ms: int

    def __repr__(self) -> str:
        return f"TotpToScan(until {self.expires_at_ms})"


class PasskeyAdded(msgspec.Struct, frozen=True):
    """The passkey, and an access token that says that it was shown."""

    passkey: Passkey
    stepped_up: SteppedUp


class SecondFactors:
    """The use cases. All raise Forbidden for a display, which has no account; those that change something StepUpNeeded."""

    def __init__(
        self,
        transactions: SignInTransactions,
        passwords: Passwords,
        proving: Proving,
        opening: Opening,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._transactions: Final = transactions
        self._passwords: Final = passwords
        self._proving: Final = proving
        self._opening: Final = opening
        self._clock: Final = clock
        self._ids: Final = ids

    def domain(self) -> str:
        """The domain whose pages can use passkeys."""
        return self._proving.site().domain

    async def now(self, caller: Caller) -> Factors:
        """What the caller has."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            return await stores.second_factors.of(account_id)

    # -- authenticator apps ---------------------------------------------------------------------------------------

    async def begin_totp(self, caller: Caller) -> TotpToScan:
        """A new secret, in place of one that was never confirmed. Raises AlreadySetUp."""
        account_id, now_ms, secret = _own(caller), self._clock.wall_ms(), totp.make_secret()
        async with self._transactions() as stores:
            await self._change(stores, caller)
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotAuthenticated
            known = await stores.second_factors.totp(account_id)
            if known is not None and known.confirmed_at_ms is not None:
                raise AlreadySetUp
            await stores.second_factors.save_totp(
                account_id,
                Totp(self._proving.seal_secret(account_id, secret), made_at_ms=now_ms, guessed_at_ms=now_ms),
            )
        uri = totp.uri_of(secret, account.email, passkey.NAME)
        return TotpToScan(totp.spelled(secret), uri, picture_of(uri), now_ms + totp.ENROL_MS)

    async def confirm_totp(self, caller: Caller, typed: str) -> SteppedUp:
        """From now on the app counts. Raises FactorRefused, CodeExpired when no secret waits for a code, TooManyAttempts."""
        account_id, now_ms = _own(caller), self._clock.wall_ms()
        stepped_up: SteppedUp | None = None
        async with self._transactions() as stores:
            await self._change(stores, caller)
            known = await stores.second_factors.totp(account_id)
            if known is None or known.confirmed_at_ms is not None or now_ms >= known.made_at_ms + totp.ENROL_MS:
                raise CodeExpired("no secret waits for a code: ask for a new one, and scan it again")
            guessed = known.guess(now_ms)
            if isinstance(guessed, int):
                raise TooManyAttempts("too many codes were wrong; wait, or scan a new one", retry_after_ms=guessed)
            secret = self._proving.open_secret(account_id, known)
            step = totp.matching_step(secret, typed, now_ms, None)
            if step is None:
                await stores.second_factors.save_totp(account_id, guessed)
            else:
                confirmed = msgspec.structs.replace(guessed.used(step), confirmed_at_ms=now_ms)
                await stores.second_factors.save_totp(account_id, confirmed)
                await self._told(stores, account_id, "totp_added")
                stepped_up = await self._stepped_up(stores, caller)
        # Raised after the commit: a wrong guess counts.
        if stepped_up is None:
            raise FactorRefused("this is not the code that the app shows now; is the clock of your phone right?")
        return stepped_up

    async def remove_totp(self, caller: Caller) -> None:
        """The app counts no more. Raises NotFound when there is none."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            await self._change(stores, caller)
            if not await stores.second_factors.forget_totp(account_id):
                raise NotFound("you have no authenticator app here")
            await self._removed(stores, account_id, "totp_removed")

    # -- recovery codes -------------------------------------------------------------------------------------------

    async def new_codes(self, caller: Caller) -> tuple[str, ...]:
        """Ten new codes; old ones are worth nothing any more. Raises NotFound without a factor that they could stand in for,
        Busy."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            await self._change(stores, caller)
            await self._needs_factor(stores, account_id)
        codes = make_codes()
        # No connection is held while hashes are computed, so there may be no factor any more.
        hashes = {name_of(code): await self._passwords.hash(code) for code in codes}
        async with self._transactions() as stores:
            await stores.second_factors.lock(account_id)
            await self._needs_factor(stores, account_id)
            await stores.second_factors.save_codes(account_id, hashes, utc(self._clock.wall_ms()))
            await self._told(stores, account_id, "codes_made", left=len(codes))
        return tuple(map(grouped, codes))

    # -- passkeys -------------------------------------------------------------------------------------------------

    async def passkey_options(self, caller: Caller) -> CreationOptions:
        """What to ask of an authenticator. Raises TooManyPasskeys."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            await self._change(stores, caller)
            account = await stores.accounts.by_id(account_id)
            if account is None:
                raise NotAuthenticated
            have = await self._room_for_one(stores, account_id)
        challenge = self._proving.challenges.make(_adding(caller), self._clock.wall_ms())
        return passkey.creation_options(self._proving.site(), challenge, account_id, account.email, account.name, have)

    async def add_passkey(self, caller: Caller, name: str, answer: MadePasskey) -> PasskeyAdded:
        """Keep what the authenticator has made. Raises PasskeyRefused, TooManyPasskeys."""
        account_id, now_ms = _own(caller), self._clock.wall_ms()
        new = passkey.made(self._proving.site(), answer)
        until_ms = self._proving.challenges.check(new.challenge, _adding(caller), now_ms)
        added = Passkey(
            PasskeyId(self._ids.next()), account_id, _name(name), new.credential, new.signatures, made_at_ms=now_ms
        )
        async with self._transactions() as stores:
            await self._change(stores, caller)
            await self._room_for_one(stores, account_id)
            hashed = passkey.challenge_hash(new.challenge)
            if not await stores.second_factors.use_challenge(hashed, utc(until_ms), utc(now_ms)):
                raise PasskeyRefused("this was shown before; begin again")
            if not await stores.second_factors.add_passkey(added):
                raise PasskeyRefused("this passkey is here already")
            await self._told(stores, account_id, "passkey_added", name=added.name)
            stepped_up = await self._stepped_up(stores, caller)
        return PasskeyAdded(added, stepped_up)

    async def rename_passkey(self, caller: Caller, passkey_id: PasskeyId, name: str) -> Passkey:
        """Call it something else. Raises NotFound, also for somebody else's."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            renamed = await stores.second_factors.rename_passkey(account_id, passkey_id, _name(name))
        if renamed is None:
            raise NotFound("you have no such passkey")
        return renamed

    async def remove_passkey(self, caller: Caller, passkey_id: PasskeyId) -> None:
        """It opens nothing any more. Raises NotFound, also for somebody else's; LastWayIn."""
        account_id = _own(caller)
        async with self._transactions() as stores:
            await self._change(stores, caller)
            removed = await stores.second_factors.forget_passkey(account_id, passkey_id)
            if removed is None:
                raise NotFound("you have no such passkey")
            password = await stores.accounts.password_hash_locked(account_id)
            identities = await stores.identities.of_account(account_id)
            passkeys = await stores.second_factors.passkeys(account_id)
            if not has_way_in(password=can_fit(password), identities=len(identities), passkeys=len(passkeys)):
                raise LastWayIn
            await self._removed(stores, account_id, "passkey_removed", name=removed.name)

    # -- within a transaction ---------------------------------------------------------------------------------------

    async def _change(self, stores: AccountStores, caller: Caller) -> None:
        """Nobody else changes factors meanwhile, and the caller may: raises StepUpNeeded."""
        await stores.second_factors.lock(caller.account_id)
        has_one = await stores.second_factors.any(caller.account_id)
        require_fresh(caller, self._clock.wall_ms(), second_factor=has_one)

    async def _needs_factor(self, stores: AccountStores, account_id: AccountId) -> None:
        if not await stores.second_factors.any(account_id):
            raise NotFound("recovery codes stand in for a second factor: add an authenticator app or a passkey first")

    async def _room_for_one(self, stores: AccountStores, account_id: AccountId) -> list[Passkey]:
        have = await stores.second_factors.passkeys(account_id)
        if len(have) >= passkey.MOST_PASSKEYS:
            raise TooManyPasskeys(limit=passkey.MOST_PASSKEYS)
        return have

    async def _removed(self, stores: AccountStores, account_id: AccountId, change: Change, name: str = "") -> None:
        if not await stores.second_factors.any(account_id):
            await stores.second_factors.forget_codes(account_id)
        await self._told(stores, account_id, change, name=name)

    async def _told(
        self, stores: AccountStores, account_id: AccountId, change: Change, *, name: str = "", left: int = 0
    ) -> None:
        fact = SecondFactorChanged(account_id, change, self._clock.wall_ms(), name=name, left=left)
        await stores.outbox.add(fact, account_id)
        log.info("factor.changed", account=str(account_id), change=change)

    async def _stepped_up(self, stores: AccountStores, caller: Caller) -> SteppedUp:
        """The caller has just shown what they have added."""
        now_ms = self._clock.wall_ms()
        account = await stores.accounts.by_id(caller.account_id)
        login = await stores.logins.save_fresh(caller.login_id, utc(now_ms), utc(now_ms))
        if account is None or login is None:
            raise NotAuthenticated
        issued = self._opening.access(account, login)
        return SteppedUp(issued.token, issued.expires_in_s, now_ms + FRESH_MS)


async def reset_factors(transactions: AccountTransactions, email: str, clock: Clock, *, actor: Actor) -> Factors:
    """Take all factors away from somebody who has lost theirs, for the operator's command line; what there was. Their owner
    is told.

    Raises NotFound when there is no such account, BadShape for what is no address.
    """
    async with transactions() as stores:
        credentials = await stores.accounts.credentials(normal_email(email))
        if credentials is None:
            raise NotFound(f"there is no account with the address {email}")
        account_id = credentials.account.id
        await stores.second_factors.lock(account_id)
        had = await stores.second_factors.of(account_id)
        await stores.second_factors.forget_totp(account_id)
        await stores.second_factors.forget_passkeys(account_id)
        await stores.second_factors.forget_codes(account_id)
        if had.any:
            await stores.outbox.add(SecondFactorChanged(account_id, "reset", clock.wall_ms()), account_id)
        lost = {"passkeys": len(had.passkeys), "recovery_codes": had.recovery_codes}
        await stores.audit.add(Entry(actor, "factors.reset", account=account_id, data=lost))
    log.info("factor.reset", account=str(account_id))
    return had


def _own(caller: Caller) -> AccountId:
    if caller.class_id is not None:
        raise Forbidden("a display has no account; log in for this")
    return caller.account_id


def _adding(caller: Caller) -> str:
    return f"add {caller.account_id} {caller.login_id}"


def _name(text: str) -> str:
    return normal_device(text)[: passkey.MAX_NAME] or "Passkey"
