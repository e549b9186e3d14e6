"""Live classes and their members."""

from datetime import datetime

import asyncpg
import msgspec

from persistence.database import Tx
from persistence.showings import SHOWING, showing_of
from services.classes.age_group import AgeGroup
from services.classes.live_class import NOBODY, GroupTerms, LiveClass, Membership, Role
from services.classes.metric import MOST_BASELINE_WORKOUTS
from services.classes.showing import Showing
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ClassId, OnDemandId

_MEMBER = f"account_id, accounts.name, n, role, feed_epoch, baseline, team, {SHOWING}"
_COLUMNS = """
    classes.id, classes.code, classes.title, classes.coach_id, accounts.name AS coach_name,
    classes.created_at, classes.ended_at, classes.coaches_n, classes.needs, classes.heat, classes.metric, classes.ranking_n,
    classes.teams,
    classes.on_demand_id, classes.places, classes.late_min,
    ARRAY(
        SELECT helping.account_id FROM class_members AS helping
        WHERE helping.class_id = classes.id AND helping.co_coach_since IS NOT NULL
        ORDER BY helping.co_coach_since, helping.n
    ) AS co_coach_ids
"""

_ALSO = """
    removals,
    NOT EXISTS (
        SELECT FROM class_members AS earlier
        WHERE earlier.account_id = class_members.account_id
          AND earlier.role = 'athlete'
          AND earlier.joined_at < class_members.joined_at
    ) AS first
"""


class Classes:
    """The classes inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    async def create(self, live: LiveClass, start_key: str | None = None) -> bool:
        """Store a new class; False when its code is taken. `start_key`: under which its starter has started one without a
        coach."""
        status: str = await self._tx.execute(
            """
            INSERT INTO classes (
                id, code, title, coach_id, created_at, needs, heat, metric, on_demand_id, places, late_min, start_key,
                teams
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            ON CONFLICT (code) DO NOTHING
            """,
            live.id,
            live.code,
            live.title,
            None if live.coach_id == NOBODY else live.coach_id,
            utc(live.created_ms),
            live.needs,
            live.heat,
            live.metric,
            None if live.group is None else live.group.on_demand_id,
            None if live.group is None else live.group.places,
            None if live.group is None else live.group.late_min,
            start_key,
            list(live.teams),
        )
        return status.endswith(" 1")

    async def by_id(self, class_id: ClassId) -> LiveClass | None:
        """The class, or None."""
        return _live_class(
            await self._tx.fetchrow(
                f"SELECT {_COLUMNS} FROM classes LEFT JOIN accounts ON accounts.id = coach_id WHERE classes.id = $1",  # noqa: S608
                class_id,
            )
        )

    async def by_code(self, code: str) -> LiveClass | None:
        """The class with this join code, or None."""
        return _live_class(
            await self._tx.fetchrow(
                f"SELECT {_COLUMNS} FROM classes LEFT JOIN accounts ON accounts.id = coach_id WHERE classes.code = $1",  # noqa: S608
                code,
            )
        )

    async def lock(self, class_id: ClassId) -> LiveClass | None:
        """The class, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        await self._tx.execute("SELECT 1 FROM classes WHERE id = $1 FOR NO KEY UPDATE", class_id)
        return await self.by_id(class_id)

    async def of_coach(self, coach_id: AccountId, limit: int) -> list[LiveClass]:
        """The classes that somebody coaches or co-coaches, newest first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM classes JOIN accounts ON accounts.id = coach_id
            WHERE classes.id IN (
                (SELECT id FROM classes WHERE coach_id = $1 AND on_demand_id IS NULL ORDER BY created_at DESC LIMIT $2)
                UNION ALL
                SELECT class_id FROM class_members WHERE account_id = $1 AND co_coach_since IS NOT NULL
            )
            ORDER BY classes.created_at DESC
            LIMIT $2
            """,  # noqa: S608
            coach_id,
            limit,
        )
        return [found for row in rows if (found := _live_class(row)) is not None]

    async def live_of(self, account_id: AccountId, limit: int) -> list[LiveClass]:
        """The live classes that somebody coaches, has started or is in, newest first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM classes LEFT JOIN accounts ON accounts.id = coach_id
            WHERE classes.ended_at IS NULL
              AND (
                  classes.coach_id = $1
                  OR EXISTS (
                      SELECT FROM class_members AS member
                      WHERE member.class_id = classes.id AND member.account_id = $1 AND member.removed_at IS NULL
                  )
              )
            ORDER BY classes.created_at DESC
            LIMIT $2
            """,  # noqa: S608
            account_id,
            limit,
        )
        return [found for row in rows if (found := _live_class(row)) is not None]

    async def live_page(self, before: ClassId | None, limit: int) -> list[LiveClass]:
        """Classes that are live, the newest first, from the one behind `before` on."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM classes LEFT JOIN accounts ON accounts.id = coach_id
            WHERE classes.ended_at IS NULL
              AND (
                  $1::uuid IS NULL
                  OR (classes.created_at, classes.id) < (SELECT created_at, id FROM classes WHERE id = $1)
              )
            ORDER BY classes.created_at DESC, classes.id DESC
            LIMIT $2
            """,  # noqa: S608
            before,
            limit,
        )
        return [found for row in rows if (found := _live_class(row)) is not None]

    async def forgotten(self, before: datetime, limit: int) -> list[ClassId]:
        """Classes still live that were created before an instant, locked, skipping those somebody else holds."""
        rows = await self._tx.fetch(
            """
            SELECT id FROM classes WHERE ended_at IS NULL AND created_at < $1
            ORDER BY created_at LIMIT $2
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            before,
            limit,
        )
        return [ClassId(row["id"]) for row in rows]

    async def end(self, class_id: ClassId, at: datetime) -> bool:
        """End the class; False when it was over already."""
        status: str = await self._tx.execute(
            "UPDATE classes SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", class_id, at
        )
        return status.endswith(" 1")

    async def rank_by(self, live: LiveClass) -> None:
        """Keep what the board of a class is ranked by. The class row must be locked."""
        await self._tx.execute(
            "UPDATE classes SET metric = $2, ranking_n = $3 WHERE id = $1", live.id, live.metric, live.ranking_n
        )

    async def past_zones(self, account_id: AccountId, since: datetime) -> list[tuple[int, ...]]:
        """The ms in zone of somebody's workouts since an instant, the newest first, without those that fair play has rejected."""
        rows = await self._tx.fetch(
            """
            SELECT summary -> 'ms_in_zone' AS zone_ms FROM workouts
            WHERE account_id = $1 AND created_at >= $2 AND summary IS NOT NULL AND verdict <> 'rejected'
            ORDER BY created_at DESC
            LIMIT $3
            """,
            account_id,
            since,
            MOST_BASELINE_WORKOUTS,
        )
        return [tuple(msgspec.json.decode(row["zone_ms"])) for row in rows]

    async def enter(
        self,
        class_id: ClassId,
        account_id: AccountId,
        role: Role,
        at: datetime,
        baseline: int | None = None,
        age_group: AgeGroup | None = None,
        team: int | None = None,
    ) -> Membership:
        """Make somebody a member, shown as they have chosen for the classes to come, and in this `age_group` if they show one; or
        give the member there is this role, and this `baseline` and `team` if it had none.

        The class row must be locked: member numbers are handed out one by one.
        """
        row = await self._tx.fetchrow(
            f"""
            INSERT INTO class_members (class_id, account_id, n, role, joined_at, baseline, showing_mode,
                                       showing_alias, showing_body, showing_age, showing_age_group, team)
            SELECT $1, $2, (SELECT coalesce(max(n), 0) + 1 FROM class_members WHERE class_id = $1), $3, $4, $5,
                coalesce(chosen.mode, 'full'), coalesce(chosen.alias, ''), coalesce(chosen.body, false),
                coalesce(chosen.age, false),
                CASE WHEN chosen.age AND chosen.mode NOT IN ('coach', 'hidden') THEN $6 END,
                $7
            FROM (VALUES (true)) AS always LEFT JOIN showing_defaults AS chosen ON chosen.account_id = $2
            ON CONFLICT (class_id, account_id) DO UPDATE
                SET role = excluded.role, baseline = coalesce(class_members.baseline, excluded.baseline),
                    team = coalesce(class_members.team, excluded.team)
            RETURNING account_id, n, role, feed_epoch, baseline, team, {SHOWING},
                (SELECT name FROM accounts WHERE id = account_id) AS name, {_ALSO}
            """,  # noqa: S608
            class_id,
            account_id,
            role,
            at,
            baseline,
            age_group,
            team,
        )
        return _membership(row)

    async def smallest_team(self, class_id: ClassId, teams: int) -> int:
        """The team with the fewest members of `teams`, the first of those that have as few. The class row must be locked."""
        team: int = await self._tx.fetchval(
            """
            SELECT team FROM generate_series(0, $2 - 1) AS team
            ORDER BY (SELECT count(*) FROM class_members AS member WHERE member.class_id = $1 AND member.team = team.team), team
            LIMIT 1
            """,
            class_id,
            teams,
        )
        return team

    async def raise_feed(self, class_id: ClassId, account_id: AccountId) -> int:
        """A newer stream feeds this member's line from now on; returns its feed epoch."""
        epoch: int = await self._tx.fetchval(
            """
            UPDATE class_members SET feed_epoch = feed_epoch + 1
            WHERE class_id = $1 AND account_id = $2
            RETURNING feed_epoch
            """,
            class_id,
            account_id,
        )
        return epoch

    async def has_place(self, class_id: ClassId, limit: int) -> bool:
        """Whether a class has a place left. The class row must be locked."""
        found: bool = await self._tx.fetchval(
            "SELECT (SELECT count(*) FROM class_members WHERE class_id = $1) < $2", class_id, limit
        )
        return found

    async def members(self, class_id: ClassId) -> list[Membership]:
        """Everybody who ever joined, by number."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_MEMBER}, {_ALSO}
            FROM class_members JOIN accounts ON accounts.id = account_id
            WHERE class_id = $1
            ORDER BY n
            """,  # noqa: S608
            class_id,
        )
        return [_membership(row) for row in rows]

    async def members_after(self, class_id: ClassId, after: AccountId | None, limit: int) -> list[Membership]:
        """Members in the order of their ids, from the one after `after` on: for whoever goes through them page by page."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_MEMBER}
            FROM class_members JOIN accounts ON accounts.id = account_id
            WHERE class_id = $1 AND ($2::uuid IS NULL OR account_id > $2)
            ORDER BY account_id
            LIMIT $3
            """,  # noqa: S608
            class_id,
            after,
            limit,
        )
        return [_membership(row) for row in rows]

    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None:
        """Somebody's membership, or None."""
        row = await self._tx.fetchrow(
            f"""
            SELECT {_MEMBER}, {_ALSO}
            FROM class_members JOIN accounts ON accounts.id = account_id
            WHERE class_id = $1 AND account_id = $2
            """,  # noqa: S608
            class_id,
            account_id,
        )
        return None if row is None else _membership(row)

    async def store_summary(self, class_id: ClassId, summary: msgspec.Struct, at: datetime) -> None:
        """Keep the final table of a class, in place of an earlier one."""
        await self._tx.execute(
            "UPDATE classes SET summary = $2, summarised_at = $3 WHERE id = $1",
            class_id,
            msgspec.json.encode(summary).decode(),
            at,
        )

    async def summary(self, class_id: ClassId) -> str | None:
        """The final table as stored JSON, or None while there is none."""
        found: str | None = await self._tx.fetchval("SELECT summary FROM classes WHERE id = $1", class_id)
        return found


def _live_class(row: asyncpg.Record | None) -> LiveClass | None:
    if row is None:
        return None
    return LiveClass(
        id=ClassId(row["id"]),
        code=row["code"],
        title=row["title"],
        coach_id=NOBODY if row["coach_id"] is None else AccountId(row["coach_id"]),
        coach_name=row["coach_name"] or "",
        created_ms=to_wall_ms(row["created_at"]),
        ended_ms=None if row["ended_at"] is None else to_wall_ms(row["ended_at"]),
        co_coach_ids=tuple(AccountId(each) for each in row["co_coach_ids"]),
        coaches_n=row["coaches_n"],
        needs=row["needs"],
        heat=row["heat"],
        metric=row["metric"],
        ranking_n=row["ranking_n"],
        group=_group(row),
        teams=tuple(row["teams"]),
    )


def _group(row: asyncpg.Record) -> GroupTerms | None:
    if row["on_demand_id"] is None:
        return None
    return GroupTerms(OnDemandId(row["on_demand_id"]), row["places"], row["late_min"])


def _membership(row: asyncpg.Record) -> Membership:
    showing = showing_of(row)
    decided = showing != Showing(alias=showing.alias)
    return Membership(
        account_id=AccountId(row["account_id"]),
        name=row["name"],
        n=row["n"],
        role=row["role"],
        feed_epoch=row["feed_epoch"],
        first=row.get("first", False),
        removals=row.get("removals", 0),
        showing=showing if decided else None,
        baseline=row["baseline"],
        team=row["team"],
    )
