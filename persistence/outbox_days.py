"""The days of the outbox: one partition per UTC day, made ahead, dropped whole when old.

A fact must never fail for want of a partition, so there is one for everything that has no day, `outbox_stray`. Nothing
should ever lie there: the days ahead are made long before they come. What does lie there, after weeks without a scheduler
or from a node with a wrong clock, is moved to a day of its own, and whoever calls says so out loud.

Every statement here takes locks that the relay, or everybody, would wait for, so it waits for them only briefly (`LOCK_MS`)
and gives up: the next time will do. Making a day locks the empty stray partition; dropping one locks the whole outbox for
an instant. `DETACH CONCURRENTLY` would not, but Postgres has no such thing beside a default partition.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

from persistence.database import Tx

LOCK_MS: Final = 500
"""How long facts of others may have to wait for one of these statements, at worst."""
MOVE_MS: Final = 30_000
"""How long moving strays to their day may take."""
STRAY_DAYS: Final = 7
"""Days that are made for strays in one go."""
_LOCK: Final = 0x0DA15


class InUse(Exception):  # noqa: N818 - a state of the world
    """Somebody held for too long what this needed. Nothing has happened; try again later."""


class OutboxDays:
    """The partitions, inside one transaction, which should do one of these things and commit."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def days(self) -> list[date]:
        """The days there are, in order."""
        rows = await self._tx.fetch(
            """
            SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_inherits
            JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'outbox'::regclass AND relname LIKE 'outbox\\_2%'
            ORDER BY day
            """
        )
        return [row["day"] for row in rows]

    async def strays(self) -> list[date]:
        """The days of which facts lie in the stray partition, some of them if they are many."""
        rows = await self._tx.fetch(
            "SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM outbox_stray ORDER BY day LIMIT $1",
            STRAY_DAYS,
        )
        return [row["day"] for row in rows]

    async def make(self, days: Collection[date]) -> list[date]:
        """Make sure that these days are there, strays of theirs included; those that were not. Raises `InUse`."""
        missing = sorted(set(days) - set(await self.days()))
        if not missing:
            return []
        await self._alone()
        made = sorted(set(missing) - set(await self.days()))  # another one may have made them while this one waited
        for day in made:
            await self._make(day)
        return made

    async def drop(self, before: date) -> list[date]:
        """Drop days before a day, if nothing in them waits; those that were dropped. Raises `InUse`."""
        old = [day for day in await self.days() if day < before]
        if not old:
            return []
        await self._alone()
        dropped = []
        for day in old:
            name = name_of(day)
            try:
                if await self._tx.fetchval(f"SELECT EXISTS (SELECT FROM {name} WHERE relayed_at IS NULL)"):  # noqa: S608
                    continue
                # Whoever wrote into it before has committed, and nobody writes into it any more.
                await self._tx.execute(f"LOCK TABLE ONLY outbox, {name} IN ACCESS EXCLUSIVE MODE")
                if await self._tx.fetchval(f"SELECT EXISTS (SELECT FROM {name} WHERE relayed_at IS NULL)"):  # noqa: S608
                    continue
                await self._tx.execute(f"DROP TABLE {name}")
            except asyncpg.LockNotAvailableError as cause:
                raise InUse(f"{name} was in use for {LOCK_MS} ms") from cause
            dropped.append(day)
        return dropped

    async def _alone(self) -> None:
        """No two of these at once, and none waits long."""
        await self._tx.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
        try:
            await self._tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        except asyncpg.LockNotAvailableError as cause:
            raise InUse("another node is making or dropping days") from cause

    async def _make(self, day: date) -> None:
        # Made apart and attached, because CREATE TABLE … PARTITION OF would lock the outbox against everybody.
        name, begin, end = name_of(day), _midnight(day), _midnight(day + timedelta(days=1))
        await self._tx.execute(
            f"CREATE TABLE {name} (LIKE outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)"
        )
        try:
            if await self._tx.fetchval(
                "SELECT EXISTS (SELECT FROM outbox_stray WHERE created_at >= $1 AND created_at < $2)", begin, end
            ):
                await self._tx.execute(f"SET LOCAL statement_timeout = {MOVE_MS}")
                await self._tx.execute("LOCK TABLE outbox_stray IN ACCESS EXCLUSIVE MODE")
                await self._move(name, begin, end)
            await self._tx.execute(
                f"ALTER TABLE outbox ATTACH PARTITION {name} FOR VALUES FROM ('{begin}') TO ('{end}')"
            )
        except asyncpg.LockNotAvailableError as cause:
            raise InUse(f"the outbox was in use for {LOCK_MS} ms") from cause

    async def _move(self, name: str, begin: datetime, end: datetime) -> None:
        columns = "seq, id, type, aggregate_id, envelope, created_at, relayed_at, position"
        await self._tx.execute(
            f"""
            WITH moved AS (
                DELETE FROM outbox_stray WHERE created_at >= $1 AND created_at < $2
                RETURNING {columns}
            )
            INSERT INTO {name} ({columns}) SELECT {columns} FROM moved
            """,  # noqa: S608
            begin,
            end,
        )


def name_of(day: date) -> str:
    """The table of a day."""
    return f"outbox_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
