"""Queues that a broker was given, and what has to be told again to one that was lost.

A broker may lose a queue: somebody deletes it, or its disk goes. What lay in it is gone then, and so is what was told before
it was made anew, as far as another queue took it. All of it is known here: a fact that has left stays in the outbox for days,
and the inbox knows, for longer, which facts a consumer has handled. What a queue lacks is the difference.

Whoever makes a queue says so before (`missing`), so a loss is noted even if the process that saw it dies. `losses` numbers
them: a page that belongs to an earlier loss than the last moves nothing.

Which facts have left *before* the queue was bound again is a question of transactions: a relay may have published a fact
earlier and commit later that it has left. `passed` waits for the relay that holds the shard; what gets a position after
that was published after it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from persistence.outbox import SHARDS, in_order_of_an_index

LOOKED_AT: Final = 5_000
"""How many facts of the log one page looks at, wanted or not."""
_LOCK: Final = 0x2EF1


class Loss(msgspec.Struct, frozen=True):
    """A loss that is not made good yet: its number, from which positions on the queue was told facts, by type (JSON), how far along
    the outbox the refilling has got (`seq`), and how many facts it has told."""

    number: int
    since: str
    reached: int
    refilled: int


class Reach(msgspec.Struct, frozen=True):
    """How far the log went when the queue was there again: the last positions, per shard, and the last fact told (`seq`)."""

    positions: list[int]
    seq: int


class Lacking(msgspec.Struct, frozen=True):
    """The next facts that a queue lacks (JSON), and how far they reach; `reached` None behind the last."""

    envelopes: list[str]
    reached: int | None


class BusQueues:
    """The queues inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def present(self, queues: Mapping[str, Collection[str]], at: datetime) -> None:
        """These queues lie on the broker and are about to be told these types. One that is not known yet is older than this
        table: it may have been told everything."""
        now = await self._positions()
        for name, types in sorted(queues.items()):
            await self._tx.execute(
                """
                INSERT INTO bus_queues (name, made_at, since) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE SET since = $4::jsonb || bus_queues.since
                WHERE NOT bus_queues.since ?& $5::text[]
                """,
                name,
                at,
                _since(types, [0] * SHARDS),
                _since(types, now),
                list(types),
            )

    async def missing(self, queues: Mapping[str, Collection[str]], at: datetime) -> None:
        """These queues do not lie on the broker and are about to be made; those that are known are lost."""
        now = await self._positions()
        for name, types in sorted(queues.items()):
            await self._tx.execute(
                """
                INSERT INTO bus_queues (name, made_at, since) VALUES ($1, $2, $3)
                ON CONFLICT (name) DO UPDATE
                SET since = excluded.since || bus_queues.since,
                    losses = bus_queues.losses + 1, lost_at = excluded.made_at, reached = 0, refilled = 0
                """,
                name,
                at,
                _since(types, now),
            )

    async def _positions(self) -> list[int]:
        return [row["position"] for row in await self._tx.fetch("SELECT position FROM outbox_shards ORDER BY shard")]

    async def lost(self, name: str) -> Loss | None:
        """The loss of this queue that is to be made good, if there is one."""
        row = await self._tx.fetchrow(
            """
            SELECT losses AS number, since, reached, refilled FROM bus_queues
            WHERE name = $1 AND lost_at IS NOT NULL
            """,
            name,
        )
        return None if row is None else Loss(**row)

    async def passed(self, shard: int) -> int:
        """The last position of a shard, once no relay is at work on it. Holds relays off until this transaction ends."""
        position: int = await self._tx.fetchval("SELECT position FROM outbox_shards WHERE shard = $1 FOR SHARE", shard)
        return position

    async def last_told(self) -> int:
        """The number that was drawn last by a fact, whether or not it is to be seen yet."""
        seq: int = await self._tx.fetchval("SELECT last_value FROM outbox_seq")
        return seq

    async def alone(self, name: str) -> bool:
        """Whether this transaction, until it ends, is the only one that refills the queue. An advisory lock and not the row:
        whoever finds the queue lost again writes into the row and must not wait."""
        held: bool = await self._tx.fetchval("SELECT pg_try_advisory_xact_lock($1, hashtext($2))", _LOCK, name)
        return held

    async def lacking(self, loss: Loss, upto: Reach, consumer: str, types: Collection[str], limit: int) -> Lacking:
        """Up to `limit` facts of these types, after the one `loss` has reached, that left after the queue was first told the
        type and by `upto`, and that `consumer` has not handled; in the order in which they were told."""
        await in_order_of_an_index(self._tx)
        last: int | None = await self._tx.fetchval(
            """
            SELECT max(seq) FROM (
                SELECT seq FROM outbox WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
            ) AS looked_at
            """,
            loss.reached,
            upto.seq,
            LOOKED_AT,
        )
        if last is None:
            return Lacking([], None)
        # Not NOT EXISTS, which may be planned as a join with all that was ever handled.
        rows = await self._tx.fetch(
            """
            SELECT seq, envelope FROM outbox
            WHERE seq > $1 AND seq <= $2
              AND position > ($3::jsonb -> type -> shard::int)::bigint AND position <= ($4::bigint[])[shard + 1]
              AND type = ANY($5::text[])
              AND (SELECT true FROM inbox WHERE consumer = $6 AND fact_id = outbox.id) IS NULL
            ORDER BY seq
            LIMIT $7
            """,
            loss.reached,
            last,
            loss.since,
            upto.positions,
            list(types),
            consumer,
            limit,
        )
        return Lacking([row["envelope"] for row in rows], rows[-1]["seq"] if len(rows) == limit else last)

    async def told(self, name: str, loss: Loss, reached: int, count: int) -> bool:
        """So many facts more were told to the queue again, up to `reached`; False when it was lost once more meanwhile."""
        status: str = await self._tx.execute(
            """
            UPDATE bus_queues SET reached = $3, refilled = refilled + $4
            WHERE name = $1 AND losses = $2 AND lost_at IS NOT NULL
            """,
            name,
            loss.number,
            reached,
            count,
        )
        return status.endswith(" 1")

    async def mended(self, name: str, loss: Loss) -> bool:
        """The queue has everything again; False when it was lost once more meanwhile."""
        status: str = await self._tx.execute(
            "UPDATE bus_queues SET lost_at = NULL WHERE name = $1 AND losses = $2 AND lost_at IS NOT NULL",
            name,
            loss.number,
        )
        return status.endswith(" 1")


def _since(types: Collection[str], positions: list[int]) -> str:
    return msgspec.json.encode(dict.fromkeys(types, positions)).decode()
