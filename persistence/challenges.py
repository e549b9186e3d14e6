"""Challenges: their members, what counts of each, the score log, and the table as Postgres has it.

The row of a challenge is the lock of its log: whoever appends holds it, so entries are numbered without holes and commit in the
order of their numbers. `value`, `tie` and `seq` of a member follow the log in the same transaction. Who has read all members that
changed up to some `seq` has therefore missed none, which is how tables elsewhere are brought up to date (`changed_after`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from persistence.database import Tx
from services.challenges.challenge import Called, Challenge, Entrant, Rules
from services.challenges.ranking import Line
from services.challenges.score_log import BEGINNING, Link
from services.challenges.scoring import Contribution
from services.challenges.tables import Changed
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId, ChallengeId, WorkoutId

_COLUMNS: Final = """
    challenges.id, challenges.code, challenges.title, challenges.owner_id, challenges.rules, challenges.created_at,
    challenges.finished_at, challenges.numbers, challenges.members, challenges.seq, challenges.head
"""
_ENTRANT: Final = """
    member.n, member.account_id, member.zone, member.team, member.joined_at, member.left_at, member.value, member.tie,
    member.seq AS member_seq
"""
_rules: Final = msgspec.json.Decoder(Rules).decode


class Challenges:
    """The challenges inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    # -- the challenge itself -----------------------------------------------------------------------------------------

    async def create(self, challenge: Challenge) -> bool:
        """Store a new challenge, its log still empty; False when its code is taken."""
        status: str = await self._tx.execute(
            """
            INSERT INTO challenges (id, code, title, owner_id, rules, created_at, head)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (code) DO NOTHING
            """,
            challenge.id,
            challenge.code,
            challenge.title,
            challenge.owner_id,
            msgspec.json.encode(challenge.rules).decode(),
            utc(challenge.created_ms),
            BEGINNING,
        )
        return status.endswith(" 1")

    async def by_id(self, challenge_id: ChallengeId) -> Challenge | None:
        """The challenge, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM challenges WHERE id = $1", challenge_id)  # noqa: S608
        return None if row is None else _challenge(row)

    async def by_code(self, code: str) -> Challenge | None:
        """The challenge that this code invites to, or None."""
        row = await self._tx.fetchrow(f"SELECT {_COLUMNS} FROM challenges WHERE code = $1", code)  # noqa: S608
        return None if row is None else _challenge(row)

    async def lock(self, challenge_id: ChallengeId) -> Challenge | None:
        """The challenge, its row locked until the transaction ends (FOR NO KEY UPDATE), or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_COLUMNS} FROM challenges WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608
            challenge_id,
        )
        return None if row is None else _challenge(row)

    async def set_code(self, challenge_id: ChallengeId, code: str) -> bool:
        """Invite by another code from now on; False when it is taken."""
        if await self.by_code(code) is not None:
            return False
        await self._tx.execute("UPDATE challenges SET code = $2 WHERE id = $1", challenge_id, code)
        return True

    async def of_account(self, account_id: AccountId, limit: int) -> list[Challenge]:
        """The challenges that somebody is in or has made, the newest first."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS} FROM challenges
            WHERE id IN (
                SELECT challenge_id FROM challenge_members WHERE account_id = $1 AND left_at IS NULL
                UNION
                SELECT id FROM challenges WHERE owner_id = $1
            )
            ORDER BY created_at DESC, id DESC
            LIMIT $2
            """,  # noqa: S608
            account_id,
            limit,
        )
        return [_challenge(row) for row in rows]

    async def count_open(self, account_id: AccountId, but: ChallengeId | None) -> int:
        """How many challenges that are not closed somebody is in or has made, not counting the one that is `but`."""
        n: int = await self._tx.fetchval(
            """
            SELECT count(*) FROM challenges
            WHERE finished_at IS NULL AND id IS DISTINCT FROM $2 AND id IN (
                SELECT challenge_id FROM challenge_members WHERE account_id = $1 AND left_at IS NULL
                UNION
                SELECT id FROM challenges WHERE owner_id = $1
            )
            """,
            account_id,
            but,
        )
        return n

    async def finish(self, challenge_id: ChallengeId, at: datetime) -> None:
        """The challenge is closed. Its row must be locked."""
        await self._tx.execute("UPDATE challenges SET finished_at = $2 WHERE id = $1", challenge_id, at)

    # -- the log ------------------------------------------------------------------------------------------------------

    async def append(self, challenge_id: ChallengeId, link: Link) -> None:
        """The next entry of the log. The row of the challenge must be locked."""
        await self._tx.execute(
            """
            WITH entry AS (INSERT INTO challenge_log (challenge_id, seq, body, hash) VALUES ($1, $2, $3, $4))
            UPDATE challenges SET seq = $2, head = $4 WHERE id = $1
            """,
            challenge_id,
            link.seq,
            link.body,
            link.hash,
        )

    async def log(self, challenge_id: ChallengeId, after: int, limit: int) -> list[Link]:
        """The entries after number `after`, in order, up to `limit`."""
        rows = await self._tx.fetch(
            """
            SELECT seq, body, hash FROM challenge_log
            WHERE challenge_id = $1 AND seq > $2
            ORDER BY seq
            LIMIT $3
            """,
            challenge_id,
            after,
            limit,
        )
        return [Link(**row) for row in rows]

    # -- members ------------------------------------------------------------------------------------------------------

    async def entrant(self, challenge_id: ChallengeId, account_id: AccountId) -> Entrant | None:
        """Somebody who is or was in, or None."""
        row = await self._tx.fetchrow(
            f"SELECT {_ENTRANT} FROM challenge_members AS member WHERE challenge_id = $1 AND account_id = $2",  # noqa: S608
            challenge_id,
            account_id,
        )
        return None if row is None else _entrant(row)

    async def open_of(self, account_id: AccountId) -> list[tuple[Challenge, Entrant]]:
        """The challenges that somebody is in and that are not closed, by id: whoever locks several does it in this order, so
        that two transactions cannot wait for each other."""
        rows = await self._tx.fetch(
            f"""
            SELECT {_COLUMNS}, {_ENTRANT}
            FROM challenge_members AS member JOIN challenges ON challenges.id = member.challenge_id
            WHERE member.account_id = $1 AND member.left_at IS NULL AND challenges.finished_at IS NULL
            ORDER BY challenges.id
            """,  # noqa: S608
            account_id,
        )
        return [(_challenge(row), _entrant(row)) for row in rows]

    async def enter(self, challenge_id: ChallengeId, entrant: Entrant) -> None:
        """Somebody new. The row of the challenge must be locked: numbers are handed out one by one."""
        await self._tx.execute(
            """
            INSERT INTO challenge_members (challenge_id, n, account_id, zone, team, joined_at, seq)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            challenge_id,
            entrant.n,
            entrant.account_id,
            entrant.zone,
            entrant.team,
            utc(entrant.joined_ms),
            entrant.seq,
        )
        await self._tx.execute(
            "UPDATE challenges SET numbers = numbers + 1, members = members + 1 WHERE id = $1", challenge_id
        )

    async def come_and_go(self, challenge_id: ChallengeId, n: int, left_at: datetime | None, seq: int) -> None:
        """A member goes, or who went comes back (`left_at` None). The row of the challenge must be locked."""
        await self._tx.execute(
            "UPDATE challenge_members SET left_at = $3, seq = $4 WHERE challenge_id = $1 AND n = $2",
            challenge_id,
            n,
            left_at,
            seq,
        )
        await self._tx.execute(
            "UPDATE challenges SET members = members + $2 WHERE id = $1", challenge_id, 1 if left_at is None else -1
        )

    async def called(self, challenge_id: ChallengeId, ns: Sequence[int]) -> dict[int, Called]:
        """What members are called, by number, and their teams."""
        rows = await self._tx.fetch(
            """
            SELECT member.n, accounts.name, member.team
            FROM challenge_members AS member LEFT JOIN accounts ON accounts.id = member.account_id
            WHERE member.challenge_id = $1 AND member.n = ANY($2::integer[])
            """,
            challenge_id,
            ns,
        )
        return {row["n"]: Called(row["name"], row["team"]) for row in rows}

    async def accounts(self, challenge_id: ChallengeId, ns: Sequence[int]) -> dict[int, AccountId]:
        """Whose numbers they are; without those whose account is gone."""
        rows = await self._tx.fetch(
            """
            SELECT n, account_id FROM challenge_members
            WHERE challenge_id = $1 AND n = ANY($2::integer[]) AND account_id IS NOT NULL
            """,
            challenge_id,
            ns,
        )
        return {row["n"]: AccountId(row["account_id"]) for row in rows}

    # -- scores -------------------------------------------------------------------------------------------------------

    async def contributions(self, challenge_id: ChallengeId, n: int) -> list[Contribution]:
        """The latest revision of each workout that counts for a member."""
        rows = await self._tx.fetch(
            """
            SELECT workout_id, revision, day, began_ms, ended_ms, value, mark FROM challenge_scores
            WHERE challenge_id = $1 AND n = $2
            """,
            challenge_id,
            n,
        )
        return [
            Contribution(
                WorkoutId(row["workout_id"]),
                row["revision"],
                row["day"],
                row["began_ms"],
                row["ended_ms"],
                row["value"],
                row["mark"],
            )
            for row in rows
        ]

    async def score(self, challenge_id: ChallengeId, line: Line, what: Contribution, seq: int) -> None:
        """Keep a revision of a workout in place of an earlier one, and the line that its member comes to with it."""
        await self._tx.execute(
            """
            INSERT INTO challenge_scores (challenge_id, n, workout_id, revision, day, began_ms, ended_ms, value, mark)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (challenge_id, n, workout_id) DO UPDATE
                SET revision = excluded.revision, day = excluded.day, began_ms = excluded.began_ms,
                    ended_ms = excluded.ended_ms, value = excluded.value, mark = excluded.mark
            """,
            challenge_id,
            line.n,
            what.workout,
            what.revision,
            what.day,
            what.began_ms,
            what.ended_ms,
            what.value,
            what.mark,
        )
        await self._tx.execute(
            "UPDATE challenge_members SET value = $3, tie = $4, seq = $5 WHERE challenge_id = $1 AND n = $2",
            challenge_id,
            line.n,
            line.value,
            line.tie,
            seq,
        )

    async def team_moved(self, challenge_id: ChallengeId, team: int, by: int) -> None:
        """What a team has together grows by so much, or shrinks, after its member's line was stored. The row of the challenge must
        be locked."""
        await self._tx.execute(
            """
            INSERT INTO challenge_teams AS kept (challenge_id, team, value, tie)
            SELECT $1, $2, $3, coalesce(max(tie), 0) FROM challenge_members
            WHERE challenge_id = $1 AND team = $2 AND left_at IS NULL AND value > 0
            ON CONFLICT (challenge_id, team) DO UPDATE SET value = kept.value + excluded.value, tie = excluded.tie
            """,
            challenge_id,
            team,
            by,
        )

    async def teams(self, challenge_id: ChallengeId) -> list[Line]:
        """What each team has together, its index in the rules as `n`; without those that never had anything."""
        rows = await self._tx.fetch(
            "SELECT team, value, tie FROM challenge_teams WHERE challenge_id = $1 ORDER BY team", challenge_id
        )
        return [Line(row["team"], row["value"], row["tie"], row["team"]) for row in rows]

    async def marked(self, challenge_id: ChallengeId, ns: Sequence[int]) -> set[int]:
        """Which of these members have something in their score that fair play has flagged."""
        rows = await self._tx.fetch(
            """
            SELECT DISTINCT n FROM challenge_scores
            WHERE challenge_id = $1 AND n = ANY($2::integer[]) AND mark = 'flagged' AND value > 0
            """,
            challenge_id,
            ns,
        )
        return {row["n"] for row in rows}

    # -- the table ----------------------------------------------------------------------------------------------------

    async def page(self, challenge_id: ChallengeId, start: int, limit: int) -> list[Line]:
        """Lines of the table in order, from position `start` (from 0) on. Reads past those before."""
        rows = await self._tx.fetch(
            """
            SELECT n, value, tie, team FROM challenge_members
            WHERE challenge_id = $1 AND left_at IS NULL
            ORDER BY value DESC, tie, n
            OFFSET $2 LIMIT $3
            """,
            challenge_id,
            start,
            limit,
        )
        return [Line(**row) for row in rows]

    async def better_than(self, challenge_id: ChallengeId, line: Line) -> tuple[int, int]:
        """How many are strictly better than a line, and how many stand before it. Counts them."""
        row = await self._tx.fetchrow(
            """
            SELECT count(*) FILTER (WHERE value > $2 OR tie < $3) AS better, count(*) AS before FROM challenge_members
            WHERE challenge_id = $1 AND left_at IS NULL AND value >= $2 AND (value > $2 OR (tie, n) < ($3, $4))
            """,
            challenge_id,
            line.value,
            line.tie,
            line.n,
        )
        return row["better"], row["before"]

    async def changed_after(self, challenge_id: ChallengeId, seq: int, limit: int) -> list[Changed]:
        """Members about whom there are entries after number `seq`, by the last of them, as they stand now."""
        rows = await self._tx.fetch(
            """
            SELECT n, value, tie, team, left_at, seq FROM challenge_members
            WHERE challenge_id = $1 AND seq > $2
            ORDER BY seq
            LIMIT $3
            """,
            challenge_id,
            seq,
            limit,
        )
        return [
            Changed(Line(row["n"], row["value"], row["tie"], row["team"]), row["left_at"] is None, row["seq"])
            for row in rows
        ]


def _challenge(row: asyncpg.Record) -> Challenge:
    return Challenge(
        id=ChallengeId(row["id"]),
        code=row["code"],
        title=row["title"],
        owner_id=None if row["owner_id"] is None else AccountId(row["owner_id"]),
        rules=_rules(row["rules"]),
        created_ms=to_wall_ms(row["created_at"]),
        finished_ms=None if row["finished_at"] is None else to_wall_ms(row["finished_at"]),
        numbers=row["numbers"],
        members=row["members"],
        seq=row["seq"],
        head=row["head"],
    )


def _entrant(row: asyncpg.Record) -> Entrant:
    return Entrant(
        n=row["n"],
        account_id=None if row["account_id"] is None else AccountId(row["account_id"]),
        zone=row["zone"],
        team=row["team"],
        joined_ms=to_wall_ms(row["joined_at"]),
        left_ms=None if row["left_at"] is None else to_wall_ms(row["left_at"]),
        value=row["value"],
        tie=row["tie"],
        seq=row["member_seq"],
    )
