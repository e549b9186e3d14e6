"""The SQL of the keys that sign access tokens."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from persistence.database import Tx
from services.accounts.keyring import RingKey
from services.accounts.ports import StoredKey
from services.kernel.clock import to_wall_ms, utc

_LOCK: Final = 0x5163


class SigningKeys:
    """The keys inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self) -> None:
        """Nobody else changes keys before this transaction ends."""
        await self._tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)

    async def all(self) -> list[StoredKey]:
        """Every key there is, also those that have retired, in the order in which they sign."""
        rows = await self._tx.fetch("SELECT * FROM signing_keys ORDER BY signs_from, kid")
        return [
            StoredKey(
                place=RingKey(row["kid"], to_wall_ms(row["signs_from"]), _ms(row["retires_at"])),
                public=row["public"],
                sealed=row["sealed"],
            )
            for row in rows
        ]

    async def begin(self, first: StoredKey, at: datetime) -> None:
        """Store the key that a node begins with, unless it is there: when it retires has been said, and stays."""
        await self._tx.execute(
            """
            INSERT INTO signing_keys (kid, public, sealed, signs_from, retires_at, made_at)
            VALUES ($1, $2, NULL, $3, NULL, $4)
            ON CONFLICT (kid) DO NOTHING
            """,
            first.place.kid,
            first.public,
            utc(first.place.signs_from_ms),
            at,
        )

    async def save(self, keys: Iterable[StoredKey], made_at: datetime) -> None:
        """Store new keys, and the places in time of those that are there."""
        for key in keys:
            place = key.place
            await self._tx.execute(
                """
                INSERT INTO signing_keys (kid, public, sealed, signs_from, retires_at, made_at)
                VALUES ($1, $2, $3, $4, $5, $6)
                ON CONFLICT (kid) DO UPDATE SET retires_at = excluded.retires_at
                """,
                place.kid,
                key.public,
                key.sealed,
                utc(place.signs_from_ms),
                None if place.retires_ms is None else utc(place.retires_ms),
                made_at,
            )

    async def forget(self, retired_before: datetime) -> int:
        """Delete the keys that retired before then; how many. The one of the installation stays, or it would be believed again."""
        rows = await self._tx.fetch(
            "DELETE FROM signing_keys WHERE retires_at < $1 AND sealed IS NOT NULL RETURNING kid", retired_before
        )
        return len(rows)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_wall_ms(at)
