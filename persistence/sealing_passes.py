"""Going through tables once to seal what was written plain: by an older program, or while PACELINE_SEAL_FIELDS was off.

A pass goes by the table's key, in bites, and keeps where it is in the transaction of each bite: it goes on after whatever happens,
in whatever process. It is not looked for what is plain, because an index for that would have to be made over tables of any size.

What is written while it goes on is written sealed, but by nodes that have PACELINE_SEAL_FIELDS=off until they are started anew, one
after the other. So each table is gone through a second time, `AGAIN` after the first. Where nothing is plain no row is locked: that
would write to it.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from persistence.accounts import PROFILE, plain_profile
from persistence.contact_phones import CONTACT_NUMBER, CONTACT_NUMBER_INDEX
from persistence.contacts import CONTACT, EMAIL_INDEX, Who, packed
from persistence.database import Tx
from persistence.phones import CHECK_NUMBER, CHECK_NUMBER_INDEX, NUMBER, NUMBER_INDEX
from persistence.safety import FOUND, LIMIT, packed_found
from persistence.samples import SAMPLES, BatchColumns, pack_batch
from persistence.sealing import Sealing
from persistence.verdicts import SKETCH, packed_sketch
from persistence.vitals import BODY
from persistence.workouts import PHYSIOLOGY
from services.kernel.ids import AccountId
from services.privacy.vault import Field, Vault

AGAIN: Final = timedelta(hours=1)
"""How long after its first pass a table is gone through again: by then no node writes plain any more. By feeling: far longer than
it takes to start all nodes anew."""
_TIMES: Final = 2


class Index(NamedTuple):
    """A blind index, and the text that it is of in what is sealed."""

    field: Field
    text: Callable[[bytes], str]


class Sealed(NamedTuple):
    """A sealed column: the columns of its row's `key` with their types, those that it stands for, whose row it is, how a row is
    packed, and the index by which it is found, if there is one."""

    field: Field
    key: tuple[tuple[str, str], ...]
    plain: tuple[str, ...]
    account: str
    packed: Callable[[asyncpg.Record], bytes]
    found_by: Index | None = None


def _number(field: Field, index: Field, key: str) -> Sealed:
    return Sealed(
        field,
        ((key, "uuid"),),
        ("number",),
        "account_id",
        lambda row: str(row["number"]).encode(),
        Index(index, bytes.decode),
    )


SEALED: Final[tuple[Sealed, ...]] = (
    Sealed(
        PROFILE,
        (("id", "uuid"),),
        ("birth_date", "sex", "mass_kg", "max_hr", "rest_hr"),
        "id",
        lambda row: msgspec.json.encode(plain_profile(row)),
    ),
    Sealed(LIMIT, (("account_id", "uuid"),), ("limit_bpm",), "account_id", lambda row: b"%d" % row["limit_bpm"]),
    Sealed(BODY, (("id", "uuid"),), ("body",), "account_id", lambda row: str(row["body"]).encode()),
    Sealed(PHYSIOLOGY, (("id", "uuid"),), ("physiology",), "account_id", lambda row: str(row["physiology"]).encode()),
    Sealed(
        SAMPLES,
        (("stream_id", "uuid"), ("first_seq", "bigint")),
        BatchColumns._fields,
        "(SELECT account_id FROM streams WHERE streams.id = stream_id)",
        lambda row: pack_batch(BatchColumns(*(row[name] for name in BatchColumns._fields))),
    ),
    Sealed(FOUND, (("id", "uuid"),), ("kind", "bpm"), "account_id", lambda row: packed_found(row["kind"], row["bpm"])),
    Sealed(SKETCH, (("workout_id", "uuid"),), ("sketch",), "account_id", lambda row: packed_sketch(row["sketch"])),
    Sealed(
        CONTACT,
        (("id", "uuid"),),
        ("name", "email"),
        "account_id",
        lambda row: packed(row["name"], row["email"]),
        Index(EMAIL_INDEX, lambda opened: msgspec.json.decode(opened, type=Who).email),
    ),
    _number(CONTACT_NUMBER, CONTACT_NUMBER_INDEX, "id"),
    _number(NUMBER, NUMBER_INDEX, "account_id"),
    _number(CHECK_NUMBER, CHECK_NUMBER_INDEX, "id"),
)


class SealingPasses:
    """The passes inside one transaction."""

    def __init__(self, tx: Tx, vault: Vault | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = Sealing(tx, vault)

    async def go_on(self, limit: int, at: datetime) -> int:
        """Look at up to `limit` rows of the first table that is not done, or make the keys that they lack; how many those were, 0
        when nothing is to be done now. While nothing is sealed all passes begin anew, because what is written then is plain."""
        if not self._sealing.seals:
            await self._tx.execute("DELETE FROM sealing_passes")
            return 0
        rows = await self._tx.fetch("SELECT of_table, after, ended_at, times FROM sealing_passes FOR UPDATE")
        known = {row["of_table"]: row for row in rows}
        for sealed in SEALED:
            row = known.get(sealed.field.table)
            if row is None or row["ended_at"] is None:
                after = None if row is None else row["after"]
            elif row["times"] < _TIMES and row["ended_at"] + AGAIN <= at:
                after = None
            else:
                continue
            return await self._bite(sealed, after, limit, at) or await self.go_on(limit, at)
        return 0

    async def all(self) -> list[tuple[str, int, datetime | None]]:
        """The tables that are being gone through: how many rows were sealed, and when that ended."""
        rows = await self._tx.fetch("SELECT of_table, rows, ended_at FROM sealing_passes ORDER BY of_table")
        return [(row["of_table"], row["rows"], row["ended_at"]) for row in rows]

    async def _bite(self, sealed: Sealed, after: str | None, limit: int, at: datetime) -> int:
        names = [name for name, _ in sealed.key]
        places = ", ".join(f"${n}::text::{kind}" for n, (_, kind) in enumerate(sealed.key, 2))
        place = [] if after is None else msgspec.json.decode(after, type=list[str])
        bite = f"""
            SELECT {", ".join((*names, *sealed.plain))}, {sealed.account} AS account_of,
                {sealed.field.column} IS NULL AND num_nonnulls({", ".join(sealed.plain)}) > 0 AS is_plain
            FROM {sealed.field.table}
            {"" if after is None else f"WHERE ({', '.join(names)}) > ({places})"}
            ORDER BY {", ".join(names)}
            LIMIT $1
        """  # noqa: S608 - names of columns
        rows = await self._tx.fetch(bite, limit, *place)
        plain = _plain(rows)
        if plain:
            if made := await self._make_keys({row["account_of"] for row in plain}):
                return made
            rows = await self._tx.fetch(f"{bite} FOR NO KEY UPDATE", limit, *place)
            plain = _plain(rows)
            await self._seal(sealed, plain)
        last = after if not rows else msgspec.json.encode([str(rows[-1][name]) for name in names]).decode()
        await self._tx.execute(
            """
            INSERT INTO sealing_passes (of_table, after, rows, ended_at, times)
            VALUES ($1, $2, $3, $4, ($4::timestamptz IS NOT NULL)::integer)
            ON CONFLICT (of_table) DO UPDATE
                SET after = excluded.after, rows = sealing_passes.rows + excluded.rows, ended_at = excluded.ended_at,
                    times = sealing_passes.times + excluded.times
            """,
            sealed.field.table,
            last,
            len(plain),
            None if len(rows) == limit else at,
        )
        return len(rows)

    async def _make_keys(self, account_ids: Collection[UUID]) -> int:
        """Make the keys of those who have none, before any of their rows is locked: who writes a row makes the key first, and the
        two would wait for each other. How many that were."""
        rows = await self._tx.fetch(
            """
            SELECT id FROM unnest($1::uuid[]) AS id
            WHERE NOT EXISTS (SELECT FROM data_keys WHERE account_id = id)
            ORDER BY id
            """,
            account_ids,
        )
        for row in rows:
            await self._sealing.key(AccountId(row["id"]))
        return len(rows)

    async def _seal(self, sealed: Sealed, rows: Sequence[asyncpg.Record]) -> None:
        where = " AND ".join(f"{name} = ${n}" for n, (name, _) in enumerate(sealed.key, 2))
        sets = [f"{name} = NULL" for name in sealed.plain]
        if sealed.found_by is not None:
            sets.append(f"{sealed.found_by.field.column} = ${len(sealed.key) + 2}")
        updates: list[tuple[Any, ...]] = []
        for row in rows:
            key, plain, found_by = (
                await self._sealing.key(AccountId(row["account_of"])),
                sealed.packed(row),
                sealed.found_by,
            )
            index = [] if found_by is None else [self._sealing.index(found_by.field, found_by.text(plain))]
            updates.append((key.seal(sealed.field, plain), *(row[name] for name, _ in sealed.key), *index))
        await self._tx.executemany(
            f"UPDATE {sealed.field.table} SET {sealed.field.column} = $1, {', '.join(sets)} WHERE {where}",  # noqa: S608
            updates,
        )


def _plain(rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    return [row for row in rows if row["is_plain"]]
