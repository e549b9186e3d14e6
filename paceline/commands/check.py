"""`paceline check`: what the environment says, with secrets masked, and every fault at once."""

import argparse
import asyncio
import json
import os
import sys
import textwrap
from typing import Any

from rich.console import Console
from rich.markup import escape

from paceline.settings import Reading, Row, Settings, read_settings
from persistence.database import open_database
from persistence.migrate import MigrationError, pending
from services.kernel.problems import Problem

DESCRIPTION = """
Reads the environment exactly as `paceline run` would and prints every option with its value and where it came from; secrets
and passwords inside URLs are masked. All faults are listed at once. With --connect it also asks each server that is named by a
URL whether it answers. Exit code 2 when a setting is wrong, 1 when a server does not answer.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "check", help="print the configuration and every fault in it", description=DESCRIPTION
    )
    command.add_argument("--explain", action="store_true", help="say what each option means")
    command.add_argument("--connect", action="store_true", help="also ask the servers that are given by URL")
    command.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Print; 0 when all is well, 2 when something is wrong with the settings, 1 when a server does not answer."""
    reading = read_settings(os.environ)
    answers = asyncio.run(_ask(reading.settings)) if args.connect and reading.settings is not None else {}
    if args.json:
        json.dump(_plain(reading, answers), sys.stdout, indent=2)
        print()
    else:
        _print(reading, answers, explain=args.explain)
    if reading.faults:
        return 2
    return 1 if any(answer is not None for answer in answers.values()) else 0


async def _ask(settings: Settings) -> dict[str, str | None]:
    """Per server given by URL: None when it answers, else what is wrong."""
    answers: dict[str, str | None] = {}
    if settings.database_url:
        answers["DATABASE_URL"] = await _ask_postgres(settings)
    if settings.redis_url:
        answers["REDIS_URL"] = await _ask_redis(settings.redis_url)
    if settings.amqp_url:
        answers["AMQP_URL"] = await _ask_rabbitmq(settings.amqp_url)
    return answers


async def _ask_postgres(settings: Settings) -> str | None:
    try:
        async with open_database(settings.database_url, size=1) as database, database.connection() as connection:
            waiting = await pending(connection)
    except (OSError, TimeoutError, Problem, MigrationError, ValueError) as problem:
        return f"does not answer: {problem}"
    except Exception as problem:  # the driver's own refusals: wrong password, no such database
        return f"refuses: {problem}"
    return f"{waiting} migrations have not run: `paceline migrate`" if waiting else None


async def _ask_redis(url: str) -> str | None:
    from realtime.redis_servers import ping

    return await ping(url)


async def _ask_rabbitmq(url: str) -> str | None:
    from workers.amqp import ping

    return await ping(url)


def _print(reading: Reading, answers: dict[str, str | None], *, explain: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    width = max(len(row.variable) for row in reading.rows)
    for row in reading.rows:
        value = escape(row.shown) if row.shown else "[dim]empty[/dim]"
        origin = "" if row.source == "default" else f"  [cyan]({row.source})[/cyan]"
        console.print(f"{row.variable:{width}}  {value}{origin}")
        if explain:
            for line in textwrap.wrap(_meaning(row), width=max(console.width - 6, 40)):
                console.print(f"    [dim]{escape(line)}[/dim]")
    for variable, wrong in answers.items():
        console.print(f"{variable}: {'answers' if wrong is None else wrong}", style="green" if wrong is None else "red")
    if reading.faults:
        console.print(f"\n{len(reading.faults)} wrong:", style="bold red")
        for fault in reading.faults:
            console.print(f"  [bold]{fault.variable}[/bold]: {escape(fault.problem)}. {escape(fault.cure)}")
    else:
        console.print("\nThe configuration is in order.", style="green")


def _meaning(row: Row) -> str:
    option = row.option
    extra = [f"Unit: {option.unit}." if option.unit else "", f"0: {option.zero}." if option.zero else ""]
    extra.append(f"Empty: {option.empty}." if option.empty else "")
    return " ".join([option.doc, *filter(None, extra)])


def _plain(reading: Reading, answers: dict[str, str | None]) -> dict[str, Any]:
    return {
        "options": [{"variable": row.variable, "value": row.shown, "from": row.source} for row in reading.rows],
        "faults": [
            {"variable": fault.variable, "problem": fault.problem, "cure": fault.cure} for fault in reading.faults
        ],
        "servers": answers,
    }
