"""Facts to be told later: rows that wait for their time, and then become facts in the outbox.

A row waits under the class of its fact and a key of the caller's. It leaves the table and enters the outbox in one transaction,
so it is told exactly once however many schedulers there are. What waits is not touched before its time: the index on `due_at` is
all that is looked at, and a million rows of next month cost what they take on disk.
"""

import uuid
from datetime import datetime
from typing import Final

import msgspec
import structlog

from persistence.database import Tx
from persistence.outbox import Outbox
from services.kernel import facts, trace
from services.kernel.clock import utc
from services.kernel.facts import FACTS, AnyFact, Fact

_KINDS: Final = [facts.fact_type(kind) for kind in FACTS]
"""What this program can read. A fact of a newer one waits for a scheduler that knows it."""
_decoder: Final = msgspec.json.Decoder(AnyFact)

log = structlog.get_logger(__name__)


class Schedule:
    """The one-offs inside one transaction; see `services.schedule.later.LaterStore`."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def once(self, fact: AnyFact, aggregate_id: uuid.UUID, *, at_ms: int, key: str) -> bool:
        """See `LaterStore.once`."""
        status: str = await self._tx.execute(
            """
            INSERT INTO schedule_once (kind, key, due_at, aggregate_id, fact, traceparent)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (kind, key) DO NOTHING
            """,
            facts.fact_type(type(fact)),
            key,
            utc(at_ms),
            aggregate_id,
            msgspec.json.encode(fact).decode(),
            trace.traceparent(),
        )
        return status.endswith(" 1")

    async def move(self, kind: type[Fact], key: str, at_ms: int) -> bool:
        """See `LaterStore.move`."""
        status: str = await self._tx.execute(
            "UPDATE schedule_once SET due_at = $3 WHERE kind = $1 AND key = $2",
            facts.fact_type(kind),
            key,
            utc(at_ms),
        )
        return status.endswith(" 1")

    async def cancel(self, kind: type[Fact], key: str) -> bool:
        """See `LaterStore.cancel`."""
        status: str = await self._tx.execute(
            "DELETE FROM schedule_once WHERE kind = $1 AND key = $2", facts.fact_type(kind), key
        )
        return status.endswith(" 1")

    async def tell(self, outbox: Outbox, now: datetime, limit: int) -> list[datetime]:
        """Move up to `limit` due facts into the outbox, longest due first, skipping those somebody is at; when each was due.

        Only what this program can read; a fact whose shape it cannot read after all is put off for an hour and logged, so that
        it does not stand in front of the others.
        """
        rows = await self._tx.fetch(
            """
            SELECT kind, key, due_at, aggregate_id, fact, traceparent FROM schedule_once
            WHERE due_at <= $1 AND kind = ANY($2::text[])
            ORDER BY due_at, kind, key
            LIMIT $3
            FOR UPDATE SKIP LOCKED
            """,
            now,
            _KINDS,
            limit,
        )
        told: list[datetime] = []
        leaving: list[tuple[str, str]] = []
        for row in rows:
            try:
                fact = _decoder.decode(row["fact"])
            except msgspec.DecodeError as problem:
                log.error("schedule.unreadable", kind=row["kind"], key=row["key"], problem=str(problem))  # noqa: TRY400
                await self._put_off(row["kind"], row["key"])
                continue
            with trace.span("tell later", "producer", parent=trace.parse(row["traceparent"])):
                await outbox.add(fact, row["aggregate_id"])
            leaving.append((row["kind"], row["key"]))
            told.append(row["due_at"])
        await self._tx.execute(
            "DELETE FROM schedule_once WHERE (kind, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            [kind for kind, _ in leaving],
            [key for _, key in leaving],
        )
        return told

    async def waiting(self) -> int:
        """How many facts wait, due or not. Counts them: not for every second."""
        n: int = await self._tx.fetchval("SELECT count(*) FROM schedule_once")
        return n

    async def _put_off(self, kind: str, key: str) -> None:
        await self._tx.execute(
            "UPDATE schedule_once SET due_at = due_at + interval '1 hour' WHERE kind = $1 AND key = $2", kind, key
        )
