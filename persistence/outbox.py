"""Facts waiting to leave: written in the transaction that made them true, sent by the relays alone.

The table only grows. What has left is marked, with its position in the log that the outbox is afterwards (outbox_log.py),
and whole days are dropped when they are old (outbox_days.py). Nothing is deleted row by row.

**Order.** `seq` is drawn when the row is written, and is the order in which facts leave. For two facts about one
aggregate it is the order of their commits if both transactions locked the aggregate's row before they told the fact: the
second one then waits for the first one's commit before it draws its number. So lock first (`FOR NO KEY UPDATE`, or any
UPDATE of the row), then tell. Facts about different aggregates have no order.

**Sharing.** All facts about an aggregate are in one of `SHARDS` shards. A relay locks the row of a shard before it
reads what waits in it, and reads in a statement of its own: one snapshot taken before the lock would still show what the
last holder has sent. The lock ends with the transaction, so a relay that dies lets go with its connection. The row and
not an advisory lock, because the same row counts the positions of the shard.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from services.kernel import facts, trace
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.facts import AnyFact, Envelope
from services.kernel.ids import FactId, Ids

CHANNEL: Final = "paceline_outbox"
"""The notification that wakes the relay. A hint: the relay also looks by itself."""
SHARDS: Final = 16
"""In how many parts the outbox is shared. The database computes the shard (0002_outbox.sql); more of them are a migration
during which no relay runs."""
END: Final = 2**63 - 1
"""Behind the last number that a fact can have."""
COUNTED: Final = 10_000
"""How far waiting facts are counted: a look at a backlog of a million must not cost more than one at this many."""


class Held(msgspec.Struct, frozen=True):
    """A shard that this transaction holds, and the last position that was given out in it."""

    shard: int
    position: int


class Waiting(msgspec.Struct, frozen=True):
    """A fact that has not left: where it lies, what it is about, and the envelope as stored (JSON)."""

    seq: int
    shard: int
    created_at: datetime
    about: uuid.UUID
    envelope: str


class Span(msgspec.Struct, frozen=True):
    """A part of a shard: the facts with a number above `after` and not above `upto`. Aggregates of which something
    waits up to `after` do not belong to it: what waits before it would be overtaken."""

    shard: int
    after: int = 0
    upto: int = END


WHOLE: Final = tuple(Span(shard) for shard in range(SHARDS))
"""All of every shard."""


class Backlog(msgspec.Struct, frozen=True):
    """Facts that wait, counted up to `COUNTED`, and the age of the oldest in seconds (0 when none)."""

    waiting: int
    oldest_s: float


class Outbox:
    """The outbox inside one transaction."""

    def __init__(self, tx: Tx, clock: Clock, ids: Ids, *, notify: bool = True) -> None:
        """`notify` false: whoever opened the transaction wakes the relay after its commit, if `told` says so."""
        self._tx = tx
        self._clock = clock
        self._ids = ids
        self._notify = notify
        self.told = False

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
        if self._notify and not self.told:
            # Delivered by Postgres at commit, and only then.
            await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)
        self.told = True
        return envelope.id

    async def peek(self, limit: int) -> list[Envelope]:
        """Up to `limit` waiting facts in the order in which they were told. Holds nothing."""
        rows = await self._tx.fetch(
            "SELECT envelope FROM outbox WHERE relayed_at IS NULL ORDER BY seq LIMIT $1",
            limit,
        )
        return [facts.decode(row["envelope"]) for row in rows]

    async def hold(
        self, after: int, limit: int, but: Sequence[uuid.UUID] = (), spans: Sequence[Span] = WHOLE
    ) -> list[Held]:
        """Take up to `limit` shards in which facts wait, in turn from the one after shard `after` on, skipping those that
        another relay holds. Aggregates in `but` are left alone, and a shard is not taken where nothing else waits in
        its `spans`, or before the end of one that has an end: whoever reads that page by page has to see that it is
        through."""
        await in_order_of_an_index(self._tx)
        # Not EXISTS, which may be planned as a join with all that waits.
        rows = await self._tx.fetch(
            """
            SELECT shard, position FROM outbox_shards
            WHERE (
                SELECT true FROM unnest($4::smallint[], $5::bigint[], $6::bigint[]) AS span (shard, after, upto)
                CROSS JOIN LATERAL (
                    SELECT coalesce(array_agg(DISTINCT aggregate_id), '{}') AS things FROM outbox
                    WHERE outbox.shard = span.shard AND relayed_at IS NULL AND seq <= span.after AND span.after > 0
                ) AS passed
                CROSS JOIN LATERAL (
                    SELECT FROM outbox
                    WHERE outbox.shard = span.shard AND relayed_at IS NULL AND seq > span.after AND seq <= span.upto
                      AND aggregate_id <> ALL($3::uuid[]) AND aggregate_id <> ALL(passed.things)
                    ORDER BY seq
                    LIMIT 1
                ) AS waiting
                WHERE span.shard = outbox_shards.shard
                LIMIT 1
            )
            ORDER BY (shard - $1::int + 15) % 16
            LIMIT $2
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            after,
            limit,
            but,
            *_columns([span if span.upto == END else Span(span.shard, 0, span.upto) for span in spans]),
        )
        return [Held(**row) for row in rows]

    async def waiting_in(
        self, held: Sequence[Held], limit: int, but: Sequence[uuid.UUID] = (), spans: Sequence[Span] = WHOLE
    ) -> list[Waiting]:
        """What waits in the `spans` of shards that this transaction holds, up to `limit` facts of each span, in
        order."""
        mine = {each.shard for each in held}
        rows = await self._tx.fetch(
            """
            SELECT waiting.* FROM unnest($3::smallint[], $4::bigint[], $5::bigint[]) AS span (shard, after, upto)
            CROSS JOIN LATERAL (
                SELECT coalesce(array_agg(DISTINCT aggregate_id), '{}') AS things FROM outbox
                WHERE outbox.shard = span.shard AND relayed_at IS NULL AND seq <= span.after AND span.after > 0
            ) AS passed
            CROSS JOIN LATERAL (
                SELECT seq, shard, created_at, aggregate_id AS about, envelope FROM outbox
                WHERE outbox.shard = span.shard AND relayed_at IS NULL AND seq > span.after AND seq <= span.upto
                  AND aggregate_id <> ALL($2::uuid[]) AND aggregate_id <> ALL(passed.things)
                ORDER BY seq
                LIMIT $1
            ) AS waiting
            ORDER BY seq
            """,
            limit,
            but,
            *_columns([span for span in spans if span.shard in mine]),
        )
        return [Waiting(**row) for row in rows]

    async def left(self, held: Sequence[Held], gone: Sequence[Waiting]) -> None:
        """These facts have left, out of shards that this transaction holds: they get the next positions, in order."""
        last = {each.shard: each.position for each in held}
        positions = []
        ordered = sorted(gone, key=lambda fact: fact.seq)
        for fact in ordered:
            last[fact.shard] += 1
            positions.append(last[fact.shard])
        await self._tx.execute(
            """
            UPDATE outbox SET relayed_at = $1, position = gone.position
            FROM unnest($2::bigint[], $3::timestamptz[], $4::bigint[]) AS gone (seq, created_at, position)
            WHERE outbox.seq = gone.seq AND outbox.created_at = gone.created_at
              AND outbox.seq = ANY($2) AND outbox.created_at BETWEEN $5 AND $6
            """,
            utc(self._clock.wall_ms()),
            [fact.seq for fact in ordered],
            [fact.created_at for fact in ordered],
            positions,
            min(fact.created_at for fact in ordered),
            max(fact.created_at for fact in ordered),
        )
        await self._tx.execute(
            """
            UPDATE outbox_shards SET position = reached.position
            FROM unnest($1::smallint[], $2::bigint[]) AS reached (shard, position)
            WHERE outbox_shards.shard = reached.shard
            """,
            list(last),
            list(last.values()),
        )

    async def backlog(self) -> Backlog:
        """How much waits. Costs the same however much it is: the oldest is the first of some shard."""
        await in_order_of_an_index(self._tx)
        row = await self._tx.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM (SELECT FROM outbox WHERE relayed_at IS NULL LIMIT $1) AS counted) AS waiting,
                (SELECT min(head.created_at) FROM outbox_shards
                 CROSS JOIN LATERAL (
                     SELECT created_at FROM outbox
                     WHERE outbox.shard = outbox_shards.shard AND relayed_at IS NULL
                     ORDER BY seq
                     LIMIT 1
                 ) AS head) AS oldest
            """,
            COUNTED,
        )
        if row is None or row["oldest"] is None:
            return Backlog(0, 0.0)
        age_ms = self._clock.wall_ms() - to_wall_ms(row["oldest"])
        return Backlog(row["waiting"], max(age_ms, 0) / 1000)


def _columns(spans: Sequence[Span]) -> tuple[list[int], list[int], list[int]]:
    return [span.shard for span in spans], [span.after for span in spans], [span.upto for span in spans]


async def in_order_of_an_index(tx: Tx) -> None:
    """Have the rest of a transaction walk indexes instead of reading and sorting tables.

    What waits is few rows now and a million in an hour, and the planner knows what was there at its last ANALYZE: after a burst
    it would read all that waits for every batch.
    """
    await tx.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
