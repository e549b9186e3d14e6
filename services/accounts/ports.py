"""What accounts need from the world: three stores inside a transaction.

`persistence.stores.Stores` fulfils all of this. Times are aware datetimes in UTC at this border, because that is what
the stores keep.
"""

import uuid
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from services.accounts.account import Account, Credentials
from services.accounts.account_mail import AccountMail, Says
from services.accounts.keyring import RingKey
from services.accounts.passkey import Passkey
from services.accounts.second_factor import Factors, WaitingLogin
from services.accounts.suspension import Suspension
from services.accounts.totp import Totp
from services.accounts.vital import Vital
from services.audit.entry import AuditStore
from services.kernel.caller import AccountRole
from services.kernel.facts import AnyFact
from services.kernel.ids import AccountId, AccountMailId, FactId, LoginId, PasskeyId, VitalId


class Login(msgspec.Struct, frozen=True):
    """A refresh-token family on one device. `device` is what the device calls itself; it last proved itself at `fresh_at`, and with
    a second factor at `second_factor_at`."""

    id: LoginId
    account_id: AccountId
    device: str
    created_at: datetime
    ended_at: datetime | None = None
    fresh_at: datetime | None = None
    second_factor_at: datetime | None = None


class LoginInUse(msgspec.Struct, frozen=True):
    """A login that goes on, and when it last asked for tokens."""

    login: Login
    used_at: datetime


class Refresh(msgspec.Struct, frozen=True):
    """One refresh token as stored, with the login it belongs to."""

    login: Login
    expires_at: datetime
    used_at: datetime | None


class StoredKey(msgspec.Struct, frozen=True):
    """A signing key as stored: `public` 32 bytes, `sealed` its private part; None for the key of the installation."""

    place: RingKey
    public: bytes
    sealed: bytes | None

    def __repr__(self) -> str:
        return f"StoredKey({self.place})"


class KeyStore(Protocol):
    """The signing keys."""

    async def lock(self) -> None:
        """Nobody else changes keys before this transaction ends."""
        ...

    async def all(self) -> list[StoredKey]:
        """Every key there is, in the order in which they sign."""
        ...

    async def begin(self, first: StoredKey, at: datetime) -> None:
        """Store the key that a node begins with, unless it is there."""
        ...

    async def save(self, keys: Iterable[StoredKey], made_at: datetime) -> None:
        """Store new keys, and the places in time of those that are there."""
        ...

    async def forget(self, retired_before: datetime) -> int:
        """Delete the keys that retired before then, but not the one of the installation; how many."""
        ...


class KeyStores(Protocol):
    """The stores of one open transaction, for keys."""

    @property
    def signing_keys(self) -> KeyStore: ...
    @property
    def audit(self) -> AuditStore: ...


class KeyTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[KeyStores]: ...


class AccountStore(Protocol):
    """Accounts and their password hashes."""

    async def add(self, account: Account, password_hash: str) -> None:
        """Store a new account. Raises EmailTaken."""
        ...

    async def by_id(self, account_id: AccountId) -> Account | None: ...

    async def locked(self, account_id: AccountId) -> Account | None:
        """The account, locked against other changes until the transaction ends."""
        ...

    async def credentials(self, email: str) -> Credentials | None:
        """The account with this (normal) address, and its password's hash."""
        ...

    async def password_of(self, email: str) -> tuple[AccountId, str] | None:
        """Whose address (in lower case) this is, and the hash of their password, or None."""
        ...

    async def save(self, account: Account) -> None:
        """Store name and profile."""
        ...

    async def password_hash_locked(self, account_id: AccountId) -> str | None:
        """The hash of the password as it is now; the account is locked against other changes until the transaction ends."""
        ...

    async def save_password_hash(self, account_id: AccountId, password_hash: str) -> None: ...

    async def by_email_locked(self, email: str) -> Account | None:
        """The account with this (normal) address, locked against other changes until the transaction ends."""
        ...

    async def verify(self, account_id: AccountId, at: datetime) -> None:
        """The account's address is proved; the first time stands."""
        ...

    async def save_email(self, account_id: AccountId, email: str, verified_at: datetime) -> None:
        """Give the account another (normal) address, which is proved. Raises EmailTaken."""
        ...

    async def grant_role(self, email: str, role: AccountRole) -> Account | None:
        """Add `role`; the account as it is then, None when no account has this (normal) address."""
        ...


class AccountMailStore(Protocol):
    """Mails about accounts (account_mail.py)."""

    async def lock(self, email: str) -> None:
        """Nobody else counts the mails to this address before this transaction ends."""
        ...

    async def asked_since(self, email: str, says: Says, since: datetime) -> list[int]:
        """When mails that say this to the address were asked for since an instant, ms since 1970, in order."""
        ...

    async def add(self, mail: AccountMail, at: datetime, until: datetime) -> None:
        """Store a mail, to be sent now, or not at all once it is `until`."""
        ...

    async def by_id(self, mail_id: AccountMailId) -> AccountMail | None:
        """The mail, whether its link is good or not."""
        ...

    async def locked(self, mail_id: AccountMailId) -> AccountMail | None:
        """The mail; nobody else can use its link before this transaction ends."""
        ...

    async def end(self, email: str, says: Says, at: datetime) -> None:
        """No link in a mail that says this to the address is good any more."""
        ...

    async def end_one(self, mail_id: AccountMailId, at: datetime) -> None:
        """The link in this mail is good no more."""
        ...

    async def open_of_account(self, account_id: AccountId, says: Says) -> list[AccountMail]:
        """The mails about this account that say this and were not ended; the time of some may be over."""
        ...

    async def end_of_account(
        self,
        account_id: AccountId,
        says: Sequence[Says],
        at: datetime,
        *,
        since: datetime | None = None,
        but: AccountMailId | None = None,
    ) -> None:
        """No link in a mail about this account that says one of these is good any more; with `since` none that was
        asked for then or later, with `but` none except that one."""
        ...


class VitalStore(Protocol):
    """The history of bodies (vital.py)."""

    async def of(self, account_id: AccountId) -> list[Vital]:
        """All of an account's, in no order."""
        ...

    async def add(self, account_id: AccountId, vital: Vital) -> None: ...

    async def delete(self, account_id: AccountId, vital_id: VitalId) -> bool:
        """False when this account has none of this id."""
        ...


class LoginStore(Protocol):
    """Logins and their refresh tokens."""

    async def add(self, login: Login) -> None: ...

    async def add_refresh(
        self, login_id: LoginId, token_hash: bytes, issued_at: datetime, expires_at: datetime
    ) -> None: ...

    async def refresh_locked(self, token_hash: bytes) -> Refresh | None:
        """The refresh token with this hash; its whole login is locked until the transaction ends."""
        ...

    async def save_fresh(
        self, login_id: LoginId, fresh_at: datetime, second_factor_at: datetime | None
    ) -> Login | None:
        """The login has proven itself; None leaves the second factor as it was. As it is then, or None when it has ended."""
        ...

    async def mark_used(self, token_hash: bytes, used_at: datetime) -> None: ...

    async def by_id(self, login_id: LoginId) -> Login | None:
        """The login, ended or not."""
        ...

    async def live(self, account_id: AccountId, now: datetime) -> list[LoginInUse]:
        """The logins of an account that have not ended and can still get new tokens, the one used last first."""
        ...

    async def end_others(self, account_id: AccountId, keep: LoginId, ended_at: datetime, reason: str) -> list[LoginId]:
        """End all logins of an account but one, as `end` does; which they were."""
        ...

    async def end_all(self, account_id: AccountId, ended_at: datetime, reason: str) -> list[LoginId]:
        """End all logins of an account, as `end` does; which they were."""
        ...

    async def end(self, login_id: LoginId, ended_at: datetime, reason: str) -> bool:
        """End the login and forget its refresh tokens. False when it had ended before, or never was."""
        ...


class SecondFactorStore(Protocol):
    """Second factors, and log-ins that wait for one."""

    async def lock(self, account_id: AccountId) -> None:
        """Nobody else adds, removes or uses a factor of this account before this transaction ends."""
        ...

    async def of(self, account_id: AccountId) -> Factors: ...

    async def any(self, account_id: AccountId) -> bool:
        """Whether an account has a second factor."""
        ...

    async def totp(self, account_id: AccountId) -> Totp | None:
        """The app of an account, confirmed or not."""
        ...

    async def save_totp(self, account_id: AccountId, totp: Totp) -> None:
        """Store an app in place of what was there."""
        ...

    async def forget_totp(self, account_id: AccountId) -> bool:
        """Whether there was one that counted."""
        ...

    async def save_codes(self, account_id: AccountId, hashes: dict[str, str], made_at: datetime) -> None:
        """Store the hashes of new recovery codes, by name, in place of the old ones."""
        ...

    async def forget_codes(self, account_id: AccountId, *, made_since: datetime | None = None) -> int:
        """Forget recovery codes, with `made_since` those that were made then or later; how many were left of them."""
        ...

    async def code_hash(self, account_id: AccountId, name: str) -> str | None:
        """The hash of a recovery code that was not used."""
        ...

    async def use_code(self, account_id: AccountId, name: str, code_hash: str, used_at: datetime) -> bool:
        """Use a recovery code up. False when it was used, or is another one by now."""
        ...

    async def codes_left(self, account_id: AccountId) -> int: ...

    async def passkeys(self, account_id: AccountId) -> list[Passkey]:
        """The passkeys of an account, the oldest first."""
        ...

    async def passkey_locked(self, credential_id: bytes) -> Passkey | None:
        """The passkey that an authenticator knows by this id; nobody else uses it before this transaction ends."""
        ...

    async def add_passkey(self, passkey: Passkey) -> bool:
        """Store a new one. False when its authenticator has said an id that is there."""
        ...

    async def passkey_used(self, passkey_id: PasskeyId, signatures: int, used_at: datetime) -> None: ...

    async def rename_passkey(self, account_id: AccountId, passkey_id: PasskeyId, name: str) -> Passkey | None:
        """As it is then, or None when the account has none of this id."""
        ...

    async def forget_passkey(self, account_id: AccountId, passkey_id: PasskeyId) -> Passkey | None:
        """The one that was there, or None."""
        ...

    async def forget_passkeys(self, account_id: AccountId) -> int:
        """Forget all of an account's; how many."""
        ...

    async def use_challenge(self, challenge_hash: bytes, until: datetime, now: datetime) -> bool:
        """Mark a challenge as used until it is too old anyway. False when it was used before."""
        ...

    async def wait(self, token_hash: bytes, waiting: WaitingLogin, made_at: datetime, until: datetime) -> None:
        """Store a log-in that waits. The account is locked."""
        ...

    async def waiting(self, token_hash: bytes) -> WaitingLogin | None:
        """A log-in that waits, whether it can go on or not; nothing is locked."""
        ...

    async def guess(self, token_hash: bytes, now: datetime) -> tuple[WaitingLogin, int] | None:
        """Take one of the guesses of a log-in that waits: what it is, and how many are left. None when it cannot go on."""
        ...

    async def take(self, token_hash: bytes, now: datetime) -> WaitingLogin | None:
        """Take a log-in that waits, in order to open it. None when somebody else has, or it is too old."""
        ...


class SuspensionStore(Protocol):
    """Which accounts may not be used."""

    async def standing(self, account_id: AccountId) -> Suspension | None:
        """The suspension that was not lifted; it may have run out."""
        ...


class OutboxStore(Protocol):
    """Facts that leave with this transaction."""

    async def add(self, fact: AnyFact, aggregate_id: uuid.UUID) -> FactId: ...


class AccountStores(Protocol):
    """The stores of one open transaction."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def account_mails(self) -> AccountMailStore: ...
    @property
    def logins(self) -> LoginStore: ...
    @property
    def vitals(self) -> VitalStore: ...
    @property
    def second_factors(self) -> SecondFactorStore: ...
    @property
    def suspensions(self) -> SuspensionStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def audit(self) -> AuditStore: ...


class AccountTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[AccountStores]: ...
