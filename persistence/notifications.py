"""The SQL of inboxes. Of one collapse key an account has one notification: a newer one takes the older one's place in the
row that is there, so whatever points to it goes on pointing to what is true now.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, NotificationId
from services.notifications import content
from services.notifications.notification import MAX_UNREAD, Notification, Position
from services.notifications.ports import Placed
from services.notifications.topics import TOPICS

_COLUMNS: Final = "id, account_id, topic, template, version, content, collapse_key, told_at, expires_at, read_at"


class Notifications:
    """The notifications inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def put(self, notifications: Sequence[Notification], *, again: bool) -> list[Placed]:
        """Store notifications, at most one per account; those that changed something, in no order.

        One whose collapse key the account has already replaces what it says. `again`: it is unread and new again; else it
        stays where it is, read or not, and one that says the same as before changes nothing.
        """
        rows = await self._tx.fetch(
            f"""
            INSERT INTO notifications ({_COLUMNS})
            SELECT *, NULL FROM unnest(
                $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::smallint[], $6::jsonb[], $7::text[],
                $8::timestamptz[], $9::timestamptz[]
            )
            ON CONFLICT (account_id, collapse_key) DO UPDATE SET
                template = excluded.template,
                version = excluded.version,
                content = excluded.content,
                expires_at = CASE WHEN $10 THEN excluded.expires_at ELSE notifications.expires_at END,
                told_at = CASE WHEN $10 THEN excluded.told_at ELSE notifications.told_at END,
                read_at = CASE WHEN $10 THEN NULL ELSE notifications.read_at END
            WHERE $10 OR notifications.content <> excluded.content
            RETURNING id, account_id, xmax = 0 AS added
            """,  # noqa: S608
            [one.id for one in notifications],
            [one.account_id for one in notifications],
            [one.topic for one in notifications],
            [one.template for one in notifications],
            [one.version for one in notifications],
            [content.encode(one.content) for one in notifications],
            [one.collapse_key for one in notifications],
            [utc(one.told_at_ms) for one in notifications],
            [utc(one.expires_at_ms) for one in notifications],
            again,
        )
        return [Placed(NotificationId(row["id"]), AccountId(row["account_id"]), row["added"]) for row in rows]

    async def page(
        self, account_id: AccountId, now: datetime, *, after: Position | None, unread: bool, limit: int
    ) -> list[Notification]:
        """Newest first, from the one after `after` on; `unread`: only those. What has expired is not shown."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM notifications
            WHERE account_id = $1 AND expires_at > $2
              AND ($3::timestamptz IS NULL OR (told_at, id) < ($3, $4::uuid))
              AND (NOT $5 OR read_at IS NULL)
            ORDER BY told_at DESC, id DESC
            LIMIT $6
            """,  # noqa: S608
            account_id,
            now,
            None if after is None else utc(after.told_at_ms),
            None if after is None else after.id,
            unread,
            limit,
        )
        return [found for row in rows if (found := readable(row)) is not None]

    async def by_ids(self, notification_ids: Sequence[NotificationId]) -> list[Notification]:
        """These notifications, in no order; who is gone is left out."""
        rows = await self._tx.fetch(
            f"SELECT {_COLUMNS} FROM notifications WHERE id = ANY($1::uuid[])",  # noqa: S608
            notification_ids,
        )
        return [found for row in rows if (found := readable(row)) is not None]

    async def unread(self, account_id: AccountId, now: datetime) -> int:
        """How many are unread, at most `MAX_UNREAD`: from the index of unread ones alone."""
        count: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM (
                SELECT FROM notifications
                WHERE account_id = $1 AND read_at IS NULL AND expires_at > $2
                LIMIT $3
            ) AS counted
            """,
            account_id,
            now,
            MAX_UNREAD,
        )
        return count

    async def unread_of(self, account_ids: Sequence[AccountId], now: datetime) -> dict[AccountId, int]:
        """The same for many."""
        rows = await self._tx.fetch(
            """
            SELECT asked.id, (
                SELECT count(*) FROM (
                    SELECT FROM notifications
                    WHERE account_id = asked.id AND read_at IS NULL AND expires_at > $2
                    LIMIT $3
                ) AS counted
            ) AS unread
            FROM unnest($1::uuid[]) AS asked (id)
            """,
            account_ids,
            now,
            MAX_UNREAD,
        )
        return {AccountId(row["id"]): row["unread"] for row in rows}

    async def position(self, account_id: AccountId, notification_id: NotificationId) -> Position | None:
        """Where a notification of this account stands, None when it is not there."""
        told_at = await self._tx.fetchval(
            "SELECT told_at FROM notifications WHERE id = $1 AND account_id = $2", notification_id, account_id
        )
        return None if told_at is None else Position(to_wall_ms(told_at), notification_id)

    async def mark_read(
        self, account_id: AccountId, notification_ids: Sequence[NotificationId], at: datetime
    ) -> list[NotificationId]:
        """Mark these as read; those that were unread and this account's."""
        rows = await self._tx.fetch(
            """
            UPDATE notifications SET read_at = $3
            WHERE account_id = $1 AND id = ANY($2::uuid[]) AND read_at IS NULL
            RETURNING id
            """,
            account_id,
            notification_ids,
            at,
        )
        return [NotificationId(row["id"]) for row in rows]

    async def mark_read_up_to(
        self, account_id: AccountId, position: Position, at: datetime, limit: int
    ) -> list[NotificationId]:
        """Mark `limit` of those up to a position, itself included, as read; those that were unread."""
        rows = await self._tx.fetch(
            """
            UPDATE notifications SET read_at = $4
            WHERE id IN (
                SELECT id FROM notifications
                WHERE account_id = $1 AND (told_at, id) <= ($2, $3::uuid) AND read_at IS NULL
                ORDER BY told_at DESC, id DESC
                LIMIT $5
                FOR NO KEY UPDATE
            )
            RETURNING id
            """,
            account_id,
            utc(position.told_at_ms),
            position.id,
            at,
            limit,
        )
        return [NotificationId(row["id"]) for row in rows]

    async def prune(self, expired_before: datetime, limit: int) -> int:
        """Forget up to `limit` notifications that have expired, with their deliveries; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM notifications
            WHERE id IN (
                SELECT id FROM notifications
                WHERE expires_at < $1
                ORDER BY expires_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            expired_before,
            limit,
        )
        return int(status.split()[-1])


def readable(row: asyncpg.Record) -> Notification | None:
    """A notification from a row that has its columns; None for one that only a newer program than this can read, while
    both are running."""
    if row["topic"] not in TOPICS:
        return None
    read_at: datetime | None = row["read_at"]
    try:
        said = content.decode(row["content"])
    except msgspec.ValidationError:
        return None
    return Notification(
        id=NotificationId(row["id"]),
        account_id=AccountId(row["account_id"]),
        topic=row["topic"],
        template=row["template"],
        version=row["version"],
        content=said,
        collapse_key=row["collapse_key"],
        told_at_ms=to_wall_ms(row["told_at"]),
        expires_at_ms=to_wall_ms(row["expires_at"]),
        read_at_ms=None if read_at is None else to_wall_ms(read_at),
    )
