"""The ledger of the stand: which facts were told and which effects they had, written by the database itself.

A trigger on the outbox notes every fact that is told, whoever tells it, in the transaction that tells it; a worker of the stand
(worker.py) notes in a handler's own transaction that it had its effect. Nothing here is unique on purpose: an effect that
happens twice stands here twice. What every fact told owes to every queue that wants its type is then a question in SQL.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
import msgspec

from persistence.database import Database, Tx
from persistence.migrate import migrate
from services.kernel.facts import Fact, LoginEnded, WorkoutFinished
from services.kernel.ids import FactId
from workers.bus import Queue
from workers.handlers import QUEUES

LEDGER: Final = Queue("bench-ledger", wants=(WorkoutFinished, LoginEnded), concurrency=4)
"""A queue of the bench's own, whose handler does what a fact that is poison asks for; everything else it only notes."""
ALL_QUEUES: Final = (*QUEUES, LEDGER)


class Poison(msgspec.Struct, frozen=True):
    """What a poisonous fact makes a handler do; it travels as the reason of a `LoginEnded`."""

    bench_poison: str


def reason_of(poison: str) -> str:
    """The reason that makes a fact poison of this kind: "raises" or "kills"."""
    return msgspec.json.encode(Poison(poison)).decode()


def poison_in(fact: Fact) -> str | None:
    """What this fact makes a handler do, None for a healthy one."""
    if not isinstance(fact, LoginEnded):
        return None
    try:
        return msgspec.json.decode(fact.reason, type=Poison).bench_poison
    except msgspec.DecodeError:
        return None


class Told(msgspec.Struct, frozen=True):
    """A fact that was told: its number in the ledger, and its type."""

    n: int
    fact_id: FactId
    type: str


async def prepare(url: str) -> None:
    """Bring the database up to date and open the ledger in it."""
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            """
            CREATE TABLE bench_told (
                n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                fact_id uuid NOT NULL,
                type text NOT NULL,
                about uuid NOT NULL
            );
            CREATE TABLE bench_effects (
                n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                queue text NOT NULL,
                fact_id uuid NOT NULL
            );
            CREATE INDEX ON bench_effects (fact_id, queue);
            CREATE FUNCTION bench_tell() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO bench_told (fact_id, type, about) VALUES (NEW.id, NEW.type, NEW.aggregate_id);
                RETURN NULL;
            END $$;
            CREATE TRIGGER bench_told AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION bench_tell();
            """
        )
    finally:
        await connection.close()


async def note_effect(tx: Tx, queue: str, fact_id: FactId) -> None:
    """This fact has its effect for this queue, if and only if this transaction commits."""
    await tx.execute("INSERT INTO bench_effects (queue, fact_id) VALUES ($1, $2)", queue, fact_id)


class Ledger:
    """The ledger as the bench reads it."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        types = [(kind, queue.name) for queue in ALL_QUEUES for kind in sorted(queue.types())]
        self._types: Final = [kind for kind, _ in types]
        self._queues: Final = [queue for _, queue in types]

    async def mark(self) -> int:
        """The number of the fact that was told last."""
        async with self._database.connection() as connection:
            n: int = await connection.fetchval("SELECT coalesce(max(n), 0) FROM bench_told")
            return n

    async def told(self, since: int) -> list[Told]:
        """The facts told since a mark."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT n, fact_id, type FROM bench_told WHERE n > $1 ORDER BY n",
                since,
            )
        return [Told(**row) for row in rows]

    async def told_about(self, aggregates: Collection[uuid.UUID]) -> Counter[uuid.UUID]:
        """How many facts were told about each of these."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT about, count(*) AS n FROM bench_told WHERE about = ANY($1::uuid[]) GROUP BY about",
                list(aggregates),
            )
        return Counter({row["about"]: row["n"] for row in rows})

    async def effects(self, since: int) -> list[tuple[str, FactId]]:
        """The effects of those facts: queue and fact, each as often as it happened, in the order in which they were noted."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT e.queue, e.fact_id
                FROM bench_effects e JOIN bench_told t USING (fact_id)
                WHERE t.n > $1
                ORDER BY e.n
                """,
                since,
            )
        return [(row["queue"], row["fact_id"]) for row in rows]

    async def owed(self, since: int, except_for: Collection[uuid.UUID] = ()) -> int:
        """How many effects of facts told since a mark have not happened yet, poisonous facts apart."""
        async with self._database.connection() as connection:
            n: int = await connection.fetchval(
                """
                SELECT count(*)
                FROM bench_told t
                JOIN unnest($2::text[], $3::text[]) AS wants (type, queue) USING (type)
                WHERE t.n > $1
                  AND NOT t.fact_id = ANY($4::uuid[])
                  AND NOT EXISTS (SELECT FROM bench_effects e WHERE e.fact_id = t.fact_id AND e.queue = wants.queue)
                """,
                since,
                self._types,
                self._queues,
                list(except_for),
            )
            return n

    async def relayed(self, since: int) -> int:
        """How many of the facts told since a mark, before which none waits, have left the outbox. One statement: a fact told
        meanwhile is in both counts or in none."""
        async with self._database.connection() as connection:
            n: int = await connection.fetchval(
                """
                SELECT (SELECT count(*) FROM bench_told WHERE n > $1)
                     - (SELECT count(*) FROM outbox WHERE to_jsonb(outbox) ->> 'relayed_at' IS NULL)
                """,
                since,
            )
            return n

    async def waiting(self) -> int:
        """How many facts have not left the outbox, as far as the database knows."""
        async with self._database.connection() as connection:
            # A fact that has left is gone, or marked: this looks at the truth in either form of the table.
            n: int = await connection.fetchval(
                "SELECT count(*) FROM outbox WHERE to_jsonb(outbox) ->> 'relayed_at' IS NULL"
            )
            return n


def queues_wanting(kind: str) -> Sequence[Queue]:
    """The queues that are told facts of this type."""
    return [queue for queue in ALL_QUEUES if kind in queue.types()]
