"""Opening the local servers, together, and noticing when one of them dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from paceline.embedded import cluster, postgres, redis
from paceline.embedded.errors import EmbeddedError
from paceline.embedded.folder import DataDir, choose_account
from paceline.embedded.processes import Child


@dataclass(frozen=True)
class Embedded:
    """What runs. A URL is None when that server was not wanted.

    `database_url` logs in as the role that owns the database `paceline` and may create more; `superuser_url`
    reaches the database `postgres` as its superuser, for tests that need one. `pids` maps "PostgreSQL" and
    "Redis" to process ids.
    """

    data_dir: Path
    database_url: str | None
    superuser_url: str | None
    redis_url: str | None
    pids: dict[str, int]
    _watched: tuple[tuple[Child, Callable[[DataDir, Child], EmbeddedError]], ...] = field(repr=False)

    async def died(self) -> EmbeddedError:
        """Wait until a server ends without having been asked to; the error says which, why and the cure.

        Meant for a task of the program's own: `raise await embedded.died()`.
        """
        tasks = {asyncio.ensure_future(child.died()): (child, explain) for child, explain in self._watched}
        if not tasks:
            await asyncio.get_running_loop().create_future()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        child, explain = tasks[done.pop()]
        return explain(DataDir(self.data_dir), child)


def _silent(_: str) -> None:
    """Tell nobody."""


@contextlib.asynccontextmanager
async def open_embedded(
    data_dir: Path,
    *,
    want_postgres: bool = True,
    want_redis: bool = True,
    durable: bool = True,
    tell: Callable[[str], None] = _silent,
) -> AsyncIterator[Embedded]:
    """The local servers in `data_dir`, ready when entered and gone when left.

    `durable=False` lets PostgreSQL skip every fsync, for tests: what was committed then outlives a killed
    server or program, but not a loss of power. `tell` gets a line when something takes a while. Enter it from
    the main thread: the servers die with the thread that started them. Raises an EmbeddedError, whose text is
    meant for the terminal.
    """
    data = DataDir(Path(data_dir))
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(data.hold())
        account = None
        if want_postgres:
            binaries = postgres.programs()
            must_reach = [
                binaries / "postgres",
                binaries.parent / "lib",
                binaries.parent / "share",
                data.path,
            ]
            account = choose_account(data.cluster, must_reach)
        postgres_sockets, redis_sockets = stack.enter_context(data.sockets(account))
        watched: list[tuple[Child, Callable[[DataDir, Child], EmbeddedError]]] = []
        if want_postgres:
            entered = postgres.running(data, postgres_sockets, account, durable=durable, tell=tell)
            watched.append((await stack.enter_async_context(entered), postgres.explain))
        if want_redis:
            watched.append((await stack.enter_async_context(redis.running(data, redis_sockets)), redis.explain))
        yield Embedded(
            data_dir=data.path,
            database_url=postgres.url(postgres_sockets) if want_postgres else None,
            superuser_url=(
                postgres.url(postgres_sockets, user=cluster.SUPERUSER, database="postgres") if want_postgres else None
            ),
            redis_url=redis.url(redis_sockets) if want_redis else None,
            pids={child.name: child.pid for child, _ in watched},
            _watched=tuple(watched),
        )


@contextlib.contextmanager
def embedded_for_tests(
    data_dir: Path, *, want_postgres: bool = True, want_redis: bool = True, durable: bool = False
) -> Iterator[Embedded]:
    """The same for a pytest fixture of session scope, which is no coroutine: nothing survives the block, and nothing is synced
    unless it is `durable`, for measurements.

    It keeps an event loop of its own that runs only while starting and stopping, so `died` cannot be awaited
    here.
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = contextlib.AsyncExitStack()
        servers = open_embedded(data_dir, want_postgres=want_postgres, want_redis=want_redis, durable=durable)
        embedded = runner.run(_enter(stack, servers))
        try:
            yield embedded
        finally:
            runner.run(stack.aclose())


async def _enter(
    stack: contextlib.AsyncExitStack, servers: contextlib.AbstractAsyncContextManager[Embedded]
) -> Embedded:
    return await stack.enter_async_context(servers)
