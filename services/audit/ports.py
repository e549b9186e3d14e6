"""What the audit's own use cases need from the world."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

import msgspec

from services.audit.chain import Link
from services.audit.checkpoint import Checkpoint
from services.audit.entry import AuditStore
from services.kernel.ids import AccountId


class Wanted(msgspec.Struct, frozen=True):
    """Which entries: all of them unless it says otherwise. `account`: done by or to this one; `acts`: one of these; `since` and
    `until`: at or after, and before, ms since 1970; `before`: in front of this position."""

    account: AccountId | None = None
    acts: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None


class AuditLine(msgspec.Struct, frozen=True):
    """An entry for people. `position` None: not linked yet. `actor` and `account` are ids of accounts, None when there is none or
    when the person was forgotten; their pseudonyms stay, so that what one of them did is still seen to be one's."""

    position: int | None
    id: UUID
    at_ms: int
    act: str
    actor_kind: str
    actor: AccountId | None
    actor_email: str | None
    actor_pseudonym: UUID | None
    account: AccountId | None
    account_email: str | None
    account_pseudonym: UUID | None
    login: UUID | None
    app: UUID | None
    name: str
    network: str
    thing_kind: str
    thing: str
    reason: str
    data: str


class ChainStore(AuditStore, Protocol):
    """The audit as it is read."""

    async def head(self) -> tuple[int, bytes]:
        """The last position and its hash."""
        ...

    async def waiting(self) -> int:
        """How many entries have no place yet."""
        ...

    async def links(self, after: int, limit: int) -> list[Link]:
        """The next links behind a position."""
        ...

    async def link_all(self) -> int:
        """Give a place to every entry that waits, as the linker does; the last position then."""
        ...

    async def lines(self, wanted: Wanted, limit: int) -> list[AuditLine]:
        """Entries, the newest first."""
        ...

    async def keep(self, checkpoint: Checkpoint) -> None: ...

    async def checkpoints(self, after: int = 0) -> list[Checkpoint]:
        """Those that the database has of rows behind a position, in their order."""
        ...

    async def last_checkpoint(self) -> Checkpoint | None:
        """The one made last."""
        ...


class ChainStores(Protocol):
    """The stores of one open transaction."""

    @property
    def audit(self) -> ChainStore: ...


class ChainTransactions(Protocol):
    """Opens a transaction."""

    def __call__(self) -> AbstractAsyncContextManager[ChainStores]: ...
