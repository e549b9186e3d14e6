"""The servers that all peers share: one Postgres with every sync on, one RabbitMQ, and a Redis for Paceline's nodes."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import uvloop

from paceline.embedded import embedded_for_tests
from persistence.migrate import migrate
from tests.support.rabbitmq import open_rabbitmq

TEMPLATE: Final = "bench_template"
TABLES: Final = """
    CREATE TABLE bench_orders (n bigint PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE bench_done (n bigint NOT NULL, started_ns bigint NOT NULL);
"""


@dataclass
class Servers:
    """What runs: where it is reached, and its process ids; 0 and nothing for a RabbitMQ that is not there."""

    folder: Path
    database_url: str
    redis_url: str
    amqp_url: str
    postgres: int
    rabbitmq: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def prepare(self) -> None:
        """Make the database that every turn gets a copy of."""
        admin = await asyncpg.connect(self.database_url)
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
        await admin.close()
        await migrate(self._of(TEMPLATE))
        made = await asyncpg.connect(self._of(TEMPLATE))
        await made.execute(TABLES)
        await made.close()

    async def fresh(self) -> str:
        """A database with the current schema and the benchmark's two tables; its URL."""
        name = f"bench_{next(self._numbers)}"
        admin = await asyncpg.connect(self.database_url)
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        await admin.close()
        return self._of(name)

    async def drop(self, url: str) -> None:
        """Drop it, whoever is still connected."""
        admin = await asyncpg.connect(self.database_url)
        await admin.execute(f"DROP DATABASE {urlsplit(url).path.removeprefix('/')} WITH (FORCE)")
        await admin.close()

    def _of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.database_url)._replace(path=f"/{database}"))


@contextmanager
def open_servers(*, broker: bool) -> Iterator[Servers]:
    """All of them, gone afterwards with their data. `broker`: with RabbitMQ."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-tasks-"))
    folder.chmod(0o711)
    try:
        with ExitStack() as stack:
            embedded = stack.enter_context(embedded_for_tests(folder / "data", durable=True))
            if embedded.database_url is None or embedded.redis_url is None:
                raise RuntimeError("both servers were asked for")
            rabbit = stack.enter_context(open_rabbitmq()) if broker else None
            servers = Servers(
                folder,
                embedded.database_url,
                embedded.redis_url,
                rabbit.url if rabbit else "",
                embedded.pids["PostgreSQL"],
                rabbit.pid if rabbit else 0,
            )
            uvloop.run(servers.prepare())
            yield servers
    finally:
        shutil.rmtree(folder, ignore_errors=True)
