"""What the register says is about somebody, as rows: found by their lead, told as lines of JSON.

Every table is read by the same code, so one that comes to be is in everybody's copy as soon as it is in the register. Rows come out
of a cursor: memory does not grow with them.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from persistence.database import Tx
from persistence.samples import BatchColumns
from persistence.sealing import Sealing
from persistence.sealing_passes import SEALED, Sealed
from services.kernel.ids import AccountId
from services.privacy.entry import Entry, Subject
from services.privacy.register import ENTRIES
from services.privacy.vault import Vault

AT_ONCE: Final = 200
_SEALED: Final = {sealed.field.table: sealed for sealed in SEALED}
_TEXTS: Final = frozenset({"vitals", "contact_phones", "phones", "phone_checks"})
"""Tables whose column is a text when it lies open, and told as one."""
_UNFINISHED: Final = """
    EXISTS (
        SELECT FROM streams JOIN workouts ON workouts.id = streams.workout_id
        WHERE streams.id = sample_batches.stream_id AND workouts.finished_at IS NULL
    )
"""
"""Samples of finished workouts have files of their own in somebody's copy."""


def about(entry: Entry, subject: Subject) -> str:
    """SQL: whether a row of a table is about the account $1 as this subject of it."""
    lead = subject.lead
    if not lead.table:
        return f"{entry.table}.{lead.columns[0]} = $1"
    parent = ENTRIES[lead.table]
    same = " AND ".join(
        f"{parent.table}.{key} = {entry.table}.{column}" for key, column in zip(lead.keys, lead.columns, strict=True)
    )
    theirs = " OR ".join(about(parent, each) for each in parent.subjects)
    return f"EXISTS (SELECT FROM {parent.table} WHERE {same} AND ({theirs}))"


class PersonalRows:
    """The rows about somebody inside one transaction."""

    def __init__(self, tx: Tx, vault: Vault | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = Sealing(tx, vault)

    async def lines(self, entry: Entry, account_id: AccountId) -> AsyncIterator[bytes]:
        """A line of JSON for each row of a table that is about somebody, with what they are told of it. A row that is about them
        twice comes twice, as each of the two. Raises CannotOpen."""
        key = await self._sealing.key(account_id) if entry.table in _SEALED else None
        for subject in entry.subjects:
            told = entry.told_to(subject)
            sealed = _SEALED.get(entry.table)
            query = self._query(entry, subject, told, sealed)
            async for row in self._tx.cursor(query, account_id, prefetch=AT_ONCE):
                line: str = row["line"]
                if sealed is None or key is None or row["sealed"] is None:
                    yield line.encode() + b"\n"
                else:
                    yield _with(line, sealed, key.open(sealed.field, row["sealed"]))

    def _query(self, entry: Entry, subject: Subject, told: list[str], sealed: Sealed | None) -> str:
        columns = ", ".join(
            f"convert_from({name}, 'UTF8') AS {name}"
            if entry.table == "webhook_deliveries" and name == "body"
            else name
            for name in told
            if sealed is None or name != sealed.field.column
        )
        more = f" AND {_UNFINISHED}" if entry.table == "sample_batches" else ""
        opened = "" if sealed is None else f", {sealed.field.column} AS sealed"
        return f"""
            SELECT (SELECT to_jsonb(told)::text FROM (SELECT {columns}) AS told) AS line{opened}
            FROM {entry.table}
            WHERE {about(entry, subject)}{more}
        """  # noqa: S608 - names of columns


def _with(line: str, sealed: Sealed, opened: bytes) -> bytes:
    """A line with what lay sealed in the place of the columns for which it stands."""
    told: dict[str, Any] = msgspec.json.decode(line)
    if sealed.field.table == "sample_batches":
        told |= msgspec.msgpack.decode(opened, type=BatchColumns)._asdict()
    elif sealed.field.table in _TEXTS:
        told[sealed.plain[0]] = opened.decode()
    elif len(sealed.plain) == 1:
        told[sealed.plain[0]] = msgspec.Raw(opened)
    else:
        told |= msgspec.json.decode(opened, type=dict[str, Any])
    return msgspec.json.encode(told) + b"\n"
