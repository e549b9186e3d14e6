"""The SQL of mails about accounts, and of their deliveries.

What is counted by address is counted under an advisory lock of the address. No statement here looks at accounts before a mail
leaves: an address with one and an address without cost the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from persistence.lanes import wake
from services.accounts.account_mail import AccountMail, Pending, Says
from services.kernel import trace
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, AccountMailId, DeliveryId
from services.notifications.account_letter import Standing

_LOCK: Final = 0x2EF4


@dataclass(frozen=True)
class AddressedMail:
    """A mail that is about to leave, and how its address stands as of now; the language and time zone of the account that has it,
    or that the mail is about."""

    mail: AccountMail
    standing: Standing
    locale: str
    time_zone: str


class AccountMails:
    """The mails inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self, email: str) -> None:
        """Nobody else counts the mails to this address before this transaction ends."""
        await self._tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, email)

    async def asked_since(self, email: str, says: Says, since: datetime) -> list[int]:
        """When mails that say this to the address were asked for since an instant, ms since 1970, in order."""
        rows = await self._tx.fetch(
            "SELECT asked_at FROM account_mails WHERE email = $1 AND says = $2 AND asked_at > $3 ORDER BY asked_at",
            email,
            says,
            since,
        )
        return [to_wall_ms(row["asked_at"]) for row in rows]

    async def add(self, mail: AccountMail, at: datetime, until: datetime) -> None:
        """Store a mail, to be sent now. Of those that say the same about an account each stands behind the one before it,
        whichever node's clock is behind: an undo ends the later ones."""
        pending = mail.pending
        await self._tx.execute(
            """
            INSERT INTO account_mails (id, says, email, account_id, name, role, password_hash, asked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, greatest(
                $8::timestamptz,
                (SELECT max(asked_at) FROM account_mails WHERE account_id = $4 AND says = $2) + interval '1 millisecond'
            ))
            """,
            mail.id,
            mail.says,
            mail.email,
            mail.account_id,
            None if pending is None else pending.name,
            None if pending is None else pending.role,
            None if pending is None else pending.password_hash,
            at,
        )
        await self._tx.execute(
            """
            INSERT INTO deliveries
                (id, account_id, account_mail_id, channel, lane, urgent, state, due_at, made_at, changed_at, expires_at,
                 traceparent)
            VALUES ($1, $2, $1, 'email', 'email', true, 'waiting', $3, $3, $3, $4, $5)
            """,
            mail.id,  # one delivery of one mail: the same id
            mail.account_id,
            at,
            until,
            trace.traceparent(),
        )
        await wake(self._tx, "email")

    async def by_id(self, mail_id: AccountMailId) -> AccountMail | None:
        """The mail, whether its link is good or not."""
        row = await self._tx.fetchrow("SELECT * FROM account_mails WHERE id = $1", mail_id)
        return None if row is None else _mail(row)

    async def locked(self, mail_id: AccountMailId) -> AccountMail | None:
        """The mail; nobody else can use its link before this transaction ends."""
        row = await self._tx.fetchrow("SELECT * FROM account_mails WHERE id = $1 FOR NO KEY UPDATE", mail_id)
        return None if row is None else _mail(row)

    async def end(self, email: str, says: Says, at: datetime) -> None:
        """No link in a mail that says this to the address is good any more."""
        await self._tx.execute(
            "UPDATE account_mails SET ended_at = $3 WHERE email = $1 AND says = $2 AND ended_at IS NULL",
            email,
            says,
            at,
        )

    async def end_one(self, mail_id: AccountMailId, at: datetime) -> None:
        """The link in this mail is good no more."""
        await self._tx.execute("UPDATE account_mails SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", mail_id, at)

    async def open_of_account(self, account_id: AccountId, says: Says) -> list[AccountMail]:
        """The mails about this account that say this and were not ended; the time of some may be over."""
        rows = await self._tx.fetch(
            "SELECT * FROM account_mails WHERE account_id = $1 AND says = $2 AND ended_at IS NULL", account_id, says
        )
        return [_mail(row) for row in rows]

    async def end_of_account(
        self,
        account_id: AccountId,
        says: Sequence[Says],
        at: datetime,
        *,
        since: datetime | None = None,
        but: AccountMailId | None = None,
    ) -> None:
        """No link in a mail about this account that says one of these is good any more; with `since` none that was
        asked for then or later, with `but` none except that one."""
        await self._tx.execute(
            """
            UPDATE account_mails SET ended_at = $3
            WHERE account_id = $1 AND says = ANY ($2) AND ended_at IS NULL
                AND ($4::timestamptz IS NULL OR asked_at >= $4) AND id IS DISTINCT FROM $5::uuid
            """,
            account_id,
            list(says),
            at,
            since,
            but,
        )

    async def prune(self, before: datetime, undo_before: datetime, limit: int) -> int:
        """Forget up to `limit` mails that were asked for before an instant, those with `undo` before another, and their deliveries;
        how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM account_mails
            WHERE id IN (
                SELECT id FROM account_mails
                WHERE asked_at < $1 AND (says <> 'undo' OR asked_at < $2)
                ORDER BY asked_at
                LIMIT $3
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            undo_before,
            limit,
        )
        return int(status.split()[-1])


async def account_mails_of(tx: Tx, delivery_ids: Sequence[DeliveryId]) -> dict[DeliveryId, AddressedMail]:
    """What these deliveries carry, and who has the address as of now."""
    rows = await tx.fetch(
        """
        SELECT mail.*, deliveries.id AS delivery_id, there.id AS has_account,
               mail.email IS NOT DISTINCT FROM settings.dead_email AS dead,
               coalesce(settings.locale, 'en') AS locale, coalesce(settings.time_zone, 'UTC') AS time_zone
        FROM deliveries
        JOIN account_mails AS mail ON mail.id = deliveries.account_mail_id
        LEFT JOIN accounts AS there ON there.email = mail.email
        LEFT JOIN notification_settings AS settings ON settings.account_id = coalesce(mail.account_id, there.id)
        WHERE deliveries.id = ANY ($1::uuid[])
        """,
        delivery_ids,
    )
    return {
        DeliveryId(row["delivery_id"]): AddressedMail(_mail(row), _standing(row), row["locale"], row["time_zone"])
        for row in rows
    }


def _standing(row: asyncpg.Record) -> Standing:
    return Standing(
        has_account=row["has_account"] is not None,
        is_owner=row["account_id"] is not None and row["has_account"] == row["account_id"],
        ended=row["ended_at"] is not None,
        mailable=not row["email"].endswith(".invalid") and not row["dead"],
    )


def _mail(row: asyncpg.Record) -> AccountMail:
    pending = None
    if row["password_hash"] is not None:
        pending = Pending(row["name"], row["role"], row["password_hash"])
    return AccountMail(
        id=AccountMailId(row["id"]),
        says=row["says"],
        email=row["email"],
        asked_at_ms=to_wall_ms(row["asked_at"]),
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
        pending=pending,
        ended_at_ms=None if row["ended_at"] is None else to_wall_ms(row["ended_at"]),
    )
