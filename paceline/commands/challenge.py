"""`paceline challenge`: the table of a challenge, derived again from its score log alone.

`derive` reads the log in the database and says whether the table that is kept beside it is the same. `check` needs no database:
it reads entries that a member has fetched over HTTP, and says which head they come to.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from paceline.embedded import EmbeddedError, open_embedded
from paceline.settings import Settings, SettingsError, load_settings
from persistence.challenges import Challenges
from persistence.database import open_database
from persistence.migrate import MigrationError, migrate, pending
from persistence.stores import Transactions
from services.challenges.challenge import Challenge, Rules
from services.challenges.ranking import Line, Ranked, ranked_teams
from services.challenges.score_log import BrokenLogError, Ledger, Link
from services.kernel.clock import SystemClock
from services.kernel.ids import ChallengeId, Uuid7Ids
from services.kernel.problems import Problem

PAGE: Final = 1_000
"""Entries or members read at a time."""
MOST_DIFFERENCES: Final = 20

DESCRIPTION: Final = """
Derives the table of a challenge again from its score log: every entry is checked against the hash before it, and what they come to
is the table. With the local PostgreSQL, stop `paceline run` before `derive`: it serves one process at a time.
"""

EPILOG: Final = """
  paceline challenge derive 0199…                     from the database; is the table kept beside it the same?
  paceline challenge derive 0199… --top 100 --json    the first hundred lines, for a program
  paceline challenge check log.json --head 5f0c…      from the pages of GET /v1/challenges/{id}/log, one after the other in a file;
                                                      do they come to the head that was on the table?

exit codes:
  0  the log is whole, and what is kept, or the head that was given, is what it comes to
  1  the log is broken, or something else than it comes to is kept
  2  the call or the settings are wrong, or there is no such challenge or file
  3  the database does not answer
"""


class Outcome(msgspec.Struct, frozen=True):
    """What the log comes to, as `--json` prints it. `differences` are sentences; none means that all is equal."""

    challenge: ChallengeId | None
    entries: int
    head: str
    final: bool
    rules: Rules
    members: int
    table: list[Ranked]
    teams: list[Ranked]
    verdict: str
    differences: list[str]


class _Entry(msgspec.Struct, frozen=True):
    seq: int
    body: str
    hash: str


class _Page(msgspec.Struct, frozen=True):
    entries: list[_Entry]


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "challenge",
        help="derive the table of a challenge from its score log",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    derive = acts.add_parser("derive", help="from the database, and compare with what is kept there")
    derive.add_argument("id", type=_id, metavar="ID", help="the challenge")
    check = acts.add_parser("check", help="from entries in a file, and compare with a head")
    check.add_argument(
        "file", type=Path, metavar="FILE", help="pages of the log as HTTP gives them, one after the other"
    )
    check.add_argument("--head", type=_head, metavar="HEX", help="the hash that they should come to")
    for act in (derive, check):
        act.add_argument("--top", type=int, default=20, metavar="N", help="lines shown (default: 20)")
        act.add_argument("--json", action="store_true", help="machine-readable output, one line")


def run(args: argparse.Namespace) -> int:
    """Derive; see EPILOG for the exit codes."""
    try:
        if args.act == "check":
            outcome = _checked(args.file.read_text(encoding="utf-8"), args.head)
        else:
            outcome = asyncio.run(_on_database(load_settings(os.environ), args.id))
    except SettingsError as wrong:
        return _say(str(wrong), 2)
    except BrokenLogError as broken:
        return _say(f"The log is broken at {broken}.", 1)
    except (
        FileNotFoundError,
        IsADirectoryError,
        PermissionError,
        msgspec.DecodeError,
        ValueError,
        LookupError,
    ) as wrong:
        return _say(str(wrong), 2)
    except (EmbeddedError, MigrationError, Problem, OSError) as problem:
        return _say(str(problem), 3)
    if args.json:
        shown = msgspec.structs.replace(outcome, table=outcome.table[: args.top])
        print(msgspec.json.encode(shown).decode())
    else:
        _show(Console(highlight=False), outcome, args.top)
    return 1 if outcome.differences else 0


async def _on_database(settings: Settings, challenge_id: ChallengeId) -> Outcome:
    if settings.database_url:
        return await _derived(settings.database_url, challenge_id)
    async with open_embedded(Path(settings.data_dir), want_redis=False) as embedded:
        if embedded.database_url is None:
            raise RuntimeError("the local PostgreSQL did not start")
        await migrate(embedded.database_url)
        return await _derived(embedded.database_url, challenge_id)


async def _derived(dsn: str, challenge_id: ChallengeId) -> Outcome:
    clock = SystemClock()
    async with open_database(dsn, size=1) as database, Transactions(database, clock, Uuid7Ids(clock))() as stores:
        # One snapshot for the log and the table: both move while they are read.
        await stores.tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if waiting := await pending(stores.tx):
            raise MigrationError(f"{waiting} migrations have not run on this database: `paceline migrate`")
        challenge = await stores.challenges.by_id(challenge_id)
        if challenge is None:
            raise LookupError(f"there is no challenge {challenge_id}")
        ledger = await _read(stores.challenges, challenge_id)
        kept = await _kept(stores.challenges, challenge_id)
        teams = ranked_teams(await stores.challenges.teams(challenge_id), challenge.rules.teams)
    differences = [
        *_about_the_log(ledger, challenge),
        *_about_the_table(ledger, kept),
        *_about_the_teams(ledger, teams),
    ]
    return _outcome(ledger, "Equal: the table that is kept is what the log comes to.", differences)


async def _read(store: Challenges, challenge_id: ChallengeId) -> Ledger:
    ledger = Ledger()
    while links := await store.log(challenge_id, ledger.seq, PAGE):
        for link in links:
            ledger.take(link)
    return ledger


async def _kept(store: Challenges, challenge_id: ChallengeId) -> dict[int, Line]:
    """The lines that are kept of those who are in, by number."""
    kept: dict[int, Line] = {}
    seq = 0
    while changed := await store.changed_after(challenge_id, seq, PAGE):
        kept.update((each.line.n, each.line) for each in changed if each.here)
        seq = changed[-1].seq
    return kept


def _about_the_log(ledger: Ledger, challenge: Challenge) -> list[str]:
    said = []
    if ledger.challenge != challenge.id:
        said.append(f"the log is that of the challenge {ledger.challenge}")
    if (ledger.seq, ledger.head) != (challenge.seq, challenge.head):
        said.append(f"the log ends with entry {ledger.seq}; kept are {challenge.seq}, head {challenge.head.hex()}")
    if ledger.rules != challenge.rules:
        said.append("the rules that are kept are others")
    if ledger.closed != challenge.over:
        said.append("only one of log and challenge is closed")
    return said


def _about_the_table(ledger: Ledger, kept: dict[int, Line]) -> list[str]:
    derived = {line.n: line for line in ledger.lines()}
    different = [n for n in sorted(derived.keys() | kept.keys()) if derived.get(n) != kept.get(n)]
    said = [f"member {n}: {_told(derived.get(n))} by the log, {_told(kept.get(n))} kept" for n in different]
    if len(said) > MOST_DIFFERENCES:
        said[MOST_DIFFERENCES:] = [f"and {len(said) - MOST_DIFFERENCES} members more"]
    return said


def _about_the_teams(ledger: Ledger, kept: list[Ranked]) -> list[str]:
    if ledger.teams() == kept:
        return []
    return ["the sums of the teams that are kept are not those of their members"]


def _checked(text: str, head: str | None) -> Outcome:
    ledger = Ledger()
    for page in _pages(text):
        for entry in page.entries:
            ledger.take(Link(entry.seq, entry.body.encode(), _bytes(entry.hash)))
    if head is None:
        return _outcome(
            ledger, "Whole: each entry follows from the one before it. Compare the head with one you kept.", []
        )
    said = [] if head == ledger.head.hex() else [f"the entries come to the head {ledger.head.hex()}, not to {head}"]
    return _outcome(ledger, "Equal: the entries come to this head.", said)


def _pages(text: str) -> Iterator[_Page]:
    """Pages as they were answered, one after the other, with or without anything between them."""
    decoder, at = json.JSONDecoder(), 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        page, at = decoder.raw_decode(text, at)
        yield msgspec.convert(page, _Page)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as wrong:
        raise ValueError(f"{text[:70]!r} is no hash: {wrong}") from wrong


def _outcome(ledger: Ledger, verdict: str, differences: list[str]) -> Outcome:
    table = ledger.table()
    return Outcome(
        challenge=ledger.challenge,
        entries=ledger.seq,
        head=ledger.head.hex(),
        final=ledger.closed,
        rules=ledger.rules,
        members=len(table),
        table=table,
        teams=ledger.teams(),
        verdict="Not equal." if differences else verdict,
        differences=differences,
    )


def _show(console: Console, outcome: Outcome, top: int) -> None:
    rules = outcome.rules
    console.print(
        f"{outcome.entries} entries, {'closed' if outcome.final else 'still open'}, head {outcome.head}", soft_wrap=True
    )
    console.print(f"{rules.kind}, {rules.first_day} to {rules.last_day}, ties: {rules.ties}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rank", "member", "value", "team"):
        table.add_column(name, justify="left" if name == "team" else "right")
    for each in outcome.table[:top]:
        team = "" if each.line.team is None else rules.teams[each.line.team]
        table.add_row(str(each.rank), str(each.line.n), f"{each.line.value:,}", escape(team))
    console.print(table)
    for each in outcome.teams:
        console.print(f"{each.rank}. {escape(rules.teams[each.line.n])}: {each.line.value:,}")
    if outcome.members > top:
        console.print(f"{outcome.members - top} lines more: --top shows more of them.", style="dim")
    for difference in outcome.differences:
        console.print(escape(difference), style="red", soft_wrap=True)
    console.print(outcome.verdict)


def _told(line: Line | None) -> str:
    return "not in" if line is None else f"{line.value:,} (tie {line.tie}, team {line.team})"


def _id(text: str) -> ChallengeId:
    try:
        return ChallengeId(UUID(text))
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is not the id of a challenge") from wrong


def _head(text: str) -> str:
    if len(text) != 64 or text.strip("0123456789abcdef"):
        raise argparse.ArgumentTypeError("a head is 64 digits of hex, as the table shows it")
    return text


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
