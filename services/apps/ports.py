"""What apps, their grants and keys need from the world: stores inside a transaction.

`persistence.stores.Stores` fulfils all of this. Times are aware datetimes in UTC at this border. A grant, and a key, is a login
(services/accounts): ending the login is what ends it, wherever that is done.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from services.accounts.ports import AccountStores
from services.apps.app import App
from services.kernel.caller import AccountRole, Scope
from services.kernel.ids import AccountId, ApiKeyId, AppId, LoginId


class Code(msgspec.Struct, frozen=True):
    """An authorisation code as stored: what somebody has agreed to. `given_in` is the login in which they did; `login_id` what came
    of it, once it was used."""

    app_id: AppId
    account_id: AccountId
    redirect_uri: str
    scopes: frozenset[Scope]
    challenge: str
    expires_at: datetime
    given_in: LoginId | None
    used_at: datetime | None = None
    login_id: LoginId | None = None


class Grant(msgspec.Struct, frozen=True):
    """What an account has lent an app: a login of the app's."""

    login_id: LoginId
    app_id: AppId
    account_id: AccountId
    scopes: frozenset[Scope]
    granted_at: datetime
    ended_at: datetime | None = None


class GrantInUse(msgspec.Struct, frozen=True):
    """A grant that goes on, the name of its app, and when that last asked for tokens."""

    grant: Grant
    name: str
    used_at: datetime


class AppRefresh(msgspec.Struct, frozen=True):
    """One refresh token of an app as stored, with the grant it belongs to."""

    grant: Grant
    expires_at: datetime
    used_at: datetime | None


class ApiKey(msgspec.Struct, frozen=True):
    """A key for one's own scripts. It ends at `expires_at`, if that is not None; `used_at` is right to the hour."""

    id: ApiKeyId
    account_id: AccountId
    login_id: LoginId
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None


class KeyOwner(msgspec.Struct, frozen=True):
    """A key that was shown, and the account behind it as it is now."""

    key: ApiKey
    name: str
    roles: frozenset[AccountRole]


class AppStore(Protocol):
    """Apps and their secrets."""

    async def add(self, app: App) -> None: ...

    async def by_id(self, app_id: AppId) -> App | None: ...

    async def locked(self, app_id: AppId) -> App | None:
        """The app, locked against other changes until the transaction ends."""
        ...

    async def of_owner(self, owner_id: AccountId) -> list[App]:
        """The apps of an account, the oldest first."""
        ...

    async def has_origin(self, origin: str) -> bool:
        """Whether an app has a redirect URI of this origin."""
        ...

    async def change(self, app: App) -> None:
        """Store name and redirect URIs."""
        ...

    async def remove(self, app_id: AppId) -> None:
        """Forget the app, its secrets and its codes, and that there were grants; their logins are there to be ended before."""
        ...

    async def add_secret(self, app_id: AppId, secret_hash: bytes, at: datetime) -> None: ...

    async def retire_secrets(self, app_id: AppId, at: datetime, until: datetime) -> None:
        """The newest secret is good until `until`; older ones end `at` once."""
        ...

    async def has_secret(self, app_id: AppId, secret_hash: bytes, now: datetime) -> bool: ...


class AppGrantStore(Protocol):
    """Codes, grants and the refresh tokens of apps."""

    async def add_code(self, code_hash: bytes, code: Code) -> None: ...

    async def code_locked(self, code_hash: bytes) -> Code | None:
        """The code, locked until the transaction ends, so that of two uses one is the second."""
        ...

    async def use_code(self, code_hash: bytes, at: datetime, login_id: LoginId) -> None: ...

    async def add(self, grant: Grant) -> None:
        """Store a grant whose login is stored."""
        ...

    async def add_refresh(
        self, login_id: LoginId, token_hash: bytes, issued_at: datetime, expires_at: datetime
    ) -> None: ...

    async def refresh_locked(self, token_hash: bytes) -> AppRefresh | None:
        """The refresh token with this hash; its whole grant is locked until the transaction ends."""
        ...

    async def mark_used(self, token_hash: bytes, used_at: datetime) -> None: ...

    async def by_login(self, login_id: LoginId) -> Grant | None: ...

    async def live(self, account_id: AccountId, now: datetime) -> list[GrantInUse]:
        """What an account has lent and not taken back, the one used last first."""
        ...

    async def open_of_app(self, app_id: AppId) -> list[Grant]:
        """The grants of an app whose logins have not ended, in the order of their ids."""
        ...

    async def accounts(self, app_id: AppId, now: datetime) -> int:
        """How many accounts an app is at home in."""
        ...


class ApiKeyStore(Protocol):
    """Keys and their secrets."""

    async def add(self, key: ApiKey) -> None: ...

    async def of_account(self, account_id: AccountId) -> list[ApiKey]:
        """The keys of an account that have not been revoked, the oldest first."""
        ...

    async def locked(self, key_id: ApiKeyId) -> ApiKey | None: ...

    async def remove(self, key_id: ApiKeyId) -> None: ...

    async def add_secret(self, key_id: ApiKeyId, secret_hash: bytes, at: datetime) -> None: ...

    async def retire_secrets(self, key_id: ApiKeyId, at: datetime, until: datetime) -> None:
        """As for apps."""
        ...

    async def by_secret(self, secret_hash: bytes, now: datetime) -> KeyOwner | None:
        """The key that this secret is good for at `now`; None also when it has expired or was revoked."""
        ...

    async def touch(self, key_id: ApiKeyId, at: datetime) -> None:
        """It was used."""
        ...


class LoginsThere(Protocol):
    """What is asked of logins besides what accounts ask."""

    async def ended(self, login_ids: Sequence[LoginId]) -> list[LoginId]:
        """Those of these logins that have ended, or are not there at all."""
        ...


class AppStores(AccountStores, Protocol):
    """The stores of one open transaction, for apps and keys."""

    @property
    def apps(self) -> AppStore: ...
    @property
    def app_grants(self) -> AppGrantStore: ...
    @property
    def api_keys(self) -> ApiKeyStore: ...


class AppTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[AppStores]: ...


class StandingStores(Protocol):
    """The stores of one open transaction, for what stands behind a token."""

    @property
    def logins(self) -> LoginsThere: ...
    @property
    def apps(self) -> AppStore: ...
    @property
    def api_keys(self) -> ApiKeyStore: ...


class StandingTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[StandingStores]: ...
