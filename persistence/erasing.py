"""How what is about somebody goes: rows by the register, and their name where it stands in what others keep.

Each method does one bounded bite of something that may be done twice, and says how much that was; 0 means that nothing is left.
"""

import uuid
from datetime import datetime
from typing import Any, Final

import msgspec

from persistence.database import Tx
from persistence.personal_rows import about
from services.kernel.ids import AccountId, BookingId, ClassId, LoginId, SeriesId, TaskId
from services.privacy.entry import Blank, Blanked, Entry, Subject
from services.privacy.erasure import SOMEBODY

_BLANKS: Final = {
    Blank.NULL: "NULL",
    Blank.NO_TEXT: "''",
    Blank.NO_ELEMENTS: "'{}'",
    Blank.NO_TIME: "'epoch'",
    Blank.SOMEBODY: f"'{SOMEBODY}'",
    Blank.NO_ADDRESS: "'erased:' || id",
}


class Erasing:
    """What goes inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    # -- the account and its things --------------------------------------------------------------------------------------

    async def shut(self, account_id: AccountId, at: datetime, reason: str) -> list[LoginId]:
        """Take away all ways in: the address, the password, what opens it besides, links in mails, the roles, the logins;
        which logins were ended. The address is free."""
        await self._tx.execute(
            "UPDATE accounts SET email = 'erased:' || id, password_hash = '', roles = '{}' WHERE id = $1", account_id
        )
        for table in ("passkeys", "identities", "totps", "recovery_codes"):
            await self._tx.execute(f"DELETE FROM {table} WHERE account_id = $1", account_id)  # noqa: S608 - our names
        await self._tx.execute(
            "UPDATE account_mails SET ended_at = $2 WHERE account_id = $1 AND ended_at IS NULL", account_id, at
        )
        rows = await self._tx.fetch(
            """
            UPDATE logins SET ended_at = $2, end_reason = $3 WHERE account_id = $1 AND ended_at IS NULL
            RETURNING id
            """,
            account_id,
            at,
            reason,
        )
        await self._tx.execute(
            "DELETE FROM refresh_tokens WHERE login_id IN (SELECT id FROM logins WHERE account_id = $1)", account_id
        )
        return [LoginId(row["id"]) for row in rows]

    async def places(self, account_id: AccountId, now: datetime, limit: int) -> list[BookingId]:
        """Bookings of classes that have not begun."""
        rows = await self._tx.fetch(
            """
            SELECT booking.id FROM class_bookings AS booking JOIN class_offers AS offer ON offer.id = booking.class_id
            WHERE booking.account_id = $1 AND booking.state <> 'cancelled' AND offer.called_off_at IS NULL AND offer.starts_at > $2
            ORDER BY booking.id
            LIMIT $3
            """,
            account_id,
            now,
            limit,
        )
        return [BookingId(row["id"]) for row in rows]

    async def series(self, account_id: AccountId, limit: int) -> list[SeriesId]:
        """Series that go on."""
        rows = await self._tx.fetch(
            "SELECT id FROM class_series WHERE coach_id = $1 AND ended_at IS NULL LIMIT $2", account_id, limit
        )
        return [SeriesId(row["id"]) for row in rows]

    async def offers(self, account_id: AccountId, now: datetime, limit: int) -> list[ClassId]:
        """Classes on offer that have not begun."""
        rows = await self._tx.fetch(
            """
            SELECT id FROM class_offers WHERE coach_id = $1 AND called_off_at IS NULL AND starts_at > $2
            ORDER BY starts_at
            LIMIT $3
            """,
            account_id,
            now,
            limit,
        )
        return [ClassId(row["id"]) for row in rows]

    async def tasks(self, account_id: AccountId) -> list[TaskId]:
        """Long tasks, which may have made files."""
        rows = await self._tx.fetch("SELECT id FROM long_tasks WHERE account_id = $1", account_id)
        return [TaskId(row["id"]) for row in rows]

    # -- their name in what others keep ----------------------------------------------------------------------------------

    async def unname(self, account_id: AccountId, limit: int) -> int:
        """Take the name out of what others keep of up to `limit` classes; how many those were. A membership goes with it, so that
        the class is not found again."""
        rows = await self._tx.fetch(
            """
            SELECT member.class_id, member.n, classes.summary FROM class_members AS member
            JOIN classes ON classes.id = member.class_id
            WHERE member.account_id = $1
            ORDER BY member.class_id
            LIMIT $2
            FOR NO KEY UPDATE
            """,
            account_id,
            limit,
        )
        for row in rows:
            await self._unname(ClassId(row["class_id"]), row["n"], row["summary"])
            await self._tx.execute(
                "DELETE FROM class_members WHERE class_id = $1 AND account_id = $2", row["class_id"], account_id
            )
        return len(rows)

    async def _unname(self, class_id: ClassId, n: int, summary: str | None) -> None:
        if summary is None:
            return
        said: dict[str, Any] = msgspec.json.decode(summary)
        line = next((line for line in said["standings"] if line["n"] == n), None)
        if line is None:
            return
        place = {"rank": line["rank"], "name": line["name"]}
        line["name"] = SOMEBODY
        await self._tx.execute(
            "UPDATE classes SET summary = $2 WHERE id = $1", class_id, msgspec.json.encode(said).decode()
        )
        await self._unname_deliveries(class_id, n)
        await self._unname_notifications(class_id, place)

    async def _unname_deliveries(self, class_id: ClassId, n: int) -> None:
        rows = await self._tx.fetch(
            """
            SELECT delivery.id, delivery.body FROM webhook_deliveries AS delivery
            JOIN webhook_endpoints AS endpoint ON endpoint.id = delivery.endpoint_id
            WHERE endpoint.account_id = (SELECT coach_id FROM classes WHERE id = $1)
                AND delivery.event = 'class.summarised' AND delivery.subject LIKE '%' || $1::text || '%'
            FOR NO KEY UPDATE OF delivery
            """,
            class_id,
        )
        for row in rows:
            said: dict[str, Any] = msgspec.json.decode(row["body"])
            for line in said["data"]["standings"]:
                if line["n"] == n and line["name"] is not None:
                    line["name"] = SOMEBODY
            await self._tx.execute(
                "UPDATE webhook_deliveries SET body = $2 WHERE id = $1", row["id"], msgspec.json.encode(said)
            )

    async def _unname_notifications(self, class_id: ClassId, place: dict[str, Any]) -> None:
        rows = await self._tx.fetch(
            """
            SELECT id, content FROM notifications
            WHERE account_id IN (SELECT account_id FROM class_members WHERE class_id = $1)
                AND topic = 'class.summarised' AND content ->> 'class_id' = $1::text
                AND content -> 'top' @> $2::jsonb
            FOR NO KEY UPDATE
            """,
            class_id,
            msgspec.json.encode([place]).decode(),
        )
        for row in rows:
            said: dict[str, Any] = msgspec.json.decode(row["content"])
            for line in said["top"]:
                if line["rank"] == place["rank"] and line["name"] == place["name"]:
                    line["name"] = SOMEBODY
            await self._content(row["id"], said)

    async def unname_coach(self, account_id: AccountId, limit: int) -> int:
        """The same in up to `limit` notifications that name somebody as a coach, or as who has appealed."""
        rows = await self._tx.fetch(
            """
            SELECT id, content FROM notifications
            WHERE account_id IN (
                    SELECT member.account_id FROM class_members AS member JOIN classes ON classes.id = member.class_id
                    WHERE classes.coach_id = $1
                    UNION
                    SELECT booking.account_id FROM class_bookings AS booking JOIN class_offers AS offer ON offer.id =
                    booking.class_id WHERE offer.coach_id = $1
                )
                AND content ? 'coach_name' AND content ->> 'coach_name' <> $3
                AND content ->> 'class_id' IN (
                    SELECT id::text FROM classes WHERE coach_id = $1 UNION SELECT id::text FROM class_offers WHERE coach_id = $1
                )
            LIMIT $2
            FOR NO KEY UPDATE
            """,
            account_id,
            limit,
            SOMEBODY,
        )
        for row in rows:
            await self._content(
                row["id"], msgspec.json.decode(row["content"], type=dict[str, Any]) | {"coach_name": SOMEBODY}
            )
        return len(rows)

    async def unname_appeals(self, account_id: AccountId, limit: int) -> int:
        """The same in up to `limit` notifications that an appeal waits."""
        rows = await self._tx.fetch(
            """
            SELECT id, content FROM notifications
            WHERE topic = 'appeal.waiting' AND content ->> 'name' <> $3
                AND content ->> 'workout_id' IN (SELECT workout_id::text FROM verdicts WHERE account_id = $1)
            LIMIT $2
            FOR NO KEY UPDATE
            """,
            account_id,
            limit,
            SOMEBODY,
        )
        for row in rows:
            await self._content(
                row["id"], msgspec.json.decode(row["content"], type=dict[str, Any]) | {"name": SOMEBODY}
            )
        return len(rows)

    async def unname_friends(self, account_id: AccountId, limit: int) -> int:
        """The same in up to `limit` notifications that they ask, or have said yes, to be friends."""
        rows = await self._tx.fetch(
            """
            SELECT id, content FROM notifications
            WHERE topic IN ('friend.asked', 'friend.made') AND content ->> 'account_id' = $1::text
                AND content ->> 'name' <> $3
            LIMIT $2
            FOR NO KEY UPDATE
            """,
            str(account_id),
            limit,
            SOMEBODY,
        )
        for row in rows:
            await self._content(
                row["id"], msgspec.json.decode(row["content"], type=dict[str, Any]) | {"name": SOMEBODY}
            )
        return len(rows)

    async def _content(self, notification_id: uuid.UUID, said: dict[str, Any]) -> None:
        await self._tx.execute(
            "UPDATE notifications SET content = $2 WHERE id = $1", notification_id, msgspec.json.encode(said).decode()
        )

    # -- rows, by the register -------------------------------------------------------------------------------------------

    async def delete(self, entry: Entry, subject: Subject, account_id: AccountId, limit: int) -> int:
        """Delete up to `limit` rows about somebody; how many they were."""
        status: str = await self._tx.execute(
            f"""
            DELETE FROM {entry.table} WHERE ctid IN (
                SELECT {entry.table}.ctid FROM {entry.table} WHERE {about(entry, subject)} LIMIT $2
            )
            """,  # noqa: S608 - names of columns
            account_id,
            limit,
        )
        return int(status.split()[-1])

    async def blank(self, entry: Entry, subject: Subject, blanked: Blanked, account_id: AccountId) -> None:
        """Blank the rows about somebody that others need."""
        to = ", ".join(f"{column} = {_BLANKS[blank]}" for column, blank in blanked.blanks.items())
        await self._tx.execute(
            f"UPDATE {entry.table} SET {to} WHERE {about(entry, subject)}",  # noqa: S608 - names of columns
            account_id,
        )
