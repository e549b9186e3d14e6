"""The SQL of who is watched over, and of incidents."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.sealing import Sealing, data_key_of
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ClassId, IncidentId, StreamId
from services.privacy.vault import Field
from services.safety.incident import Incident
from services.safety.ports import Alert, Chosen, Place
from services.safety.watching import IncidentKind

LIMIT: Final = Field("safety_choices", "limit_sealed")
FOUND: Final = Field("safety_incidents", "found_sealed")
_INCIDENT: Final = f"safety_incidents.*, {data_key_of('safety_incidents.account_id')} AS data_key"
_INCIDENTS: Final = f"SELECT {_INCIDENT} FROM safety_incidents"  # noqa: S608 - names of columns
_CHOICE: Final = f"""
    SELECT account_id, is_on, limit_bpm, limit_sealed, {data_key_of("safety_choices.account_id")} AS data_key
    FROM safety_choices WHERE account_id = $1
"""  # noqa: S608


class Found(msgspec.Struct, frozen=True):
    """What is sealed of an incident: what was seen, and the last heart rate that was believed."""

    kind: IncidentKind
    bpm: int


class Safety:
    """Choices and incidents inside one transaction."""

    def __init__(self, tx: Tx, sealing: Sealing | None = None) -> None:
        self._tx: Final = tx
        self._sealing: Final = sealing or Sealing(tx)

    # -- the choice ---------------------------------------------------------------------------------------------------

    async def chosen(self, account_id: AccountId) -> Chosen:
        """What somebody has chosen; off when that is nothing."""
        return self._chosen(await self._tx.fetchrow(_CHOICE, account_id))

    async def lock_chosen(self, account_id: AccountId) -> Chosen:
        """The same; nobody else opens an incident of theirs, or changes the choice, before this transaction ends."""
        return self._chosen(await self._tx.fetchrow(f"{_CHOICE} FOR NO KEY UPDATE", account_id))

    async def save_chosen(self, account_id: AccountId, chosen: Chosen, at_ms: int) -> None:
        """Keep a choice in place of an earlier one."""
        limit, sealed = chosen.limit_bpm, None
        if limit is not None:
            sealed = await self._sealing.seal(account_id, LIMIT, b"%d" % limit)
        await self._tx.execute(
            """
            INSERT INTO safety_choices (account_id, is_on, limit_bpm, limit_sealed, changed_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (account_id) DO UPDATE
                SET is_on = excluded.is_on, limit_bpm = excluded.limit_bpm, limit_sealed = excluded.limit_sealed,
                    changed_at = excluded.changed_at
            """,
            account_id,
            chosen.on,
            limit if sealed is None else None,
            sealed,
            utc(at_ms),
        )

    def _chosen(self, row: asyncpg.Record | None) -> Chosen:
        if row is None:
            return Chosen()
        limit: int | None = row["limit_bpm"]
        if row["limit_sealed"] is not None:
            limit = int(self._sealing.open(AccountId(row["account_id"]), row["data_key"], LIMIT, row["limit_sealed"]))
        return Chosen(row["is_on"], limit)

    # -- incidents ----------------------------------------------------------------------------------------------------

    async def latest(self, account_id: AccountId) -> Incident | None:
        """The last incident of somebody, over or not."""
        row = await self._tx.fetchrow(
            f"{_INCIDENTS} WHERE account_id = $1 ORDER BY opened_at DESC, id DESC LIMIT 1", account_id
        )
        return None if row is None else self._incident(row)

    async def newest(self, account_id: AccountId, limit: int) -> list[Incident]:
        """The incidents of somebody, the newest first."""
        rows = await self._tx.fetch(
            f"{_INCIDENTS} WHERE account_id = $1 ORDER BY opened_at DESC, id DESC LIMIT $2", account_id, limit
        )
        return [self._incident(row) for row in rows]

    async def by_id(self, incident_id: IncidentId) -> Incident | None:
        """An incident, or None."""
        row = await self._tx.fetchrow(f"{_INCIDENTS} WHERE id = $1", incident_id)
        return None if row is None else self._incident(row)

    async def lock(self, incident_id: IncidentId) -> Incident | None:
        """An incident, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(f"{_INCIDENTS} WHERE id = $1 FOR NO KEY UPDATE", incident_id)
        return None if row is None else self._incident(row)

    async def add(self, incident: Incident) -> None:
        """A new one. Whoever adds holds the choice of its account (`lock_chosen`)."""
        sealed = await self._sealing.seal(incident.account_id, FOUND, packed_found(incident.kind, incident.bpm))
        await self._tx.execute(
            """
            INSERT INTO safety_incidents
                (id, account_id, class_id, kind, bpm, found_sealed, found_at, opened_at, state, revision, due_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            """,
            incident.id,
            incident.account_id,
            incident.class_id,
            incident.kind if sealed is None else None,
            incident.bpm if sealed is None else None,
            sealed,
            utc(incident.found_ms),
            utc(incident.opened_ms),
            incident.state,
            incident.revision,
            _at(incident.due_ms),
        )

    async def save(self, incident: Incident) -> None:
        """What an incident has become."""
        await self._tx.execute(
            """
            UPDATE safety_incidents
            SET state = $2, revision = $3, due_at = $4, coach_told_at = $5, acknowledged_by = $6, contact_told_at = $7,
                ended_at = $8, ended_by = $9
            WHERE id = $1
            """,
            incident.id,
            incident.state,
            incident.revision,
            _at(incident.due_ms),
            _at(incident.coach_told_ms),
            incident.acknowledged_by,
            _at(incident.contact_told_ms),
            _at(incident.ended_ms),
            incident.ended_by,
        )

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` incidents that ended before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM safety_incidents
            WHERE id IN (
                SELECT id FROM safety_incidents
                WHERE ended_at < $1
                ORDER BY ended_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])

    async def place(self, class_id: ClassId, account_id: AccountId) -> Place | None:
        """Where somebody is in a class, None when they are not in it or were sent out. Its coaches are the one whose class it is
        and its co-coaches; who has started a class without a coach is none."""
        row = await self._tx.fetchrow(
            """
            SELECT member.n, accounts.name, ARRAY(
                SELECT coach_id FROM classes WHERE id = $1 AND coach_id IS NOT NULL AND on_demand_id IS NULL
                UNION
                SELECT account_id FROM class_members WHERE class_id = $1 AND co_coach_since IS NOT NULL
            ) AS coaches
            FROM class_members AS member JOIN accounts ON accounts.id = member.account_id
            WHERE member.class_id = $1 AND member.account_id = $2 AND member.removed_at IS NULL
            """,
            class_id,
            account_id,
        )
        if row is None:
            return None
        coaches = tuple(AccountId(coach) for coach in row["coaches"] if coach != account_id)
        return Place(row["n"], row["name"], coaches)

    async def waiting_for(self, coach_id: AccountId, due_after: datetime, limit: int) -> list[Alert]:
        """Open incidents that somebody was told of as a coach and that nobody has taken on, the last that was told first; without
        those whose next step should have been taken before `due_after`. Whom it is about and who coaches them is as in `place`.
        Few are open at once: it goes through all that are (`safety_incidents_open`) and looks for each in its class."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_INCIDENT}, member.n, accounts.name
            FROM safety_incidents
            JOIN class_members AS member
                ON member.class_id = safety_incidents.class_id AND member.account_id = safety_incidents.account_id
            JOIN accounts ON accounts.id = member.account_id
            WHERE safety_incidents.ended_at IS NULL
                AND safety_incidents.state IN ('coach_told', 'contact_told')
                AND safety_incidents.coach_told_at IS NOT NULL
                AND safety_incidents.due_at > $2
                AND safety_incidents.account_id <> $1
                AND member.removed_at IS NULL
                AND (
                    EXISTS (
                        SELECT FROM classes
                        WHERE classes.id = member.class_id AND classes.coach_id = $1 AND classes.on_demand_id IS NULL
                    ) OR EXISTS (
                        SELECT FROM class_members AS own
                        WHERE own.class_id = member.class_id AND own.account_id = $1 AND own.co_coach_since IS NOT NULL
                    )
                )
            ORDER BY safety_incidents.coach_told_at DESC, safety_incidents.id DESC
            LIMIT $3
            """,  # noqa: S608 - names of columns
            coach_id,
            due_after,
            limit,
        )
        return [Alert(self._incident(row), ClassId(row["class_id"]), row["n"], row["name"]) for row in rows]

    async def heard_since(self, account_id: AccountId, stream_id: StreamId, at_ms: int) -> bool:
        """Whether a stream that fell silent is no sign any more: it was finished, or whatever stream of the account has brought a
        heart rate since an instant, or was opened again."""
        found: bool = await self._tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM streams WHERE id = $2 AND finished_at IS NOT NULL)
                OR EXISTS (
                    SELECT FROM streams
                    WHERE account_id = $1 AND finished_at IS NULL AND last_sample_at > $3 AND last_bpm IS NOT NULL
                )
            """,
            account_id,
            stream_id,
            utc(at_ms),
        )
        return found

    def _incident(self, row: asyncpg.Record) -> Incident:
        account_id = AccountId(row["account_id"])
        found = found_of(self._sealing, account_id, row["data_key"], row["kind"], row["bpm"], row["found_sealed"])
        return Incident(
            id=IncidentId(row["id"]),
            account_id=account_id,
            class_id=None if row["class_id"] is None else ClassId(row["class_id"]),
            kind=found.kind,
            bpm=found.bpm,
            found_ms=to_wall_ms(row["found_at"]),
            opened_ms=to_wall_ms(row["opened_at"]),
            state=row["state"],
            revision=row["revision"],
            due_ms=_ms(row["due_at"]),
            coach_told_ms=_ms(row["coach_told_at"]),
            acknowledged_by=None if row["acknowledged_by"] is None else AccountId(row["acknowledged_by"]),
            contact_told_ms=_ms(row["contact_told_at"]),
            ended_ms=_ms(row["ended_at"]),
            ended_by=row["ended_by"],
        )


def packed_found(kind: IncidentKind, bpm: int) -> bytes:
    """What was found, as it is sealed."""
    return msgspec.json.encode(Found(kind, bpm))


def found_of(
    sealing: Sealing,
    account_id: AccountId,
    key: bytes | None,
    kind: IncidentKind | None,
    bpm: int | None,
    sealed: bytes | None,
) -> Found:
    """What was found, from the columns of its row and the key of its account."""
    if sealed is not None:
        return msgspec.json.decode(sealing.open(account_id, key, FOUND, sealed), type=Found)
    if kind is None or bpm is None:
        raise ValueError("an incident is sealed, or plain")
    return Found(kind, bpm)


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else utc(ms)


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_wall_ms(instant)
