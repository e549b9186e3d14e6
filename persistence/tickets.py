"""The SQL of tickets: which were used, for as long as anybody could try again."""

from datetime import datetime
from typing import Final

from persistence.database import Database, Tx
from services.kernel.clock import utc
from services.kernel.ids import LoginId, TicketId


class UsedTickets:
    """Tickets that were used, on any node. Not a store of a transaction: there is nothing else that commits with it."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def use(self, ticket_id: TicketId, login_id: LoginId, ends_ms: int) -> bool:
        """Remember a ticket in one round trip; False when it was used before, or when this login has ended. A login that is not in
        the database is a screen's or an app's own, and has no end there."""
        async with self._database.statement() as connection:
            used = await connection.fetchval(
                """
                INSERT INTO used_tickets (id, ends_at)
                SELECT $1, $3
                WHERE NOT EXISTS (SELECT FROM logins WHERE id = $2 AND ended_at IS NOT NULL)
                ON CONFLICT DO NOTHING
                RETURNING true
                """,
                ticket_id,
                login_id,
                utc(ends_ms),
            )
        return used is True


async def prune_used_tickets(tx: Tx, ended_before: datetime, limit: int) -> int:
    """Forget up to `limit` tickets that ended before an instant; how many they were."""
    status: str = await tx.execute(
        """
        DELETE FROM used_tickets
        WHERE id IN (
            SELECT id FROM used_tickets
            WHERE ends_at < $1
            ORDER BY ends_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        """,
        ended_before,
        limit,
    )
    return int(status.split()[-1])
