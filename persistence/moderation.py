"""What was decided about the talk of a class: who may not speak there, and who has said so."""

from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ClassId, DecisionId
from services.social.moderation import Decision, Mute

MOST_REMOVED: Final = 4_096
"""Removals that a node knows of a class: eight times what a log holds."""


class Moderation:
    """The decisions inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def mutes(self, class_id: ClassId) -> dict[AccountId, Mute]:
        """Everybody who was muted in a class and not unmuted; mutes that have run out among them."""
        rows = await self._tx.fetch("SELECT account_id, until FROM class_mutes WHERE class_id = $1", class_id)
        return {
            AccountId(row["account_id"]): Mute(None if row["until"] is None else to_wall_ms(row["until"]))
            for row in rows
        }

    async def mute(self, class_id: ClassId, account_id: AccountId, mute: Mute) -> None:
        """Keep a mute in place of an earlier one."""
        await self._tx.execute(
            """
            INSERT INTO class_mutes (class_id, account_id, until) VALUES ($1, $2, $3)
            ON CONFLICT (class_id, account_id) DO UPDATE SET until = excluded.until
            """,
            class_id,
            account_id,
            None if mute.until_ms is None else utc(mute.until_ms),
        )

    async def unmute(self, class_id: ClassId, account_id: AccountId) -> None:
        """Forget a mute."""
        await self._tx.execute("DELETE FROM class_mutes WHERE class_id = $1 AND account_id = $2", class_id, account_id)

    async def removed(self, class_id: ClassId) -> set[str]:
        """Where the messages stood that were taken down in a class: the last ones, more than a log holds."""
        rows = await self._tx.fetch(
            "SELECT position FROM chat_removals WHERE class_id = $1 ORDER BY removed_at DESC LIMIT $2",
            class_id,
            MOST_REMOVED,
        )
        return {row["position"] for row in rows}

    async def remove(
        self, class_id: ClassId, position: str, author: AccountId | None, text: str, by: AccountId, at: datetime
    ) -> bool:
        """Keep a message that is taken down; False when it was before."""
        status: str = await self._tx.execute(
            """
            INSERT INTO chat_removals (class_id, position, account_id, text, removed_by, removed_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING
            """,
            class_id,
            position,
            author,
            text,
            by,
            at,
        )
        return status.endswith(" 1")

    async def note(self, id: DecisionId, class_id: ClassId, decision: Decision, at: datetime) -> None:
        """Write down what was decided, for whoever asks later."""
        await self._tx.execute(
            """
            INSERT INTO chat_decisions (id, class_id, decided_by, about, decision, until, position, decided_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            id,
            class_id,
            decision.by,
            decision.about,
            decision.what,
            None if decision.until_ms is None else utc(decision.until_ms),
            decision.position,
            at,
        )
