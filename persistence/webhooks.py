"""Webhook endpoints and their secrets.

An endpoint that is removed is gone for everybody in that transaction, with its secrets; its deliveries, which may be many,
follow in small bites (persistence/webhook_deliveries.py, `sweep`).
"""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.integrations.endpoint import Endpoint, Standing
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, WebhookEndpointId

CHANNEL: Final = "paceline_webhooks"
"""The notification that wakes the senders. A hint: they also look by themselves."""

COLUMNS: Final = """
    id, account_id, url, events, scopes, description, created_at, state, failures, failing_since, paused_reason
"""


class Webhooks:
    """The endpoints inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, endpoint: Endpoint, host: str) -> None:
        """Store a new endpoint; `host` is where its URL leads."""
        await self._tx.execute(
            """
            INSERT INTO webhook_endpoints (id, account_id, url, host, events, scopes, description, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            endpoint.id,
            endpoint.account_id,
            endpoint.url,
            host,
            list(endpoint.events),
            list(endpoint.scopes),
            endpoint.description,
            utc(endpoint.created_at_ms),
        )

    async def by_id(self, endpoint_id: WebhookEndpointId) -> Endpoint | None:
        """The endpoint, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1 AND removed_at IS NULL",  # noqa: S608
            endpoint_id,
        )
        return None if row is None else endpoint_of(row)

    async def lock(self, endpoint_id: WebhookEndpointId) -> Endpoint | None:
        """The endpoint, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            f"SELECT {COLUMNS} FROM webhook_endpoints WHERE id = $1 AND removed_at IS NULL FOR NO KEY UPDATE",  # noqa: S608
            endpoint_id,
        )
        return None if row is None else endpoint_of(row)

    async def of_account(self, account_id: AccountId) -> list[Endpoint]:
        """Somebody's endpoints, the oldest first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {COLUMNS} FROM webhook_endpoints
            WHERE account_id = $1 AND removed_at IS NULL
            ORDER BY created_at, id
            """,  # noqa: S608
            account_id,
        )
        return [endpoint_of(row) for row in rows]

    async def wanting(self, account_id: AccountId, event: str) -> list[Endpoint]:
        """Somebody's endpoints that want an event. By id: whoever changes several of them does it in this order, so that two
        transactions cannot wait for each other."""
        rows = await self._tx.fetch(
            f"""
            SELECT {COLUMNS} FROM webhook_endpoints
            WHERE account_id = $1 AND removed_at IS NULL AND $2 = ANY(events)
            ORDER BY id
            """,  # noqa: S608
            account_id,
            event,
        )
        return [endpoint_of(row) for row in rows]

    async def change(self, endpoint: Endpoint, host: str) -> None:
        """Store URL, events, scopes and description."""
        await self._tx.execute(
            "UPDATE webhook_endpoints SET url = $2, host = $3, events = $4, scopes = $5, description = $6 WHERE id = $1",
            endpoint.id,
            endpoint.url,
            host,
            list(endpoint.events),
            list(endpoint.scopes),
            endpoint.description,
        )

    async def remove(self, endpoint_id: WebhookEndpointId, at: datetime) -> None:
        """The endpoint is gone for everybody."""
        await self._tx.execute(
            "UPDATE webhook_endpoints SET removed_at = $2, due_at = NULL WHERE id = $1", endpoint_id, at
        )
        await self._tx.execute("DELETE FROM webhook_secrets WHERE endpoint_id = $1", endpoint_id)

    async def remove_made_since(self, account_id: AccountId, since: datetime, at: datetime) -> int:
        """Those of somebody that were made then or later are gone for everybody; how many."""
        rows = await self._tx.fetch(
            """
            WITH made AS (
                SELECT id FROM webhook_endpoints
                WHERE account_id = $1 AND created_at >= $2 AND removed_at IS NULL
                ORDER BY id FOR NO KEY UPDATE
            )
            UPDATE webhook_endpoints SET removed_at = $3, due_at = NULL
            FROM made WHERE webhook_endpoints.id = made.id
            RETURNING webhook_endpoints.id
            """,
            account_id,
            since,
            at,
        )
        await self._tx.execute("DELETE FROM webhook_secrets WHERE endpoint_id = ANY ($1)", [row["id"] for row in rows])
        return len(rows)

    async def resume(self, endpoint_id: WebhookEndpointId, now: datetime) -> None:
        """As new: active, nothing held against it; what waits, even for a later attempt, is due now."""
        await self._tx.execute(
            """
            UPDATE webhook_endpoints
            SET state = 'active', failures = 0, failing_since = NULL, paused_reason = NULL, rest_until = NULL,
                due_at = CASE WHEN EXISTS (
                    SELECT FROM webhook_deliveries WHERE endpoint_id = $1 AND state = 'pending'
                ) THEN $2::timestamptz END
            WHERE id = $1
            """,
            endpoint_id,
            now,
        )
        await self._tx.execute(
            "UPDATE webhook_deliveries SET due_at = $2 WHERE endpoint_id = $1 AND state = 'pending' AND due_at > $2",
            endpoint_id,
            now,
        )
        await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)

    async def add_secret(self, endpoint_id: WebhookEndpointId, sealed: bytes, at: datetime) -> None:
        """A new secret, the endpoint's newest. The endpoint must be locked, or new: secrets are counted."""
        await self._tx.execute(
            """
            INSERT INTO webhook_secrets (endpoint_id, number, sealed, created_at)
            VALUES ($1, (SELECT coalesce(max(number), 0) + 1 FROM webhook_secrets WHERE endpoint_id = $1), $2, $3)
            """,
            endpoint_id,
            sealed,
            at,
        )

    async def retire_secrets(self, endpoint_id: WebhookEndpointId, not_after: datetime) -> None:
        """The newest secret is good until `not_after` only; older ones are forgotten, so that at most two are ever live."""
        await self._tx.execute(
            """
            DELETE FROM webhook_secrets
            WHERE endpoint_id = $1
              AND number < (SELECT max(number) FROM webhook_secrets WHERE endpoint_id = $1)
            """,
            endpoint_id,
        )
        await self._tx.execute(
            "UPDATE webhook_secrets SET not_after = $2 WHERE endpoint_id = $1", endpoint_id, not_after
        )


def endpoint_of(row: asyncpg.Record) -> Endpoint:
    """The endpoint in a row that has `COLUMNS`."""
    return Endpoint(
        id=WebhookEndpointId(row["id"]),
        account_id=AccountId(row["account_id"]),
        url=row["url"],
        events=tuple(row["events"]),
        scopes=tuple(row["scopes"]),
        description=row["description"],
        created_at_ms=to_wall_ms(row["created_at"]),
        standing=Standing(
            state=row["state"],
            failures=row["failures"],
            failing_since_ms=None if row["failing_since"] is None else to_wall_ms(row["failing_since"]),
            paused_reason=row["paused_reason"],
        ),
    )
