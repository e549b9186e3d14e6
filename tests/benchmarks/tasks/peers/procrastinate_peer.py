"""procrastinate: `python procrastinate_peer.py schema|producer|worker`, with DATABASE_URL, in the peers' own environment.

The job is deferred on the connection of the transaction that inserts the row, and deleted when it has succeeded, as Paceline's are.
"""

import asyncio
import os
import sys
import time
from typing import Any

from orders import DONE_SQL, ORDER_SQL, answer_all, say  # type: ignore[import-not-found]
from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]
from psycopg_pool import AsyncConnectionPool  # type: ignore[import-not-found]

URL = os.environ["DATABASE_URL"]
HANDS = int(os.environ.get("BENCH_HANDS", "8"))
app = App(connector=PsycopgConnector(conninfo=URL, min_size=1, max_size=HANDS + 2))
_pool: Any = None


async def do(n: int) -> None:
    """The task."""
    started_ns = time.monotonic_ns()
    async with _pool.connection() as connection:
        await connection.execute(DONE_SQL.format("%s", "%s"), (n, started_ns))


task = app.task(name="bench.do", queue="bench")(do)


async def one(n: int) -> None:
    """An order: row and job in one transaction."""
    async with _pool.connection() as connection:
        await connection.execute(ORDER_SQL.format("%s"), (n,))
        await task.configure(connection=connection).defer_async(n=n)


async def main(role: str) -> None:
    """Be what is asked for."""
    global _pool
    async with app.open_async(), AsyncConnectionPool(URL, min_size=1, max_size=HANDS + 2, open=False) as pool:
        _pool = pool
        if role == "schema":
            await app.schema_manager.apply_schema_async()
        elif role == "producer":
            await answer_all(one)
        else:
            say("ready")
            await app.run_worker_async(queues=["bench"], concurrency=HANDS, delete_jobs="successful")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
