"""`paceline class replay`: a class plays again from what is stored of it, or is checked against that.

Played, it is what a member would have got, event by event, at its time; checked, every frame that was told is made again and
compared, and every score that a board has shown is derived from the stored samples (rooms/replay.py).
"""

import argparse
import asyncio
import math
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from paceline.commands.replay import speed_of
from paceline.embedded import EmbeddedError, open_embedded
from paceline.keys import KeyMissing, known_vault
from paceline.operating_user import this_user
from paceline.settings import Settings, SettingsError, load_settings
from persistence.database import open_database
from persistence.migrate import MigrationError, migrate, pending
from persistence.stores import Transactions
from rooms.replay import Replay, TapeVerdict, Verdict
from rooms.tape import BrokenTapeError
from services.classes.class_clock import ClassClock, class_ms_at
from services.classes.live_class import LiveClass, normal_code
from services.classes.timeline import clocks_of
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import ClassId, Uuid7Ids
from services.kernel.problems import NotFound, Problem
from services.kernel.sealing import CannotOpen

DESCRIPTION: Final = """
Plays a class again: one JSON object per line on standard output, with the instant (at_ms, and class_ms when the class had a
clock), the event and its payload, as a member would have got them. With the local PostgreSQL, stop `paceline run` before: it
serves one process at a time.
"""

EPILOG: Final = """
  paceline class replay K7TQXW                     as it went, in real time
  paceline class replay K7TQXW --speed 10          ten times as fast
  paceline class replay K7TQXW --speed max         all at once, for a program; with --from 600, from ten minutes after its creation
  paceline class replay K7TQXW --check             make every frame again: is each what was told, does each score come from samples?

exit codes:
  0  it was played; with --check: all is equal
  1  something differs, is missing, or cannot be read
  2  the call, the settings or the keys are wrong, there is no such class, or it was not recorded
  3  the database does not answer
"""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event as it is printed."""

    at_ms: int
    event: str
    payload: msgspec.Raw
    class_ms: int | None = None


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "class",
        help="play a class again, or check what is recorded of it",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    replay = acts.add_parser("replay", help="play it again")
    replay.add_argument("which", metavar="CODE|ID", help="join code or id of the class")
    replay.add_argument("--speed", type=speed_of, default=1.0, metavar="1|10|max", help="how fast (default: 1)")
    replay.add_argument(
        "--from", dest="from_s", type=_seconds, default=0.0, metavar="SECONDS", help="begin so long after its creation"
    )
    replay.add_argument("--check", action="store_true", help="make every frame again and compare, instead of playing")
    replay.add_argument("--json", action="store_true", help="the outcome of --check on one line, for programs")


def run(args: argparse.Namespace) -> int:
    """Play or check; see EPILOG for the exit codes."""
    try:
        return asyncio.run(_run(load_settings(os.environ), args))
    except (SettingsError, LookupError, NotFound) as wrong:
        return _say(wrong.message if isinstance(wrong, Problem) else str(wrong), 2)
    except KeyMissing as wrong:
        return _say(str(wrong), 2)
    except (BrokenTapeError, CannotOpen) as broken:
        return _say(str(broken), 1)
    except BrokenPipeError:
        # Whoever read has seen enough; the interpreter must not try to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (EmbeddedError, MigrationError, Problem, OSError) as problem:
        return _say(str(problem), 3)


async def _run(settings: Settings, args: argparse.Namespace) -> int:
    if settings.database_url:
        return await _on_database(settings.database_url, settings, args)
    async with open_embedded(Path(settings.data_dir), want_redis=False) as embedded:
        if embedded.database_url is None:
            raise RuntimeError("the local PostgreSQL did not start")
        await migrate(embedded.database_url)
        return await _on_database(embedded.database_url, settings, args)


async def _on_database(dsn: str, settings: Settings, args: argparse.Namespace) -> int:
    clock, opens = SystemClock(), known_vault(settings)
    async with open_database(dsn, size=1) as database:
        async with database.connection() as connection:
            if waiting := await pending(connection):
                raise MigrationError(f"{waiting} migrations have not run on this database: `paceline migrate`")
        transactions = Transactions(database, clock, Uuid7Ids(clock), vault=opens)
        live, clocks = await _class(transactions, args.which)
        replay = Replay(transactions)
        if args.check:
            return _verdict(await replay.check(live.id), live, as_json=args.json)
        await _play(replay, live, clocks, clock, args.speed, round(live.created_ms + args.from_s * 1_000))
    return 0


async def _class(transactions: Transactions, which: str) -> tuple[LiveClass, tuple[ClassClock, ...]]:
    try:
        class_id = ClassId(UUID(which))
    except ValueError:
        class_id = None
    async with transactions() as stores:
        if class_id is None:
            live = await stores.classes.by_code(normal_code(which))
        else:
            live = await stores.classes.by_id(class_id)
        if live is None:
            raise LookupError(f"there is no class {which}")
        return live, clocks_of(await stores.timelines.of(live.id))


async def _play(
    replay: Replay, live: LiveClass, clocks: tuple[ClassClock, ...], clock: Clock, speed: float, from_ms: int
) -> None:
    """Print the events, each at its time after the first."""
    began: tuple[int, float] | None = None
    async for shown in replay.show(live.id, this_user(), from_ms):
        if began is None:
            began = shown.at_ms, clock.monotonic()
        due = 0.0 if math.isinf(speed) else began[1] + (shown.at_ms - began[0]) / 1_000 / speed - clock.monotonic()
        if due > 0:
            await clock.sleep(due)
        line = _Line(shown.at_ms, shown.event, shown.payload, _class_ms(clocks, shown.at_ms))
        print(msgspec.json.encode(line).decode(), flush=not math.isinf(speed))


def _class_ms(clocks: tuple[ClassClock, ...], at_ms: int) -> int | None:
    held = [each for each in clocks if each.noted_ms <= at_ms]
    return class_ms_at(held[-1], at_ms) if held else None


def _verdict(verdict: Verdict, live: LiveClass, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(verdict).decode())
        return 0 if verdict.equal else 1
    for tape in verdict.tapes:
        print(_told(tape, live))
    if verdict.strange:
        print(f"Scores that no samples come to were shown of members {_numbers(verdict.strange)}.")
    if verdict.several:
        print(f"Several sensors, so not derived from samples: members {_numbers(verdict.several)}.")
    frames = sum(tape.frames for tape in verdict.tapes)
    if verdict.equal:
        print(
            f"Equal: {frames:,} frames made again are those that were told; {verdict.scores:,} scores come from samples."
        )
        return 0
    print("Not equal.")
    return 1


def _told(tape: TapeVerdict, live: LiveClass) -> str:
    begins, ends = ((at_ms - live.created_ms) / 1_000 for at_ms in (tape.begins_ms, tape.ends_ms))
    said = f"{tape.node}, {begins:.1f} to {ends:.1f} s: {tape.frames:,} frames"
    if tape.first_ms is not None:
        at = datetime.fromtimestamp(tape.first_ms / 1_000, UTC).isoformat(timespec="milliseconds")
        said += f", {tape.differ:,} differ, the first is version {tape.first_v} at {at}"
    if tape.missing or tape.skipped:
        said += f", {tape.missing} pieces are missing, {tape.skipped:,} beats could not be played"
    return said


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds: give 0 or more")
    return seconds


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
