"""The HTTP mouth on a real port, with real accounts, classes and workouts on a real Postgres."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import GatewayDeps, build_app
from persistence.database import Database
from persistence.stores import Transactions
from persistence.tickets import UsedTickets
from realtime.register import MemoryRegister
from rooms.attendance import Attendance
from rooms.replay import Replay
from services.accounts.account_mail import MailTokens
from services.accounts.account_mails import AccountMails
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import Attempts
from services.accounts.audit_desk import AuditDesk
from services.accounts.displays import Displays
from services.accounts.email_changes import EmailChanges
from services.accounts.entitlements import Entitlements
from services.accounts.factor_logins import FactorLogins
from services.accounts.flag_desk import FlagDesk
from services.accounts.identities import Identities
from services.accounts.keyring import SigningKey, load_key, make_key
from services.accounts.keys import Keys
from services.accounts.logins import Logins
from services.accounts.opening import LoggedIn, Opening
from services.accounts.pairings import Pairings
from services.accounts.passkey import site_of
from services.accounts.passwords import Cost, Passwords
from services.accounts.proving import Proving
from services.accounts.registrations import Registrations
from services.accounts.resets import Resets
from services.accounts.second_factors import SecondFactors
from services.accounts.sign_ins import SignIns
from services.accounts.staff import AccountActs, Staff
from services.accounts.step_ups import StepUps
from services.accounts.ticket import TicketPrinter
from services.accounts.tickets import Tickets
from services.accounts.tokens import Tokens
from services.accounts.vitals import Vitals
from services.apps.api_keys import ApiKeys
from services.apps.apps import Apps
from services.apps.consents import Consents
from services.apps.exchanging import Exchanging
from services.apps.grants import Grants
from services.apps.lent import Callers
from services.apps.origins import Origins
from services.audit.verifying import Verifying
from services.challenges.challenges import Challenges
from services.challenges.heats import Heats
from services.classes.bookings import Bookings
from services.classes.classes import Classes
from services.classes.coaches import Coaches
from services.classes.ghosts import ClassGhosts
from services.classes.live_class import LiveClass
from services.classes.offers import Offers
from services.classes.on_demands import OnDemands
from services.classes.overseeing import Overseeing
from services.classes.recurring import Recurring
from services.classes.script_library import Library
from services.classes.showing import Showing
from services.classes.showings import Showings
from services.classes.timeline import Timeline
from services.classes.timelines import Timelines
from services.fairplay.verdicts import Verdicts
from services.flags.flags import Flags
from services.flags.switches import Switches
from services.integrations.webhooks import Webhooks
from services.kernel.clock import ManualClock
from services.kernel.ids import AccountId, ClassId, Uuid7Ids
from services.kernel.sealing import Seals
from services.limits.limits import Limits
from services.notifications.contact_link import ContactLinks
from services.notifications.inbox import Inbox
from services.notifications.notifications import Notifications
from services.notifications.phone import PhoneCodes
from services.notifications.phones import Phones
from services.notifications.rendering import Words
from services.notifications.sms_reports import SmsReports
from services.notifications.unsubscribe import Unsubscribe
from services.organisations.invitations import Invitations
from services.organisations.organisations import OrganisationActs, Organisations
from services.privacy.erasures import Erasures
from services.safety.contact_phones import ContactPhones
from services.safety.contacts import Contacts
from services.safety.safety import Safety
from services.schedule.jobs import Jobs
from services.social.blocks import Blocks
from services.social.friends import Friends
from services.social.reports import Reports
from services.tasks.tasks import Tasks
from services.training.workouts import Workouts
from tests.support.audited import KEY, PUBLIC
from workers.outbound.egress import Egress
from workers.webhooks import judging

PASSWORD = "violet anchor moss kettle"
SECRET = b"the secret of all nodes"
SMS_TOKEN = "the token of the provider"
PUBLIC_URL = "https://run.example"


class EmptyStage:
    """Nobody is in the room."""

    async def settle(self, class_id: ClassId) -> None:
        """Nothing is waiting to be stored."""

    async def ended(self, live: LiveClass) -> None:
        """Nobody is there to be told."""

    async def removed(self, class_id: ClassId, position: str) -> None:
        """Nobody is there to be told."""

    async def changed(self, account_id: AccountId) -> None:
        """Nobody is there to be kept from anybody."""

    async def met(self, one: AccountId, other: AccountId) -> None:
        """Nobody is there to see it."""

    async def parted(self, one: AccountId, other: AccountId) -> None:
        """Nobody is there to see it."""

    async def moved(self, class_id: ClassId, timeline: Timeline) -> None:
        """Nobody is there to be told."""

    def may_decide(self, account_id: AccountId) -> None:
        """As often as they like."""

    async def shown(self, class_id: ClassId, account_id: AccountId, showing: Showing) -> None:
        """Nobody is there to be told."""


class EmptyHall:
    """Nobody is in the room of a class that somebody else leads, either."""

    async def coaches_changed(self, live: LiveClass) -> None:
        """Nobody is there to be told."""

    async def removed(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """Nobody is there to be told."""

    async def let_in(self, class_id: ClassId, account_id: AccountId, n: int, removals: int) -> None:
        """Nobody is there to be told."""


@dataclass
class Api:
    """A client of the server, and the parts behind it that a test may want to turn."""

    client: TestClient[web.Request, web.Application]
    deps: GatewayDeps
    clock: ManualClock
    tokens: Tokens
    key: SigningKey
    passwords: Passwords
    transactions: Transactions
    switches: Switches
    people: int = field(default=0)

    async def call(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> ClientResponse:
        """One request; `body` is sent as JSON unless it is bytes."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            sent.setdefault("Content-Type", "application/json")
        return await self.client.request(method, url, data=data, headers=sent)

    async def register(self, role: str = "member") -> dict[str, Any]:
        """Somebody new; the reply of the registration."""
        self.people += 1
        body = {
            "email": f"person{self.people}@example.org",
            "password": PASSWORD,
            "name": f"Person {self.people}",
            "role": role,
        }
        response = await self.call("POST", "/v1/accounts", body)
        assert response.status == 201, await response.text()
        reply: dict[str, Any] = await response.json()
        msgspec.convert(reply, LoggedIn, strict=False)
        return reply

    async def token(self, role: str = "member") -> str:
        """The access token of somebody new."""
        return str((await self.register(role))["access_token"])


@pytest.fixture
def web_root(tmp_path: Path) -> Path:
    """A small folder of pages."""
    assets = tmp_path / "web" / "assets"
    (assets / "vendor").mkdir(parents=True)
    for name in ("index", "board", "coach", "athlete", "inbox", "operations", "words", "authorize", "display"):
        (tmp_path / "web" / f"{name}.html").write_text(f"<!doctype html><title>{name}</title>")
    (assets / "board.js").write_text("export const version = 1;")
    (assets / "vendor" / "socket.io-4.8.1.esm.min.js").write_text("export {};")
    (assets / ".secret.js").write_text("no")
    (tmp_path / "outside.js").write_text("no")
    return tmp_path / "web"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """Real hashes at the lowest cost."""
    passwords = Passwords(cost=Cost(rounds=1, memory_kib=8, lanes=1))
    yield passwords
    passwords.close()


@pytest.fixture
async def api(database: Database, passwords: Passwords, web_root: Path) -> AsyncIterator[Api]:
    """The server on a port of its own."""
    clock = ManualClock()
    ids = Uuid7Ids(clock)
    transactions = Transactions(database, clock, ids)
    key = load_key(make_key())
    keys = Keys(transactions, Seals((bytes(32),)), key, clock, token_ms=12 * 3_600_000)
    tokens = Tokens(keys.ring)
    opening = Opening(tokens, clock, ids)
    mails = AccountMails(clock, ids, MailTokens(SECRET), offered=True)
    classes = Classes(transactions, clock, ids, EmptyStage())
    displays = Displays(classes, tokens, clock, ids)
    notifications = Notifications(transactions, clock, ids, Unsubscribe(SECRET))
    words = Words()
    limits = Limits(clock)
    switches = Switches()
    attempts = Attempts(limits)
    site = site_of("https://paceline.example.org")
    proving = Proving(transactions, passwords, Seals((bytes(32),)), lambda: site, clock, attempts)
    deps = GatewayDeps(
        entitlements=Entitlements(transactions, clock, ids),
        accounts=Accounts(transactions, passwords, opening, clock, ids, attempts=attempts, switches=switches),
        vitals=Vitals(transactions, clock, ids),
        logins=Logins(transactions, passwords, clock, attempts, mails=mails),
        overseeing=Overseeing(
            transactions,
            Attendance(MemoryRegister(clock.wall_ms)),
            classes,
            Coaches(transactions, clock, EmptyHall()),
            clock,
        ),
        flags=FlagDesk(Flags(transactions, switches, clock), clock),
        staff=Staff(AccountActs(transactions, clock, ids), clock),
        organisations=Organisations(transactions, clock, ids),
        invitations=Invitations(transactions, mails, clock, ids, attempts),
        organisation_acts=OrganisationActs(transactions, clock, ids),
        registrations=Registrations(transactions, passwords, mails, opening, clock, ids, attempts, switches=switches),
        resets=Resets(transactions, passwords, mails, clock, attempts),
        erasures=Erasures(transactions, clock),
        email_changes=EmailChanges(transactions, passwords, mails, clock, attempts),
        step_ups=StepUps(transactions, passwords, proving, opening, clock, attempts),
        second_factors=SecondFactors(transactions, passwords, proving, opening, clock, ids),
        factor_logins=FactorLogins(transactions, proving, opening, clock, attempts),
        sign_ins=SignIns(
            transactions, (), opening, Seals((bytes(32),)), clock, ids, attempts, base_url=lambda: PUBLIC_URL
        ),
        identities=Identities(transactions, clock),
        audit=AuditDesk(transactions, Verifying(transactions, clock, PUBLIC, KEY.sign), clock),
        keys=keys,
        tickets=Tickets(TicketPrinter(keys.ring), UsedTickets(database), clock, ids),
        displays=displays,
        pairings=Pairings(transactions, classes, displays, limits, clock, base_url=lambda: PUBLIC_URL),
        classes=classes,
        timelines=Timelines(transactions, clock, EmptyStage()),
        replay=Replay(transactions),
        showings=Showings(transactions, clock, ids, EmptyStage()),
        blocks=Blocks(transactions, clock, EmptyStage(), EmptyStage()),
        friends=Friends(transactions, clock, EmptyStage()),
        reports=Reports(transactions, clock, ids, EmptyStage()),
        challenges=Challenges(transactions, clock, ids, switches=switches),
        heats=Heats(transactions, clock, ids, EmptyStage(), switches),
        class_ghosts=ClassGhosts(transactions),
        offers=Offers(transactions, clock, ids),
        bookings=Bookings(transactions, clock, ids),
        on_demand=OnDemands(transactions, clock, ids),
        script_library=Library(transactions, clock, ids),
        series=Recurring(transactions, clock, ids),
        workouts=Workouts(transactions),
        verdicts=Verdicts(transactions, clock),
        tasks=Tasks(transactions, clock, ids, web_root.parent / "exports"),
        schedule=Jobs(transactions, clock),
        inbox=Inbox(notifications, words),
        notifications=notifications,
        phones=Phones(transactions, clock, ids, PhoneCodes(SECRET), offered=True),
        safety=Safety(transactions, clock, ids),
        contacts=Contacts(transactions, clock, ids, ContactLinks(SECRET), offered=True),
        contact_phones=ContactPhones(transactions, clock, ids, ContactLinks(SECRET), offered=True),
        sms_reports=SmsReports(notifications, token=SMS_TOKEN, base=PUBLIC_URL),
        words=words,
        webhooks=Webhooks(transactions, clock, ids, Seals((bytes(32),)), judging(Egress())),
        apps=Apps(transactions, clock, ids),
        app_grants=Grants(transactions, clock),
        api_keys=ApiKeys(transactions, clock, ids),
        consents=Consents(transactions, clock, lambda: PUBLIC_URL, switches),
        exchanging=Exchanging(transactions, tokens, clock, ids, lambda: PUBLIC_URL),
        callers=Callers(identifier(tokens, clock), transactions, clock),
        app_origins=Origins(transactions, limits, clock),
        issuer=lambda: PUBLIC_URL,
        limits=limits,
        checks={"database": database.ping},
        clock=clock,
        web_root=web_root,
    )
    async with TestClient(TestServer(build_app(deps))) as client:
        yield Api(client, deps, clock, tokens, key, passwords, transactions, switches)


@pytest.fixture
async def with_deps(api: Api) -> AsyncIterator[Callable[..., Awaitable[Api]]]:
    """Starts another server like `api`, with some of its dependencies replaced."""
    clients: list[TestClient[web.Request, web.Application]] = []

    async def start(**changes: Any) -> Api:
        deps = replace(api.deps, **changes)
        client = TestClient(TestServer(build_app(deps)))
        clients.append(client)
        await client.start_server()
        return replace(api, client=client, deps=deps)

    yield start
    for client in clients:
        await client.close()
