"""The SQL of telephone numbers and of the codes that prove them.

What is asked and changed about an account's number happens under the lock of its row in `accounts`, so that two requests at once
count each other's codes and guesses. What is counted by number is done under an advisory lock of the number. Numbers lie
sealed under the key of the account; equal ones are found by their index, or, as long as they lie open, as they are.
"""

from datetime import datetime
from typing import Final, Literal

import asyncpg

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, PhoneCheckId
from services.notifications.phone import Phone, PhoneCheck
from services.privacy.vault import Field

NUMBER: Final = Field("phones", "sealed")
NUMBER_INDEX: Final = Field("phones", "number_index")
CHECK_NUMBER: Final = Field("phone_checks", "sealed")
CHECK_NUMBER_INDEX: Final = Field("phone_checks", "number_index")
_LOCK: Final = 0x2EF2


class Phones:
    """The numbers inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def lock(self, account_id: AccountId, number: str | None = None) -> None:
        """Nobody else changes this account's number, or counts the codes that went to this number, before this transaction ends."""
        await self._tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        if number is not None:
            await self._tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK, number)

    async def of(self, account_id: AccountId) -> Phone | None:
        """The account's number that was proved."""
        row = await self._tx.fetchrow(
            f"""
            SELECT number, sealed, verified_at, dead_at, {data_key_of("phones.account_id")} AS data_key
            FROM phones WHERE account_id = $1 AND verified_at IS NOT NULL
            """,  # noqa: S608 - names of columns
            account_id,
        )
        if row is None:
            return None
        dead_at: datetime | None = row["dead_at"]
        number = self._sealing.text(account_id, row["data_key"], NUMBER, row["number"], row["sealed"])
        return Phone(number, to_wall_ms(row["verified_at"]), None if dead_at is None else to_wall_ms(dead_at))

    async def check(self, account_id: AccountId) -> PhoneCheck | None:
        """The check that has not ended, if there is one; its code may have expired."""
        row = await self._tx.fetchrow(
            f"""
            SELECT phone_checks.*, deliveries.state, {data_key_of("phone_checks.account_id")} AS data_key FROM phone_checks
            LEFT JOIN deliveries ON deliveries.phone_check_id = phone_checks.id
            WHERE phone_checks.account_id = $1 AND ended_at IS NULL
            """,  # noqa: S608 - names of columns
            account_id,
        )
        if row is None:
            return None
        return _check(row, self._sealing.text(account_id, row["data_key"], CHECK_NUMBER, row["number"], row["sealed"]))

    async def codes_since(self, account_id: AccountId, number: str, since: datetime) -> tuple[list[int], list[int]]:
        """When codes were made since an instant, in order: for the account, and for the number, whoever asked."""
        rows = await self._tx.fetch(
            """
            SELECT made_at, account_id = $1 AS by_account, number = $2 OR number_index = ANY($4::bytea[]) AS to_number
            FROM phone_checks
            WHERE (account_id = $1 OR number = $2 OR number_index = ANY($4::bytea[])) AND made_at > $3
            ORDER BY made_at
            """,
            account_id,
            number,
            since,
            self._sealing.indexes(CHECK_NUMBER_INDEX, number),
        )
        return (
            [to_wall_ms(row["made_at"]) for row in rows if row["by_account"]],
            [to_wall_ms(row["made_at"]) for row in rows if row["to_number"]],
        )

    async def begin(self, check: PhoneCheck) -> None:
        """A new check takes the place of one that has not ended."""
        await self._tx.execute(
            "UPDATE phone_checks SET ended_at = $2, ended = 'replaced' WHERE account_id = $1 AND ended_at IS NULL",
            check.account_id,
            utc(check.made_at_ms),
        )
        sealed = await self._sealing.seal(check.account_id, CHECK_NUMBER, check.number.encode())
        await self._tx.execute(
            """
            INSERT INTO phone_checks (id, account_id, number, sealed, number_index, made_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            check.id,
            check.account_id,
            check.number if sealed is None else None,
            sealed,
            self._sealing.index(CHECK_NUMBER_INDEX, check.number),
            utc(check.made_at_ms),
            utc(check.expires_at_ms),
        )

    async def guessed_wrong(self, check_id: PhoneCheckId) -> None:
        """Somebody typed something else."""
        await self._tx.execute("UPDATE phone_checks SET wrong = wrong + 1 WHERE id = $1", check_id)

    async def end(
        self, check_id: PhoneCheckId, how: Literal["confirmed", "used_up", "withdrawn"], at: datetime
    ) -> None:
        """Its code is good for nothing any more, and does not leave if it still waits."""
        await self._tx.execute("UPDATE phone_checks SET ended_at = $2, ended = $3 WHERE id = $1", check_id, at, how)

    async def release(self, number: str, keeper: AccountId) -> list[AccountId]:
        """The number is no other account's than `keeper`'s; whose it was."""
        rows = await self._tx.fetch(
            """
            DELETE FROM phones WHERE (number = $1 OR number_index = ANY($3::bytea[])) AND account_id <> $2
            RETURNING account_id
            """,
            number,
            keeper,
            self._sealing.indexes(NUMBER_INDEX, number),
        )
        return [AccountId(row["account_id"]) for row in rows]

    async def forget(self, account_id: AccountId) -> None:
        """The account has no number."""
        await self._tx.execute("DELETE FROM phones WHERE account_id = $1", account_id)

    async def prune_checks(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` checks that were made before an instant, and what was sent for them; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM phone_checks
            WHERE id IN (
                SELECT id FROM phone_checks
                WHERE made_at < $1
                ORDER BY made_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _check(row: asyncpg.Record, number: str) -> PhoneCheck:
    return PhoneCheck(
        id=PhoneCheckId(row["id"]),
        account_id=AccountId(row["account_id"]),
        number=number,
        made_at_ms=to_wall_ms(row["made_at"]),
        expires_at_ms=to_wall_ms(row["expires_at"]),
        wrong=row["wrong"],
        message=_message(row["state"]),
    )


def _message(state: str | None) -> Literal["waiting", "sent", "failed"]:
    match state:
        case "sent" | "delivered" | "in_doubt":
            return "sent"
        case "waiting" | "sending":
            return "waiting"
        case _:
            return "failed"
