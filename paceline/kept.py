"""The database of an installation, for commands that work on it without a running gateway."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from paceline.embedded import EmbeddedError, open_embedded
from paceline.keys import KeyMissing, known_vault
from paceline.settings import Settings, SettingsError, load_settings
from persistence.database import open_database
from persistence.migrate import MigrationError, migrate
from persistence.stores import Transactions
from services.accounts.keyring import KeyProblem
from services.kernel.clock import Clock, SystemClock
from services.kernel.ids import Uuid7Ids
from services.kernel.problems import Problem
from services.kernel.sealing import CannotOpen

NOT_OPENED: Final = (EmbeddedError, MigrationError, KeyMissing, KeyProblem, CannotOpen, OSError)
"""Why there is nothing to work on: no database is to be had, or the keys are not those of the nodes."""


@asynccontextmanager
async def open_kept(settings: Settings, clock: Clock) -> AsyncIterator[Transactions]:
    """Transactions on the database of the settings, or on the local one, which serves one process at a time: `paceline run`
    must be stopped for that. Raises one of NOT_OPENED when there is none to be had, `Unavailable` later."""
    opens = known_vault(settings)
    async with AsyncExitStack() as resources:
        url = settings.database_url
        if not url:
            embedded = await resources.enter_async_context(open_embedded(settings.data_dir, want_redis=False))
            if embedded.database_url is None:
                raise RuntimeError("the local PostgreSQL did not start")
            url = embedded.database_url
        await migrate(url)
        database = await resources.enter_async_context(open_database(url, size=2))
        transactions = Transactions(database, clock, Uuid7Ids(clock), vault=opens)
        async with transactions() as stores:
            await stores.sealing_keys.agree()
        yield transactions


Work = Callable[[Settings, Transactions, Clock], Awaitable[str]]


def tell(work: Work) -> int:
    """Do this on the database and print what it says: the whole of a command that needs nothing else. 0 when that
    worked, 1 with the reason on stderr when there was nothing to work on or it was refused, 2 when the settings are
    wrong."""

    async def worked(settings: Settings) -> str:
        clock = SystemClock()
        async with open_kept(settings, clock) as transactions:
            return await work(settings, transactions, clock)

    try:
        print(asyncio.run(worked(load_settings(os.environ))))
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except (*NOT_OPENED, Problem) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0
