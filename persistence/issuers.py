"""The SQL of what issuers publish: their metadata and keys, and whose turn it is to be read again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from persistence.database import Tx
from persistence.sign_ins import CHANNEL
from services.accounts.sign_in_ports import IssuerDocuments
from services.kernel.clock import to_wall_ms, utc


class Issuers:
    """Issuers inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def of(self, issuers: Sequence[str]) -> list[IssuerDocuments]:
        """The documents of those that were read once."""
        rows = await self._tx.fetch(
            "SELECT issuer, metadata, keys, fetched_at FROM issuers WHERE issuer = ANY ($1) AND fetched_at IS NOT NULL",
            list(issuers),
        )
        return [
            IssuerDocuments(row["issuer"], row["metadata"], row["keys"], to_wall_ms(row["fetched_at"])) for row in rows
        ]

    async def want(self, issuer: str, wanted_ms: int) -> None:
        """Somebody needs them newer than they are. A worker is woken at the commit."""
        await self._tx.execute(
            """
            INSERT INTO issuers (issuer, wanted_at) VALUES ($1, $2)
            ON CONFLICT (issuer) DO UPDATE SET wanted_at = greatest(issuers.wanted_at, excluded.wanted_at)
            """,
            issuer,
            utc(wanted_ms),
        )
        await self._tx.execute("SELECT pg_notify($1, '')", CHANNEL)

    async def take_due(
        self, issuers: Sequence[str], now: datetime, *, every: timedelta, at_most_every: timedelta
    ) -> list[str]:
        """Those of these issuers whose documents are old, or wanted newer, and that nobody has asked for a while; they are noted as
        asked now."""
        await self._tx.execute(
            "INSERT INTO issuers (issuer) SELECT unnest($1::text[]) ON CONFLICT (issuer) DO NOTHING", list(issuers)
        )
        rows = await self._tx.fetch(
            """
            UPDATE issuers SET tried_at = $2
            WHERE issuer IN (
                SELECT issuer FROM issuers
                WHERE issuer = ANY ($1)
                  AND (tried_at IS NULL OR tried_at <= $3)
                  AND (fetched_at IS NULL OR fetched_at <= $4 OR wanted_at > fetched_at)
                ORDER BY issuer FOR UPDATE SKIP LOCKED
            )
            RETURNING issuer
            """,
            list(issuers),
            now,
            now - at_most_every,
            now - every,
        )
        return [row["issuer"] for row in rows]

    async def save(self, documents: IssuerDocuments) -> None:
        """What was just read."""
        await self._tx.execute(
            "UPDATE issuers SET metadata = $2, keys = $3, fetched_at = $4 WHERE issuer = $1",
            documents.issuer,
            documents.metadata,
            documents.keys,
            utc(documents.fetched_ms),
        )
