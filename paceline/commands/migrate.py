"""`paceline migrate`: bring the database to the schema this program needs."""

import argparse
import asyncio
import os
import sys

from paceline.program import StoppedEarly, unless_stopped
from paceline.settings import SettingsError, load_settings
from persistence.migrate import MigrationError, migrate

DESCRIPTION = """
Runs the migrations that have not run yet on DATABASE_URL, each in a transaction of its own, and lists them. Several nodes may
call it at the same time: one migrates and the others wait for it, until Ctrl-C or SIGTERM. `paceline run` does the same by itself;
this is for deployments that migrate before they start.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    commands.add_parser("migrate", help="bring the database given by DATABASE_URL up to date", description=DESCRIPTION)


def run(args: argparse.Namespace) -> int:
    """Migrate; 0 when the database is up to date afterwards."""
    try:
        settings = load_settings(os.environ)
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    if not settings.database_url:
        print("DATABASE_URL is empty: the local PostgreSQL is migrated by `paceline run`.", file=sys.stderr)
        return 2
    try:
        ran = asyncio.run(unless_stopped(migrate(settings.database_url)))
    except StoppedEarly:
        # Not 0: whoever goes on after it must not.
        print("the database was not migrated: it was stopped before", file=sys.stderr)
        return 1
    except (MigrationError, OSError, TimeoutError) as problem:
        print(f"the database was not migrated: {problem}", file=sys.stderr)
        return 1
    for name in ran:
        print(f"ran {name}")
    print("The database is up to date.")
    return 0
