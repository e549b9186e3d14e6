"""Who leads a class, and who was sent out of it."""

from datetime import datetime

from persistence.database import Tx
from services.classes.live_class import LiveClass
from services.kernel.ids import AccountId, ClassId


class Leading:
    """See the module; inside one transaction. Whoever writes holds the lock of the class."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    async def save(self, live: LiveClass, at: datetime) -> None:
        """Keep who leads the class now. Its co-coaches are members of it; who was in it as a coach and leads no longer, watches."""
        await self._tx.execute(
            "UPDATE classes SET coach_id = $2, coaches_n = $3 WHERE id = $1", live.id, live.coach_id, live.coaches_n
        )
        await self._tx.execute(
            """
            UPDATE class_members
            SET co_coach_since = CASE WHEN account_id = ANY ($2) THEN coalesce(co_coach_since, $3) END,
                role = CASE WHEN role = 'coach' AND account_id <> ALL ($2 || $4::uuid) THEN 'spectator' ELSE role END
            WHERE class_id = $1 AND (co_coach_since IS NOT NULL OR account_id = ANY ($2) OR role = 'coach')
            """,
            live.id,
            list(live.co_coach_ids),
            at,
            live.coach_id,
        )

    async def remove(self, class_id: ClassId, account_id: AccountId, by: AccountId, at: datetime) -> bool:
        """A member is sent out for good; False when they were already."""
        status: str = await self._tx.execute(
            """
            UPDATE class_members SET removed_at = $4, removed_by = $3
            WHERE class_id = $1 AND account_id = $2 AND removed_at IS NULL
            """,
            class_id,
            account_id,
            by,
            at,
        )
        return status.endswith(" 1")

    async def account_of(self, class_id: ClassId, n: int) -> AccountId | None:
        """The member of this number, or None."""
        found = await self._tx.fetchval(
            "SELECT account_id FROM class_members WHERE class_id = $1 AND n = $2", class_id, n
        )
        return None if found is None else AccountId(found)
