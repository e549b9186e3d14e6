"""`paceline deliveries`: what was sent to somebody and what became of it, and what nobody knows the end of."""

import argparse
import asyncio
import os
import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from paceline.kept import NOT_OPENED, open_kept
from paceline.operating_user import this_user
from paceline.settings import Settings, SettingsError, load_settings
from persistence.deliveries import Seen
from persistence.stores import Stores
from services.accounts.account import normal_email
from services.audit.entry import Entry, Thing
from services.kernel.clock import Clock, SystemClock, utc
from services.kernel.ids import DeliveryId
from services.kernel.problems import NotFound, Problem

FILE_WIDTH: Final = 200
"""Characters of a line that goes into a file or another program: every column has room."""
MOST: Final = 1_000
WANTED: Final = timedelta(days=1)
"""How long what is sent again is wanted."""

DESCRIPTION: Final = """
A mail or an SMS whose provider was not heard to the end is in doubt: it may have arrived, and is not sent again by itself. Who
knows more, from the provider's own log or from the person, can have it sent again here. With the local PostgreSQL, stop
`paceline run` first: it serves one process at a time.
"""

EPILOG: Final = """
  paceline deliveries doubtful                what is in doubt, the oldest first
  paceline deliveries of ada@example.org      what was sent to somebody, the newest first, with the reason where it was not
  paceline deliveries resend 0199…            send one that failed or is in doubt again, with all its attempts

exit codes:
  0  shown, or to be sent again
  1  there is nothing of this name, or the database does not answer
  2  the call or the settings are wrong
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "deliveries",
        help="show what was sent to somebody, and what is in doubt; send it again",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    doubtful = acts.add_parser("doubtful", help="what nobody knows the end of")
    of = acts.add_parser("of", help="what was sent to an account")
    of.add_argument("email", help="the account's e-mail address")
    for act in (doubtful, of):
        act.add_argument("--limit", type=_limit, default=50, metavar="N", help=f"1 to {MOST} (default: 50)")
        act.add_argument("--json", action="store_true", help="machine-readable output, one line")
    resend = acts.add_parser("resend", help="send one again that failed or is in doubt")
    resend.add_argument("id", type=uuid.UUID, help="as the other two show it")


def run(args: argparse.Namespace) -> int:
    """Show it or send it again; see EPILOG for the exit codes."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as wrong:
        return _say(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", 2)
    try:
        asyncio.run(_act(settings, args))
    except Problem as problem:
        return _say(problem.message, 1)
    except NOT_OPENED as problem:
        return _say(str(problem), 1)
    return 0


async def _act(settings: Settings, args: argparse.Namespace) -> None:
    clock = SystemClock()
    async with open_kept(settings, clock) as transactions, transactions() as stores:
        if args.act == "resend":
            await resend(stores, clock, DeliveryId(args.id))
            await stores.audit.add(Entry(this_user(), "delivery.resent", thing=Thing("delivery", str(args.id))))
            print("It waits to be sent.")
            return
        found = await (
            stores.deliveries.in_doubt(args.limit)
            if args.act == "doubtful"
            else of_account(stores, args.email, args.limit)
        )
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        show(found)


async def of_account(stores: Stores, email: str, limit: int) -> list[Seen]:
    """Somebody's deliveries, the newest first. Raises NotFound, BadShape."""
    found = await stores.accounts.credentials(normal_email(email))
    if found is None:
        raise NotFound(f"there is no account {email}")
    return await stores.deliveries.of_account(found.account.id, limit)


async def resend(stores: Stores, clock: Clock, delivery_id: DeliveryId) -> None:
    """Send one again that failed or is in doubt. Raises NotFound for any other."""
    now = utc(clock.wall_ms())
    if not await stores.deliveries.send_again(delivery_id, now, now + WANTED):
        raise NotFound(f"there is no delivery {delivery_id} that failed or is in doubt")


def show(deliveries: Sequence[Seen]) -> None:
    """A table of them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    if not deliveries:
        console.print("Nothing.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("delivery", "topic", "lane", "state", "attempts", "since", "provider", "reason"):
        table.add_column(column)
    for each in deliveries:
        provider = f"{each.provider} {each.provider_id}".strip()
        since = f"{each.changed_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(each.id), each.topic, each.lane, each.state, str(each.attempts), since, provider, each.reason)
    console.print(table)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST}")
    return int(text)


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
