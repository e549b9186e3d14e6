"""The tapes of classes: pieces of what their boards were made of, as packed by rooms/tape.py."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import ClassId


class Piece(msgspec.Struct, frozen=True):
    """One piece of a tape, the `n`-th from 1. `tape` names the tape, `node` who made it; `begins_ms` and `ends_ms` are when its
    first and its last note were made (wall clock); `whole`: it can be played without those before it."""

    class_id: ClassId
    tape: str
    n: int
    node: str
    begins_ms: int
    ends_ms: int
    whole: bool
    notes: bytes = b""


class Tapes:
    """The tapes inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def add(self, pieces: Sequence[Piece]) -> None:
        """Keep pieces. Those that are kept already, and those of a class that is gone, are left out."""
        await self._tx.execute(
            """
            INSERT INTO class_tapes (class_id, tape, n, node, begins_at, ends_at, whole, notes)
            SELECT piece.* FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                                       $7::boolean[], $8::bytea[])
                                AS piece (class_id, tape, n, node, begins_at, ends_at, whole, notes)
            JOIN classes ON classes.id = piece.class_id
            ON CONFLICT DO NOTHING
            """,
            [piece.class_id for piece in pieces],
            [piece.tape for piece in pieces],
            [piece.n for piece in pieces],
            [piece.node for piece in pieces],
            [utc(piece.begins_ms) for piece in pieces],
            [utc(piece.ends_ms) for piece in pieces],
            [piece.whole for piece in pieces],
            [piece.notes for piece in pieces],
        )

    async def heads(self, class_id: ClassId) -> list[Piece]:
        """All pieces of a class without their notes, tape by tape."""
        rows = await self._tx.fetch(
            """
            SELECT class_id, tape, n, node, begins_at, ends_at, whole FROM class_tapes
            WHERE class_id = $1
            ORDER BY tape, n
            """,
            class_id,
        )
        return [_piece(row) for row in rows]

    async def notes(self, class_id: ClassId, tape: str, n: int) -> bytes | None:
        """The notes of one piece; None when it is gone."""
        found: bytes | None = await self._tx.fetchval(
            "SELECT notes FROM class_tapes WHERE class_id = $1 AND tape = $2 AND n = $3", class_id, tape, n
        )
        return found

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` pieces that ended before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM class_tapes
            WHERE (class_id, tape, n) IN (
                SELECT class_id, tape, n FROM class_tapes
                WHERE ends_at < $1
                ORDER BY ends_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])


def _piece(row: asyncpg.Record) -> Piece:
    return Piece(
        class_id=ClassId(row["class_id"]),
        tape=row["tape"],
        n=row["n"],
        node=row["node"],
        begins_ms=to_wall_ms(row["begins_at"]),
        ends_ms=to_wall_ms(row["ends_at"]),
        whole=row["whole"],
    )
