"""`paceline tasks`: the queues of durable tasks, and what was given up: looked at, tried again, dropped."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import msgspec
from rich.console import Console

from paceline.embedded import open_embedded
from paceline.kept import NOT_OPENED, open_kept
from paceline.keys import KeyMissing
from paceline.operating_user import this_user
from paceline.settings import Settings, SettingsError, load_settings
from paceline.tasks_view import parked_now, queue_now, show_message, show_parked, show_queues
from persistence.database import Database, open_database
from persistence.migrate import migrate, pending
from persistence.stores import Transactions
from services.audit.entry import Entry, Thing
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import Problem
from services.kernel.sealing import CannotOpen
from workers.amqp import open_amqp_bus
from workers.bus import BusUnavailable, OperatedBus, Queue
from workers.handlers import QUEUES
from workers.postgres_bus import PostgresBus

FILE_WIDTH: Final = 240
"""Characters of a line that goes into a file or another program: every column has room."""
MOST_SHOWN: Final = 10_000
TOLD_EVERY: Final = 100

DESCRIPTION: Final = """
Shows and mends durable tasks on the bus that the settings name: RabbitMQ where AMQP_URL is set, else the database. A task is
parked when its attempts are used up, when nobody can read it, or when it has killed its worker again and again; it waits, with its
reason, until somebody replays or drops it. With the local PostgreSQL, stop `paceline run` first: it serves one process at a time.
"""

EPILOG: Final = """
  paceline tasks list                       every queue: what waits, since when, who takes from it, what is parked
  paceline tasks list pushes                what the queue has given up, the oldest first
  paceline tasks show pushes 0199…          one of them in full
  paceline tasks replay pushes 0199…        give it all its attempts again, once its cause is mended
  paceline tasks replay pushes --all        the same for all that are parked now
  paceline tasks drop pushes 0199…          forget it for ever

"-" and null stand for what a bus cannot know: RabbitMQ tells nobody the age of what waits, nor how many handlers run; a worker's
/metrics has both. A message that is being looked at is out of its queue for that moment, so two people see it one after the other.

exit codes:
  0  done
  1  there is no such parked message
  2  the call, the settings or the keys are wrong, or nobody has confirmed that a message may be dropped
  3  the bus does not answer, or the database, which is told in the audit before anything is replayed or dropped
  130  interrupted; what was replayed until then stays replayed
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "tasks",
        help="show the queues of durable tasks, replay and drop what was given up",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    names = [queue.name for queue in QUEUES]
    listing = acts.add_parser("list", help="every queue, or the parked messages of one")
    listing.add_argument("queue", nargs="?", choices=names, metavar="QUEUE", help=", ".join(names))
    listing.add_argument(
        "--limit",
        type=_limit,
        default=100,
        metavar="N",
        help=f"parked messages shown, 1 to {MOST_SHOWN} (default: 100)",
    )
    show, replay, drop = (
        acts.add_parser(name, help=text)
        for name, text in (
            ("show", "one parked message in full"),
            ("replay", "give a parked message all its attempts again, or --all of a queue"),
            ("drop", "forget a parked message for ever"),
        )
    )
    for act in (show, replay, drop):
        act.add_argument("queue", choices=names, metavar="QUEUE", help=", ".join(names))
    for act in (show, drop):
        act.add_argument("key", metavar="KEY", help="as `list QUEUE` shows it")
    replay.add_argument("key", nargs="?", metavar="KEY", help="as `list QUEUE` shows it")
    replay.add_argument("--all", action="store_true", help="all that are parked in the queue now")
    drop.add_argument("--yes", action="store_true", help="do not ask")
    for act in (listing, show, replay, drop):
        act.add_argument("--json", action="store_true", help="machine-readable output, one line")


def run(args: argparse.Namespace) -> int:
    """Do it; see EPILOG for the exit codes."""
    if args.act == "replay" and (args.key is None) != args.all:
        return _say("Name the message to replay, or say --all: one of the two.", 2)
    if args.act == "drop" and not args.yes and not sys.stdin.isatty():
        return _say("Nobody is here to confirm that it may be forgotten for ever: say --yes.", 2)
    try:
        return asyncio.run(_act(load_settings(os.environ), args))
    except SettingsError as wrong:
        return _say(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", 2)
    except BusUnavailable as away:
        return _say(f"The bus does not answer: {away}", 3)
    except (KeyMissing, CannotOpen) as wrong:
        return _say(str(wrong), 2)
    except (*NOT_OPENED, Problem) as problem:
        return _say(str(problem), 3)


async def _act(settings: Settings, args: argparse.Namespace) -> int:
    queue = next((queue for queue in QUEUES if queue.name == args.queue), None)
    async with open_tools(settings) as tools:
        if queue is None:
            return await _list_queues(tools.bus, args)
        match args.act:
            case "list":
                return await _list_parked(tools.bus, queue, args)
            case "show":
                return await _show(tools.bus, queue, args)
            case "replay":
                return await _replay(tools, queue, args)
            case _:
                return await _drop(tools, queue, args)


@dataclass(frozen=True)
class Tools:
    """The bus that `paceline run` would use with these settings, and the way to the database that has the audit."""

    bus: OperatedBus
    kept: Callable[[], AbstractAsyncContextManager[Transactions]]

    async def tell(self, act: str, queue: Queue, key: str | None) -> None:
        """Tell the audit before it is done: of two systems, one of which may fail in between, it is better to have told of what was
        not done than the other way round. Raises what the database raises; then nothing is to be done."""
        thing = Thing("queue", queue.name if key is None else f"{queue.name} {key}")
        async with self.kept() as transactions, transactions() as stores:
            await stores.audit.add(Entry(this_user(), act, thing=thing))


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Tools]:
    """Raises what the servers raise when they are away."""
    clock = SystemClock()

    def of(database: Database) -> Tools:
        transactions = Transactions(database, clock, Uuid7Ids(clock))
        return Tools(PostgresBus(database, clock, QUEUES), lambda: nullcontext(transactions))

    if settings.amqp_url:
        async with open_amqp_bus(settings.amqp_url, clock, QUEUES) as bus:
            yield Tools(bus, lambda: open_kept(settings, clock))
        return
    if settings.database_url:
        async with open_database(settings.database_url, size=2) as database:
            async with database.connection() as connection:
                if waiting := await pending(connection):
                    raise BusUnavailable(f"{waiting} migrations have not run on this database: `paceline migrate`")
            yield of(database)
        return
    async with open_embedded(settings.data_dir, want_redis=False) as embedded:
        if embedded.database_url is None:
            raise RuntimeError("the local PostgreSQL did not start")
        await migrate(embedded.database_url)
        async with open_database(embedded.database_url, size=2) as database:
            yield of(database)


async def _list_queues(bus: OperatedBus, args: argparse.Namespace) -> int:
    seen = await bus.overview()
    queues = [queue_now(queue, seen[queue.name]) for queue in QUEUES]
    if args.json:
        _print_json(queues)
    else:
        show_queues(_console(), queues)
    return 0


async def _list_parked(bus: OperatedBus, queue: Queue, args: argparse.Namespace) -> int:
    found = [parked_now(parked) for parked in await bus.parked(queue, args.limit + 1)]
    shown = found[: args.limit]
    if args.json:
        _print_json(shown)
    else:
        show_parked(_console(), queue.name, shown, more=len(found) > len(shown))
    return 0


async def _show(bus: OperatedBus, queue: Queue, args: argparse.Namespace) -> int:
    found = [parked_now(parked) for parked in await bus.parked(queue, MOST_SHOWN) if parked.key == args.key]
    if not found:
        return _not_there(queue, args.key)
    if args.json:
        _print_json(found[0])
    else:
        show_message(_console(), queue.name, found[0])
    return 0


async def _replay(tools: Tools, queue: Queue, args: argparse.Namespace) -> int:
    bus = tools.bus
    await tools.tell("tasks.replayed", queue, args.key)
    replayed = await (bus.replay_all(queue, _tell) if args.all else bus.replay(queue, args.key))
    if not replayed and not args.all:
        return _not_there(queue, args.key)
    return _done("replayed", replayed, queue, args)


async def _drop(tools: Tools, queue: Queue, args: argparse.Namespace) -> int:
    if not args.yes:
        print(f"{args.key} will be forgotten by {queue.name} for ever. Type drop to do so: ", end="", flush=True)
        if (await asyncio.to_thread(sys.stdin.readline)).strip() != "drop":
            return _say("Nothing was dropped.", 2)
    await tools.tell("tasks.dropped", queue, args.key)
    dropped = await tools.bus.drop(queue, args.key)
    return _done("dropped", dropped, queue, args) if dropped else _not_there(queue, args.key)


def _done(what: str, count: int, queue: Queue, args: argparse.Namespace) -> int:
    if args.json:
        _print_json({"queue": queue.name, what: count})
    else:
        print(f"{count} {what} in {queue.name}.")
    return 0


def _tell(count: int) -> None:
    if count % TOLD_EVERY == 0:
        print(f"{count} replayed …", file=sys.stderr, flush=True)


def _not_there(queue: Queue, key: str) -> int:
    return _say(f"{key} is not parked in {queue.name}; `paceline tasks list {queue.name}` shows what is.", 1)


def _print_json(what: object) -> None:
    print(msgspec.json.encode(what).decode(), flush=True)


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_SHOWN:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_SHOWN}")
    return int(text)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
