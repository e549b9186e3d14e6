"""`paceline account`: what an operator does to accounts."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from paceline.embedded import EmbeddedError, open_embedded
from paceline.settings import Settings, SettingsError, load_settings
from persistence.database import open_database
from persistence.migrate import migrate
from persistence.stores import Transactions
from services.accounts.account import normal_email
from services.kernel.caller import AccountRole
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import NotFound, Problem

DESCRIPTION = """
Gives an account a role. Coaches may open live classes. With the local PostgreSQL, stop `paceline run` first: it serves one
process at a time. A new role is in the next access token, so at most one token's life away.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser("account", help="give an account a role", description=DESCRIPTION)
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    grant = acts.add_parser("grant", help="give a role")
    grant.add_argument("email", help="the account's e-mail address")
    grant.add_argument("role", choices=("coach", "member"), help="the role to add")


def run(args: argparse.Namespace) -> int:
    """Grant; 0 when the account has the role afterwards."""
    try:
        settings = load_settings(os.environ)
        print(asyncio.run(_grant(settings, args.email, args.role)))
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except (EmbeddedError, Problem, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


async def _grant(settings: Settings, email: str, role: AccountRole) -> str:
    if settings.database_url:
        return await _grant_on(settings.database_url, email, role)
    async with open_embedded(Path(settings.data_dir), want_redis=False) as embedded:
        if embedded.database_url is None:
            raise RuntimeError("the local PostgreSQL did not start")
        return await _grant_on(embedded.database_url, email, role)


async def _grant_on(dsn: str, email: str, role: AccountRole) -> str:
    await migrate(dsn)
    clock = SystemClock()
    async with open_database(dsn, size=2) as database:
        async with Transactions(database, clock, Uuid7Ids(clock))() as stores:
            account = await stores.accounts.grant_role(normal_email(email), role)
        if account is None:
            raise NotFound(f"there is no account {email}: register it first")
    return f"{account.email} has the roles {', '.join(sorted(account.roles))}"
