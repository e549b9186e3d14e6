"""The outbox as a log: what has left, read again in the order in which it left.

Positions are counted per shard by the relay that holds it, and given out in the transaction that marks the facts as gone. So
in one shard a higher position is never to be seen before a lower one, and a reader that goes from one to the next misses
nothing. The sequence number would not do: a transaction that draws a low number and commits late would be passed over. Nor
would the transaction's id: it says nothing about the order of two facts about one aggregate, and starts again low in a
database that was restored.

Where a reader stands is one number per shard, in the order of the shards.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from persistence.outbox import in_order_of_an_index


class Logged(msgspec.Struct, frozen=True):
    """A fact that has left: where it lies, its number in the order of telling, and its envelope (JSON), or None when its type
    was not asked for."""

    shard: int
    position: int
    seq: int
    envelope: str | None


class OutboxLog:
    """The log inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def bounds(self) -> list[tuple[int, int]]:
        """Per shard: the position before the first that is there, and the last."""
        await in_order_of_an_index(self._tx)
        rows = await self._tx.fetch(
            """
            SELECT
                outbox_shards.position AS last,
                coalesce(
                    (SELECT outbox.position - 1 FROM outbox
                     WHERE outbox.shard = outbox_shards.shard AND outbox.position IS NOT NULL
                     ORDER BY outbox.position
                     LIMIT 1),
                    outbox_shards.position
                ) AS before
            FROM outbox_shards
            ORDER BY shard
            """
        )
        return [(row["before"], row["last"]) for row in rows]

    async def before(self, instant: datetime) -> list[int]:
        """Per shard: the position before the first fact that became true at this instant or later."""
        rows = await self._tx.fetch(
            """
            SELECT coalesce(
                (SELECT min(outbox.position) - 1 FROM outbox
                 WHERE outbox.shard = outbox_shards.shard AND outbox.position IS NOT NULL AND created_at >= $1),
                outbox_shards.position
            ) AS before
            FROM outbox_shards
            ORDER BY shard
            """,
            instant,
        )
        return [row["before"] for row in rows]

    async def read(self, after: Sequence[int], nouns: Collection[str], limit: int) -> list[Logged]:
        """The next facts after these positions, up to `limit` of each shard, by shard and position. Those whose type does not
        begin with one of `nouns` come without their envelope: whoever reads passes them, and need not look at them again."""
        await in_order_of_an_index(self._tx)
        rows = await self._tx.fetch(
            """
            SELECT logged.shard, logged.position, logged.seq,
                   CASE WHEN split_part(logged.type, '.', 1) = ANY($2::text[]) THEN logged.envelope END AS envelope
            FROM unnest($1::bigint[]) WITH ORDINALITY AS reached (position, n)
            CROSS JOIN LATERAL (
                SELECT shard, position, seq, type, envelope FROM outbox
                WHERE outbox.shard = reached.n - 1 AND outbox.position > reached.position
                ORDER BY outbox.position
                LIMIT $3
            ) AS logged
            ORDER BY logged.shard, logged.position
            """,
            after,
            list(nouns),
            limit,
        )
        return [Logged(**row) for row in rows]
