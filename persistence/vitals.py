"""The SQL of the history of bodies. What a value says lies sealed under the key of its account (services/privacy/vault.py)."""

from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from services.accounts.vital import Vital
from services.kernel.clock import utc
from services.kernel.ids import AccountId, VitalId
from services.privacy.vault import Field

BODY: Final = Field("vitals", "body_sealed")
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Vital).decode


class Vitals:
    """Values of bodies inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    async def of(self, account_id: AccountId) -> list[Vital]:
        """All of an account's, in the order in which they were noted."""
        rows = await self._tx.fetch(
            f"""
            SELECT body, body_sealed, {data_key_of("vitals.account_id")} AS data_key
            FROM vitals WHERE account_id = $1 ORDER BY id
            """,  # noqa: S608
            account_id,
        )
        return [self._vital(account_id, row) for row in rows]

    async def add(self, account_id: AccountId, vital: Vital) -> None:
        """Store one value."""
        plain = _encode(vital)
        sealed = await self._sealing.seal(account_id, BODY, plain)
        await self._tx.execute(
            "INSERT INTO vitals (id, account_id, noted_at, body, body_sealed) VALUES ($1, $2, $3, $4, $5)",
            vital.id,
            account_id,
            utc(vital.noted_at_ms),
            plain.decode() if sealed is None else None,
            sealed,
        )

    async def delete(self, account_id: AccountId, vital_id: VitalId) -> bool:
        """Forget one value; False when this account has none of this id."""
        done = await self._tx.execute("DELETE FROM vitals WHERE id = $1 AND account_id = $2", vital_id, account_id)
        return bool(done == "DELETE 1")

    def _vital(self, account_id: AccountId, row: asyncpg.Record) -> Vital:
        sealed = row["body_sealed"]
        plain = row["body"] if sealed is None else self._sealing.open(account_id, row["data_key"], BODY, sealed)
        return _decode(plain)
