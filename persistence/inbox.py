"""Facts already handled: what turns "delivered at least once" into "done once".

Every consumer writes the fact's id here in the transaction of its effects. A second delivery finds the row and does
nothing; a second delivery at the same moment waits for the first one's commit or roll-back, because both insert the
same key.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.kernel.ids import FactId


class Inbox:
    """The inbox inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def first_time(self, consumer: str, fact_id: FactId, at: datetime) -> bool:
        """Note that `consumer` handles this fact now; False when it has done so before."""
        status: str = await self._tx.execute(
            """
            INSERT INTO inbox (consumer, fact_id, handled_at)
            VALUES ($1, $2, $3)
            ON CONFLICT (consumer, fact_id) DO NOTHING
            """,
            consumer,
            fact_id,
            at,
        )
        return status.endswith(" 1")

    async def first_times(self, consumer: str, fact_ids: Collection[FactId], at: datetime) -> set[FactId]:
        """The same for many facts: those that `consumer` has not handled before."""
        rows = await self._tx.fetch(
            """
            INSERT INTO inbox (consumer, fact_id, handled_at)
            SELECT $1, fact_id, $3 FROM unnest($2::uuid[]) AS new (fact_id)
            ORDER BY fact_id
            ON CONFLICT (consumer, fact_id) DO NOTHING
            RETURNING fact_id
            """,
            consumer,
            list(fact_ids),
            at,
        )
        return {FactId(row["fact_id"]) for row in rows}

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` facts handled before an instant; how many they were.

        A fact delivered again after that would be handled again, so `before` must lie further back than any message can
        wait in a queue.
        """
        status: str = await self._tx.execute(
            """
            DELETE FROM inbox
            WHERE (consumer, fact_id) IN (
                SELECT consumer, fact_id FROM inbox
                WHERE handled_at < $1
                ORDER BY handled_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])
