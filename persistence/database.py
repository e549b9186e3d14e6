"""The way to Postgres: one pool, waits that end, transactions that hold every store.

Two traps of the driver are closed here once. `acquire()` waits for ever when the pool is empty, so every wait has a
limit and ends as `Unavailable` (a 503 that says retry). And a query may hang with its server, so the server itself
carries a `statement_timeout` shorter than the client's.

And one cost: the pool asks the server to forget the session (four statements) whenever a connection comes back, which was one
round trip in six of an effect in a worker. A transaction sets nothing beyond itself (`SET LOCAL`, `set_config(…, true)`,
`pg_advisory_xact_lock`), so only a connection that was lent without one is made as new.

Stores are plain classes that take a `Tx`; they are made where they are used: `Accounts(tx).by_email(…)`. Nothing outside
this package sees asyncpg.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeAlias

import asyncpg
import structlog

from services.kernel.clock import to_wall_ms
from services.kernel.problems import Unavailable

ACQUIRE_TIMEOUT_S: Final = 2.0
"""How long a caller waits for a free connection before it is told to come back."""
STATEMENT_TIMEOUT_MS: Final = 5_000
COMMAND_TIMEOUT_S: Final = 8.0
IDLE_IN_TX_TIMEOUT_MS: Final = 15_000
SOON_MS: Final = 500
"""How long whoever lost a deadlock waits: the others are done by then."""
CLOSE_S: Final = 2.0
"""How long connections may take to say goodbye; a server that does not answer must not keep the program from ending."""

Tx: TypeAlias = asyncpg.pool.PoolConnectionProxy
"""An open transaction. All stores made from it commit or vanish together."""

AWAY: Final = (
    TimeoutError,
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement_timeout
    asyncpg.InsufficientResourcesError,  # disk full, out of memory, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # after a failover: it was the primary, or is not yet
    asyncpg.TransactionRollbackError,  # a deadlock: it chose this transaction, and nothing of it stays
)
"""What means that Postgres cannot do it now and may do it later, as opposed to what it will never do."""

log = structlog.get_logger(__name__)


class Database:
    """A pool of connections. Made by `open_database`; closed with it."""

    def __init__(self, pool: asyncpg.Pool, dsn: str) -> None:
        self._pool = pool
        self.dsn: Final = dsn

    @asynccontextmanager
    async def tx(self) -> AsyncIterator[Tx]:
        """A transaction: commits on leaving, rolls back on any exception.

        Raises `Unavailable` when no connection is free in time or Postgres is away.
        """
        async with self._lent() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Tx]:
        """A connection for one statement that commits by itself and sets nothing: one round trip, where a transaction has three."""
        async with self._lent() as connection:
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Tx]:
        """A connection outside any transaction, for single reads and for LISTEN; as new for the next one afterwards."""
        async with self._lent() as connection:
            try:
                yield connection
            finally:
                await _renew(connection)

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Tx]:
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except AWAY as cause:
            raise _away(cause) from cause
        try:
            yield connection
        except AWAY as cause:
            if isinstance(cause, asyncpg.ReadOnlySQLTransactionError):
                forget(connection)  # a new one may reach the server that is the primary now
            raise _away(cause) from cause
        except asyncpg.InterfaceError as cause:
            if is_lost(connection):
                raise _away(cause) from cause
            raise  # the driver was called wrongly: that is our fault, not the server's
        finally:
            await self._pool.release(connection, timeout=COMMAND_TIMEOUT_S)

    async def ping(self) -> None:
        """Return when Postgres answers; raises `Unavailable` otherwise."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")


async def _renew(connection: Tx) -> None:
    """Undo whatever was set in the session; one of which that cannot be known is let go of."""
    if is_lost(connection):
        return
    try:
        await connection.execute(connection.get_reset_query())
    except BaseException:
        forget(connection)
        raise


async def _keep(_: Tx) -> None:
    """What a transaction leaves to the next one: nothing. The pool itself rolls back what is open."""


async def wall_ms(tx: Tx) -> int:
    """The server's wall clock, ms since 1970: the one that all nodes share."""
    now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return to_wall_ms(now)


def is_lost(connection: Tx) -> bool:
    """Whether a connection is of no more use. The pool takes one back by itself when its server goes, and from then on the driver
    answers no question about it."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


def forget(connection: Tx) -> None:
    """Let go of a connection that is lost, with everything that listens on it."""
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool was quicker
        connection.terminate()


def _away(cause: BaseException) -> Unavailable:
    if isinstance(cause, asyncpg.DiskFullError):
        log.error("database.disk_full", problem=str(cause))
        return Unavailable(
            "the database's disk is full: nothing can be stored until there is room", retry_after_ms=10_000
        )
    if isinstance(cause, asyncpg.TransactionRollbackError):
        # Somebody locks in another order than the others: whoever asked may do so again, but it wants mending.
        log.error("database.deadlock", problem=str(cause))
        return Unavailable("others were changing the same just now; do it again", retry_after_ms=SOON_MS)
    return Unavailable("the database does not answer right now", retry_after_ms=2_000)


@asynccontextmanager
async def open_database(dsn: str, *, size: int = 10, statement_cache: int = 100) -> AsyncIterator[Database]:
    """Open a pool of up to `size` connections to `dsn`.

    `statement_cache` prepared statements are kept per connection; 0 for a PgBouncer older than 1.21 in transaction mode.
    """
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        command_timeout=COMMAND_TIMEOUT_S,
        statement_cache_size=statement_cache,
        reset=_keep,
        server_settings={
            "application_name": "paceline",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TX_TIMEOUT_MS),
            "timezone": "UTC",
        },
    )
    try:
        yield Database(pool, dsn)
    finally:
        try:
            async with asyncio.timeout(CLOSE_S):
                await pool.close()
        except (TimeoutError, OSError) as problem:
            log.warning("database.close", problem=repr(problem))
            pool.terminate()
