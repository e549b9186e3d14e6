"""The library of scripts."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from services.classes.kept_script import LibraryQuery, LibraryScript, Origin, ScriptLabel
from services.classes.script import Script
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ScriptId

_COLUMNS: Final = """
    kept.id, kept.owner_id, owners.name AS owner_name, kept.name, kept.description, kept.tags, kept.shared, kept.duration_ms,
    kept.revision, kept.created_at, kept.changed_at, kept.origin_id, kept.origin_owner_id, origins.name AS origin_owner_name,
    kept.origin_revision
"""
_FROM: Final = """
    library_scripts AS kept JOIN accounts AS owners ON owners.id = kept.owner_id
    LEFT JOIN accounts AS origins ON origins.id = kept.origin_owner_id
"""
_script: Final = msgspec.json.Decoder(Script)


class Library:
    """The library inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock_owner(self, owner_id: AccountId) -> None:
        """Whoever keeps scripts does it one after the other (FOR NO KEY UPDATE of the account)."""
        await self._tx.execute("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", owner_id)

    async def add(self, kept: LibraryScript, script: Script, key: str) -> None:
        """Keep one more. The owner must be locked, and have none under this key."""
        origin = kept.origin
        await self._tx.execute(
            """
            INSERT INTO library_scripts (
                id, owner_id, key, name, description, tags, shared, script, duration_ms, revision, created_at, changed_at,
                origin_id, origin_owner_id, origin_revision
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            """,
            kept.id,
            kept.owner_id,
            key,
            kept.label.name,
            kept.label.description,
            kept.label.tags,
            kept.label.shared,
            msgspec.json.encode(script).decode(),
            kept.duration_ms,
            kept.revision,
            utc(kept.created_ms),
            utc(kept.changed_ms),
            None if origin is None else origin.id,
            None if origin is None else origin.owner_id,
            None if origin is None else origin.revision,
        )

    async def by_id(self, script_id: ScriptId) -> LibraryScript | None:
        """One, whosever it is, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM {_FROM} WHERE kept.id = $1", script_id)  # noqa: S608
        return None if row is None else _kept(row)

    async def by_key(self, owner_id: AccountId, key: str) -> LibraryScript | None:
        """What somebody has kept under a key, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE kept.owner_id = $1 AND kept.key = $2",  # noqa: S608
            owner_id,
            key,
        )
        return None if row is None else _kept(row)

    async def script(self, script_id: ScriptId) -> Script | None:
        """The script itself, or None."""
        found: str | None = await self._tx.fetchval("SELECT script FROM library_scripts WHERE id = $1", script_id)
        return None if found is None else _script.decode(found)

    async def lock(self, script_id: ScriptId) -> LibraryScript | None:
        """One, its row locked until the transaction ends (FOR UPDATE: it may be deleted), or None."""
        await self._tx.execute("SELECT 1 FROM library_scripts WHERE id = $1 FOR UPDATE", script_id)
        return await self.by_id(script_id)

    async def hold(self, script_id: ScriptId, owner_id: AccountId) -> bool:
        """Whether it is this account's; then it is not deleted before the transaction ends (FOR KEY SHARE)."""
        found = await self._tx.fetchval(
            "SELECT 1 FROM library_scripts WHERE id = $1 AND owner_id = $2 FOR KEY SHARE", script_id, owner_id
        )
        return found is not None

    async def save(self, kept: LibraryScript, script: Script) -> None:
        """Other words in its place. The row must be locked."""
        await self._tx.execute(
            """
            UPDATE library_scripts
            SET name = $2, description = $3, tags = $4, shared = $5, script = $6, duration_ms = $7, revision = $8, changed_at = $9
            WHERE id = $1
            """,
            kept.id,
            kept.label.name,
            kept.label.description,
            kept.label.tags,
            kept.label.shared,
            msgspec.json.encode(script).decode(),
            kept.duration_ms,
            kept.revision,
            utc(kept.changed_ms),
        )

    async def count(self, owner_id: AccountId) -> int:
        """How many scripts somebody keeps."""
        count: int = await self._tx.fetchval("SELECT count(*) FROM library_scripts WHERE owner_id = $1", owner_id)
        return count

    async def page(self, query: LibraryQuery, viewer: AccountId) -> list[LibraryScript]:
        """Those that somebody may read, the newest first, from behind `after` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM {_FROM}
            WHERE CASE $2
                    WHEN 'own' THEN kept.owner_id = $1
                    WHEN 'shared' THEN kept.shared = 'coaches'
                    ELSE kept.owner_id = $1 OR kept.shared = 'coaches'
                END
                AND ($3::text IS NULL OR strpos(lower(kept.name), lower($3)) > 0)
                AND ($4::text IS NULL OR lower($4) = ANY (kept.tags))
                AND ($5::uuid IS NULL OR kept.id < $5)
            ORDER BY kept.id DESC
            LIMIT $6
            """,  # noqa: S608
            viewer,
            query.whose,
            query.name,
            query.tag,
            query.after,
            query.limit,
        )
        return [_kept(row) for row in rows]

    async def awaited(self, script_id: ScriptId, owner_id: AccountId, now: datetime) -> bool:
        """Whether a class that its owner offers and whose doors are to open yet, or a series that goes on, is to get it."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM class_offers AS offer
                WHERE offer.coach_id = $2 AND offer.terms ->> 'script' = $1::text AND offer.called_off_at IS NULL
                    AND offer.starts_at > $3 AND NOT EXISTS (SELECT FROM classes WHERE classes.id = offer.id)
            ) OR EXISTS (
                SELECT FROM class_series AS series
                WHERE series.coach_id = $2 AND series.terms ->> 'script' = $1::text AND series.ended_at IS NULL
                    AND (series.rule ->> 'until_day' IS NULL OR (series.rule ->> 'until_day')::date > series.made_through)
            )
            """,
            str(script_id),
            owner_id,
            now,
        )
        return found

    async def delete(self, script_id: ScriptId) -> None:
        """It is gone; what was copied of it stays. The row must be locked."""
        await self._tx.execute("DELETE FROM library_scripts WHERE id = $1", script_id)


def _kept(row: asyncpg.Record) -> LibraryScript:
    return LibraryScript(
        id=ScriptId(row["id"]),
        owner_id=AccountId(row["owner_id"]),
        owner_name=row["owner_name"],
        label=ScriptLabel(row["name"], row["description"], tuple(row["tags"]), row["shared"]),
        duration_ms=row["duration_ms"],
        revision=row["revision"],
        created_ms=to_wall_ms(row["created_at"]),
        changed_ms=to_wall_ms(row["changed_at"]),
        origin=_origin(row),
    )


def _origin(row: asyncpg.Record) -> Origin | None:
    if row["origin_owner_id"] is None:
        return None
    return Origin(
        id=None if row["origin_id"] is None else ScriptId(row["origin_id"]),
        owner_id=AccountId(row["origin_owner_id"]),
        owner_name=row["origin_owner_name"],
        revision=row["origin_revision"],
    )
