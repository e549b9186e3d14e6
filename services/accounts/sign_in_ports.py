"""What signing in with others needs from the world. `persistence.stores.Stores` fulfils all of it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from services.accounts.identity import Identity, Standing
from services.accounts.ports import AccountStores
from services.accounts.sign_in import SignIn
from services.kernel.ids import AccountId, IdentityId, LoginId, SignInId


class IssuerDocuments(msgspec.Struct, frozen=True):
    """What an issuer last published, as it was sent. Wall ms."""

    issuer: str
    metadata: bytes
    keys: bytes
    fetched_ms: int


class SignInStore(Protocol):
    """Sign-ins that go on."""

    async def add(self, sign_in: SignIn) -> None: ...

    async def by_id(self, sign_in_id: SignInId) -> SignIn | None: ...

    async def locked(self, sign_in_id: SignInId) -> SignIn | None:
        """The sign-in, locked until the transaction ends."""
        ...

    async def save(self, sign_in: SignIn) -> None:
        """Store what changes: state, code, failure, proof. Whoever waits for codes is woken at the commit."""
        ...

    async def forget(self, sign_in_id: SignInId) -> None: ...


class IdentityStore(Protocol):
    """Identities of others, linked to accounts here."""

    async def add(self, identity: Identity) -> bool:
        """Store it; False when this (issuer, subject) is linked already."""
        ...

    async def find(self, issuer: str, subject: str) -> Identity | None: ...

    async def standing(self, issuer: str, subject: str) -> Standing | None:
        """The same with its account, and the login behind its access tokens; one query."""
        ...

    async def log_in(self, identity_id: IdentityId, login_id: LoginId) -> None:
        """This login is behind its access tokens from now on."""
        ...

    async def used(self, identity_id: IdentityId, used_ms: int) -> None: ...

    async def of_account(self, account_id: AccountId) -> list[Identity]:
        """In the order in which they were linked."""
        ...

    async def remove(self, identity_id: IdentityId) -> None: ...


class IssuerStore(Protocol):
    """What issuers publish."""

    async def of(self, issuers: Sequence[str]) -> list[IssuerDocuments]:
        """The documents of those that were read once."""
        ...

    async def want(self, issuer: str, wanted_ms: int) -> None:
        """Somebody needs them newer than they are; workers read them again, twice a minute at most."""
        ...


class SignInStores(AccountStores, Protocol):
    """The stores of one open transaction, for signing in with others."""

    @property
    def sign_ins(self) -> SignInStore: ...
    @property
    def identities(self) -> IdentityStore: ...
    @property
    def issuers(self) -> IssuerStore: ...


class SignInTransactions(Protocol):
    """Opens a transaction: everything done in it commits together or not at all."""

    def __call__(self) -> AbstractAsyncContextManager[SignInStores]: ...
