"""`paceline account`: what an operator does to accounts."""

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import msgspec
from msgspec.structs import replace

from paceline.kept import tell
from paceline.operating_user import this_user
from paceline.settings import Settings
from persistence.stores import Transactions
from services.access.role import GRANTED
from services.accounts.account import normal_email
from services.accounts.creating import Creating
from services.accounts.entitlement import EntitlementName, EntitlementView, Source
from services.accounts.entitlements import Entitlements
from services.accounts.passwords import Passwords
from services.accounts.second_factor import Factors
from services.accounts.second_factors import reset_factors
from services.accounts.staff import AccountActs, GivenRole
from services.accounts.suspension import Reason
from services.audit.entry import Entry
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import Ids, TaskId, Uuid7Ids
from services.kernel.problems import NotFound
from services.tasks.task import ExportAccount, Task, TaskFile
from workers.exporting import ExportKind, Exports

DESCRIPTION = """
Gives an account a role and takes it, or entitles it to what classes need. Coaches may open live classes, authors put scripts on
demand, support looks at accounts and ends logins, admins suspend and grant. A new role is in the next access token, so at most
one token's life away; one that is taken is gone at once, because all logins of the account end. An entitlement holds for the next
booking and the next join.

With the local PostgreSQL, stop `paceline run` first: it serves one process at a time. Entitlements can be granted over HTTP
meanwhile (PUT /v1/operations/accounts/{id}/entitlements/{name}).

`reset-factor` is for somebody who has lost their phone and their recovery codes: make sure that it is they who ask, for the
password alone opens the account afterwards. Its owner is told by mail.
"""
EPILOG = """
examples:
  paceline account create mira@example.org "Mira Coach" --role coach
  paceline account grant mira@example.org coach
  paceline account ungrant mira@example.org coach
  paceline account suspend ana@example.org "You share this account with your team" --until 2027-01-01
  paceline account lift ana@example.org "It is settled"
  paceline account entitle ana@example.org premium --until 2027-01-01
  paceline account entitle ana@example.org live --source voucher:SPRING --from 2026-12-01T06:00+01:00
  paceline account unentitle ana@example.org live --source voucher:SPRING
  paceline account entitlements ana@example.org
  paceline account reset-factor ana@example.org
  paceline account export ana@example.org ana.zip
  paceline account erase ana@example.org --days 0
"""

DAY_MS = 86_400_000


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "account",
        help="give an account a role, or an entitlement",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    create = acts.add_parser("create", help="make one; its owner sets the password by the mail of a new one")
    _email(create)
    create.add_argument("name", help="what others see")
    create.add_argument("--role", choices=("member", *sorted(GRANTED)), default="member", help="beside member (member)")
    grant = acts.add_parser("grant", help="give a role")
    _email(grant)
    grant.add_argument("role", choices=get_args(GivenRole), help="the role to add")
    ungrant = acts.add_parser("ungrant", help="take a role; all logins of the account end")
    _email(ungrant)
    ungrant.add_argument("role", choices=get_args(GivenRole), help="the role to take")
    suspend = acts.add_parser("suspend", help="nobody gets in until then, and all logins end")
    _email(suspend)
    suspend.add_argument("reason", type=_word(Reason), help="why, in quotes; its owner is told")
    suspend.add_argument(
        "--until", dest="ends", type=_instant, metavar="WHEN", help="2026-12-01[T06:00[+01:00]]; lifted"
    )
    lift = acts.add_parser("lift", help="a suspended account may be used again")
    _email(lift)
    lift.add_argument("reason", type=_word(Reason), help="why, in quotes; kept in the audit")
    entitle = acts.add_parser("entitle", help="entitle it to something; what the same source gave before is replaced")
    _email(entitle)
    _which(entitle)
    entitle.add_argument("--from", dest="begins", type=_instant, metavar="WHEN", help="2026-12-01[T06:00[+01:00]]; now")
    entitle.add_argument("--until", dest="ends", type=_instant, metavar="WHEN", help="likewise; without it, no end")
    unentitle = acts.add_parser("unentitle", help="take back what a source gave; who is in a class finishes it")
    _email(unentitle)
    _which(unentitle)
    reset = acts.add_parser("reset-factor", help="take its app, passkeys and recovery codes away; the owner is told")
    _email(reset)
    export = acts.add_parser("export", help="write everything about its owner into a ZIP file")
    _email(export)
    export.add_argument("file", type=Path, help="what to write; must not be there yet")
    erase = acts.add_parser("erase", help="have everything about its owner erased; they may take it back until then")
    _email(erase)
    erase.add_argument("--days", type=int, choices=range(31), default=7, metavar="0-30", help="until then (7)")
    shown = acts.add_parser("entitlements", help="show what it is entitled to, and was")
    _email(shown)


def _email(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("email", help="the account's e-mail address")


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=_word(EntitlementName), help="what classes call it: live, premium")
    parser.add_argument("--source", type=_word(Source), default="operator", help="who or what gives it (operator)")


def _word(shape: object) -> "_Word":
    return _Word(shape)


class _Word:
    """An argument that has to have the shape of a field."""

    def __init__(self, shape: object) -> None:
        self._shape = shape

    def __call__(self, text: str) -> str:
        try:
            return str(msgspec.convert(text, self._shape))
        except msgspec.ValidationError as wrong:
            raise argparse.ArgumentTypeError(f"{text!r}: {wrong}") from wrong


def _instant(text: str) -> int:
    """ms since 1970. Without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-12-01 or 2026-12-01T06:00+01:00") from wrong
    return to_wall_ms(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def run(args: argparse.Namespace) -> int:
    """Do it and say how it is then; 0 when that worked."""

    async def work(_: Settings, transactions: Transactions, clock: Clock) -> str:
        return await _do(transactions, clock, Uuid7Ids(clock), args)

    return tell(work)


async def _do(transactions: Transactions, clock: Clock, ids: Ids, args: argparse.Namespace) -> str:
    if args.act == "create":
        return await _create(transactions, clock, ids, args)
    if args.act in ("grant", "ungrant"):
        return await _roles(AccountActs(transactions, clock, ids), args)
    if args.act in ("suspend", "lift"):
        return await _suspension(AccountActs(transactions, clock, ids), args)
    if args.act == "reset-factor":
        return _reset(args.email, await reset_factors(transactions, args.email, clock, actor=this_user()))
    if args.act == "export":
        return await _export(transactions, clock, ids, args)
    if args.act == "erase":
        return await _erase(transactions, clock, ids, args)
    return await _entitlements(transactions, Entitlements(transactions, clock, ids), args)


async def _create(transactions: Transactions, clock: Clock, ids: Ids, args: argparse.Namespace) -> str:
    with contextlib.closing(Passwords()) as passwords:
        creating = Creating(transactions, passwords, clock, ids)
        made = await creating.create(this_user(), email=args.email, name=args.name, role=args.role)
    return (
        f"{made.email} has the roles {', '.join(sorted(made.roles))}; they get in by asking for a new password, "
        "with the mail of this address"
    )


async def _roles(acts: AccountActs, args: argparse.Namespace) -> str:
    account_id = await acts.find(args.email)
    change = acts.grant if args.act == "grant" else acts.withdraw
    account = await change(this_user(), account_id, args.role)
    return f"{account.email} has the roles {', '.join(account.roles)}"


async def _suspension(acts: AccountActs, args: argparse.Namespace) -> str:
    account_id = await acts.find(args.email)
    if args.act == "lift":
        account = await acts.lift(this_user(), account_id, args.reason)
    else:
        account = await acts.suspend(this_user(), account_id, args.reason, args.ends)
    if account.suspension is None:
        return f"{account.email} may be used"
    until = account.suspension.until_ms
    return (
        f"{account.email} is suspended until {'it is lifted' if until is None else _when(until)}; its logins have ended"
    )


async def _export(transactions: Transactions, clock: Clock, ids: Ids, args: argparse.Namespace) -> str:
    """Step by step, as a worker does it, beside the file that it becomes."""
    account_id = await AccountActs(transactions, clock, ids).find(args.email)
    target: Path = args.file
    if await asyncio.to_thread(target.exists):
        raise FileExistsError(f"{target} is there already: choose another name")
    async with transactions() as stores:
        await stores.audit.add(Entry(this_user(), "account.exported", account_id))
    task = Task(TaskId(ids.next()), account_id, ExportAccount(), "running", clock.wall_ms())
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        exports = Exports(Path(folder))
        kind = ExportKind(exports, clock)
        file: TaskFile | None = None
        while file is None:
            async with transactions() as stores:
                step = await kind.step(stores, task)
            task = replace(task, checkpoint=step.checkpoint)
            file = None if step.result is None else step.result.file
        exports.path_of(file.name).rename(target)
    return f"{target} has everything about {args.email}: {file.bytes} bytes, SHA-256 {file.sha256}"


async def _erase(transactions: Transactions, clock: Clock, ids: Ids, args: argparse.Namespace) -> str:
    account_id = await AccountActs(transactions, clock, ids).find(args.email)
    now_ms = clock.wall_ms()
    async with transactions() as stores:
        erasure = await stores.erasures.ask(account_id, now_ms, now_ms + args.days * DAY_MS)
        await stores.audit.add(Entry(this_user(), "account.erased", account_id))
    return (
        f"{args.email} is closed at {_when(erasure.due_ms)} and erased after that, by the schedule of a running worker"
    )


def _reset(email: str, had: Factors) -> str:
    if not had.any:
        return f"{email} had no second factor"
    gone = [f"{len(had.passkeys)} passkeys"] if had.passkeys else []
    gone += ["an authenticator app"] if had.totp_since_ms is not None else []
    return (
        f"{email} has no second factor any more: gone are {' and '.join(gone)}, and {had.recovery_codes} recovery codes"
    )


async def _entitlements(transactions: Transactions, entitlements: Entitlements, args: argparse.Namespace) -> str:
    async with transactions() as stores:
        credentials = await stores.accounts.credentials(normal_email(args.email))
    if credentials is None:
        raise NotFound(f"there is no account {args.email}: register it first")
    account_id = credentials.account.id
    match args.act:
        case "entitle":
            now = await entitlements.grant(account_id, args.name, args.source, args.begins, args.ends, this_user())
        case "unentitle":
            now = await entitlements.withdraw(account_id, args.name, args.source, this_user())
        case _:
            now = await entitlements.of_account(account_id)
    return _told(credentials.account.email, now)


def _told(email: str, granted: Sequence[EntitlementView]) -> str:
    if not granted:
        return f"{email} is entitled to nothing"
    lines = (
        f"  {'holds' if each.holds else '-':<6} {each.name:<20} {each.source:<24} {_when(each.from_ms)} to "
        f"{'no end' if each.until_ms is None else _when(each.until_ms)}"
        + ("" if each.withdrawn_at_ms is None else f", withdrawn {_when(each.withdrawn_at_ms)}")
        for each in granted
    )
    return "\n".join((email, *lines))


def _when(wall_ms: int) -> str:
    return f"{utc(wall_ms):%Y-%m-%d %H:%M} UTC"
