"""The SQL of questions whether somebody agrees to be told: one table for mail addresses (contacts.py), one for telephone numbers
(contact_phones.py).

What is asked and changed about an account's contact happens under the lock of its row in `accounts`, so that two requests at once
count each other's questions. What is counted by address is done under an advisory lock of the address. Where was asked lies sealed
under the key of the account; equal addresses are found by their index, or, as long as they lie open, as they are.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from persistence.database import Tx
from persistence.sealing import Sealing
from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId
from services.privacy.vault import Field


class Asked(NamedTuple):
    """A table of questions: where the address lies open, the index by which it is found sealed, and the number of its lock."""

    address: str
    found_by: Field
    lock: int

    @property
    def same(self) -> str:
        """SQL: whether a row was asked at the address $2, of which the indexes are $3."""
        return f"({self.address} = $2 OR {self.found_by.column} = ANY($3::bytea[]))"


class Questions:
    """The questions of one table inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing, asked: Asked) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing
        self._asked: Final = asked
        self._table: Final = asked.found_by.table

    async def lock(self, account_id: AccountId, address: str | None = None) -> None:
        """Nobody else changes this account's contact, or counts the questions that went to this address, before this transaction
        ends."""
        await self._tx.execute("SELECT FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)
        if address is not None:
            await self._tx.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", self._asked.lock, address)

    async def refused(self, account_id: AccountId, address: str) -> bool:
        """Whether whoever reads this address has ever said no to this account."""
        found: bool = await self._tx.fetchval(
            f"""
            SELECT EXISTS (
                SELECT FROM {self._table} WHERE account_id = $1 AND {self._asked.same} AND refused_at IS NOT NULL
            )
            """,  # noqa: S608 - names of columns
            account_id,
            address,
            self._indexes(address),
        )
        return found

    async def asked_since(self, account_id: AccountId, address: str, since: datetime) -> tuple[list[int], list[int]]:
        """When was asked since an instant, in order: by the account, and at the address, whoever asked."""
        rows = await self._tx.fetch(
            f"""
            SELECT asked_at, account_id = $1 AS by_account, {self._asked.same} AS to_address FROM {self._table}
            WHERE (account_id = $1 OR {self._asked.same}) AND asked_at > $4
            ORDER BY asked_at
            """,  # noqa: S608 - names of columns
            account_id,
            address,
            self._indexes(address),
            since,
        )
        return (
            [to_wall_ms(row["asked_at"]) for row in rows if row["by_account"]],
            [to_wall_ms(row["asked_at"]) for row in rows if row["to_address"]],
        )

    async def replace(self, account_id: AccountId, at: datetime) -> None:
        """The account has named nobody any more."""
        await self._tx.execute(
            f"UPDATE {self._table} SET replaced_at = $2 WHERE account_id = $1 AND replaced_at IS NULL",  # noqa: S608
            account_id,
            at,
        )

    async def agree(self, question_id: UUID, at: datetime) -> None:
        """They have said yes."""
        await self._tx.execute(f"UPDATE {self._table} SET agreed_at = $2 WHERE id = $1", question_id, at)  # noqa: S608

    async def died(self, question_id: UUID, at: datetime) -> None:
        """Whoever carries letters has said that nobody lives at the address."""
        await self._tx.execute(
            f"UPDATE {self._table} SET dead_at = $2 WHERE id = $1 AND dead_at IS NULL",  # noqa: S608
            question_id,
            at,
        )

    async def _refuse(self, account_id: AccountId, address: str, at: datetime) -> None:
        await self._tx.execute(
            f"""
            UPDATE {self._table} SET refused_at = $4
            WHERE account_id = $1 AND {self._asked.same} AND refused_at IS NULL
            """,  # noqa: S608 - names of columns
            account_id,
            address,
            self._indexes(address),
            at,
        )

    def _indexes(self, address: str) -> Sequence[bytes]:
        return self._sealing.indexes(self._asked.found_by, address)


class Answers(NamedTuple):
    """How it stands with a question, in ms since 1970."""

    asked_at_ms: int
    agreed_at_ms: int | None
    refused_at_ms: int | None
    dead_at_ms: int | None
    replaced_at_ms: int | None


def answers_of(row: asyncpg.Record) -> Answers:
    """How it stands with the question in a row."""
    return Answers(
        to_wall_ms(row["asked_at"]),
        _ms(row["agreed_at"]),
        _ms(row["refused_at"]),
        _ms(row["dead_at"]),
        _ms(row["replaced_at"]),
    )


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_wall_ms(instant)
