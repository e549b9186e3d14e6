"""The days of the outbox: one partition per UTC day, made ahead, dropped whole when old.

A fact must never fail for want of a partition, so there is one for everything that has no day, `outbox_stray`. Nothing
should ever lie there: the days ahead are made long before they come. What does lie there, after weeks without a scheduler
or from a node with a wrong clock, is moved to a day of its own, and whoever calls says so out loud.

Every statement here takes locks that the relay, or everybody, would wait for, so it waits for them only briefly (`LOCK_MS`)
and gives up: the next time will do. Making a day locks the empty stray partition; dropping one locks the whole outbox for
an instant. `DETACH CONCURRENTLY` would not, but Postgres has no such thing beside a default partition.

Strays may be millions, and no day can be attached while the stray partition has facts of it. So what has left, which
nobody changes any more, is copied before, bite by bite and without a lock, to a table beside the outbox (`outbox_next`)
that has the days already (`set_apart`). The rest, at most `MOVED`, is moved under the lock, where the copies then take
the place of the stray partition (`make`). How long the lock is held does not depend on how much there is.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

from persistence.database import Tx
from persistence.outbox import SHARDS, in_order_of_an_index

LOCK_MS: Final = 500
"""How long facts of others may have to wait for one of these statements, at worst."""
BITE: Final = 8_000
"""Strays that are copied in one transaction: some tenths of a second, in which nobody waits."""
MOVED: Final = 4_000
"""Strays that are moved while everybody who tells a fact waits."""
LOOKED_AT: Final = 1_000
"""Strays that are looked at to see of which days they are."""
STRAY_DAYS: Final = 7
"""Days that are made for strays in one go."""
_COLUMNS: Final = "seq, id, type, aggregate_id, envelope, created_at, relayed_at, position"
_WAITING: Final = "FROM outbox_stray WHERE relayed_at IS NULL LIMIT $1"
_LOCK: Final = 0x0DA15


class InUse(Exception):  # noqa: N818 - a state of the world
    """Somebody held for too long what this needed. Nothing has happened; try again later."""


class OutboxDays:
    """The partitions, inside one transaction, which should do one of these things and commit."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def days(self) -> list[date]:
        """The days there are, in order."""
        return await self._days_of("outbox")

    async def _days_of(self, table: str) -> list[date]:
        rows = await self._tx.fetch(
            """
            SELECT to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_inherits
            JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = to_regclass($1) AND relname LIKE 'outbox\\_2%'
            ORDER BY day
            """,
            table,
        )
        return [row["day"] for row in rows]

    async def strays(self) -> list[date]:
        """The days of which facts lie in the stray partition, some of them if they are many."""
        await in_order_of_an_index(self._tx)
        rows = await self._tx.fetch(
            """
            SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM (
                SELECT created_at FROM outbox_stray ORDER BY seq LIMIT $1
            ) AS first
            ORDER BY day
            LIMIT $2
            """,
            LOOKED_AT,
            STRAY_DAYS,
        )
        return [row["day"] for row in rows]

    async def set_apart(self, days: Collection[date]) -> int:
        """Copy the next strays that have left to where `make` will find them in these days; how many, 0 behind the
        last. Nobody waits for it. Raises `InUse`."""
        missing = set(days) - set(await self.days())
        if not missing:
            return 0
        await self._alone()
        await self._make_next(missing)
        return await self._copy(BITE // SHARDS)

    async def make(self, days: Collection[date]) -> list[date]:
        """Make sure that these days are there, strays of theirs included; those that were not. Raises `InUse`."""
        missing = set(days) - set(await self.days())
        if not missing:
            return []
        await self._alone()
        made = sorted(missing - set(await self.days()))  # another one may have made them while this one waited
        if not made:
            return []
        try:
            if await self._tx.fetchval("SELECT EXISTS (SELECT FROM outbox_stray)"):
                await self._make_with_strays(made)
            else:
                # Copies of strays that somebody has removed by hand.
                await self._tx.execute("DROP TABLE IF EXISTS outbox_next")
                for day in made:
                    await self._make(day)
        except asyncpg.LockNotAvailableError as cause:
            raise InUse(f"the outbox was in use for {LOCK_MS} ms") from cause
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
        name = name_of(day)
        await self._tx.execute(
            f"CREATE TABLE {name} (LIKE outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)"
        )
        await self._tx.execute(f"ALTER TABLE outbox ATTACH PARTITION {name} {_bounds(day)}")

    async def _make_with_strays(self, days: Collection[date]) -> None:
        """Put the copies of the strays, in their days, in the place of the strays."""
        await self._make_next(days)
        _few(await self._copy(BITE // SHARDS))
        _few(await self._tx.fetchval(f"SELECT count(*) FROM (SELECT {_WAITING}) AS counted", MOVED))  # noqa: S608
        await self._tx.execute("LOCK TABLE ONLY outbox, outbox_stray IN ACCESS EXCLUSIVE MODE")
        _few(await self._copy(MOVED))
        moved = await self._tx.execute(f"INSERT INTO outbox_next ({_COLUMNS}) SELECT {_COLUMNS} {_WAITING}", MOVED)
        _few(_count(moved))
        await self._tx.execute("ALTER TABLE outbox DETACH PARTITION outbox_stray")
        await self._tx.execute("DROP TABLE outbox_stray")
        for day in days:
            name = name_of(day)
            await self._tx.execute(f"ALTER TABLE outbox_next DETACH PARTITION {name}")
            await self._tx.execute(f"ALTER TABLE outbox ATTACH PARTITION {name} {_bounds(day)}")
            await self._tx.execute(f"ALTER TABLE {name} DROP CONSTRAINT of_its_day")
        await self._tx.execute("ALTER TABLE outbox_next DETACH PARTITION outbox_stray_next")
        await self._tx.execute("ALTER TABLE outbox_stray_next RENAME TO outbox_stray")
        await self._tx.execute("ALTER TABLE outbox ATTACH PARTITION outbox_stray DEFAULT")
        await self._tx.execute("DROP TABLE outbox_next")

    async def _make_next(self, days: Collection[date]) -> None:
        """Have the table for copies, with these days. One that was made for others is of no use any more."""
        if set(await self._days_of("outbox_next")) == set(days):
            return
        await self._tx.execute("DROP TABLE IF EXISTS outbox_next")
        await self._tx.execute("CREATE TABLE outbox_next (LIKE outbox INCLUDING ALL) PARTITION BY RANGE (created_at)")
        await self._tx.execute("CREATE TABLE outbox_stray_next PARTITION OF outbox_next DEFAULT")
        for day in days:
            # The constraint says what Postgres would otherwise read the whole table for when it is attached.
            await self._tx.execute(
                f"""
                CREATE TABLE {name_of(day)} PARTITION OF outbox_next (
                    CONSTRAINT of_its_day CHECK (created_at >= '{_midnight(day)}' AND created_at < '{_next_midnight(day)}')
                ) {_bounds(day)}
                """
            )

    async def _copy(self, limit: int) -> int:
        """Copy the next strays that have left, up to `limit` of each shard, in the order of their positions, which have
        no holes; how many, 0 when those were the last."""
        await in_order_of_an_index(self._tx)
        copied = _count(
            await self._tx.execute(
                f"""
                INSERT INTO outbox_next ({_COLUMNS})
                SELECT stray.* FROM outbox_shards
                CROSS JOIN LATERAL (
                    SELECT max(position) AS position FROM outbox_next WHERE outbox_next.shard = outbox_shards.shard
                ) AS reached
                CROSS JOIN LATERAL (
                    SELECT {_COLUMNS} FROM outbox_stray
                    WHERE outbox_stray.shard = outbox_shards.shard AND position > coalesce(reached.position, 0)
                    ORDER BY position
                    LIMIT $1
                ) AS stray
                """,  # noqa: S608
                limit,
            )
        )
        return copied if copied >= limit else 0


def name_of(day: date) -> str:
    """The table of a day."""
    return f"outbox_{day:%Y%m%d}"


def _few(count: int) -> None:
    if count >= MOVED:
        raise InUse(f"{count} facts without a day wait, or are leaving just now: they move when they have left")


def _count(status: str) -> int:
    return int(status.split()[-1])


def _bounds(day: date) -> str:
    return f"FOR VALUES FROM ('{_midnight(day)}') TO ('{_next_midnight(day)}')"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _next_midnight(day: date) -> datetime:
    return _midnight(day + timedelta(days=1))
