"""`paceline activity`: how much happened on each day, and counting it again."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from rich.console import Console
from rich.table import Table

from paceline.kept import NOT_OPENED, open_kept
from paceline.settings import Settings, SettingsError, load_settings
from persistence.activity import Activity
from services.kernel.clock import SystemClock, utc
from services.kernel.problems import Problem
from workers.activity import NAME

DESCRIPTION: Final = """
Shows how many facts of each type became true on each day (UTC), as the workers count them from the log of facts. With --rebuild the
workers count them again, from the beginning of what the log has: days that it has whole are counted anew, earlier ones stay as
they are. With the local PostgreSQL, stop `paceline run` first: it serves one process at a time.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser("activity", help="show how much happened on each day", description=DESCRIPTION)
    command.add_argument("--days", type=int, default=14, metavar="N", help="how many days (default: 14)")
    command.add_argument("--rebuild", action="store_true", help="have the days counted again")


def run(args: argparse.Namespace) -> int:
    """Show, or ask for a new count; 0 when it was done."""
    try:
        settings = load_settings(os.environ)
        asyncio.run(_act(settings, args))
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except (*NOT_OPENED, Problem) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


async def _act(settings: Settings, args: argparse.Namespace) -> None:
    clock = SystemClock()
    async with open_kept(settings, clock) as transactions, transactions() as stores:
        if args.rebuild:
            families = await stores.followers.begin_anew(NAME)
            print(
                f"The workers count {families} of the families of facts again."
                if families
                else "Nothing was counted yet."
            )
            return
        since = utc(clock.wall_ms()).date() - timedelta(days=max(args.days, 1) - 1)
        found = await stores.activity.since(since)
    show(found, Console())


def show(found: Sequence[Activity], console: Console) -> None:
    """A line per day, a column per type."""
    if not found:
        console.print("Nothing was counted on these days. The numbers are kept by processes with the role worker.")
        return
    types = sorted({(each.family, each.type) for each in found})
    table = Table("day (UTC)", *(kind for _, kind in types))
    for column in table.columns[1:]:
        column.justify = "right"
    numbers = {(each.day, each.type): each.n for each in found}
    for day in sorted({each.day for each in found}):
        table.add_row(str(day), *(f"{numbers.get((day, kind), 0):,}" for _, kind in types))
    console.print(table)
