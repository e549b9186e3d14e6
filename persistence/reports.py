"""Messages of a class's chat that were reported."""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, ClassId, ReportId
from services.social.reports import Reported, ReportReason, ReportView, Verdict, WaitingReport


class Reports:
    """The reports inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(
        self,
        id: ReportId,
        class_id: ClassId,
        *,
        position: str,
        n: int,
        about: AccountId | None,
        text: str,
        reason: ReportReason,
        by: AccountId,
        at: datetime,
    ) -> None:
        """Keep a report; one by the same person about the same message stays as it is. What was decided about the message holds for
        it, too."""
        await self._tx.execute(
            """
            INSERT INTO chat_reports
                (id, class_id, position, n, about, text, reason, reported_by, reported_at, verdict, decided_by, decided_at)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, earlier.verdict, earlier.decided_by, earlier.decided_at
            FROM (SELECT 1) AS one LEFT JOIN LATERAL (
                SELECT verdict, decided_by, decided_at FROM chat_reports
                WHERE class_id = $2 AND position = $3 AND verdict IS NOT NULL
                LIMIT 1
            ) AS earlier ON true
            ON CONFLICT (class_id, position, reported_by) DO NOTHING
            """,
            id,
            class_id,
            position,
            n,
            about,
            text,
            reason,
            by,
            at,
        )

    async def views(self, class_id: ClassId, *, undecided: bool, limit: int) -> list[ReportView]:
        """The reports of a class, those that nobody has decided about first, and the oldest of them."""
        rows = await self._tx.fetch(
            """
            SELECT report.*, accounts.name AS decider
            FROM chat_reports AS report LEFT JOIN accounts ON accounts.id = report.decided_by
            WHERE report.class_id = $1 AND (report.verdict IS NULL OR NOT $2)
            ORDER BY report.verdict IS NOT NULL, report.id
            LIMIT $3
            """,
            class_id,
            undecided,
            limit,
        )
        return [_view(row, row["decider"]) for row in rows]

    async def waiting_for(self, account_id: AccountId, limit: int) -> list[WaitingReport]:
        """The reports that nobody has decided about, in all classes that somebody leads, the oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT report.*, classes.title
            FROM (
                SELECT id FROM classes WHERE coach_id = $1
                UNION
                SELECT class_id FROM class_members WHERE account_id = $1 AND co_coach_since IS NOT NULL
            ) AS led
            JOIN chat_reports AS report ON report.class_id = led.id AND report.verdict IS NULL
            JOIN classes ON classes.id = led.id
            ORDER BY report.id
            LIMIT $2
            """,
            account_id,
            limit,
        )
        return [WaitingReport(ClassId(row["class_id"]), row["title"], _view(row, None)) for row in rows]

    async def lock(self, class_id: ClassId, report_id: ReportId) -> Reported | None:
        """A report, its row locked until the transaction ends (FOR NO KEY UPDATE)."""
        row = await self._tx.fetchrow(
            """
            SELECT id, position, about, text, verdict FROM chat_reports WHERE class_id = $1 AND id = $2
            FOR NO KEY UPDATE
            """,
            class_id,
            report_id,
        )
        return None if row is None else Reported(ReportId(row["id"]), *tuple(row)[1:])

    async def decide(self, class_id: ClassId, position: str, verdict: Verdict, by: AccountId, at: datetime) -> None:
        """Write a decision on all reports of a message about which nobody has decided."""
        await self._tx.execute(
            """
            UPDATE chat_reports SET verdict = $3, decided_by = $4, decided_at = $5
            WHERE class_id = $1 AND position = $2 AND verdict IS NULL
            """,
            class_id,
            position,
            verdict,
            by,
            at,
        )


def _view(row: asyncpg.Record, decider: str | None) -> ReportView:
    return ReportView(
        ReportId(row["id"]),
        row["position"],
        row["n"],
        row["text"],
        row["reason"],
        to_wall_ms(row["reported_at"]),
        row["verdict"],
        decider,
        None if row["decided_at"] is None else to_wall_ms(row["decided_at"]),
    )
