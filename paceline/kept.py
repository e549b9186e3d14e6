"""The database of an installation, for commands that work on it without a running gateway."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from paceline.embedded import open_embedded
from paceline.keys import vault
from paceline.settings import Settings
from persistence.database import open_database
from persistence.migrate import migrate
from persistence.stores import Transactions
from services.kernel.clock import Clock
from services.kernel.ids import Uuid7Ids


@asynccontextmanager
async def open_kept(settings: Settings, clock: Clock) -> AsyncIterator[Transactions]:
    """Transactions on the database of the settings, or on the local one, which serves one process at a time: `paceline run`
    must be stopped for that. Raises EmbeddedError and OSError when there is none to be had, `Unavailable` later."""
    async with AsyncExitStack() as resources:
        url = settings.database_url
        if not url:
            embedded = await resources.enter_async_context(open_embedded(settings.data_dir, want_redis=False))
            if embedded.database_url is None:
                raise RuntimeError("the local PostgreSQL did not start")
            url = embedded.database_url
        await migrate(url)
        database = await resources.enter_async_context(open_database(url, size=2))
        yield Transactions(database, clock, Uuid7Ids(clock), vault=vault(settings))
