"""The SQL of the audit: entries added in anybody's transaction, linked by one linker, read in order.

**Adding** is one INSERT into a table of its own, where nobody waits for anybody: the hash of the entry before is not needed yet.
A chain that each transaction lengthened itself would have all of them wait for the one that did so first (docs/decisions/0016).

**Linking** takes what has been committed and gives it places, under a lock that only linkers know and none waits for. A row that
is visible has been committed, so what is linked stays true; one that commits later gets a later place. In one batch the order is
that of the ids.

**Pseudonyms** are looked up by the linker, so they too cost a writer nothing. An account that has been erased by then gets none
that is kept: its last entries stand under a pseudonym of their own.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from persistence.database import Tx
from services.audit.chain import BEGINNING, Link, Row, linked
from services.audit.checkpoint import Checkpoint
from services.audit.entry import Entry, cut
from services.audit.ports import AuditLine, Wanted
from services.kernel.clock import Clock, to_wall_ms, utc
from services.kernel.ids import AccountId, Ids

BATCH: Final = 500
"""Entries linked in one transaction."""
_LOCK: Final = 0xA0D17
_data: Final = msgspec.json.Encoder(order="deterministic").encode


class Audit:
    """The audit inside one transaction."""

    def __init__(self, tx: Tx, clock: Clock, ids: Ids) -> None:
        self._tx: Final = tx
        self._clock: Final = clock
        self._ids: Final = ids

    async def add(self, *entries: Entry) -> None:
        """Tell the entries if and only if this transaction commits."""
        await self._tx.executemany(
            """
            INSERT INTO audit_waiting (id, at, actor_kind, actor_id, login_id, app_id, name, network, act, account_id,
                                       thing_kind, thing, reason, data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            """,
            [self._told(entry) for entry in entries],
        )

    def _told(self, entry: Entry) -> Sequence[object]:
        actor, thing = entry.actor, entry.thing
        data = {name: cut(value) if isinstance(value, str) else value for name, value in entry.data.items()}
        return (
            self._ids.next(),
            utc(self._clock.wall_ms()),
            actor.kind,
            actor.account,
            actor.login,
            actor.app,
            cut(actor.name),
            actor.network,
            entry.act,
            entry.account,
            "" if thing is None else thing.kind,
            "" if thing is None else cut(thing.id),
            cut(entry.reason),
            _data(data).decode(),
        )

    # -- linking -------------------------------------------------------------------------------------------------------

    async def link(self, limit: int = BATCH) -> int:
        """Give places to up to `limit` entries that wait; how many. None when another linker is at it."""
        if not await self._tx.fetchval("SELECT EXISTS (SELECT FROM audit_waiting)"):
            return 0
        if not await self._tx.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            return 0
        return await self._link(limit)

    async def link_all(self) -> int:
        """Give places to all entries that wait; the last position. Until this transaction ends no other linker works."""
        await self._tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        while await self._link(BATCH):
            pass
        position, _ = await self.head()
        return position

    async def forget(self, account_id: AccountId) -> None:
        """Forget which pseudonym an account has: nobody can tell any more whose its rows are. The last step of an erasure, in its
        transaction and after its own entry; until that ends no other linker works."""
        await self.link_all()
        await self._tx.execute("DELETE FROM audit_pseudonyms WHERE account_id = $1", account_id)

    async def _link(self, limit: int) -> int:
        waiting = await self._tx.fetch("SELECT * FROM audit_waiting ORDER BY id LIMIT $1", limit)
        if not waiting:
            return 0
        pseudonyms = await self._pseudonyms(
            {row[column] for row in waiting for column in ("actor_id", "account_id") if row[column] is not None}
        )
        position, previous = await self.head()
        links = linked((_row(row, pseudonyms) for row in waiting), position, previous)
        await self._tx.executemany(
            """
            INSERT INTO audit_log (position, previous, hash, id, at, actor_kind, actor, login_id, app_id, name, network, act,
                                   about, thing_kind, thing, reason, data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
            """,
            [_columns(link) for link in links],
        )
        await self._tx.execute("DELETE FROM audit_waiting WHERE id = ANY($1::uuid[])", [row["id"] for row in waiting])
        return len(links)

    async def _pseudonyms(self, accounts: Collection[UUID]) -> dict[UUID, UUID]:
        """The pseudonym of each; kept for those that are accounts."""
        wanted = sorted(accounts)
        new = [self._ids.next() for _ in wanted]
        await self._tx.execute(
            """
            INSERT INTO audit_pseudonyms (account_id, pseudonym)
            SELECT wanted.account_id, wanted.pseudonym FROM unnest($1::uuid[], $2::uuid[]) AS wanted (account_id, pseudonym)
            WHERE EXISTS (SELECT FROM accounts WHERE accounts.id = wanted.account_id)
            ON CONFLICT (account_id) DO NOTHING
            """,
            wanted,
            new,
        )
        kept = await self._tx.fetch("SELECT * FROM audit_pseudonyms WHERE account_id = ANY($1::uuid[])", wanted)
        return dict(zip(wanted, new, strict=True)) | {row["account_id"]: row["pseudonym"] for row in kept}

    # -- reading -------------------------------------------------------------------------------------------------------

    async def head(self) -> tuple[int, bytes]:
        """The last position and its hash; 0 and `BEGINNING` of an empty chain."""
        row = await self._tx.fetchrow("SELECT position, hash FROM audit_log ORDER BY position DESC LIMIT 1")
        return (0, BEGINNING) if row is None else (row["position"], row["hash"])

    async def waiting(self) -> int:
        """How many entries have no place yet."""
        return int(await self._tx.fetchval("SELECT count(*) FROM audit_waiting"))

    async def links(self, after: int, limit: int) -> list[Link]:
        """The next links behind a position."""
        rows = await self._tx.fetch(
            "SELECT * FROM audit_log WHERE position > $1 ORDER BY position LIMIT $2", after, limit
        )
        return [link_of(row) for row in rows]

    async def lines(self, wanted: Wanted, limit: int) -> list[AuditLine]:
        """Entries, the newest first; those that have no place yet before all others."""
        parameters = (
            wanted.account,
            list(wanted.acts),
            None if wanted.since_ms is None else utc(wanted.since_ms),
            None if wanted.until_ms is None else utc(wanted.until_ms),
        )
        waiting = []
        if wanted.before is None:
            waiting = await self._tx.fetch(
                """
                SELECT NULL::bigint AS position, entry.*, entry.actor_id AS actor_account, entry.account_id AS about_account,
                       NULL::uuid AS actor, NULL::uuid AS about, doer.email AS actor_email, person.email AS about_email
                FROM audit_waiting AS entry
                LEFT JOIN accounts AS doer ON doer.id = entry.actor_id
                LEFT JOIN accounts AS person ON person.id = entry.account_id
                WHERE ($1::uuid IS NULL OR entry.actor_id = $1 OR entry.account_id = $1)
                  AND (cardinality($2::text[]) = 0 OR entry.act = ANY($2))
                  AND ($3::timestamptz IS NULL OR entry.at >= $3) AND ($4::timestamptz IS NULL OR entry.at < $4)
                ORDER BY entry.id DESC
                LIMIT $5
                """,
                *parameters,
                limit,
            )
        placed = await self._tx.fetch(
            """
            SELECT entry.*, actors.account_id AS actor_account, abouts.account_id AS about_account,
                   doer.email AS actor_email, person.email AS about_email
            FROM audit_log AS entry
            LEFT JOIN audit_pseudonyms AS actors ON actors.pseudonym = entry.actor
            LEFT JOIN audit_pseudonyms AS abouts ON abouts.pseudonym = entry.about
            LEFT JOIN accounts AS doer ON doer.id = actors.account_id
            LEFT JOIN accounts AS person ON person.id = abouts.account_id
            WHERE ($1::uuid IS NULL OR entry.actor = (SELECT pseudonym FROM audit_pseudonyms WHERE account_id = $1)
                   OR entry.about = (SELECT pseudonym FROM audit_pseudonyms WHERE account_id = $1))
              AND (cardinality($2::text[]) = 0 OR entry.act = ANY($2))
              AND ($3::timestamptz IS NULL OR entry.at >= $3) AND ($4::timestamptz IS NULL OR entry.at < $4)
              AND ($5::bigint IS NULL OR entry.position < $5)
            ORDER BY entry.position DESC
            LIMIT $6
            """,
            *parameters,
            wanted.before,
            limit - len(waiting),
        )
        return [_line(row) for row in (*waiting, *placed)]

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    async def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""
        await self._tx.execute(
            "INSERT INTO audit_checkpoints (position, hash, at, public, signature) VALUES ($1, $2, $3, $4, $5)",
            checkpoint.position,
            checkpoint.hash,
            utc(checkpoint.at_ms),
            checkpoint.public,
            checkpoint.signature,
        )

    async def checkpoints(self, after: int = 0) -> list[Checkpoint]:
        """The checkpoints of rows behind a position, in their order."""
        rows = await self._tx.fetch("SELECT * FROM audit_checkpoints WHERE position > $1 ORDER BY position, at", after)
        return [_checkpoint(row) for row in rows]

    async def last_checkpoint(self) -> Checkpoint | None:
        """The checkpoint made last."""
        row = await self._tx.fetchrow("SELECT * FROM audit_checkpoints ORDER BY at DESC, position DESC LIMIT 1")
        return None if row is None else _checkpoint(row)


def _checkpoint(row: Any) -> Checkpoint:
    return Checkpoint(row["position"], row["hash"], to_wall_ms(row["at"]), row["public"], row["signature"])


def _line(row: Any) -> AuditLine:
    return AuditLine(
        position=row["position"],
        id=row["id"],
        at_ms=to_wall_ms(row["at"]),
        act=row["act"],
        actor_kind=row["actor_kind"],
        actor=row["actor_account"],
        actor_email=row["actor_email"],
        actor_pseudonym=row["actor"],
        account=row["about_account"],
        account_email=row["about_email"],
        account_pseudonym=row["about"],
        login=row["login_id"],
        app=row["app_id"],
        name=row["name"],
        network=row["network"],
        thing_kind=row["thing_kind"],
        thing=row["thing"],
        reason=row["reason"],
        data=row["data"],
    )


def link_of(row: Any) -> Link:
    """A link as stored."""
    return Link(
        position=row["position"],
        previous=row["previous"],
        hash=row["hash"],
        row=Row(
            id=row["id"],
            at_ms=to_wall_ms(row["at"]),
            actor_kind=row["actor_kind"],
            actor=row["actor"],
            login=row["login_id"],
            app=row["app_id"],
            name=row["name"],
            network=row["network"],
            act=row["act"],
            about=row["about"],
            thing_kind=row["thing_kind"],
            thing=row["thing"],
            reason=row["reason"],
            data=row["data"],
        ),
    )


def _row(waiting: Any, pseudonyms: dict[UUID, UUID]) -> Row:
    return Row(
        id=waiting["id"],
        at_ms=to_wall_ms(waiting["at"]),
        actor_kind=waiting["actor_kind"],
        actor=pseudonyms.get(waiting["actor_id"]),
        login=waiting["login_id"],
        app=waiting["app_id"],
        name=waiting["name"],
        network=waiting["network"],
        act=waiting["act"],
        about=pseudonyms.get(waiting["account_id"]),
        thing_kind=waiting["thing_kind"],
        thing=waiting["thing"],
        reason=waiting["reason"],
        data=waiting["data"],
    )


def _columns(link: Link) -> Sequence[object]:
    row = link.row
    return (
        link.position, link.previous, link.hash, row.id, utc(row.at_ms), row.actor_kind, row.actor, row.login, row.app, row.name,
        row.network, row.act, row.about, row.thing_kind, row.thing, row.reason, row.data,
    )  # fmt: skip
