"""The SQL of what operators say to many: to everybody with an account, or to the members of one class."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.kernel.ids import AccountId, AnnouncementId, ClassId
from services.notifications import content
from services.notifications.announcement import Announcement
from services.notifications.content import AnnouncementContent


class Announcements:
    """The announcements inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, announcement: Announcement, at: datetime) -> None:
        """Store a new one."""
        await self._tx.execute(
            "INSERT INTO announcements (id, content, class_id, subject, made_at) VALUES ($1, $2, $3, $4, $5)",
            announcement.id,
            content.encode(announcement.content),
            announcement.class_id,
            announcement.subject,
            at,
        )

    async def locked(self, announcement_id: AnnouncementId) -> Announcement | None:
        """The announcement, or None. Locked together with all of the same subject for the same people, so that of two that are
        told at once the earlier one never takes the later one's place."""
        rows = await self._tx.fetch(
            """
            SELECT alike.* FROM announcements AS this
            JOIN announcements AS alike
              ON alike.subject = this.subject AND alike.class_id IS NOT DISTINCT FROM this.class_id
            WHERE this.id = $1
            ORDER BY alike.made_at, alike.id
            FOR NO KEY UPDATE OF alike
            """,
            announcement_id,
        )
        row = next((row for row in rows if row["id"] == announcement_id), None)
        if row is None:
            return None
        said = content.decode(row["content"])
        if not isinstance(said, AnnouncementContent):
            raise TypeError(f"announcement {announcement_id} says {type(said).__name__}")
        return Announcement(
            id=AnnouncementId(row["id"]),
            content=said,
            class_id=None if row["class_id"] is None else ClassId(row["class_id"]),
            subject=row["subject"],
            told=row["told"],
            superseded=rows[-1]["id"] != announcement_id,
        )

    async def audience(self, class_id: ClassId | None, after: AccountId | None, limit: int) -> list[AccountId]:
        """Whom it is for, in the order of their ids, from the one after `after` on."""
        if class_id is None:
            rows = await self._tx.fetch(
                """
                SELECT id FROM accounts WHERE ($1::uuid IS NULL OR id > $1) AND roles <> '{}' ORDER BY id LIMIT $2
                """,
                after,
                limit,
            )
        else:
            rows = await self._tx.fetch(
                """
                SELECT account_id AS id FROM class_members
                WHERE class_id = $3 AND ($1::uuid IS NULL OR account_id > $1)
                ORDER BY account_id
                LIMIT $2
                """,
                after,
                limit,
                class_id,
            )
        return [AccountId(row["id"]) for row in rows]

    async def audience_size(self, class_id: ClassId | None) -> int:
        """How many people that is."""
        count: int = await self._tx.fetchval(
            "SELECT count(*) FROM class_members WHERE class_id = $1"
            if class_id is not None
            else "SELECT count(*) FROM accounts WHERE $1::uuid IS NULL AND roles <> '{}'",
            class_id,
        )
        return count

    async def told(self, announcement_id: AnnouncementId, people: int, *, finished_at: datetime | None) -> None:
        """So many more people have been told; with `finished_at`, nobody is left."""
        await self._tx.execute(
            "UPDATE announcements SET told = told + $2, finished_at = coalesce($3, finished_at) WHERE id = $1",
            announcement_id,
            people,
            finished_at,
        )

    async def latest(self, limit: int) -> Sequence[tuple[AnnouncementId, str, int, datetime, datetime | None]]:
        """The newest ones for operators: id, title, people told, when it was made, when everybody had been told."""
        rows = await self._tx.fetch(
            """
            SELECT id, content ->> 'title' AS title, told, made_at, finished_at FROM announcements
            ORDER BY made_at DESC LIMIT $1
            """,
            limit,
        )
        return [
            (AnnouncementId(row["id"]), row["title"], row["told"], row["made_at"], row["finished_at"]) for row in rows
        ]
