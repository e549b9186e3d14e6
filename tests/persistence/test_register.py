"""The register of what is kept about people knows every column there is."""

from typing import Final

from persistence.database import Database
from services.privacy.register import ENTRIES

WHAT_TO_DO: Final = (
    "add it to services/privacy/register.py: say what the column holds, and when that is about a person, which column leads to "
    "their account and what becomes of it when they go"
)


async def columns(database: Database) -> set[tuple[str, str]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            """
            SELECT relation.relname AS of_table, attribute.attname AS name
            FROM pg_attribute AS attribute JOIN pg_class AS relation ON relation.oid = attribute.attrelid
            WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p') AND NOT relation.relispartition
                AND attribute.attnum > 0 AND NOT attribute.attisdropped
            """
        )
    return {(row["of_table"], row["name"]) for row in rows}


async def test_every_column_is_in_the_register(database: Database) -> None:
    """ASVS 14.1.1: all sensitive data is identified and classified; so is everything else."""
    known = {(entry.table, column) for entry in ENTRIES.values() for column in entry.columns}
    there = await columns(database)
    unknown = sorted(f"{table}.{name}" for table, name in there - known)
    assert not unknown, f"nobody has thought about {', '.join(unknown)}: {WHAT_TO_DO}"
    gone = sorted(f"{table}.{name}" for table, name in known - there)
    assert not gone, f"the register has what is no more: {', '.join(gone)}"


async def test_every_reference_to_an_account_says_whether_the_row_is_about_it(database: Database) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch(
            """
            SELECT relation.relname AS of_table, attribute.attname AS name
            FROM pg_constraint AS reference JOIN pg_class AS relation ON relation.oid = reference.conrelid
            JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid AND attribute.attnum = reference.conkey[1]
            WHERE reference.contype = 'f' AND reference.confrelid = 'accounts'::regclass
            """
        )
    assert rows
    for row in rows:
        kind = ENTRIES[row["of_table"]].columns[row["name"]]
        assert kind in {"account", "person"}, f"{row['of_table']}.{row['name']} is an account, not {kind}"


async def test_a_lead_finds_at_most_one_row_of_the_table_that_it_leads_to(database: Database) -> None:
    async with database.connection() as connection:
        rows = await connection.fetch(
            """
            SELECT conrelid::regclass::text AS of_table,
                (SELECT array_agg(attname::text ORDER BY attname) FROM unnest(conkey) AS key
                    JOIN pg_attribute ON attrelid = conrelid AND attnum = key) AS columns
            FROM pg_constraint WHERE contype IN ('p', 'u') AND connamespace = 'public'::regnamespace
            """
        )
    unique = {(row["of_table"], tuple(row["columns"])) for row in rows}
    for entry in ENTRIES.values():
        for subject in entry.subjects:
            if subject.lead.table:
                assert (subject.lead.table, tuple(sorted(subject.lead.keys))) in unique
