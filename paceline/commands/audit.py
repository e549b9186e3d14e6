"""`paceline audit`: what was done with privilege, who looked at whose health data, and whether that record is whole."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from paceline.kept import NOT_OPENED, open_kept
from paceline.keys import KeyMissing, known_signing_key
from paceline.settings import Settings, SettingsError, load_settings
from persistence.stores import Transactions
from services.accounts.account import normal_email
from services.accounts.keyring import KeyProblem, SigningKey, load_key, raw_public
from services.accounts.keys import require_begun
from services.audit.checkpoint import BadCheckpoint, Checkpoint, as_line, key_named, of_line
from services.audit.entry import ACTS
from services.audit.ports import AuditLine, Wanted
from services.audit.verifying import Progress, Verified, Verifying
from services.kernel.clock import SystemClock, to_wall_ms, utc
from services.kernel.ids import AccountId
from services.kernel.problems import NotFound, Problem
from services.kernel.sealing import CannotOpen

MAX_LINES: Final = 10_000
TOLD_EVERY: Final = 100_000
"""Rows between two lines of progress."""
MAX_FINDINGS: Final = 100
"""Findings that are told one by one; the others are counted."""

DESCRIPTION: Final = """
Every act of privilege is in the audit (roles, entitlements, keys, tasks, administration), and every look at somebody else's health
data. It only grows, each row carries the hash of the one before it, and every ten minutes what it is gets signed.

  list        shows entries, the newest first
  verify      reads all of it and says exactly what is wrong, and where
  checkpoint  signs what it is now and prints that as a line; keep it where the database's keeper does not reach

verify and checkpoint need the PACELINE_TOKEN_KEY of the nodes, and all of them their PACELINE_SEALING_KEYS, or their
data folder: commands make no keys. With the local PostgreSQL, stop `paceline run` first: it serves one process at a
time.
"""
EPILOG: Final = """
examples:
  paceline audit list --account ana@example.org --since 7d
  paceline audit list --act role.granted --act role.withdrawn --json
  paceline audit verify
  paceline audit verify --checkpoints /mnt/elsewhere/audit-checkpoints.jsonl
  paceline audit checkpoint >> /mnt/elsewhere/audit-checkpoints.jsonl

verify says of each breach where it is: altered, deleted, reordered (moved, or taken out and renumbered), truncated (the tail that a
checkpoint has seen is gone), forked (the chain was written anew after a checkpoint), checkpoint (one that proves nothing).
Without --checkpoints it takes the file of PACELINE_CHECKPOINT_DIR where there is one, besides those in the database.

exit codes:
  0  done; for verify: the audit is whole
  1  for verify: it is not
  2  the call, the settings, the keys or the file of checkpoints are wrong
  3  the database does not answer
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "audit",
        help="show what was done with privilege, and prove that the record is whole",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="what", metavar="ACT", required=True)
    listing = acts.add_parser("list", help="entries, the newest first")
    listing.add_argument("--account", metavar="WHO", help="done by or to this account: its address or id")
    listing.add_argument(
        "--act", action="append", default=[], choices=sorted(ACTS), metavar="ACT", help=", ".join(ACTS)
    )
    listing.add_argument(
        "--since", type=_instant, metavar="WHEN", help="2026-12-01[T06:00[+01:00]], or 7d, 12h, 30m ago"
    )
    listing.add_argument("--until", type=_instant, metavar="WHEN", help="likewise")
    listing.add_argument("--before", type=int, metavar="POSITION", help="those in front of this position")
    listing.add_argument("--limit", type=_limit, default=50, metavar="N", help=f"1 to {MAX_LINES} (50)")
    listing.add_argument("--json", action="store_true", help="machine-readable, a line each")
    verify = acts.add_parser("verify", help="check all of it")
    verify.add_argument(
        "--checkpoints", type=Path, metavar="FILE", help="checkpoints kept elsewhere; - for standard input"
    )
    verify.add_argument(
        "--trust", action="append", default=[], metavar="KEY", help="a key that signed checkpoints before"
    )
    acts.add_parser("checkpoint", help="sign what it is now, and print that")


def run(args: argparse.Namespace) -> int:
    """Do it; see EPILOG for the exit codes."""
    try:
        return asyncio.run(_do(load_settings(os.environ), args))
    except SettingsError as wrong:
        return _say(str(wrong), 2)
    except (KeyMissing, KeyProblem, CannotOpen, BadCheckpoint, NotFound) as wrong:
        return _say(str(wrong), 2)
    except (*NOT_OPENED, Problem) as problem:
        return _say(str(problem), 3)


async def _do(settings: Settings, args: argparse.Namespace) -> int:
    outside = _outside(settings, args.checkpoints) if args.what == "verify" else []
    trusted = [key_named(name) for name in args.trust] if args.what == "verify" else []
    clock = SystemClock()
    async with open_kept(settings, clock) as transactions:
        if args.what == "list":
            return await _list(transactions, args)
        key = load_key(known_signing_key(settings))
        verifying = Verifying(transactions, clock, raw_public(key), key.private.sign)
        if args.what == "checkpoint":
            return await _checkpoint(transactions, verifying, key)
        return await _verify(verifying, outside, trusted)


async def _list(transactions: Transactions, args: argparse.Namespace) -> int:
    account = None if args.account is None else await _account(transactions, args.account)
    async with transactions() as stores:
        wanted = Wanted(account, tuple(args.act), args.since, args.until, args.before)
        lines = await stores.audit.lines(wanted, args.limit)
    for line in lines:
        print(msgspec.json.encode(line).decode() if args.json else told(line))
    if not lines and not args.json:
        print("there are no such entries")
    return 0


async def _account(transactions: Transactions, who: str) -> AccountId:
    try:
        return AccountId(UUID(who))
    except ValueError:
        pass
    async with transactions() as stores:
        credentials = await stores.accounts.credentials(normal_email(who))
    if credentials is None:
        raise NotFound(f"there is no account {who}")
    return credentials.account.id


def told(line: AuditLine) -> str:
    """An entry in one line, for people."""
    place = "waits" if line.position is None else f"#{line.position}"
    doer = line.actor_email or (str(line.actor_pseudonym) if line.actor_pseudonym else line.name)
    words = [f"{utc(line.at_ms):%Y-%m-%d %H:%M:%S}", f"{place:>8}", line.act, "by", line.actor_kind]
    words += [doer] if doer else []
    person = line.account_email or (str(line.account_pseudonym) if line.account_pseudonym else "")
    words += ["to", person] if person else []
    words += [f"({line.thing_kind} {line.thing})"] if line.thing_kind else []
    words += [line.data] if line.data != "{}" else []
    words += [f"from {line.network}"] if line.network else []
    words += [f"because: {line.reason}"] if line.reason else []
    return " ".join(words)


async def _checkpoint(transactions: Transactions, verifying: Verifying, key: SigningKey) -> int:
    async with transactions() as stores:
        require_begun(key, await stores.signing_keys.all())
    checkpoint = await verifying.checkpoint()
    if checkpoint is None:
        async with transactions() as stores:
            checkpoint = await stores.audit.last_checkpoint()
    if checkpoint is None:
        return _say("The audit is empty: there is nothing to sign.", 0)
    print(as_line(checkpoint))
    return 0


async def _verify(verifying: Verifying, outside: Iterable[Checkpoint], trusted: list[bytes]) -> int:
    shown = 0
    at = TOLD_EVERY
    async for step in verifying.verify(outside, trusted):
        match step:
            case Progress(position, of, found):
                for finding in found[: MAX_FINDINGS - shown]:
                    print(finding)
                shown = min(shown + len(found), MAX_FINDINGS)
                if position >= at:
                    print(f"{position} of {of} rows …", file=sys.stderr, flush=True)
                    at = position + TOLD_EVERY
            case Verified() as verified:
                return _verdict(verified)
    raise RuntimeError("a check ends with its verdict")


def _verdict(verified: Verified) -> int:
    waiting = f", {verified.waiting} entries wait for their place" if verified.waiting else ""
    if verified.breaches:
        print(f"NOT WHOLE: {verified.breaches} breaches in {verified.position} rows{waiting}")
        return 1
    held = f"{verified.checkpoints} checkpoints hold" if verified.checkpoints != 1 else "1 checkpoint holds"
    print(f"whole: {verified.position} rows, {held}, head {verified.head.hex()}{waiting}")
    return 0


def _outside(settings: Settings, file: Path | None) -> list[Checkpoint]:
    """The checkpoints of a file. Raises BadCheckpoint, OSError where one was named that is not there."""
    if file is None and not settings.checkpoints.exists():
        return []
    path = settings.checkpoints if file is None else file
    text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(of_line(line))
            except BadCheckpoint as problem:
                raise BadCheckpoint(f"{path}, line {number}: {problem}") from problem
    return found


def _instant(text: str) -> int:
    """ms since 1970. Without an offset it is UTC."""
    unit = {"d": "days", "h": "hours", "m": "minutes"}.get(text[-1:])
    if unit and text[:-1].isascii() and text[:-1].isdigit() and len(text) < 6:
        return to_wall_ms(datetime.now(UTC) - timedelta(**{unit: int(text[:-1])}))
    try:
        at = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2026-12-01, 2026-12-01T06:00+01:00 or 7d"
        ) from wrong
    return to_wall_ms(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_LINES}")
    return int(text)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
