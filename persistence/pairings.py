"""The SQL of screens that ask to be let in. A row is locked by whoever changes it; new ones are counted under an advisory lock."""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.accounts.pairing import Pairing
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import ClassId

_LOCK: Final = 0x2EF5


class Pairings:
    """The pairings inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def full_until(self, most: int, now_ms: int) -> int | None:
        """When the first of those there are runs out, if that is as many as may be; None while there is room for one more, which
        nobody else takes before this transaction ends."""
        await self._tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        row = await self._tx.fetchrow(
            "SELECT count(*) AS n, min(expires_at) AS first FROM pairings WHERE expires_at > $1", utc(now_ms)
        )
        return None if row is None or row["n"] < most else to_wall_ms(row["first"])

    async def add(self, pairing: Pairing) -> bool:
        """Store a new one; False when its user code is taken."""
        status: str = await self._tx.execute(
            """
            INSERT INTO pairings (device_hash, user_code, network, asked_at, expires_at, interval_s, state)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (user_code) DO NOTHING
            """,
            pairing.device_hash,
            pairing.user_code,
            pairing.network,
            utc(pairing.asked_ms),
            utc(pairing.expires_ms),
            pairing.interval_s,
            pairing.state,
        )
        return status.endswith(" 1")

    async def locked(self, device_hash: bytes) -> Pairing | None:
        """The pairing of a device code, or None; locked until the transaction ends."""
        return _pairing(
            await self._tx.fetchrow("SELECT * FROM pairings WHERE device_hash = $1 FOR UPDATE", device_hash)
        )

    async def locked_by_code(self, user_code: str) -> Pairing | None:
        """The pairing of a user code, answered or not, or None; locked until the transaction ends."""
        return _pairing(await self._tx.fetchrow("SELECT * FROM pairings WHERE user_code = $1 FOR UPDATE", user_code))

    async def save(self, pairing: Pairing) -> None:
        """Store what changes. The row must be locked."""
        await self._tx.execute(
            """
            UPDATE pairings SET state = $2, class_id = $3, expires_at = $4, interval_s = $5, polled_at = $6
            WHERE device_hash = $1
            """,
            pairing.device_hash,
            pairing.state,
            pairing.class_id,
            utc(pairing.expires_ms),
            pairing.interval_s,
            None if pairing.polled_ms is None else utc(pairing.polled_ms),
        )

    async def take(self, device_hash: bytes) -> bool:
        """The screen fetches what it was given, and the pairing is over; False when somebody was quicker."""
        status: str = await self._tx.execute(
            "DELETE FROM pairings WHERE device_hash = $1 AND state = 'agreed'", device_hash
        )
        return status.endswith(" 1")

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` that ran out before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM pairings
            WHERE device_hash IN (
                SELECT device_hash FROM pairings
                WHERE expires_at < $1
                ORDER BY expires_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _pairing(row: asyncpg.Record | None) -> Pairing | None:
    if row is None:
        return None
    return Pairing(
        device_hash=row["device_hash"],
        user_code=row["user_code"],
        network=row["network"],
        asked_ms=to_wall_ms(row["asked_at"]),
        expires_ms=to_wall_ms(row["expires_at"]),
        interval_s=row["interval_s"],
        polled_ms=None if row["polled_at"] is None else to_wall_ms(row["polled_at"]),
        state=row["state"],
        class_id=None if row["class_id"] is None else ClassId(row["class_id"]),
    )
