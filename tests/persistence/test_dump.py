"""A dump of the database says nothing of anybody's body, nor whom to call, nor a telephone number: looked for, mark by mark."""

import re
from datetime import date, timedelta
from io import BytesIO
from typing import Any, Final

import msgspec

from persistence.database import Database, Tx
from persistence.sealing import Sealing
from persistence.sealing_passes import SEALED
from services.kernel.clock import utc
from services.kernel.ids import AccountId
from tests.support.planted import plant
from tests.support.world import VAULT, World

FIRST: Final = 31_000
"""Marks that are numbers begin here: above what else is planted, and small enough for every column."""


async def test_no_mark_of_any_sealed_column_is_in_a_dump_of_all_tables(database: Database) -> None:
    """ASVS 14.2.4: sensitive data is encrypted at rest, by the register of sealed columns and for those that come to be."""
    world = World(database)
    ada = AccountId(world.ids.next())
    await plant(database, (ada, AccountId(world.ids.next())))
    async with database.tx() as tx:
        marks = await mark(tx)
    plain = await dump(database)
    missing = [column for column, text in marks.items() if not said(text, plain)]
    assert not missing, "this looks for what was never there"
    while True:
        async with world.transactions() as stores:
            if not await stores.sealing_passes.go_on(100, utc(0)):
                break
    sealed = await dump(database)
    assert [column for column, text in marks.items() if said(text, sealed)] == []
    assert await lost(world, ada) == []


async def mark(tx: Tx) -> dict[str, str]:
    """Put a value that is nowhere else into every column that can be sealed; what it looks like in a dump."""
    marks: dict[str, str] = {}
    n = FIRST
    for sealed in SEALED:
        for column in sealed.plain:
            n += 1
            kind = await tx.fetchval(
                """
                SELECT format_type(atttypid, NULL) FROM pg_attribute
                WHERE attrelid = $1::text::regclass AND attname = $2::text
                """,
                sealed.field.table,
                column,
            )
            value, text = _mark(kind, n)
            await tx.execute(f"UPDATE {sealed.field.table} SET {column} = $1", value)
            marks[f"{sealed.field.table}.{column}"] = text
    return marks


def _mark(kind: str, n: int) -> tuple[Any, str]:
    if kind.endswith("[]"):
        value, text = _mark(kind.removesuffix("[]"), n)
        return [value], text
    match kind:
        case "text":
            return f"mark-{n}", f"mark-{n}"
        case "jsonb":
            return msgspec.json.encode({"said": f"mark-{n}"}).decode(), f"mark-{n}"
        case "date":
            day = date(1900, 1, 1) + timedelta(days=n)
            return day, day.isoformat()
        case "smallint" | "integer" | "bigint":
            return n, str(n)
        case "real" | "double precision":
            return float(n), str(n)
    raise ValueError(f"say what a mark in a {kind} is")


def said(text: str, dumped: str) -> bool:
    """Whether a mark stands there by itself, not as a part of a longer number or of something sealed; or as bytes."""
    return bool(re.search(rf"(?<![0-9a-f.]){re.escape(text)}(?![0-9a-f])", dumped)) or (
        text.startswith("mark") and text.encode().hex() in dumped
    )


async def dump(database: Database) -> str:
    """Every table as pg_dump says it: COPY to text."""
    out = BytesIO()
    async with database.connection() as connection:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        )
        for row in tables:
            await connection.copy_from_query(f"SELECT * FROM {row['tablename']}", output=out)
    return out.getvalue().decode()


async def lost(world: World, account_id: AccountId) -> list[str]:
    """The columns in which nothing lies sealed, or that the key of the account does not open."""
    found = []
    async with world.transactions() as stores:
        key = await Sealing(stores.tx, VAULT).key(account_id)
        for sealed in SEALED:
            rows = await stores.tx.fetch(f"SELECT {sealed.field.column} AS sealed FROM {sealed.field.table}")
            there = [row["sealed"] for row in rows if row["sealed"] is not None]
            if not there or not all(key.open(sealed.field, one) for one in there):
                found.append(f"{sealed.field.table}.{sealed.field.column}")
    return found
