"""The SQL of logins and refresh tokens."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from persistence.accounts import Accounts
from persistence.database import Database, Tx
from persistence.logins import Logins
from services.accounts.account import Account
from services.accounts.ports import Login, Refresh
from services.kernel.ids import AccountId, LoginId

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
LOGIN = Login(LoginId(uuid.UUID(int=7)), AccountId(uuid.UUID(int=1)), "watch", NOW)
TOKEN = b"a" * 32


async def with_login(tx: Tx) -> Logins:
    account = Account(LOGIN.account_id, "anna@example.org", "Anna", frozenset({"member"}), 0)
    await Accounts(tx).add(account, "hash")
    logins = Logins(tx)
    await logins.add(LOGIN)
    await logins.add_refresh(LOGIN.id, TOKEN, NOW, LATER)
    return logins


async def test_a_refresh_token_is_found_with_its_login(database: Database) -> None:
    async with database.tx() as tx:
        logins = await with_login(tx)
        assert await logins.refresh_locked(TOKEN) == Refresh(LOGIN, LATER, None)
        assert await logins.refresh_locked(b"b" * 32) is None


async def test_the_first_use_is_the_one_that_is_noted(database: Database) -> None:
    async with database.tx() as tx:
        logins = await with_login(tx)
        await logins.mark_used(TOKEN, NOW)
        await logins.mark_used(TOKEN, LATER)
        refresh = await logins.refresh_locked(TOKEN)
    assert refresh is not None
    assert refresh.used_at == NOW


async def test_ending_a_login_happens_once_and_forgets_its_tokens(database: Database) -> None:
    async with database.tx() as tx:
        logins = await with_login(tx)
        assert await logins.is_live(LOGIN.id)
        assert await logins.end(LOGIN.id, NOW, "logged out")
        assert not await logins.end(LOGIN.id, LATER, "again")
        assert not await logins.end(LoginId(uuid.UUID(int=8)), NOW, "never was")
        assert not await logins.is_live(LOGIN.id)
        assert await logins.refresh_locked(TOKEN) is None
        row = await tx.fetchrow("SELECT ended_at, end_reason FROM logins")
        assert row is not None
        assert (row["ended_at"], row["end_reason"]) == (NOW, "logged out")


async def test_the_second_of_two_uses_at_once_sees_the_first(database: Database) -> None:
    async with database.tx() as tx:
        await with_login(tx)
    first_has_it, second_waits = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.tx() as tx:
            logins = Logins(tx)
            assert await logins.refresh_locked(TOKEN) is not None
            first_has_it.set()
            await second_waits.wait()
            await logins.mark_used(TOKEN, NOW)

    async def second() -> Refresh | None:
        await first_has_it.wait()
        async with database.tx() as tx:
            pid = await tx.fetchval("SELECT pg_backend_pid()")
            waiting = asyncio.create_task(Logins(tx).refresh_locked(TOKEN))
            async with database.connection() as watcher:
                blocked = False
                while not blocked:
                    blocked = await watcher.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", pid)
            second_waits.set()
            return await waiting

    _, seen = await asyncio.gather(first(), second())
    assert seen is not None
    assert seen.used_at == NOW


async def test_of_many_logins_those_that_ended_or_never_were_are_told(database: Database) -> None:
    async with database.tx() as tx:
        logins = await with_login(tx)
        other, nobody = LoginId(uuid.UUID(int=8)), LoginId(uuid.UUID(int=9))
        await logins.add(Login(other, LOGIN.account_id, "phone", NOW))
        assert await logins.ended([LOGIN.id, other]) == []
        await logins.end(other, LATER, "logged out")
        assert set(await logins.ended([LOGIN.id, other, nobody])) == {other, nobody}
        assert await logins.ended([]) == []


class Explaining:
    """A transaction that answers every question with its plan."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.plan = ""

    async def fetch(self, query: str, *args: object) -> list[object]:
        self.plan = "\n".join(row[0] for row in await self._tx.fetch(f"EXPLAIN {query}", *args))
        return []


async def test_asking_about_the_logins_of_a_node_walks_the_index(database: Database) -> None:
    async with database.tx() as tx:
        await with_login(tx)
        await tx.execute(
            """
            INSERT INTO logins (id, account_id, device, created_at)
            SELECT gen_random_uuid(), (SELECT id FROM accounts), 'watch', now() FROM generate_series(1, 50000)
            """
        )
        await tx.execute("ANALYZE logins")
        asking = Explaining(tx)
        ids = [LoginId(row[0]) for row in await tx.fetch("SELECT id FROM logins LIMIT 2000")]
        await Logins(asking).ended(ids)
    assert "logins_pkey" in asking.plan
    assert "Seq Scan on logins" not in asking.plan
