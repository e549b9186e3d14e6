"""A mark in every column that is about somebody, by the register: what is then found in a file, or is gone, is found or gone for
every column there is, also for those that come to be.

The rows make no sense beside each other, so what this database checks is let go of: references, and what columns may say.
"""

import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from persistence.database import Database, Tx
from persistence.sealing_passes import SEALED
from services.kernel.ids import AccountId
from services.privacy.entry import Entry, Subject
from services.privacy.register import ENTRIES, REGISTER
from tests.support.world import BODY, VAULT

_MARK: Final = re.compile(r"mark-[a-z0-9_]+-[a-z0-9_]+-[0-9]+")
_numbers: Final = itertools.count(1_000)
_NO_MARK: Final = {tuple(sealed.field): None for sealed in SEALED} | {
    ("accounts", "sex"): "female",
    ("safety_incidents", "kind"): "over_limit",
    ("workouts", "finished_at"): None,
    ("workouts", "physiology"): msgspec.json.encode(BODY).decode(),
    ("workouts", "summary"): None,
    ("workouts", "verdict"): "accepted",
    ("consents", "purpose"): "name",
    ("showing_defaults", "mode"): "alias",
    ("class_members", "showing_mode"): "alias",
    ("class_members", "role"): "athlete",
    ("streams", "finished_at"): None,
    ("long_tasks", "work"): '{"kind": "export_account"}',
    ("long_tasks", "state"): "done",
}
"""What is read by code that cannot do with anything: a value of its kind, or none."""

_PAIRS: Final = ["friends_pkey", "friend_requests_pkey"]
"""Of two people each is planted as the one and as the other: that is the same pair twice."""


@dataclass
class Row:
    """One planted row: its subject, what stands in its columns, and how Postgres says it as JSON."""

    entry: Entry
    subject: Subject
    values: dict[str, Any]
    text: str

    @property
    def said(self) -> dict[str, Any]:
        """The row as JSON."""
        return msgspec.json.decode(self.text, type=dict[str, Any])


@dataclass
class Planted:
    """All rows about one person."""

    account_id: AccountId
    rows: list[Row] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[Row, str, str]]:
        """The marks that are texts or in texts, each of which there is once."""
        for row in self.rows:
            for column, value in row.values.items():
                found = _MARK.search(value.decode("latin-1") if isinstance(value, bytes) else str(value))
                if found:
                    yield row, column, found.group()


async def plant(database: Database, *people: tuple[AccountId, AccountId]) -> list[Planted]:
    """Plant a row for every subject of every table, about each of these, with somebody else where a row has another person."""
    async with database.tx() as tx:
        await _let_go(tx)
        types = {
            (row["table_name"], row["column_name"]): row["type"]
            for row in await tx.fetch(
                """
                SELECT attrelid::regclass::text AS table_name, attname::text AS column_name, format_type(atttypid, NULL) AS type
                FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0
                """
            )
        }
        return [await _plant(tx, types, Planted(person), other) for person, other in people]


async def _let_go(tx: Tx) -> None:
    for row in await tx.fetch(
        "SELECT conrelid::regclass::text AS t, conname FROM pg_constraint "
        "WHERE (contype IN ('c', 'f') OR conname = ANY($1)) AND connamespace = 'public'::regnamespace AND coninhcount = 0",
        _PAIRS,
    ):
        await tx.execute(f"ALTER TABLE {row['t']} DROP CONSTRAINT IF EXISTS {row['conname']}")


async def _plant(tx: Tx, types: dict[tuple[str, str], str], planted: Planted, other: AccountId) -> Planted:
    first: dict[str, dict[str, Any]] = {}
    waiting = [(entry, subject) for entry in REGISTER for subject in entry.subjects]
    while waiting:
        entry, subject = waiting.pop(0)
        if subject.lead.table and subject.lead.table not in first:
            waiting.append((entry, subject))
            continue
        values = {
            column: _value(entry, column, types[entry.table, column], planted.account_id, other)
            for column in entry.columns
        }
        if subject.lead.table:
            parent = first[subject.lead.table]
            values |= {column: parent[key] for column, key in zip(subject.lead.columns, subject.lead.keys, strict=True)}
        else:
            values[subject.lead.columns[0]] = planted.account_id
        if entry.table == "account_mails" and subject.lead.table:
            values["account_id"] = None
        if entry.table == "streams":
            values["workout_id"] = first["workouts"]["id"]
        first.setdefault(entry.table, values)
        columns = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        said = await tx.fetchval(
            f"INSERT INTO {entry.table} AS planted ({columns}) OVERRIDING SYSTEM VALUE VALUES ({places}) "
            "RETURNING to_jsonb(planted)::text",
            *values.values(),
        )
        planted.rows.append(Row(entry, subject, values, said))
    return planted


def _value(entry: Entry, column: str, kind: str, account_id: AccountId, other: AccountId) -> Any:
    if (entry.table, column) in _NO_MARK:
        return _NO_MARK[entry.table, column]
    if (entry.table, column) == ("data_keys", "wrapped"):
        return VAULT.make(account_id)
    n = next(_numbers)
    if kind.endswith("[]"):
        return [_value_of(entry, column, kind.removesuffix("[]"), other, n)]
    return _value_of(entry, column, kind, other, n)


def _value_of(entry: Entry, column: str, kind: str, other: AccountId, n: int) -> Any:
    mark = f"mark-{entry.table}-{column}-{n}"
    match kind:
        case "text":
            return mark
        case "uuid":
            return other if entry.columns[column] in {"account", "person"} else uuid.uuid4()
        case "jsonb":
            return msgspec.json.encode({"said": mark}).decode()
        case "bytea":
            return mark.encode()
        case "boolean":
            return True
        case "smallint" | "integer" | "bigint":
            return n
        case "real" | "double precision":
            return float(n)
        case "date":
            return date(1900, 1, 1) + timedelta(days=n)
        case "timestamp with time zone":
            return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
    raise ValueError(f"say what a mark in a {kind} is ({entry.table}.{column})")


def told_in(row: Row) -> list[str]:
    """The columns of a planted row that its person has in their copy."""
    return [
        column
        for column in ENTRIES[row.entry.table].told_to(row.subject)
        if (row.entry.table, column) not in {tuple(sealed.field) for sealed in SEALED}
    ]
