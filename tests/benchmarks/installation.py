"""An installation of many nodes on this machine: gateways, one process for all other work, one PostgreSQL and one Redis.

PostgreSQL, with every sync on, and Redis are children of the benchmark and are told to each process by URL, as on many
machines: nothing is embedded in a gateway, and any of them may be killed without taking a server along.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paceline.embedded import embedded_for_tests
from persistence.accounts import Accounts
from persistence.database import open_database
from persistence.logins import Logins
from services.accounts.account import Account
from services.accounts.keyring import SigningKey, load_key, make_key
from services.accounts.ports import Login
from services.accounts.tokens import Tokens
from services.kernel.clock import SystemClock, utc
from services.kernel.ids import AccountId, LoginId, Uuid7Ids
from tests.support.server import Server, open_server, shared_keys

TOKENS_LIVE_S = 3_600


@dataclass(frozen=True)
class Installation:
    """What runs. `worker` has every role but that of a gateway; `postgres` and `redis` are process ids."""

    gateways: tuple[Server, ...]
    worker: Server
    database_url: str
    redis_url: str
    postgres: int
    redis: int
    _key: SigningKey = field(repr=False)

    def people(self, count: int) -> list[str]:
        """Access tokens of so many new accounts.

        They go straight into the database: by the front door, two thousand passwords would be hashed for a minute.
        """
        return asyncio.run(self._people(count))

    async def _people(self, count: int) -> list[str]:
        clock = SystemClock()
        ids, tokens, now_ms = Uuid7Ids(clock), Tokens(self._key, access_ttl_s=TOKENS_LIVE_S), clock.wall_ms()
        signed = []
        async with open_database(self.database_url, size=1) as database, database.tx() as tx:
            for number in range(count):
                account = Account(
                    id=AccountId(ids.next()),
                    email=f"returning-{number}@load.invalid",
                    name=f"Athlete {number + 1}",
                    roles=frozenset({"member"}),
                    created_at_ms=now_ms,
                )
                await Accounts(tx).add(account, "no password opens this account")
                login = Login(LoginId(ids.next()), account.id, "phone", utc(now_ms))
                await Logins(tx).add(login)  # a connection whose login is not there is ended
                signed.append(tokens.for_account(account, login.id, now_ms).token)
        return signed


@contextmanager
def open_installation(gateways: int, **environ: str) -> Iterator[Installation]:
    """A running installation with so many gateways and these settings; gone after the block, data and all."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-nodes-"))
    folder.chmod(0o711)
    key = make_key()
    try:
        with ExitStack() as stack:
            servers = stack.enter_context(embedded_for_tests(folder / "data", durable=True))
            if servers.database_url is None or servers.redis_url is None:
                raise RuntimeError("both servers were asked for")
            settings = {
                "DATABASE_URL": servers.database_url,
                "REDIS_URL": servers.redis_url,
                **shared_keys(key.decode()),
                "PACELINE_LOG_LEVEL": "warning",
                "PACELINE_MAX_CONNECTIONS_PER_ACCOUNT": "0",
                **environ,
            }
            worker = stack.enter_context(open_server(PACELINE_ROLES="worker,relay,scheduler", **settings))
            nodes = [stack.enter_context(open_server(PACELINE_ROLES="gateway", **settings)) for _ in range(gateways)]
            yield Installation(
                gateways=tuple(nodes),
                worker=worker,
                database_url=servers.database_url,
                redis_url=servers.redis_url,
                postgres=servers.pids["PostgreSQL"],
                redis=servers.pids["Redis"],
                _key=load_key(key),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
