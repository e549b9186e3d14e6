"""What notifications need from the world: stores inside a transaction, and words.

`persistence.stores.Stores` fulfils the stores; `rendering.py` the words.
"""

import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from services.kernel.facts import AnyFact
from services.kernel.ids import (
    AccountId,
    ContactPhoneId,
    DeliveryId,
    DeviceId,
    FactId,
    LoginId,
    NotificationId,
    PhoneCheckId,
)
from services.notifications.account_letter import AccountLetter
from services.notifications.addresses import NewDevice, PushDevice
from services.notifications.contact_letter import ContactLetter
from services.notifications.deciding import Person, Planned
from services.notifications.delivery import Outcome
from services.notifications.notification import Notification, Position
from services.notifications.outgoing import Channel
from services.notifications.phone import Phone, PhoneCheck
from services.notifications.preferences import Preferences


@dataclass(frozen=True)
class Reader:
    """Whom words are made for: the name to greet, language and time zone."""

    name: str
    locale: str
    time_zone: str


@dataclass(frozen=True)
class Links:
    """Addresses for the end of a mail. `unsubscribe` None for what cannot be stopped; `open` leads to the notification."""

    open: str
    preferences: str
    unsubscribe: str | None


@dataclass(frozen=True)
class Short:
    """A title and a body: a line of the inbox, or a push."""

    title: str
    body: str


@dataclass(frozen=True)
class MailWords:
    """A mail without its envelope."""

    subject: str
    text: str
    html: str


class Words(Protocol):
    """Turns notifications into words. Pure and quick: templates are compiled at the start."""

    def version(self, template: str) -> int:
        """The newest version of a template. Raises LookupError when there is none of this name."""
        ...

    def inbox(self, notification: Notification, reader: Reader) -> Short: ...

    def push(self, notification: Notification, reader: Reader) -> Short: ...

    def sms(self, notification: Notification, reader: Reader) -> str: ...

    def code(self, code: str, reader: Reader) -> str:
        """The text message that a telephone number is proved with."""
        ...

    def contact(self, letter: ContactLetter, reader: Reader, links: Links) -> MailWords:
        """The mail to an emergency contact."""
        ...

    def contact_sms(self, letter: ContactLetter, reader: Reader, link: str) -> str:
        """The text message to an emergency contact; the link is always whole."""
        ...

    def account(self, letter: AccountLetter, reader: Reader, links: Links) -> MailWords:
        """A mail about an account."""
        ...

    def mail(self, notification: Notification, reader: Reader, links: Links) -> MailWords: ...

    def digest(self, notifications: Sequence[Notification], reader: Reader, links: Links) -> MailWords:
        """One mail of several notifications, oldest first, at least one, with the template "digest"."""
        ...


@dataclass(frozen=True)
class Placed:
    """Where a notification was put: in a row of its own (`added`), or in place of an older one, whose id it then has."""

    id: NotificationId
    account_id: AccountId
    added: bool


@dataclass(frozen=True)
class NewDelivery:
    """A delivery to be stored."""

    id: DeliveryId
    account_id: AccountId
    notification_id: NotificationId
    planned: Planned
    urgent: bool
    expires_at_ms: int


@dataclass(frozen=True)
class Reported:
    """A delivery whose provider has told how it ended, and when it was made. `of_check`: a code, to a number that is not
    proved yet. `contact_phone`: a text message to this number of an emergency contact, not to that of the account."""

    id: DeliveryId
    account_id: AccountId
    channel: Channel
    made_at: datetime
    of_check: bool = False
    contact_phone: ContactPhoneId | None = None


class InboxStore(Protocol):
    """The notifications of accounts."""

    async def page(
        self, account_id: AccountId, now: datetime, *, after: Position | None, unread: bool, limit: int
    ) -> list[Notification]:
        """Newest first, from the one after `after` on; `unread`: only those."""
        ...

    async def by_ids(self, notification_ids: Sequence[NotificationId]) -> list[Notification]:
        """These notifications, in no order; who is gone is left out."""
        ...

    async def unread(self, account_id: AccountId, now: datetime) -> int:
        """How many are unread, at most `MAX_UNREAD`."""
        ...

    async def mark_read(
        self, account_id: AccountId, notification_ids: Sequence[NotificationId], at: datetime
    ) -> list[NotificationId]:
        """Mark these as read; those that were unread and this account's."""
        ...

    async def mark_read_up_to(
        self, account_id: AccountId, position: Position, at: datetime, limit: int
    ) -> list[NotificationId]:
        """Mark the oldest `limit` of those up to a position, itself included, as read; those that were unread."""
        ...

    async def position(self, account_id: AccountId, notification_id: NotificationId) -> Position | None:
        """Where a notification of this account stands, None when it is not there."""
        ...


class SettingsStore(Protocol):
    """Preferences and addresses."""

    async def preferences(self, account_id: AccountId) -> Preferences: ...

    async def save_preferences(self, account_id: AccountId, preferences: Preferences, at: datetime) -> bool:
        """Store them with the next revision, if `preferences.revision` is the stored one; False when it is not."""
        ...

    async def add_device(
        self, device_id: DeviceId, account_id: AccountId, login_id: LoginId, device: NewDevice, at: datetime
    ) -> PushDevice:
        """Store or renew a device by its address; it belongs to this account and login from now on, and lives."""
        ...

    async def devices(self, account_id: AccountId) -> list[PushDevice]:
        """The living ones, last seen first."""
        ...

    async def phone_died(self, account_id: AccountId, verified_before: datetime, reason: str, at: datetime) -> None:
        """Send nothing to this account's number any more, if it was verified before an instant."""
        ...

    async def forget_device(self, account_id: AccountId, device_id: DeviceId) -> bool: ...

    async def forget_oldest_devices(self, account_id: AccountId, keep: int) -> None:
        """Forget all but the `keep` living devices that were seen last, and those that are dead."""
        ...


class DeliveryStore(Protocol):
    """What is on its way."""

    async def gather_anew(self, account_id: AccountId, due_at: datetime) -> None:
        """What waits to be gathered for this person is gathered at `due_at`."""
        ...

    async def record_outcome(
        self,
        provider: str,
        provider_id: str,
        outcome: Outcome,
        reason: str,
        at: datetime,
        message_id: uuid.UUID | None,
    ) -> Reported | None:
        """Note what a provider says of a message it had, known by the provider's name for it or by ours; None when it is not
        known, or nothing new."""
        ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: uuid.UUID) -> FactId: ...


class ContactPhoneStore(Protocol):
    """The numbers of emergency contacts (persistence/contact_phones.py)."""

    async def died(self, phone_id: ContactPhoneId, at: datetime) -> None:
        """The provider has said that nobody lives at the number."""
        ...


class NotificationStores(Protocol):
    """The stores of one transaction."""

    @property
    def notifications(self) -> InboxStore: ...
    @property
    def notification_settings(self) -> SettingsStore: ...
    @property
    def deliveries(self) -> DeliveryStore: ...
    @property
    def contact_phones(self) -> ContactPhoneStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class PhoneStore(Protocol):
    """Telephone numbers, and the codes that prove them."""

    async def lock(self, account_id: AccountId, number: str | None = None) -> None:
        """Nobody else changes this account's number, or counts the codes that went to this number, before this transaction ends."""
        ...

    async def of(self, account_id: AccountId) -> Phone | None:
        """The account's number that was proved."""
        ...

    async def check(self, account_id: AccountId) -> PhoneCheck | None:
        """The check that has not ended, if there is one; its code may have expired."""
        ...

    async def codes_since(self, account_id: AccountId, number: str, since: datetime) -> tuple[list[int], list[int]]:
        """When codes were made since an instant, in order: for the account, and for the number, whoever asked."""
        ...

    async def begin(self, check: PhoneCheck) -> None:
        """A new check takes the place of one that has not ended."""
        ...

    async def guessed_wrong(self, check_id: PhoneCheckId) -> None: ...

    async def end(
        self, check_id: PhoneCheckId, how: Literal["confirmed", "used_up", "withdrawn"], at: datetime
    ) -> None: ...

    async def release(self, number: str, keeper: AccountId) -> list[AccountId]:
        """The number is no other account's than `keeper`'s; whose it was."""
        ...

    async def forget(self, account_id: AccountId) -> None:
        """The account has no number."""
        ...


class PhoneSettings(Protocol):
    """Where the number that is used is kept."""

    async def set_phone(self, account_id: AccountId, number: str, verified_at: datetime | None) -> None: ...


class CodeDeliveries(Protocol):
    """How a code leaves."""

    async def add_code(self, delivery_id: DeliveryId, check: PhoneCheck, at: datetime) -> None:
        """The code of a check, to be sent now."""
        ...


class PhoneStores(Protocol):
    """The stores of one transaction about a telephone number."""

    @property
    def phones(self) -> PhoneStore: ...
    @property
    def notification_settings(self) -> PhoneSettings: ...
    @property
    def deliveries(self) -> CodeDeliveries: ...


class PhoneTransactions(Protocol):
    """Opens a transaction."""

    def __call__(self) -> AbstractAsyncContextManager[PhoneStores]: ...


class TellingInbox(Protocol):
    """What telling needs of the inboxes."""

    async def put(self, notifications: Sequence[Notification], *, again: bool) -> list[Placed]:
        """Store notifications, at most one per account, over older ones of the same collapse key; those that changed
        something. `again`: what is replaced becomes new and unread."""
        ...


class TellingSettings(Protocol):
    """What telling needs of the preferences."""

    async def people(self, account_ids: Sequence[AccountId], topic: str) -> list[Person]:
        """Those of these accounts that exist."""
        ...


class TellingDeliveries(Protocol):
    """What telling needs of the deliveries."""

    async def add(self, deliveries: Sequence[NewDelivery], at: datetime) -> None: ...

    async def collapse(self, notification_ids: Sequence[NotificationId], at: datetime) -> None:
        """What waits of these notifications does not leave any more: something newer takes its place."""
        ...


class TellingStores(Protocol):
    """The stores of the transaction in which people are told something."""

    @property
    def notifications(self) -> TellingInbox: ...
    @property
    def notification_settings(self) -> TellingSettings: ...
    @property
    def deliveries(self) -> TellingDeliveries: ...
    @property
    def outbox(self) -> OutboxStore: ...


class NotificationTransactions(Protocol):
    """Opens a transaction."""

    def __call__(self) -> AbstractAsyncContextManager[NotificationStores]: ...
