"""What safety needs from the world: stores inside a transaction. `persistence.stores.Stores` fulfils them."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from services.accounts.account import Account
from services.audit.entry import AuditStore
from services.kernel.facts import AnyFact
from services.kernel.ids import (
    AccountId,
    ClassId,
    ContactId,
    ContactPhoneId,
    DeliveryId,
    FactId,
    IncidentId,
    StreamId,
)
from services.safety.contact import Contact, Reachable
from services.safety.contact_phone import ContactPhone
from services.safety.incident import Incident
from services.safety.question import Question
from services.schedule.later import LaterStore

AnyQuestion = TypeVar("AnyQuestion", bound=Question)
AnyQuestionId = TypeVar("AnyQuestionId", bound=UUID, contravariant=True)


class Chosen(msgspec.Struct, frozen=True):
    """What somebody has chosen: `on` whether they are watched over at all, `limit_bpm` a limit of their own."""

    on: bool = False
    limit_bpm: int | None = None


class Place(msgspec.Struct, frozen=True):
    """Where an athlete is in a class: their number and name on its board, and who coaches it, themselves left out."""

    n: int
    name: str
    coaches: tuple[AccountId, ...]


class Alert(msgspec.Struct, frozen=True):
    """An incident that waits for those who coach its athlete: `n` and `name` are the athlete's, as in `Place`."""

    incident: Incident
    class_id: ClassId
    n: int
    name: str


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
    async def waiting_for(self, coach_id: AccountId, due_after: datetime, limit: int) -> list[Alert]: ...
    async def heard_since(self, account_id: AccountId, stream_id: StreamId, at_ms: int) -> bool: ...


class QuestionStore(Protocol[AnyQuestionId, AnyQuestion]):
    """See persistence/questions.py. Whoever changes something about an account's contact holds its lock."""

    async def lock(self, account_id: AccountId, address: str | None = None) -> None: ...
    async def current(self, account_id: AccountId) -> AnyQuestion | None: ...
    async def by_id(self, question_id: AnyQuestionId) -> AnyQuestion | None: ...
    async def refused(self, account_id: AccountId, address: str) -> bool: ...
    async def asked_since(
        self, account_id: AccountId, address: str, since: datetime
    ) -> tuple[list[int], list[int]]: ...
    async def replace(self, account_id: AccountId, at: datetime) -> None: ...
    async def add(self, question: AnyQuestion) -> None: ...
    async def agree(self, question_id: AnyQuestionId, at: datetime) -> None: ...
    async def refuse(self, question: AnyQuestion, at: datetime) -> None: ...


class ContactStore(QuestionStore[ContactId, Contact], Protocol):
    """See persistence/contacts.py."""

    async def agreed(self, account_id: AccountId) -> Reachable | None: ...
    async def rename(self, contact: Contact, name: str) -> Contact: ...


class ContactPhoneStore(QuestionStore[ContactPhoneId, ContactPhone], Protocol):
    """See persistence/contact_phones.py."""


class LetterStore(Protocol):
    """How letters to a contact leave (persistence/contact_letters.py). One that is there already stays as it is."""

    async def ask(self, letter: DeliveryId, contact: Contact, at: datetime, until: datetime) -> None: ...
    async def ask_to_text(self, letter: DeliveryId, phone: ContactPhone, at: datetime, until: datetime) -> None: ...
    async def alarm(
        self,
        letter: DeliveryId,
        contact_id: ContactId,
        phone_id: ContactPhoneId | None,
        incident_id: IncidentId,
        at: datetime,
        until: datetime,
    ) -> None: ...
    async def reassure(self, letter: DeliveryId, alarm: DeliveryId, at: datetime, until: datetime) -> None: ...


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
    def contacts(self) -> ContactStore: ...
    @property
    def letters(self) -> LetterStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def outbox(self) -> OutboxStore: ...
    @property
    def schedule(self) -> LaterStore: ...
    @property
    def audit(self) -> AuditStore: ...


class SafetyTransactions(Protocol):
    """Opens transactions (persistence/stores.py)."""

    def __call__(self) -> AbstractAsyncContextManager[SafetyStores]: ...


class ContactStores(Protocol):
    """The stores of one transaction about a contact."""

    @property
    def contacts(self) -> ContactStore: ...
    @property
    def contact_phones(self) -> ContactPhoneStore: ...
    @property
    def accounts(self) -> AccountStore: ...
    @property
    def letters(self) -> LetterStore: ...


class ContactTransactions(Protocol):
    """Opens transactions (persistence/stores.py)."""

    def __call__(self) -> AbstractAsyncContextManager[ContactStores]: ...
