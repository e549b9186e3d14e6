"""Webhook deliveries: how they wait, whose turn it is, and what became of them.

**Turns.** Not deliveries but endpoints stand in line, each with the instant of its next turn (`due_at`). A worker takes
the endpoints that have waited longest, those that somebody else has locked left out, leases each and gets its oldest due
delivery. So a slow endpoint holds one call, whatever waits behind it, and after each turn it goes to the end of the line.

`take_turns` counts the attempt and commits before the call, so that a delivery which kills its worker is counted all the
same. A worker that dies leaves a lease that runs out; one that was frozen for longer finds another turn number in the row
(`holds`) and changes nothing.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from persistence.webhooks import CHANNEL, COLUMNS, endpoint_of
from services.integrations.delivery import (
    MAX_ATTEMPTS_KEPT,
    MAX_WAITING,
    Attempt,
    Delivery,
    DeliveryState,
    NewDelivery,
    Turn,
)
from services.integrations.endpoint import Endpoint, Standing
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import WebhookDeliveryId, WebhookEndpointId

_COLUMNS: Final = "id, endpoint_id, event, subject, state, attempts, created_at, due_at, finished_at, last_status"
_CANDIDATES: Final = 4
"""Endpoints that are looked at per turn wanted: some of them belong to hosts that have their share already."""


class WebhookDeliveries:
    """The deliveries inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    # -- making and reading ---------------------------------------------------------------------------------------

    async def add(self, delivery: NewDelivery, now: datetime) -> bool:
        """Store a delivery that is due now, or as failed when `MAX_WAITING` others wait for the endpoint; False when the
        endpoint has been told of this before."""
        added: str | None = await self._tx.fetchval(
            """
            INSERT INTO webhook_deliveries (id, endpoint_id, event, subject, body, created_at, traceparent,
                                            state, due_at, finished_at)
            SELECT $1, $2, $3, $4, $5, $6, $8,
                   CASE WHEN full_up THEN 'failed' ELSE 'pending' END,
                   CASE WHEN NOT full_up THEN $6::timestamptz END,
                   CASE WHEN full_up THEN $6::timestamptz END
            FROM (
                SELECT count(*) >= $7 AS full_up
                FROM (SELECT FROM webhook_deliveries WHERE endpoint_id = $2 AND state = 'pending' LIMIT $7) AS waiting
            ) AS line
            ON CONFLICT (endpoint_id, event, subject) DO NOTHING
            RETURNING state
            """,
            delivery.id,
            delivery.endpoint_id,
            delivery.event,
            delivery.subject,
            delivery.body,
            now,
            MAX_WAITING,
            delivery.traceparent,
        )
        if added == "pending":
            await self._line_up(delivery.endpoint_id, now)
        return added is not None

    async def of_endpoint(
        self,
        endpoint_id: WebhookEndpointId,
        *,
        before: WebhookDeliveryId | None,
        state: DeliveryState | None,
        limit: int,
    ) -> list[Delivery]:
        """The endpoint's deliveries, newest first, from the one after `before` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM webhook_deliveries
            WHERE endpoint_id = $1
              AND ($2::text IS NULL OR state = $2)
              AND ($3::uuid IS NULL
                   OR (created_at, id) < (SELECT created_at, id FROM webhook_deliveries WHERE id = $3 AND endpoint_id = $1))
            ORDER BY created_at DESC, id DESC
            LIMIT $4
            """,  # noqa: S608
            endpoint_id,
            state,
            before,
            limit,
        )
        return [_delivery(row) for row in rows]

    async def by_id(self, endpoint_id: WebhookEndpointId, delivery_id: WebhookDeliveryId) -> Delivery | None:
        """One delivery of this endpoint, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE id = $2 AND endpoint_id = $1",  # noqa: S608
            endpoint_id,
            delivery_id,
        )
        return None if row is None else _delivery(row)

    async def body(self, delivery_id: WebhookDeliveryId) -> bytes:
        """What is sent. Raises `LookupError` when there is no such delivery."""
        body: bytes | None = await self._tx.fetchval("SELECT body FROM webhook_deliveries WHERE id = $1", delivery_id)
        if body is None:
            raise LookupError(f"there is no delivery {delivery_id}")
        return body

    async def attempts(self, delivery_id: WebhookDeliveryId) -> list[Attempt]:
        """The attempts that are kept, the oldest first."""
        rows = await self._tx.fetch(
            "SELECT n, at, took_ms, result, status, detail FROM webhook_attempts WHERE delivery_id = $1 ORDER BY n",
            delivery_id,
        )
        return [
            Attempt(row["n"], to_wall_ms(row["at"]), row["took_ms"], row["result"], row["status"], row["detail"])
            for row in rows
        ]

    async def made_since(self, endpoint_id: WebhookEndpointId, event: str, since: datetime) -> int:
        """How many deliveries of an event were made after an instant."""
        made: int = await self._tx.fetchval(
            "SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = $1 AND created_at > $2 AND event = $3",
            endpoint_id,
            since,
            event,
        )
        return made

    # -- again ----------------------------------------------------------------------------------------------------

    async def replay(self, delivery_id: WebhookDeliveryId, now: datetime) -> None:
        """Make it pending and due now, with all its attempts. Its endpoint must be locked."""
        endpoint_id: WebhookEndpointId | None = await self._tx.fetchval(
            """
            UPDATE webhook_deliveries SET state = 'pending', attempts = 0, due_at = $2, finished_at = NULL
            WHERE id = $1
            RETURNING endpoint_id
            """,
            delivery_id,
            now,
        )
        if endpoint_id is not None:
            await self._line_up(endpoint_id, now)

    async def replay_failed(self, endpoint_id: WebhookEndpointId, since: datetime, now: datetime, limit: int) -> int:
        """The same for up to `limit` failed ones made at `since` or later, the oldest first; how many they are."""
        status: str = await self._tx.execute(
            """
            UPDATE webhook_deliveries SET state = 'pending', attempts = 0, due_at = $3, finished_at = NULL
            WHERE id IN (
                SELECT id FROM webhook_deliveries
                WHERE endpoint_id = $1 AND created_at >= $2 AND state = 'failed'
                ORDER BY created_at, id
                LIMIT $4
            )
            """,
            endpoint_id,
            since,
            now,
            limit,
        )
        replayed = int(status.split()[-1])
        if replayed:
            await self._line_up(endpoint_id, now)
        return replayed

    async def _line_up(self, endpoint_id: WebhookEndpointId, now: datetime) -> None:
        """Something is due for this endpoint now; its turn is when its rest is over."""
        await self._tx.execute(
            """
            UPDATE webhook_endpoints SET due_at = greatest($2, rest_until)
            WHERE id = $1 AND state <> 'paused' AND removed_at IS NULL
              AND (due_at IS NULL OR due_at > greatest($2, rest_until))
            """,
            endpoint_id,
            now,
        )
        await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)

    # -- turns ----------------------------------------------------------------------------------------------------

    async def take_turns(
        self,
        now: datetime,
        leased_until: datetime,
        *,
        limit: int,
        failing_limit: int,
        room: Mapping[str, int],
        per_host: int,
    ) -> list[Turn]:
        """Up to `limit` endpoints whose turn it is, with their oldest due delivery; the attempt is counted.

        At most `failing_limit` of them are failing ones. `room` says how many more calls a host may get that has some
        already; another one may get `per_host`.
        """
        rows = await self._tx.fetch(
            """
            SELECT id, host, state FROM webhook_endpoints
            WHERE due_at <= $1
              AND (leased_until IS NULL OR leased_until <= $1)
              AND (state = 'active' OR $2)
              AND host <> ALL($3::text[])
            ORDER BY due_at
            LIMIT $4
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            now,
            failing_limit > 0,
            [host for host, free in room.items() if free <= 0],
            limit * _CANDIDATES,
        )
        chosen = _chosen(rows, limit, failing_limit, room, per_host)
        if not chosen:
            return []
        taken = await self._tx.fetch(
            """
            WITH next AS (
                SELECT endpoint.id AS endpoint_id, oldest.id AS delivery_id
                FROM unnest($1::uuid[]) AS endpoint (id)
                CROSS JOIN LATERAL (
                    SELECT id FROM webhook_deliveries
                    WHERE endpoint_id = endpoint.id AND state = 'pending' AND due_at <= $2
                    ORDER BY due_at, id
                    LIMIT 1
                ) AS oldest
            ), begun AS (
                UPDATE webhook_deliveries AS delivery SET attempts = attempts + 1, calls = calls + 1
                FROM next
                WHERE delivery.id = next.delivery_id
                RETURNING delivery.id, delivery.endpoint_id, delivery.attempts, delivery.calls, delivery.body,
                          delivery.traceparent
            ), turned AS (
                UPDATE webhook_endpoints AS endpoint SET turn = turn + 1, leased_until = $3
                FROM begun
                WHERE endpoint.id = begun.endpoint_id
                RETURNING endpoint.id, endpoint.turn, endpoint.url, endpoint.host, endpoint.state
            )
            SELECT turned.id AS endpoint_id, turned.turn AS number, turned.url, turned.host,
                   turned.state = 'failing' AS failing, begun.id AS delivery_id, begun.attempts AS attempt,
                   begun.calls AS call, begun.body, begun.traceparent,
                   array(
                       SELECT sealed FROM webhook_secrets
                       WHERE endpoint_id = turned.id AND (not_after IS NULL OR not_after > $2)
                       ORDER BY number DESC
                   ) AS sealed
            FROM turned JOIN begun ON begun.endpoint_id = turned.id
            """,
            chosen,
            now,
            leased_until,
        )
        turns = [Turn(**{**row, "sealed": tuple(row["sealed"])}) for row in taken]
        idle = set(chosen) - {turn.endpoint_id for turn in turns}
        if idle:
            # What they were in line for has been delivered, replayed or swept away since.
            await self._tx.execute(
                """
                UPDATE webhook_endpoints AS endpoint
                SET leased_until = NULL,
                    due_at = (SELECT min(due_at) FROM webhook_deliveries
                              WHERE endpoint_id = endpoint.id AND state = 'pending')
                WHERE id = ANY($1::uuid[])
                """,
                list(idle),
            )
        return turns

    async def holds(self, turn: Turn) -> Endpoint | None:
        """The endpoint, locked, while this turn is its last one; None when it was taken away or removed."""
        row = await self._tx.fetchrow(
            f"""
            SELECT {COLUMNS} FROM webhook_endpoints
            WHERE id = $1 AND turn = $2 AND removed_at IS NULL
            FOR NO KEY UPDATE
            """,  # noqa: S608
            turn.endpoint_id,
            turn.number,
        )
        return None if row is None else endpoint_of(row)

    async def end_turn(
        self,
        turn: Turn,
        standing: Standing,
        *,
        state: DeliveryState,
        due_at: datetime | None,
        finished_at: datetime | None,
        status: int | None,
        rest_until: datetime,
    ) -> None:
        """Write down what became of the delivery, and when the endpoint's next turn is: not before `rest_until`, and never
        while it is paused. One that was replayed during the call stays due, unless the call has delivered it."""
        await self._tx.execute(
            """
            UPDATE webhook_deliveries
            SET state = $2, due_at = $3, finished_at = $4, last_status = coalesce($5, last_status)
            WHERE id = $1 AND state = 'pending' AND (attempts = $6 OR $2 = 'delivered')
            """,
            turn.delivery_id,
            state,
            due_at,
            finished_at,
            status,
            turn.attempt,
        )
        await self._tx.execute(
            """
            UPDATE webhook_endpoints
            SET state = $2, failures = $3, failing_since = $4, paused_reason = $5, leased_until = NULL, rest_until = $6,
                due_at = (
                    SELECT greatest($6, due_at) FROM webhook_deliveries
                    WHERE endpoint_id = $1 AND state = 'pending' AND $2 <> 'paused'
                    ORDER BY due_at LIMIT 1
                )
            WHERE id = $1
            """,
            turn.endpoint_id,
            standing.state,
            standing.failures,
            None if standing.failing_since_ms is None else utc(standing.failing_since_ms),
            standing.paused_reason,
            rest_until,
        )

    async def note(self, delivery_id: WebhookDeliveryId, attempt: Attempt) -> None:
        """Keep an attempt, and forget the oldest when there are too many."""
        await self._tx.execute(
            """
            INSERT INTO webhook_attempts (delivery_id, n, at, took_ms, result, status, detail)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            delivery_id,
            attempt.n,
            utc(attempt.at_ms),
            attempt.took_ms,
            attempt.result,
            attempt.status,
            attempt.detail,
        )
        await self._tx.execute(
            "DELETE FROM webhook_attempts WHERE delivery_id = $1 AND n <= $2",
            delivery_id,
            attempt.n - MAX_ATTEMPTS_KEPT,
        )

    async def waiting(self, now: datetime) -> tuple[int, float]:
        """How many endpoints are due for a turn, and for how long the first of them has been, in seconds (0 when none)."""
        row = await self._tx.fetchrow(
            """
            SELECT count(*) AS n, coalesce(extract(epoch FROM $1 - min(due_at)), 0)::float AS age
            FROM webhook_endpoints
            WHERE due_at <= $1 AND (leased_until IS NULL OR leased_until <= $1)
            """,
            now,
        )
        return (row["n"], row["age"]) if row is not None else (0, 0.0)

    # -- upkeep ---------------------------------------------------------------------------------------------------

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` deliveries made before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM webhook_deliveries
            WHERE id IN (
                SELECT id FROM webhook_deliveries
                WHERE created_at < $1
                ORDER BY created_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])

    async def sweep(self, limit: int) -> int:
        """Delete up to `limit` deliveries of an endpoint that was removed, and the endpoint after the last of them; how many
        rows that were."""
        endpoint_id = await self._tx.fetchval(
            """
            SELECT id FROM webhook_endpoints WHERE removed_at IS NOT NULL
            ORDER BY removed_at LIMIT 1
            FOR UPDATE SKIP LOCKED
            """
        )
        if endpoint_id is None:
            return 0
        status: str = await self._tx.execute(
            """
            DELETE FROM webhook_deliveries
            WHERE id IN (SELECT id FROM webhook_deliveries WHERE endpoint_id = $1 LIMIT $2)
            """,
            endpoint_id,
            limit,
        )
        swept = int(status.split()[-1])
        if swept == 0:
            await self._tx.execute("DELETE FROM webhook_endpoints WHERE id = $1", endpoint_id)
        return max(swept, 1)


def _chosen(
    rows: list[asyncpg.Record], limit: int, failing_limit: int, room: Mapping[str, int], per_host: int
) -> list[WebhookEndpointId]:
    """The first endpoints of the line that fit into what is free."""
    chosen: list[WebhookEndpointId] = []
    taken: Counter[str] = Counter()
    failing = 0
    for row in rows:
        host = row["host"]
        fails = row["state"] == "failing"
        if taken[host] >= room.get(host, per_host) or (fails and failing >= failing_limit):
            continue
        taken[host] += 1
        failing += fails
        chosen.append(WebhookEndpointId(row["id"]))
        if len(chosen) == limit:
            break
    return chosen


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        id=WebhookDeliveryId(row["id"]),
        endpoint_id=WebhookEndpointId(row["endpoint_id"]),
        event=row["event"],
        subject=row["subject"],
        state=row["state"],
        attempts=row["attempts"],
        created_at_ms=to_wall_ms(row["created_at"]),
        due_at_ms=None if row["due_at"] is None else to_wall_ms(row["due_at"]),
        finished_at_ms=None if row["finished_at"] is None else to_wall_ms(row["finished_at"]),
        last_status=row["last_status"],
    )
