"""Who leads a class, and who was sent out of it."""

from collections.abc import Collection
from datetime import datetime

from persistence.database import Tx
from services.classes.leading import Out, Person
from services.classes.live_class import LiveClass
from services.classes.organised import Sitting
from services.classes.showing import Showing
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, ClassId, OrganisationId


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

    async def remove(self, class_id: ClassId, account_id: AccountId, by: AccountId | None, at: datetime) -> int | None:
        """A member is sent out, `by` None by staff: their `removals` from now on; None when they were out already."""
        removals: int | None = await self._tx.fetchval(
            """
            UPDATE class_members SET removed_at = $4, removed_by = $3, removals = removals + 1
            WHERE class_id = $1 AND account_id = $2 AND removed_at IS NULL
            RETURNING removals
            """,
            class_id,
            account_id,
            by,
            at,
        )
        return removals

    async def among_members(self, organisation_id: OrganisationId, accounts: Collection[AccountId]) -> list[Sitting]:
        """Who of these is in a class that goes on and is for members of this organisation only."""
        rows = await self._tx.fetch(
            """
            SELECT members.class_id, members.account_id, members.n
            FROM class_members AS members
            JOIN classes ON classes.id = members.class_id AND classes.ended_at IS NULL
            JOIN class_offers AS offers ON offers.id = members.class_id
            WHERE members.account_id = ANY ($2) AND members.removed_at IS NULL
                AND offers.terms ->> 'organisation' = $1::text AND offers.terms ->> 'members' = 'only'
            ORDER BY members.class_id, members.n
            """,
            str(organisation_id),
            list(accounts),
        )
        return [Sitting(ClassId(row["class_id"]), AccountId(row["account_id"]), row["n"]) for row in rows]

    async def out(self, class_id: ClassId, account_id: AccountId) -> Out | None:
        """By whom a member was sent out; None for who is not out."""
        row = await self._tx.fetchrow(
            "SELECT removed_by FROM class_members WHERE class_id = $1 AND account_id = $2 AND removed_at IS NOT NULL",
            class_id,
            account_id,
        )
        return None if row is None else Out(None if row["removed_by"] is None else AccountId(row["removed_by"]))

    async def let_in(self, class_id: ClassId, account_id: AccountId) -> int | None:
        """A member may come in again: their `removals` from now on; None when they were not out."""
        removals: int | None = await self._tx.fetchval(
            """
            UPDATE class_members SET removed_at = NULL, removed_by = NULL, removals = removals + 1
            WHERE class_id = $1 AND account_id = $2 AND removed_at IS NOT NULL
            RETURNING removals
            """,
            class_id,
            account_id,
        )
        return removals

    async def people(self, class_id: ClassId) -> list[Person]:
        """Everybody who is or was in a class, by number."""
        rows = await self._tx.fetch(
            """
            SELECT member.n, member.account_id, account.name, member.role, member.removed_at IS NOT NULL AS removed,
                'coach' = ANY (account.roles) AS is_coach, member.showing_mode, member.showing_alias,
                member.showing_revision, mute.account_id IS NOT NULL AS muted, mute.until AS muted_until
            FROM class_members AS member
            JOIN accounts AS account ON account.id = member.account_id
            LEFT JOIN class_mutes AS mute ON mute.class_id = member.class_id AND mute.account_id = member.account_id
            WHERE member.class_id = $1
            ORDER BY member.n
            """,
            class_id,
        )
        return [
            Person(
                n=row["n"],
                account_id=AccountId(row["account_id"]),
                name=row["name"],
                role=row["role"],
                is_coach=row["is_coach"],
                removed=row["removed"],
                muted=row["muted"],
                muted_until_ms=None if row["muted_until"] is None else to_wall_ms(row["muted_until"]),
                showing=Showing(row["showing_mode"], row["showing_alias"], row["showing_revision"]),
            )
            for row in rows
        ]

    async def account_of(self, class_id: ClassId, n: int) -> AccountId | None:
        """The member of this number, or None."""
        found = await self._tx.fetchval(
            "SELECT account_id FROM class_members WHERE class_id = $1 AND n = $2", class_id, n
        )
        return None if found is None else AccountId(found)
