"""The composition root: every real part, made once, in the order in which they need each other.

Read it top to bottom and you have read the architecture. Nothing here decides anything; what a part does is in the part. Tests
put the same parts together with a clock that jumps or a bus in memory.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

from aiohttp import web

from gateway.admin_token import AdminToken
from gateway.app import GatewayDeps, build_app
from gateway.probes import Check, NotReady
from gateway.proxies import TrustedProxies
from gateway.sockets.admin import AdminUi, Level
from gateway.sockets.engine.admission import RESERVED_DESCRIPTORS
from gateway.sockets.live import Live
from gateway.sockets.login_watch import LoginWatch
from gateway.sockets.renewal import Renewals
from gateway.sockets.revocation import Revocation
from gateway.sockets.server import LiveServer, attach
from gateway.sockets.service_state import ServiceStates
from paceline.demo import Demo
from paceline.keys import admin_token, longest_token_ms, sealing_keys, signing_key, vapid_key, vault
from paceline.program import CLOSING_S, Program, closed_within
from paceline.readings import readings
from paceline.settings import Settings
from paceline.third_parties import open_third_parties
from paceline.tracing import tracing
from persistence.breached_file import open_breached_file
from persistence.database import Database, open_database
from persistence.lanes import CHANNEL as DELIVERIES_CHANNEL
from persistence.migrate import pending
from persistence.outbox import CHANNEL as OUTBOX_CHANNEL
from persistence.sign_ins import CHANNEL as SIGN_INS_CHANNEL
from persistence.stores import Transactions
from persistence.tasks import CHANNEL as TASKS_CHANNEL
from persistence.tickets import UsedTickets
from persistence.webhooks import CHANNEL as WEBHOOKS_CHANNEL
from realtime.broker import Broker, InMemoryBroker
from realtime.connection import Connection
from realtime.feeds import Feeds
from realtime.hub import Hub
from realtime.node import Node
from realtime.presence import Presence
from realtime.records import MemoryRecords, Records
from realtime.redis_broker import RedisBroker
from realtime.redis_commands import RedisCommands
from realtime.redis_limits import RedisBuckets
from realtime.redis_presence import RedisRegister
from realtime.redis_records import RedisRecords
from realtime.redis_room_log import RedisRoomLog
from realtime.redis_servers import RedisServers
from realtime.redis_tables import RedisTables
from realtime.register import MemoryRegister, Terms
from realtime.room_log import MemoryRoomLog, RoomLog
from realtime.whereabouts import Whereabouts
from rooms.attendance import Attendance
from rooms.befriended import Befriended
from rooms.chatting import Chatting
from rooms.clocks import Clocks
from rooms.comebacks import Comebacks
from rooms.deciding import Deciding
from rooms.driving import Driving
from rooms.guarding import Guarding
from rooms.hall import Hall
from rooms.lobbying import Lobbying, LobbyRoom
from rooms.looking import Looking
from rooms.muting import Muting
from rooms.planning import Planning
from rooms.players import Players
from rooms.rankings import Boards
from rooms.reacting import Reacting
from rooms.removing import Removing
from rooms.replay import Replay
from rooms.reporting import Reporting
from rooms.rooms import Rooms
from rooms.screening import Screening
from rooms.speaking import Speaking
from rooms.streams import Streams
from rooms.tapes import Tapes
from rooms.watching import Watching
from services.accounts.account_mail import MailTokens
from services.accounts.account_mails import AccountMails
from services.accounts.accounts import Accounts, Signup, identifier
from services.accounts.attempts import Attempts
from services.accounts.audit_desk import AuditDesk
from services.accounts.breached import Breached
from services.accounts.displays import Displays
from services.accounts.email_changes import EmailChanges
from services.accounts.entitlements import Entitlements
from services.accounts.factor_logins import FactorLogins
from services.accounts.flag_desk import FlagDesk
from services.accounts.foreign_tokens import ForeignTokens
from services.accounts.identities import Identities
from services.accounts.keyring import KeyProblem, load_key, raw_public
from services.accounts.keys import Keys
from services.accounts.logins import Logins
from services.accounts.opening import Opening
from services.accounts.pairings import Pairings
from services.accounts.passkey import site_of
from services.accounts.passwords import Passwords
from services.accounts.proving import Proving
from services.accounts.registrations import Registrations
from services.accounts.resets import Resets
from services.accounts.revoked import Revoked
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
from services.apps.lent import Callers, Guesses
from services.apps.origins import Origins
from services.audit.verifying import Verifying
from services.challenges.challenges import Challenges
from services.challenges.heats import Heats
from services.classes.bookings import Bookings
from services.classes.classes import Classes
from services.classes.coaches import Coaches
from services.classes.ghosts import ClassGhosts
from services.classes.lobbies import Lobbies
from services.classes.offers import Offers
from services.classes.on_demands import OnDemands
from services.classes.overseeing import Overseeing
from services.classes.rankings import Rankings
from services.classes.recurring import Recurring
from services.classes.script_library import Library
from services.classes.showings import Showings
from services.classes.timelines import Timelines
from services.fairplay.verdicts import Verdicts
from services.flags.flags import Flags
from services.flags.switches import Switches
from services.integrations.telling import Telling as WebhookTelling
from services.integrations.webhooks import Webhooks
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.ids import Ids
from services.kernel.sealing import Seals
from services.limits.limits import Limits
from services.notifications.contact_link import ContactLinks
from services.notifications.inbox import Inbox
from services.notifications.links import Linking
from services.notifications.notifications import Notifications
from services.notifications.outgoing import CHANNELS
from services.notifications.phone import PhoneCodes
from services.notifications.phones import Phones
from services.notifications.rendering import Words
from services.notifications.sms_reports import SmsReports
from services.notifications.telling import Telling
from services.notifications.unsubscribe import Unsubscribe
from services.notifications.vapid import load_vapid_key
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
from workers import activity
from workers.activity import CountActivity
from workers.amqp import open_amqp_bus
from workers.amqp_feed import stream_feed
from workers.amqp_log import AmqpLog
from workers.auditing import AuditJobs, AuditLinker
from workers.bus import OperatedBus
from workers.consumer import Consumer
from workers.delivery_watch import DeliveryWatch
from workers.exporting import ExportKind, Exports
from workers.fact_log import FAMILIES, FactLog
from workers.following import Follower
from workers.handlers import QUEUES, table
from workers.jobs import jobs
from workers.long_tasks import LongTasks
from workers.lookout import Lookout
from workers.notifying import Notifying
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.identity import IdentityCalls
from workers.outbound.providers import WaysOut
from workers.outbox_upkeep import OutboxUpkeep
from workers.postgres_bus import PostgresBus
from workers.postgres_log import PostgresLog
from workers.push import NodePush
from workers.recomputing import RecomputeKind
from workers.refill import OutboxRefill
from workers.relay import Relay
from workers.schedule import Scheduler
from workers.sending import LANES, Post, Sender
from workers.signing_in import SigningIn
from workers.wakeups import Bell, Wakeups
from workers.wall_watch import WallWatch
from workers.webhooks import WebhookFacts, WebhookSender, judging


@dataclass
class Parts:
    """Everything that was made, for whoever starts and stops it."""

    settings: Settings
    clock: Clock
    database: Database
    redis: RedisServers | None
    node: Node
    presence: Presence
    rooms: Rooms
    clocks: Clocks
    muting: Muting
    screening: Screening
    befriended: Befriended
    deciding: Deciding
    reacting: Reacting
    comebacks: Comebacks
    tapes: Tapes
    players: Players
    watching: Watching
    streams: Streams
    guarding: Guarding
    looking: Looking
    planning: Planning
    accounts: Accounts
    classes: Classes
    bus: OperatedBus
    lookout: Lookout
    wakeups: Wakeups
    bell: Bell
    relay: Relay
    audit_linker: AuditLinker
    scheduler: Scheduler
    long_tasks: LongTasks
    consumers: tuple[Consumer, ...]
    followers: tuple[Follower, ...]
    stream_feeds: tuple[Follower, ...]
    providers: WaysOut
    senders: tuple[Sender, ...]
    delivery_watch: DeliveryWatch
    webhook_sender: WebhookSender
    signing_in: SigningIn
    app: web.Application
    sockets: LiveServer
    login_watch: LoginWatch
    revocation: Revocation
    renewals: Renewals
    keys: Keys
    flags: Flags
    admin_ui: AdminUi | None
    demo: Demo
    draining: bool = False
    port: int = 0

    @property
    def base_url(self) -> str:
        """Where this process answers, for clients on the same machine."""
        host = "127.0.0.1" if self.settings.host in {"0.0.0.0", "::"} else self.settings.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@asynccontextmanager
async def open_parts(
    settings: Settings,
    *,
    database_url: str,
    redis_url: str | None,
    clock: Clock,
    ids: Ids,
    program: Program,
    instance: str = "",
) -> AsyncIterator[Parts]:
    """Make every part and connect the resources; they are closed in reverse order on leaving. Starts nothing.

    `instance` tells this process from others with the same settings; it becomes part of the node's name.
    """
    async with closed_within(CLOSING_S) as resources:
        name = settings.node_id or f"node-{secrets.token_hex(4)}"
        node_id = f"{name}-{instance}" if instance else name
        if settings.traces == "on":
            await resources.enter_async_context(tracing(node_id))

        # -- keeping and carrying
        database = await resources.enter_async_context(
            open_database(database_url, size=settings.db_pool, statement_cache=settings.db_statement_cache)
        )
        wakeups = Wakeups(
            database, clock, (OUTBOX_CHANNEL, TASKS_CHANNEL, DELIVERIES_CHANNEL, WEBHOOKS_CHANNEL, SIGN_INS_CHANNEL)
        )
        bell = Bell(database, clock, OUTBOX_CHANNEL, wakeups)
        transactions = Transactions(database, clock, ids, told=bell.ring, vault=vault(settings))
        servers = RedisServers(redis_url) if redis_url else None
        broker: Broker
        room_log: RoomLog
        records: Records
        hot: RedisTables | None = None
        if servers is not None:
            resources.push_async_callback(servers.close)
            commands = RedisCommands(servers)
            broker, room_log, records = RedisBroker(servers, clock), RedisRoomLog(commands), RedisRecords(commands)
            hot = RedisTables(commands)
        else:
            broker = InMemoryBroker()
            room_log, records = MemoryRoomLog(broker.publish, clock), MemoryRecords(clock)
        switches = Switches()
        flags = Flags(transactions, switches, clock)
        await flags.read()
        limits = Limits(clock, RedisBuckets(commands) if servers is not None else None)
        node = Node(node_id, Hub(), broker, clock)
        proxies = TrustedProxies(settings.trusted_proxies)

        terms = Terms(grace_ms=settings.presence_grace_s * 1_000)
        register: MemoryRegister | RedisRegister = MemoryRegister(lambda: int(clock.monotonic() * 1_000), terms)
        if servers is not None:
            register = RedisRegister(servers, terms)
        presence = Presence(node.id, register, clock)

        # -- live
        feeds = Feeds(node, room_log, clock)
        rooms = Rooms(node, transactions, clock, feeds, board_hz=settings.board_hz, presence=presence, limits=limits)
        clocks = Clocks(rooms, transactions, clock)
        comebacks = Comebacks(rooms, records, transactions, clock)
        tapes = Tapes(rooms, transactions, clock)
        replay = Replay(transactions)
        players = Players(replay, clock)
        muting = Muting(rooms, transactions, clock, ids)
        screening = Screening(rooms, transactions, clock)
        befriended = Befriended(rooms, transactions, clock)
        deciding = Deciding(rooms, transactions, clock)
        removing = Removing(rooms, transactions, clock, ids)
        reacting = Reacting(rooms, screening, clock)
        safety = Safety(transactions, clock, ids)
        guarding = Guarding(safety, clock)
        looking = Looking(rooms, transactions, clock)
        coach_needs = settings.coach_needs or None
        planning = Planning(rooms, transactions, clock, coach_needs)
        streams = Streams(
            transactions, rooms, clock, ids, commit_interval_s=settings.commit_interval_ms / 1000, guarding=guarding
        )
        classes = Classes(transactions, clock, ids, rooms, coach_needs)
        timelines = Timelines(transactions, clock, clocks)
        lobbying = Lobbying(rooms, Lobbies(transactions, clock, LobbyRoom(rooms, clocks.moved)))
        challenges = Challenges(transactions, clock, ids, hot, switches)
        heats = Heats(transactions, clock, ids, clocks, switches)
        watching = Watching(node, challenges, clock)
        showings = Showings(transactions, clock, ids, rooms)
        coaches = Coaches(transactions, clock, Hall(rooms))
        overseeing = Overseeing(transactions, Attendance(register), classes, coaches, clock)
        rankings = Rankings(transactions, Boards(rooms))

        # -- people
        passwords = Passwords()
        resources.callback(passwords.close)
        secret = signing_key(settings)
        seals = Seals(sealing_keys(settings))
        async with transactions() as stores:
            await stores.sealing_keys.agree()
        keys = Keys(transactions, seals, load_key(secret), clock, token_ms=longest_token_ms(settings))
        await keys.begin()
        tokens = Tokens(keys.ring, access_ttl_s=settings.access_token_minutes * 60)
        attempts = Attempts(limits)
        providers = await resources.enter_async_context(open_third_parties(settings, clock))
        leaving = frozenset(channel for channel in CHANNELS if providers.speaks(channel))
        mail_tokens = MailTokens(secret.encode())
        mails = AccountMails(clock, ids, mail_tokens, offered="email" in leaving)
        breached = None
        if settings.breached_passwords != Path():
            breached = Breached(resources.enter_context(open_breached_file(settings.breached_passwords)))
        coach_signup: Literal["open", "closed"] = "open" if settings.coach_signup == "open" else "closed"
        refresh_ttl = timedelta(days=settings.refresh_token_days)
        opening = Opening(tokens, clock, ids, refresh_ttl=refresh_ttl)
        accounts = Accounts(
            transactions,
            passwords,
            opening,
            clock,
            ids,
            attempts=attempts,
            signup=signup_of(settings),
            coach_signup=coach_signup,
            breached=breached,
            switches=switches,
        )
        registrations = Registrations(
            transactions,
            passwords,
            mails,
            opening,
            clock,
            ids,
            attempts,
            breached=breached,
            coach_signup=coach_signup,
            switches=switches,
        )
        proving = Proving(
            transactions,
            passwords,
            seals,
            lambda: site_of(
                settings.public_url or parts.base_url,
                settings.allowed_origins,
                (each.origin for each in settings.android_apps),
            ),
            clock,
            attempts,
        )
        step_ups = StepUps(transactions, passwords, proving, opening, clock, attempts)
        logins = Logins(transactions, passwords, clock, attempts, mails=mails, breached=breached)
        sign_ins = SignIns(
            transactions,
            settings.sign_in,
            opening,
            seals,
            clock,
            ids,
            attempts,
            base_url=lambda: settings.public_url or parts.base_url,
            coach_signup="open" if settings.coach_signup == "open" else "closed",
            switches=switches,
        )
        revoked = Revoked(clock, ttl_s=settings.access_token_minutes * 60)
        identify = revoked.guarding(identifier(tokens, clock))
        account_acts = AccountActs(transactions, clock, ids)
        tickets = Tickets(TicketPrinter(keys.ring), UsedTickets(database), clock, ids)
        foreign_tokens = ForeignTokens(transactions, settings.sign_in, clock, ids, switches)
        callers = Callers(identify, transactions, clock, foreign_tokens)
        app_origins = Origins(transactions, limits, clock)
        displays = Displays(classes, tokens, clock, ids, attempts)

        words = Words()
        phone_codes = PhoneCodes(secret.encode())
        unsubscribe = Unsubscribe(secret.encode())
        contact_links = ContactLinks(secret.encode())
        notifications = Notifications(transactions, clock, ids, unsubscribe)

        # -- later
        wall = WallWatch(clock)
        bus: OperatedBus = PostgresBus(database, clock, QUEUES, wakeups)
        fact_log: FactLog = PostgresLog(database, clock)
        stream_feeds: tuple[Follower, ...] = ()
        if settings.amqp_url:
            stream_feeds = tuple(
                stream_feed(settings.amqp_url, family, database, transactions, clock, ids.next(), wall=wall)
                for family in FAMILIES
            )
            fact_log = AmqpLog(settings.amqp_url, clock)
            refill = OutboxRefill(transactions, clock)
            bus = await resources.enter_async_context(open_amqp_bus(settings.amqp_url, clock, QUEUES, refill=refill))
        lookout = Lookout(bus, clock)
        relay = Relay(transactions, bus, clock, wakeups)
        audit_linker = AuditLinker(transactions, clock)
        outbox = OutboxUpkeep(clock, keep_days=settings.outbox_days)
        files = settings.exports
        exports = Exports(files)
        first = load_key(secret)
        verifying = Verifying(transactions, clock, raw_public(first), first.private.sign)
        audit_jobs = AuditJobs(verifying, settings.checkpoints)
        work = jobs(clock, ids, outbox, exports, audit_jobs, token_ms=longest_token_ms(settings))
        scheduler = Scheduler(transactions, clock, work, node=node.id)
        push = NodePush(node, feeds, words)
        long_tasks = LongTasks(transactions, clock, (RecomputeKind(clock), ExportKind(exports, clock)), push)
        tasks = Tasks(transactions, clock, ids, files)
        count = CountActivity(clock)
        followers = tuple(
            Follower(activity.NAME, family, count, fact_log, transactions, clock, ids.next(), wall=wall)
            for family in FAMILIES
        )
        notifying = Notifying(Telling(words, leaving, clock, ids), clock)
        webhook_facts = WebhookFacts(WebhookTelling(clock, ids, seals))
        consumers = tuple(
            Consumer(row.queue, row.handler, transactions, clock)
            for row in table(clock, push, notifying, webhook_facts, long_tasks.wake, hot, push.to_account)
        )
        linking = Linking(lambda: settings.public_url or parts.base_url, unsubscribe, contact_links, mail_tokens)
        post = Post(words, linking, phone_codes)
        senders = tuple(
            Sender(lane, concurrency, transactions, providers, post, clock, wakeups, switches=switches, wall=wall)
            for lane, concurrency in LANES
        )
        delivery_watch = DeliveryWatch(transactions, clock)
        egress = Egress(settings.outbound_allow)
        outbound = await resources.enter_async_context(open_outbound(clock, egress, proxy=settings.outbound_proxy))
        webhook_sender = WebhookSender(transactions, outbound, seals, clock, wakeups, wall=wall)
        signing_in = SigningIn(transactions, settings.sign_in, IdentityCalls(outbound), seals, clock, wakeups)

        # -- the mouth
        login_watch = LoginWatch(node, transactions, clock)
        revocation = Revocation(node, transactions, revoked, clock)
        renewals = Renewals(
            node.hub,
            identify,
            clock,
            ask=lambda token: callers.identify(token, anew=True),
            must_ask=callers.is_foreign,
        )
        admin = AdminToken(admin_token(settings), clock)
        demo = Demo(transactions, classes, passwords, tokens, clock, ids, base_url=lambda: parts.base_url)
        app = build_app(
            GatewayDeps(
                accounts=accounts,
                entitlements=Entitlements(transactions, clock, ids),
                vitals=Vitals(transactions, clock, ids),
                staff=Staff(account_acts, clock, Whereabouts(node, clock)),
                organisations=Organisations(transactions, clock, ids),
                invitations=Invitations(transactions, mails, clock, ids, attempts),
                organisation_acts=OrganisationActs(transactions, clock, ids),
                logins=logins,
                step_ups=step_ups,
                audit=AuditDesk(transactions, verifying, clock),
                flags=FlagDesk(flags, clock),
                overseeing=overseeing,
                registrations=registrations,
                resets=Resets(transactions, passwords, mails, clock, attempts, breached=breached),
                erasures=Erasures(transactions, clock),
                email_changes=EmailChanges(transactions, passwords, mails, clock, attempts),
                second_factors=SecondFactors(transactions, passwords, proving, opening, clock, ids),
                factor_logins=FactorLogins(transactions, proving, opening, clock, attempts),
                sign_ins=sign_ins,
                identities=Identities(transactions, clock),
                keys=keys,
                tickets=tickets,
                displays=displays,
                pairings=Pairings(
                    transactions,
                    classes,
                    displays,
                    limits,
                    clock,
                    base_url=lambda: settings.public_url or parts.base_url,
                ),
                classes=classes,
                timelines=timelines,
                replay=replay,
                challenges=challenges,
                heats=heats,
                class_ghosts=ClassGhosts(transactions),
                showings=showings,
                offers=Offers(transactions, clock, ids),
                bookings=Bookings(transactions, clock, ids),
                on_demand=OnDemands(transactions, clock, ids),
                script_library=Library(transactions, clock, ids),
                series=Recurring(transactions, clock, ids),
                blocks=Blocks(transactions, clock, screening, befriended),
                friends=Friends(transactions, clock, befriended),
                reports=Reports(transactions, clock, ids, removing),
                workouts=Workouts(transactions),
                verdicts=Verdicts(transactions, clock),
                tasks=tasks,
                schedule=Jobs(transactions, clock),
                inbox=Inbox(notifications, words),
                notifications=notifications,
                phones=Phones(transactions, clock, ids, phone_codes, offered="sms" in leaving),
                safety=safety,
                contacts=Contacts(transactions, clock, ids, contact_links, offered="email" in leaving),
                contact_phones=ContactPhones(transactions, clock, ids, contact_links, offered="sms" in leaving),
                sms_reports=SmsReports(notifications, token=settings.sms_token, base=settings.public_url),
                words=words,
                leaving=leaving,
                web_push_key=load_vapid_key(vapid_key(settings)).public,
                webhooks=Webhooks(transactions, clock, ids, seals, judging(egress)),
                apps=Apps(transactions, clock, ids),
                app_grants=Grants(transactions, clock),
                api_keys=ApiKeys(transactions, clock, ids),
                consents=Consents(transactions, clock, lambda: settings.public_url or parts.base_url, switches),
                exchanging=Exchanging(
                    transactions,
                    tokens,
                    clock,
                    ids,
                    lambda: settings.public_url or parts.base_url,
                    refresh_ttl=refresh_ttl,
                ),
                callers=callers,
                app_origins=app_origins,
                issuer=lambda: settings.public_url or parts.base_url,
                limits=limits,
                demo_code=demo.current_code,
                checks=_checks(database, node, keys, program, lambda: parts.draining),
                readings=readings(
                    node,
                    presence,
                    login_watch,
                    revocation,
                    renewals,
                    foreign_tokens,
                    rooms,
                    clocks,
                    comebacks,
                    tapes,
                    players,
                    streams,
                    guarding,
                    outbox,
                    relay,
                    bus,
                    lookout,
                    (*followers, *stream_feeds),
                    scheduler,
                    long_tasks,
                    providers,
                    senders,
                    delivery_watch,
                    webhook_sender,
                    outbound,
                    passwords,
                    limits,
                    clock,
                    lambda: parts.sockets,
                    lambda: parts.draining,
                ),
                clock=clock,
                node_id=node.id,
                sockets=lambda: parts.sockets,
                admin_token=admin,
                proxies=proxies,
                allowed_origins=settings.allowed_origins,
                android_apps=settings.android_apps,
                apple_apps=settings.apple_apps,
            )
        )
        live = Live(
            streams,
            rooms,
            classes,
            timelines,
            coaches,
            rankings,
            clocks,
            lobbying,
            Speaking(rooms, clock, switches),
            Chatting(rooms),
            muting,
            removing,
            Reporting(rooms, transactions, clock, ids),
            reacting,
            Driving(rooms, clock),
            comebacks,
            showings,
            notifications,
            tasks,
            watching,
            players,
            safety,
            renewals,
        )
        service_states = ServiceStates(node, clock)

        def welcome(connection: Connection) -> None:
            service_states.opened(connection)
            renewals.opened(connection)

        def ask(token: str, peer: str) -> Awaitable[Caller]:
            address = proxies.counted(peer)
            return callers.identify(token, anew=True, guesses=None if address is None else Guesses(limits, address))

        sockets = attach(
            app,
            node=node,
            clock=clock,
            identify=identify,
            redeem=tickets.redeem,
            ask=ask,
            must_ask=callers.must_ask,
            require=revoked.require,
            handlers=live.handlers(),
            on_open=welcome,
            on_close=lambda connection, _: live.closed(connection),
            allowed_origins=settings.allowed_origins,
            of_apps=app_origins.holds,
            transports=settings.transports,
            compression=settings.compression == "on",
            ring=settings.io_uring == "auto",
            max_links=settings.max_connections,
            handshakes_per_second=settings.connections_per_second,
            max_per_address=settings.max_connections_per_address,
            max_per_account=settings.max_connections_per_account,
            trusted_proxies=proxies,
            reserved_descriptors=RESERVED_DESCRIPTORS + settings.db_pool,
            tag=link_tag(name),
            comebacks=comebacks,
        )
        resources.push_async_callback(sockets.close)
        admin_ui = None
        if settings.admin_ui != "off":
            level = cast(Level, settings.admin_ui)
            admin_ui = AdminUi(sockets, node=node, window=sockets, clock=clock, token=admin, level=level)
        parts = Parts(
            settings, clock, database, servers, node, presence, rooms, clocks, muting, screening, befriended, deciding, reacting,
            comebacks, tapes, players, watching, streams, guarding, looking, planning, accounts, classes, bus, lookout, wakeups,
            bell, relay, audit_linker, scheduler, long_tasks, consumers, followers, stream_feeds, providers, senders,
            delivery_watch, webhook_sender, signing_in, app, sockets, login_watch, revocation, renewals, keys, flags, admin_ui,
            demo,
        )  # fmt: skip
        yield parts


def signup_of(settings: Settings) -> Signup:
    """How accounts come to be, where that is not said: addresses are proved where mail goes out."""
    if settings.signup == "auto":
        return "verified" if settings.mail_url else "direct"
    return "verified" if settings.signup == "verified" else "direct"


def link_tag(node_id: str) -> str:
    """What the ids of a node's links begin with: the end of its name, which is where names of nodes differ."""
    return node_id.replace("-", "")[-16:]


def start_loops(parts: Parts, program: Program) -> None:
    """Start what this process's roles need. They end in reverse: samples are committed and facts handled before the node, which
    carries the news of both, goes."""
    roles = parts.settings.roles
    program.start("node", parts.node.run())
    program.start("wakeups", parts.wakeups.run())
    program.start("bell", parts.bell.run())
    program.start("flags", parts.flags.run())
    if "scheduler" in roles:
        program.start("scheduler", parts.scheduler.run(), parts.scheduler.stop)
    if "worker" in roles:
        program.start("lookout", parts.lookout.run(), parts.lookout.stop)
        for consumer in parts.consumers:
            queue = consumer.queue
            program.start(f"consumer {queue.name}", parts.bus.consume(queue, consumer), parts.bus.stop)
        for follower in parts.followers:
            program.start(f"follower {follower.name}", follower.run(), follower.stop)
        program.start("long tasks", parts.long_tasks.run(), parts.long_tasks.stop)
        for sender in parts.senders:
            program.start(f"sending {sender.lane}", sender.run(), sender.stop)
        program.start("delivery watch", parts.delivery_watch.run())
        program.start("webhooks", parts.webhook_sender.run(), parts.webhook_sender.stop)
        if parts.settings.sign_in:
            program.start("signing in", parts.signing_in.run(), parts.signing_in.stop)
    if "relay" in roles:
        program.start("relay", parts.relay.run(), parts.relay.stop)
        program.start("audit linker", parts.audit_linker.run())
        for feed in parts.stream_feeds:
            program.start(f"follower {feed.name}", feed.run(), feed.stop)
    if "gateway" in roles:
        program.start("recorder", parts.streams.run(), parts.streams.recorder.stop)
        program.start("tapes", parts.tapes.run(), parts.tapes.stop)
        program.start("guarding", parts.guarding.run(), parts.guarding.stop)
        program.start("looking", parts.looking.run(), parts.looking.stop)
        program.start("planning", parts.planning.run())
        program.start("presence", parts.presence.run(), parts.presence.stop)
        program.start("rooms", parts.rooms.run(), parts.rooms.stop)
        program.start("feeds", parts.rooms.feeds.run())
        program.start("clocks", parts.clocks.run())
        program.start("players", parts.players.run(), parts.players.stop)
        program.start("watching", parts.watching.run())
        program.start("muting", parts.muting.run())
        program.start("screening", parts.screening.run())
        program.start("befriended", parts.befriended.run())
        program.start("deciding", parts.deciding.run())
        program.start("reacting", parts.reacting.run())
        program.start("comebacks", parts.comebacks.run())
        program.start("sockets", parts.sockets.run())
        program.start("keys", parts.keys.run())
        program.start("login watch", parts.login_watch.run())
        program.start("revocation", parts.revocation.run())
        program.start("renewals", parts.renewals.run())
        if parts.admin_ui is not None:
            program.start("admin ui", parts.admin_ui.run())


def _checks(
    database: Database, node: Node, keys: Keys, program: Program, draining: Callable[[], bool]
) -> Mapping[str, Check]:
    async def migrated() -> None:
        async with database.connection() as connection:
            if waiting := await pending(connection):
                raise NotReady(f"{waiting} migrations have not run")

    async def carried() -> None:
        if (why := node.why_not_ready()) is not None:
            raise NotReady(why)

    async def alive() -> None:
        dead = [name for name, lives in program.loops().items() if not lives]
        if dead:
            raise NotReady(f"ended: {', '.join(dead)}")

    async def signs() -> None:
        try:
            keys.check()
        except KeyProblem as problem:
            raise NotReady(str(problem)) from problem

    async def staying() -> None:
        if draining() or program.stopping:
            raise NotReady("this node is stopping")

    return {
        "database": database.ping,
        "migrations": migrated,
        "broker": carried,
        "loops": alive,
        "keys": signs,
        "draining": staying,
    }
