"""The scripts of classes and what was done to their clocks."""

from datetime import datetime
from typing import Final

import msgspec

from persistence.database import Tx
from services.classes.class_clock import Event
from services.classes.script import Script
from services.classes.timeline import Timeline
from services.kernel.clock import utc
from services.kernel.ids import ClassId

_script: Final = msgspec.json.Decoder(Script)
_event: Final = msgspec.json.Decoder(Event)


class Timelines:
    """The timelines inside one transaction. Whoever writes holds the lock of the class (`stores.classes.lock`)."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def of(self, class_id: ClassId) -> Timeline:
        """The timeline of a class, an empty one when nothing was stored. One statement: script and events fit together."""
        row = await self._tx.fetchrow(
            """
            SELECT script.revision, script.script,
                   ARRAY(
                       SELECT event::text FROM class_clock_events WHERE class_id = $1 ORDER BY n
                   ) AS events
            FROM class_scripts AS script
            WHERE script.class_id = $1
            """,
            class_id,
        )
        if row is None:
            return Timeline()
        return Timeline(
            script=_script.decode(row["script"]),
            revision=row["revision"],
            events=tuple(_event.decode(event) for event in row["events"]),
        )

    async def save_script(self, class_id: ClassId, script: Script, revision: int, at: datetime) -> None:
        """Keep a script in place of an earlier one."""
        await self._tx.execute(
            """
            INSERT INTO class_scripts (class_id, revision, script, stored_at)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (class_id) DO UPDATE
                SET revision = excluded.revision, script = excluded.script, stored_at = excluded.stored_at
            """,
            class_id,
            revision,
            msgspec.json.encode(script).decode(),
            at,
        )

    async def has(self, class_id: ClassId, key: str) -> bool:
        """Whether a command with this key has been done."""
        found: bool = await self._tx.fetchval(
            "SELECT EXISTS (SELECT 1 FROM class_clock_events WHERE class_id = $1 AND key = $2)", class_id, key
        )
        return found

    async def add(self, class_id: ClassId, n: int, event: Event, key: str | None) -> None:
        """Note the `n`-th event of a clock."""
        await self._tx.execute(
            "INSERT INTO class_clock_events (class_id, n, event, key, noted_at) VALUES ($1, $2, $3, $4, $5)",
            class_id,
            n,
            msgspec.json.encode(event).decode(),
            key,
            utc(event.noted_ms),
        )
