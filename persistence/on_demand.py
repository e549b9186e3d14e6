"""Scripts on demand, and the classes that were started of them."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.class_terms import stored
from persistence.classes import Classes
from persistence.database import Tx
from services.classes.live_class import LiveClass
from services.classes.on_demand import OnDemand, OnDemandTerms
from services.classes.script import Script
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ClassId, OnDemandId

_COLUMNS: Final = """
    on_demand.id, on_demand.coach_id, coaches.name AS coach_name, on_demand.terms, on_demand.duration_ms, on_demand.created_at,
    on_demand.withdrawn_at
"""
_FROM: Final = "on_demand JOIN accounts AS coaches ON coaches.id = on_demand.coach_id"
_terms: Final = msgspec.json.Decoder(OnDemandTerms)
_script: Final = msgspec.json.Decoder(Script)


class OnDemands:
    """What is on demand inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, on_demand: OnDemand, script: Script, key: str) -> bool:
        """Store one more; False when its coach has one under this key."""
        status: str = await self._tx.execute(
            """
            INSERT INTO on_demand (id, coach_id, key, terms, script, duration_ms, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (coach_id, key) DO NOTHING
            """,
            on_demand.id,
            on_demand.coach_id,
            key,
            stored(on_demand.terms),
            msgspec.json.encode(script).decode(),
            on_demand.duration_ms,
            utc(on_demand.created_ms),
        )
        return status.endswith(" 1")

    async def by_id(self, on_demand_id: OnDemandId) -> OnDemand | None:
        """One, withdrawn or not, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM {_FROM} WHERE on_demand.id = $1", on_demand_id)  # noqa: S608
        return None if row is None else _on_demand(row)

    async def by_key(self, coach_id: AccountId, key: str) -> OnDemand | None:
        """What a coach has put on demand under a key, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE on_demand.coach_id = $1 AND on_demand.key = $2",  # noqa: S608
            coach_id,
            key,
        )
        return None if row is None else _on_demand(row)

    async def script(self, on_demand_id: OnDemandId) -> Script | None:
        """Its script, or None."""
        found: str | None = await self._tx.fetchval("SELECT script FROM on_demand WHERE id = $1", on_demand_id)
        return None if found is None else _script.decode(found)

    async def page(self, after: OnDemandId | None, limit: int) -> list[OnDemand]:
        """Those that were not withdrawn, the newest first, from behind `after` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM {_FROM}
            WHERE on_demand.withdrawn_at IS NULL AND ($1::uuid IS NULL OR on_demand.id < $1)
            ORDER BY on_demand.id DESC
            LIMIT $2
            """,  # noqa: S608
            after,
            limit,
        )
        return [_on_demand(row) for row in rows]

    async def withdraw(self, on_demand_id: OnDemandId, at: datetime) -> None:
        """No more classes of it."""
        await self._tx.execute(
            "UPDATE on_demand SET withdrawn_at = $2 WHERE id = $1 AND withdrawn_at IS NULL", on_demand_id, at
        )

    # -- classes of them ----------------------------------------------------------------------------------------------

    async def lock_starter(self, account_id: AccountId) -> None:
        """Whoever starts classes does it one after the other (FOR NO KEY UPDATE of the account)."""
        await self._tx.execute("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", account_id)

    async def started(self, account_id: AccountId, key: str) -> LiveClass | None:
        """The class that somebody has started under a key, or None."""
        class_id = await self._tx.fetchval(
            "SELECT id FROM classes WHERE coach_id = $1 AND start_key = $2", account_id, key
        )
        return None if class_id is None else await Classes(self._tx).by_id(ClassId(class_id))

    async def count_open(self, account_id: AccountId) -> int:
        """How many classes that somebody has started are not over."""
        count: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM classes WHERE coach_id = $1 AND start_key IS NOT NULL AND ended_at IS NULL
            """,
            account_id,
        )
        return count


def _on_demand(row: asyncpg.Record) -> OnDemand:
    return OnDemand(
        id=OnDemandId(row["id"]),
        coach_id=AccountId(row["coach_id"]),
        coach_name=row["coach_name"],
        terms=_terms.decode(row["terms"]),
        duration_ms=row["duration_ms"],
        created_ms=to_wall_ms(row["created_at"]),
        withdrawn_ms=None if row["withdrawn_at"] is None else to_wall_ms(row["withdrawn_at"]),
    )
