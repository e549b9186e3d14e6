"""Facts waiting to leave: written in the transaction that made them true, taken away by the relay alone."""

import uuid
from typing import Final

from persistence.database import Tx
from services.kernel import facts, trace
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, Envelope
from services.kernel.ids import FactId, Ids

CHANNEL: Final = "paceline_outbox"
"""The notification that wakes the relay. A hint: the relay also looks by itself."""


class Outbox:
    """The outbox inside one transaction."""

    def __init__(self, tx: Tx, clock: Clock, ids: Ids) -> None:
        self._tx = tx
        self._clock = clock
        self._ids = ids

    async def add(self, fact: AnyFact, aggregate_id: uuid.UUID) -> FactId:
        """Tell `fact`, about the aggregate `aggregate_id`, if and only if this transaction commits."""
        envelope = Envelope(
            id=FactId(self._ids.next()),
            at_ms=self._clock.wall_ms(),
            fact=fact,
            traceparent=trace.traceparent(),
            about=aggregate_id,
        )
        await self._tx.execute(
            """
            INSERT INTO outbox (id, type, aggregate_id, envelope, created_at)
            VALUES ($1, $2, $3, $4, $5)
            """,
            envelope.id,
            facts.fact_type(type(fact)),
            aggregate_id,
            facts.encode(envelope).decode(),
            utc(envelope.at_ms),
        )
        # Delivered by Postgres at commit, and only then.
        await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)
        return envelope.id

    async def take(self, limit: int) -> list[Envelope]:
        """Lock up to `limit` waiting facts, oldest first, skipping those another relay holds."""
        rows = await self._tx.fetch(
            """
            SELECT envelope FROM outbox
            ORDER BY id
            LIMIT $1
            FOR UPDATE SKIP LOCKED
            """,
            limit,
        )
        return [facts.decode(row["envelope"]) for row in rows]

    async def remove(self, fact_ids: list[FactId]) -> None:
        """Forget facts that the bus has confirmed."""
        await self._tx.execute("DELETE FROM outbox WHERE id = ANY($1::uuid[])", fact_ids)

    async def waiting(self) -> tuple[int, float]:
        """How many facts wait, and the age of the oldest in seconds (0 when none)."""
        row = await self._tx.fetchrow(
            "SELECT count(*) AS n, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float AS age FROM outbox"
        )
        return (row["n"], row["age"]) if row is not None else (0, 0.0)
