"""The composition root: every real part, made once, in the order in which they need each other.

Read it top to bottom and you have read the architecture. Nothing here decides anything; what a part does is in the part. Tests
put the same parts together with a clock that jumps or a bus in memory.
"""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.app import GatewayDeps, build_app
from gateway.probes import Check, NotReady, Reading, Spread
from gateway.sockets.live import Live
from gateway.sockets.server import LiveServer, attach
from paceline.demo import Demo
from paceline.program import Program
from paceline.settings import Settings
from persistence.database import Database, open_database
from persistence.migrate import pending
from persistence.outbox import CHANNEL as OUTBOX_CHANNEL
from persistence.stores import Transactions
from persistence.tasks import CHANNEL as TASKS_CHANNEL
from realtime.broker import Broker, InMemoryBroker
from realtime.hub import Hub
from realtime.node import Node
from realtime.redis_broker import RedisBroker
from rooms.rooms import Rooms
from rooms.streams import Streams
from services.accounts.accounts import Accounts, identifier
from services.accounts.attempts import Attempts
from services.accounts.displays import Displays
from services.accounts.passwords import Passwords
from services.accounts.tokens import Tokens, load_key, make_key
from services.classes.classes import Classes
from services.kernel.clock import Clock
from services.kernel.ids import Ids
from services.training.workouts import Workouts
from workers.amqp import open_amqp_bus
from workers.bus import TaskBus
from workers.consumer import Consumer
from workers.handlers import QUEUES, table
from workers.postgres_bus import PostgresBus
from workers.push import NodePush
from workers.relay import Relay
from workers.schedule import Scheduler, jobs
from workers.wakeups import Wakeups

KEY_FILE: Final = "token.key.pem"


@dataclass
class Parts:
    """Everything that was made, for whoever starts and stops it."""

    settings: Settings
    clock: Clock
    database: Database
    node: Node
    rooms: Rooms
    streams: Streams
    accounts: Accounts
    classes: Classes
    bus: TaskBus
    wakeups: Wakeups
    relay: Relay
    scheduler: Scheduler
    consumers: tuple[Consumer, ...]
    app: web.Application
    sockets: LiveServer
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
    settings: Settings, *, database_url: str, redis_url: str | None, clock: Clock, ids: Ids, program: Program
) -> AsyncIterator[Parts]:
    """Make every part and connect the resources; they are closed in reverse order on leaving. Starts nothing."""
    async with AsyncExitStack() as resources:
        # -- keeping and carrying
        database = await resources.enter_async_context(
            open_database(database_url, size=settings.db_pool, statement_cache=settings.db_statement_cache)
        )
        transactions = Transactions(database, clock, ids)
        broker: Broker = RedisBroker(redis_url, clock) if redis_url else InMemoryBroker()
        node = Node(settings.node_id or f"node-{secrets.token_hex(4)}", Hub(), broker, clock)

        # -- live
        rooms = Rooms(node, transactions, clock, board_hz=settings.board_hz)
        streams = Streams(transactions, rooms, clock, ids, commit_interval_s=settings.commit_interval_ms / 1000)
        classes = Classes(transactions, clock, ids, rooms)

        # -- people
        passwords = Passwords()
        resources.callback(passwords.close)
        tokens = Tokens(
            load_key(settings.token_key or _own_key(settings.data_dir)),
            access_ttl_s=settings.access_token_minutes * 60,
        )
        attempts = Attempts()
        accounts = Accounts(
            transactions,
            passwords,
            tokens,
            clock,
            ids,
            attempts=attempts,
            coach_signup="open" if settings.coach_signup == "open" else "closed",
            refresh_ttl=timedelta(days=settings.refresh_token_days),
        )
        identify = identifier(tokens, clock)

        # -- later
        wakeups = Wakeups(database, clock, (OUTBOX_CHANNEL, TASKS_CHANNEL))
        bus: TaskBus = PostgresBus(database, clock, QUEUES, wakeups)
        if settings.amqp_url:
            bus = await resources.enter_async_context(open_amqp_bus(settings.amqp_url, clock, QUEUES))
        relay = Relay(transactions, bus, clock, wakeups)
        scheduler = Scheduler(database, clock, jobs(transactions, clock))
        consumers = tuple(Consumer(row.queue, row.handler, transactions, clock) for row in table(clock, NodePush(node)))

        # -- the mouth
        demo = Demo(transactions, classes, passwords, tokens, clock, ids, base_url=lambda: parts.base_url)
        app = build_app(
            GatewayDeps(
                accounts=accounts,
                displays=Displays(classes, tokens, clock, ids, attempts),
                classes=classes,
                workouts=Workouts(transactions),
                identify=identify,
                demo_code=demo.current_code,
                checks=_checks(database, node, program, lambda: parts.draining),
                readings=_readings(node, rooms, streams, relay, bus, passwords, lambda: parts.sockets),
                clock=clock,
            )
        )
        live = Live(streams, rooms, classes)
        sockets = attach(
            app,
            node=node,
            clock=clock,
            identify=identify,
            handlers=live.handlers(),
            on_open=lambda _: None,
            on_close=lambda connection, _: live.closed(connection),
            allowed_origins=settings.allowed_origins,
        )
        resources.push_async_callback(sockets.close)
        parts = Parts(
            settings, clock, database, node, rooms, streams, accounts, classes, bus, wakeups, relay, scheduler,
            consumers, app, sockets, demo,
        )  # fmt: skip
        yield parts


def start_loops(parts: Parts, program: Program) -> None:
    """Start what this process's roles need. They end in reverse: samples are committed and facts handled before the node, which
    carries the news of both, goes."""
    roles = parts.settings.roles
    program.start("node", parts.node.run())
    program.start("wakeups", parts.wakeups.run())
    if "scheduler" in roles:
        program.start("scheduler", parts.scheduler.run(), parts.scheduler.stop)
    if "worker" in roles:
        for consumer in parts.consumers:
            queue = consumer.queue
            program.start(f"consumer {queue.name}", parts.bus.consume(queue, consumer), parts.bus.stop)
    if "relay" in roles:
        program.start("relay", parts.relay.run(), parts.relay.stop)
    if "gateway" in roles:
        program.start("recorder", parts.streams.run(), parts.streams.recorder.stop)
        program.start("rooms", parts.rooms.run(), parts.rooms.stop)
        program.start("sockets", parts.sockets.run())


def _own_key(data_dir: Path) -> str:
    """The signing key of this installation, made at the first start and readable by its owner alone."""
    path = data_dir / KEY_FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(make_key())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return path.read_text(encoding="ascii")


def _checks(database: Database, node: Node, program: Program, draining: Callable[[], bool]) -> Mapping[str, Check]:
    async def migrated() -> None:
        async with database.connection() as connection:
            if waiting := await pending(connection):
                raise NotReady(f"{waiting} migrations have not run")

    async def carried() -> None:
        if not node.ready():
            raise NotReady("this node does not hear the other nodes right now")

    async def alive() -> None:
        dead = [name for name, lives in program.loops().items() if not lives]
        if dead:
            raise NotReady(f"ended: {', '.join(dead)}")

    async def staying() -> None:
        if draining() or program.stopping:
            raise NotReady("this node is stopping")

    return {
        "database": database.ping,
        "migrations": migrated,
        "broker": carried,
        "loops": alive,
        "draining": staying,
    }


def _readings(
    node: Node,
    rooms: Rooms,
    streams: Streams,
    relay: Relay,
    bus: TaskBus,
    passwords: Passwords,
    sockets: Callable[[], LiveServer],
) -> Mapping[str, Reading]:
    """What each part counts, by the names of `gateway.probes.FAMILIES`."""
    recorder = streams.recorder.statistics
    return {
        "connections": lambda: len(node.hub),
        "connections_opened": lambda: node.hub.statistics().opened,
        "connections_closed": lambda: node.hub.statistics().closed,
        "sockets": lambda: sockets().statistics().links,
        "sockets_unauthenticated": lambda: sockets().statistics().unauthenticated,
        "handshakes_refused": lambda: sockets().statistics().refused,
        "messages_malformed": lambda: sockets().statistics().malformed,
        "sockets_cut": lambda: sockets().statistics().cut,
        "mailbox_bytes": lambda: node.hub.statistics().mailbox_bytes,
        "mailbox_dropped": lambda: node.hub.statistics().dropped,
        "mailbox_replaced": lambda: node.hub.statistics().replaced,
        "frames_broadcast": lambda: node.hub.statistics().broadcast,
        "frames_delivered": lambda: node.hub.statistics().deliveries,
        "events": lambda: {name: event.received for name, event in sockets().dispatcher.statistics().events.items()},
        "event_problems": lambda: sockets().dispatcher.statistics().problems,
        "streams_open": lambda: streams.statistics.open,
        "streams_taken_over": lambda: streams.statistics.taken_over,
        "samples_accepted": lambda: streams.statistics.accepted,
        "samples_repeated": lambda: streams.statistics.repeated,
        "samples_stored": lambda: recorder.samples,
        "samples_waiting": lambda: recorder.waiting,
        "commit_seconds": lambda: Spread(recorder.commits, recorder.commit_seconds_sum, recorder.commit_seconds),
        "commit_failures": lambda: recorder.failures,
        "commits_fenced": lambda: recorder.fenced,
        "rooms": lambda: rooms.statistics.rooms,
        "board_beats": lambda: rooms.statistics.beats,
        "board_beat_seconds": lambda: rooms.statistics.beat_seconds,
        "board_frames": lambda: rooms.statistics.frames,
        "board_shares": lambda: rooms.statistics.shares,
        "broker_published": lambda: node.statistics().broker.published,
        "broker_dropped": lambda: node.statistics().broker.dropped,
        "broker_delivered": lambda: node.statistics().broker.delivered,
        "broker_reconnects": lambda: node.statistics().broker.reconnects,
        "broker_waiting": lambda: node.statistics().broker.waiting,
        "broker_healthy": lambda: node.statistics().broker.healthy,
        "peers": lambda: node.statistics().peers,
        "outbox_waiting": lambda: relay.statistics.waiting,
        "outbox_age_seconds": lambda: relay.statistics.oldest_s,
        "facts_relayed": lambda: relay.statistics.relayed,
        "tasks_handled": lambda: {name: queue.handled for name, queue in bus.statistics().queues.items()},
        "tasks_failed": lambda: {name: queue.retried for name, queue in bus.statistics().queues.items()},
        "tasks_parked": lambda: {name: queue.parked for name, queue in bus.statistics().queues.items()},
        "password_hashes": lambda: passwords.statistics().hashed,
        "password_refused": lambda: passwords.statistics().refused,
        "password_pending": lambda: passwords.statistics().pending,
    }
