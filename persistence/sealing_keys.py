"""What lies under the keys of the installation (PACELINE_SEALING_KEYS), and how it is brought under another one.

Everything begins with the number of the key that sealed it, so what is under an older key is found by that; so do blind indexes,
which are made anew from what they are of. Bringing it under the newest changes no secret and no field, waits for nobody, and may be
cut off anywhere; nodes that have the newest key second open both, and look for both.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import asyncpg
import structlog

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from persistence.sealing_passes import SEALED, Index, Sealed
from services.accounts.keys import about_key as about_signing_key
from services.accounts.proving import about_totp
from services.accounts.sign_in import about as about_sign_in
from services.kernel.ids import AccountId, SignInId
from services.kernel.sealing import BLIND_BYTES, NUMBER_BYTES, CannotOpen
from services.privacy.vault import ABOUT_PROOF, Vault, about_key

log = structlog.get_logger(__name__)


class Wrapped(NamedTuple):
    """A column that is sealed with a key of the installation: the columns of its row's key, and what the seal of a row is about."""

    table: str
    key: tuple[str, ...]
    column: str
    about: Callable[[asyncpg.Record], bytes]


WRAPPED: Final[tuple[Wrapped, ...]] = (
    Wrapped("data_keys", ("account_id",), "wrapped", lambda row: about_key(AccountId(row["account_id"]))),
    Wrapped("sealing_proof", ("n",), "sealed", lambda _: ABOUT_PROOF),
    Wrapped("webhook_secrets", ("endpoint_id", "number"), "sealed", lambda row: bytes(row["endpoint_id"].bytes)),
    Wrapped("totps", ("account_id",), "sealed", lambda row: about_totp(AccountId(row["account_id"]))),
    Wrapped("sign_ins", ("id",), "sealed", lambda row: about_sign_in(SignInId(row["id"]), "secrets")),
    Wrapped("sign_ins", ("id",), "code", lambda row: about_sign_in(SignInId(row["id"]), "code")),
    Wrapped("signing_keys", ("kid",), "sealed", lambda row: about_signing_key(row["kid"])),
)


INDEXED: Final = tuple((sealed, sealed.found_by) for sealed in SEALED if sealed.found_by is not None)
_PAST: Final = b"\xff" * (BLIND_BYTES + 1)
"""After the number of a key, this comes after every index under it."""


class SealingKeys:
    """What is under which key, inside one transaction."""

    def __init__(self, tx: Tx, vault: Vault | None = None) -> None:
        self._tx: Final = tx
        self._vault: Final = vault
        self._sealing: Final = Sealing(tx, vault)

    async def agree(self) -> None:
        """Return when what this process seals can be opened by the others of the installation. The first one says with which keys.
        Raises CannotOpen for one that has others: it would seal what nobody else opens, and fail at what they have sealed."""
        if self._vault is None:
            return
        await self._tx.execute(
            "INSERT INTO sealing_proof (sealed) VALUES ($1) ON CONFLICT DO NOTHING", self._vault.proof()
        )
        self._vault.require_proof(await self._tx.fetchval("SELECT sealed FROM sealing_proof"))

    async def wrap_anew(self, limit: int) -> int:
        """Bring up to `limit` rows of a table under the newest key; how many they were, 0 when nothing is under another. Raises
        CannotOpen when one is under a key that this process does not have."""
        if self._vault is None:
            return 0
        for wrapped in WRAPPED:
            if done := await self._wrap_anew(wrapped, self._vault, limit):
                return done
        for sealed, index in INDEXED:
            if done := await self._index_anew(sealed, index, self._vault, limit):
                return done
        return 0

    async def _wrap_anew(self, wrapped: Wrapped, vault: Vault, limit: int) -> int:
        number = f"substring({wrapped.column} FROM 1 FOR {NUMBER_BYTES})"
        where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(wrapped.key, 2))
        rows = await self._tx.fetch(
            f"""
            SELECT {", ".join(wrapped.key)}, {wrapped.column} AS wrapped FROM {wrapped.table}
            WHERE {number} < $1 OR {number} > $1
            LIMIT $2
            FOR NO KEY UPDATE SKIP LOCKED
            """,  # noqa: S608 - names of columns
            vault.newest,
            limit,
        )
        anew: list[tuple[Any, ...]] = [
            (vault.wrap_anew(row["wrapped"], wrapped.about(row)), *(row[name] for name in wrapped.key)) for row in rows
        ]
        await self._tx.executemany(f"UPDATE {wrapped.table} SET {wrapped.column} = $1 WHERE {where}", anew)  # noqa: S608
        return len(rows)

    async def _index_anew(self, sealed: Sealed, index: Index, vault: Vault, limit: int) -> int:
        table, names = sealed.field.table, [name for name, _ in sealed.key]
        rows = await self._tx.fetch(
            f"""
            SELECT {", ".join(names)}, {sealed.account} AS account_of, {sealed.field.column} AS sealed,
                {data_key_of(f"{table}.{sealed.account}")} AS data_key
            FROM {table}
            WHERE {index.field.column} < $1 OR {index.field.column} > $2
            LIMIT $3
            FOR NO KEY UPDATE SKIP LOCKED
            """,  # noqa: S608 - names of columns
            vault.newest,
            vault.newest + _PAST,
            limit,
        )
        anew: list[tuple[Any, ...]] = []
        for row in rows:
            try:
                opened = self._sealing.open(AccountId(row["account_of"]), row["data_key"], sealed.field, row["sealed"])
            except CannotOpen as problem:
                # Its key is known, because keys come first: it is damaged. It stays in the counts, and the others are made anew.
                key = {name: str(row[name]) for name in names}
                log.error("sealing_keys.index_stays", table=table, key=key, problem=str(problem))  # noqa: TRY400
                continue
            anew.append((vault.index(index.field, index.text(opened)), *(row[name] for name in names)))
        where = " AND ".join(f"{name} = ${n}" for n, name in enumerate(names, 2))
        await self._tx.executemany(f"UPDATE {table} SET {index.field.column} = $1 WHERE {where}", anew)  # noqa: S608
        return len(anew)

    async def counts(self) -> dict[bytes, int]:
        """How many rows of all tables are under each key, by its number."""
        found: dict[bytes, int] = {}
        columns = [(each.table, each.column) for each in WRAPPED] + [tuple(index.field) for _, index in INDEXED]
        for table, column in columns:
            rows = await self._tx.fetch(
                f"""
                SELECT substring({column} FROM 1 FOR {NUMBER_BYTES}) AS number, count(*) AS n FROM {table}
                WHERE {column} IS NOT NULL
                GROUP BY 1
                """  # noqa: S608 - names of columns
            )
            for row in rows:
                found[row["number"]] = found.get(row["number"], 0) + row["n"]
        return found

    async def destroy(self, account_id: AccountId) -> None:
        """Destroy the data key of an account: nobody reads any more what was sealed for it, here or in a copy made later."""
        await self._tx.execute("DELETE FROM data_keys WHERE account_id = $1", account_id)
