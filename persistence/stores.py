"""All stores of one transaction, under one name each.

A use case in services/ declares the few stores it needs as a Protocol; this object fulfils all of those Protocols at
once. `Transactions` is what the wiring hands to use cases: call it, and everything done with the stores inside commits
together or not at all.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from persistence.account_mails import AccountMails
from persistence.accounts import Accounts
from persistence.activity import ActivityDays
from persistence.announcements import Announcements
from persistence.api_keys import ApiKeys
from persistence.app_grants import AppGrants
from persistence.apps import Apps
from persistence.audit import Audit
from persistence.blocks import Blocks
from persistence.bookings import Bookings
from persistence.bus_queues import BusQueues
from persistence.challenges import Challenges
from persistence.classes import Classes
from persistence.contact_letters import ContactLetters
from persistence.contact_phones import ContactPhones
from persistence.contacts import Contacts
from persistence.database import Database, Tx
from persistence.deliveries import Deliveries
from persistence.entitlements import Entitlements
from persistence.erasing import Erasing
from persistence.erasures import Erasures
from persistence.flags import Flags
from persistence.following import Followers
from persistence.friends import Friends
from persistence.heats import Heats
from persistence.identities import Identities
from persistence.inbox import Inbox
from persistence.issuers import Issuers
from persistence.leading import Leading
from persistence.lobbies import Lobbies
from persistence.locations import Locations
from persistence.logins import Logins
from persistence.long_tasks import LongTasks
from persistence.moderation import Moderation
from persistence.notification_settings import NotificationSettings
from persistence.notifications import Notifications
from persistence.offers import Offers
from persistence.on_demand import OnDemands
from persistence.organisations import Organisations
from persistence.outbox import Outbox
from persistence.pairings import Pairings
from persistence.personal_rows import PersonalRows
from persistence.phones import Phones
from persistence.reports import Reports
from persistence.safety import Safety
from persistence.schedule import Schedule
from persistence.script_library import Library
from persistence.sealing import Sealing
from persistence.sealing_keys import SealingKeys
from persistence.sealing_passes import SealingPasses
from persistence.second_factors import SecondFactors
from persistence.showings import Showings
from persistence.sign_ins import SignIns
from persistence.signing_keys import SigningKeys
from persistence.streams import Streams
from persistence.suspensions import Suspensions
from persistence.tapes import Tapes
from persistence.ticks import Ticks
from persistence.timelines import Timelines
from persistence.verdicts import Verdicts
from persistence.vitals import Vitals
from persistence.webhook_deliveries import WebhookDeliveries
from persistence.webhooks import Webhooks
from persistence.workouts import Workouts
from services.kernel.clock import Clock
from services.kernel.ids import Ids
from services.privacy.vault import Vault


class Stores:
    """The stores of one open transaction."""

    def __init__(self, tx: Tx, clock: Clock, ids: Ids, *, notify: bool = True, vault: Vault | None = None) -> None:
        self.tx: Final = tx
        sealing = Sealing(tx, vault)
        self.accounts: Final = Accounts(tx, sealing)
        self.vitals: Final = Vitals(tx, sealing)
        self.sealing_keys: Final = SealingKeys(tx, vault)
        self.sealing_passes: Final = SealingPasses(tx, vault)
        self.erasures: Final = Erasures(tx)
        self.erasing: Final = Erasing(tx)
        self.personal_rows: Final = PersonalRows(tx, vault)
        self.account_mails: Final = AccountMails(tx)
        self.logins: Final = Logins(tx)
        self.second_factors: Final = SecondFactors(tx)
        self.sign_ins: Final = SignIns(tx)
        self.identities: Final = Identities(tx)
        self.issuers: Final = Issuers(tx)
        self.signing_keys: Final = SigningKeys(tx)
        self.apps: Final = Apps(tx)
        self.app_grants: Final = AppGrants(tx)
        self.api_keys: Final = ApiKeys(tx)
        self.entitlements: Final = Entitlements(tx)
        self.suspensions: Final = Suspensions(tx)
        self.pairings: Final = Pairings(tx)
        self.organisations: Final = Organisations(tx)
        self.classes: Final = Classes(tx)
        self.showings: Final = Showings(tx)
        self.leading: Final = Leading(tx)
        self.offers: Final = Offers(tx)
        self.bookings: Final = Bookings(tx)
        self.on_demand: Final = OnDemands(tx)
        self.lobbies: Final = Lobbies(tx)
        self.script_library: Final = Library(tx)
        self.timelines: Final = Timelines(tx)
        self.tapes: Final = Tapes(tx)
        self.challenges: Final = Challenges(tx)
        self.heats: Final = Heats(tx)
        self.blocks: Final = Blocks(tx)
        self.friends: Final = Friends(tx)
        self.locations: Final = Locations(tx)
        self.moderation: Final = Moderation(tx)
        self.reports: Final = Reports(tx)
        self.streams: Final = Streams(tx, sealing)
        self.workouts: Final = Workouts(tx, sealing)
        self.verdicts: Final = Verdicts(tx, sealing)
        self.notifications: Final = Notifications(tx)
        self.notification_settings: Final = NotificationSettings(tx, sealing)
        self.phones: Final = Phones(tx, sealing)
        self.deliveries: Final = Deliveries(tx, sealing)
        self.announcements: Final = Announcements(tx)
        self.webhooks: Final = Webhooks(tx)
        self.webhook_deliveries: Final = WebhookDeliveries(tx)
        self.safety: Final = Safety(tx, sealing)
        self.contacts: Final = Contacts(tx, sealing)
        self.contact_phones: Final = ContactPhones(tx, sealing)
        self.letters: Final = ContactLetters(tx)
        self.flags: Final = Flags(tx)
        self.audit: Final = Audit(tx, clock, ids)
        self.outbox: Final = Outbox(tx, clock, ids, notify=notify)
        self.inbox: Final = Inbox(tx)
        self.bus_queues: Final = BusQueues(tx)
        self.followers: Final = Followers(tx)
        self.activity: Final = ActivityDays(tx)
        self.schedule: Final = Schedule(tx)
        self.ticks: Final = Ticks(tx)
        self.long_tasks: Final = LongTasks(tx)


class Transactions:
    """Opens transactions: `async with transactions() as stores: …`.

    `told` is called after the commit of one that told facts. Without it Postgres itself notifies the relay at the commit, which
    needs nobody's help and lets only one such transaction commit at a time. Without a `vault` what is about the body is written
    plain, and what is sealed cannot be read.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        told: Callable[[], None] | None = None,
        *,
        vault: Vault | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._told = told
        self._vault = vault

    def __call__(self) -> AbstractAsyncContextManager[Stores]:
        """One transaction. Raises `Unavailable` when Postgres is away."""
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Stores]:
        async with self._database.tx() as tx:
            stores = Stores(tx, self._clock, self._ids, notify=self._told is None, vault=self._vault)
            yield stores
        if self._told is not None and stores.outbox.told:
            self._told()
