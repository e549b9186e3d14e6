"""The SQL of third-party apps and their secrets."""

from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.apps.app import App, origins_of
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, AppId


class Apps:
    """Apps inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, app: App) -> None:
        """Store a new app."""
        await self._tx.execute(
            """
            INSERT INTO apps (id, owner_id, name, kind, redirect_uris, created_at, origins)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            app.id,
            app.owner_id,
            app.name,
            app.kind,
            list(app.redirect_uris),
            utc(app.created_at_ms),
            list(origins_of(app.redirect_uris)),
        )

    async def by_id(self, app_id: AppId) -> App | None:
        """The app, or None."""
        row = await self._tx.fetchrow("SELECT * FROM apps WHERE id = $1", app_id)
        return None if row is None else _app(row)

    async def locked(self, app_id: AppId) -> App | None:
        """The app, its row locked until the transaction ends (FOR UPDATE: no grant comes to be while it is deleted), or None."""
        row = await self._tx.fetchrow("SELECT * FROM apps WHERE id = $1 FOR UPDATE", app_id)
        return None if row is None else _app(row)

    async def of_owner(self, owner_id: AccountId) -> list[App]:
        """The apps of an account, the oldest first."""
        rows = await self._tx.fetch("SELECT * FROM apps WHERE owner_id = $1 ORDER BY id", owner_id)
        return [_app(row) for row in rows]

    async def has_origin(self, origin: str) -> bool:
        """Whether an app has a redirect URI of this origin; found by the index `apps_by_origin`."""
        found = await self._tx.fetchval("SELECT 1 FROM apps WHERE origins @> ARRAY[$1::text] LIMIT 1", origin)
        return found is not None

    async def change(self, app: App) -> None:
        """Store name and redirect URIs."""
        await self._tx.execute(
            "UPDATE apps SET name = $2, redirect_uris = $3, origins = $4 WHERE id = $1",
            app.id,
            app.name,
            list(app.redirect_uris),
            list(origins_of(app.redirect_uris)),
        )

    async def remove(self, app_id: AppId) -> None:
        """Delete the app with its secrets, codes and grants."""
        await self._tx.execute("DELETE FROM apps WHERE id = $1", app_id)

    async def add_secret(self, app_id: AppId, secret_hash: bytes, at: datetime) -> None:
        """Store the hash of a secret that has just been given out."""
        await self._tx.execute(
            "INSERT INTO app_secrets (secret_hash, app_id, made_at) VALUES ($1, $2, $3)", secret_hash, app_id, at
        )

    async def retire_secrets(self, app_id: AppId, at: datetime, until: datetime) -> None:
        """Let the newest secret be good until then, and delete those before it."""
        await self._tx.execute(
            "DELETE FROM app_secrets WHERE app_id = $1 AND (until IS NOT NULL OR $2::timestamptz >= $3::timestamptz)",
            app_id,
            at,
            until,
        )
        await self._tx.execute("UPDATE app_secrets SET until = $2 WHERE app_id = $1", app_id, until)

    async def has_secret(self, app_id: AppId, secret_hash: bytes, now: datetime) -> bool:
        """Whether this is a secret of the app that is good now."""
        found = await self._tx.fetchval(
            "SELECT 1 FROM app_secrets WHERE secret_hash = $1 AND app_id = $2 AND (until IS NULL OR until > $3)",
            secret_hash,
            app_id,
            now,
        )
        return found is not None


def _app(row: asyncpg.Record) -> App:
    return App(
        id=AppId(row["id"]),
        owner_id=AccountId(row["owner_id"]),
        name=row["name"],
        kind=row["kind"],
        redirect_uris=tuple(row["redirect_uris"]),
        created_at_ms=to_wall_ms(row["created_at"]),
    )
