"""What safety needs from the world: stores inside a transaction. `persistence.stores.Stores` fulfils them."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

import msgspec

from services.accounts.account import Account
from services.kernel.facts import AnyFact
from services.kernel.ids import AccountId, ClassId, FactId, IncidentId, StreamId
from services.safety.incident import Incident
from services.schedule.later import LaterStore


class Chosen(msgspec.Struct, frozen=True):
    """What somebody has chosen: `on` whether they are watched over at all, `limit_bpm` a limit of their own."""

    on: bool = False
    limit_bpm: int | None = None


class Place(msgspec.Struct, frozen=True):
    """Where an athlete is in a class: their number and name on its board, and who coaches it, themselves left out."""

    n: int
    name: str
    coaches: tuple[AccountId, ...]


class SafetyStore(Protocol):
    """See persistence/safety.py. Whoever changes an incident holds its row."""

    async def chosen(self, account_id: AccountId) -> Chosen: ...
    async def save_chosen(self, account_id: AccountId, chosen: Chosen, at_ms: int) -> None: ...
    async def lock_chosen(self, account_id: AccountId) -> Chosen: ...
    async def latest(self, account_id: AccountId) -> Incident | None: ...
    async def by_id(self, incident_id: IncidentId) -> Incident | None: ...
    async def lock(self, incident_id: IncidentId) -> Incident | None: ...
    async def add(self, incident: Incident) -> None: ...
    async def save(self, incident: Incident) -> None: ...
    async def place(self, class_id: ClassId, account_id: AccountId) -> Place | None: ...
    async def heard_since(self, account_id: AccountId, stream_id: StreamId, at_ms: int) -> bool: ...


class AccountStore(Protocol):
    """Whose body it is (persistence/accounts.py)."""

    async def by_id(self, account_id: AccountId) -> Account | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class SafetyStores(Protocol):
    """The stores of one transaction."""

    @property
    def safety(self) -> SafetyStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def schedule(self) -> LaterStore: ...


class SafetyTransactions(Protocol):
    """Opens transactions (persistence/stores.py)."""

    def __call__(self) -> AbstractAsyncContextManager[SafetyStores]: ...
