"""Who is friends with whom, and who has asked."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from persistence.database import Tx
from services.kernel.clock import to_wall_ms, utc
from services.kernel.ids import AccountId
from services.social.friend import Request
from services.social.friends import AskingView, FriendView


class Friends:
    """Friends and requests inside one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def lock(self, one: AccountId, other: AccountId) -> None:
        """Nobody else changes what is between two people, or adds to what either has, before this transaction ends. Always in the
        same order, so that two who lock each other's wait and do not lock each other out. Somebody who does not exist is fine."""
        await self._tx.execute(
            "SELECT FROM accounts WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", sorted((one, other))
        )

    async def since(self, one: AccountId, other: AccountId) -> int | None:
        """Since when two are friends, None where they are not."""
        found = await self._tx.fetchval(
            "SELECT since FROM friends WHERE account_id = $1 AND friend_id = $2", one, other
        )
        return None if found is None else to_wall_ms(found)

    async def count(self, account_id: AccountId) -> int:
        """How many friends an account has."""
        found: int = await self._tx.fetchval("SELECT count(*) FROM friends WHERE account_id = $1", account_id)
        return found

    async def befriend(self, one: AccountId, other: AccountId, at: datetime) -> None:
        """Two are friends now, and what they had asked each other is answered."""
        await self._forget_requests(one, other)
        await self._tx.execute(
            """
            INSERT INTO friends (account_id, friend_id, since) VALUES ($1, $2, $3), ($2, $1, $3)
            ON CONFLICT DO NOTHING
            """,
            one,
            other,
            at,
        )

    async def part(self, one: AccountId, other: AccountId) -> bool:
        """Two are friends no more; whether they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM friends
            WHERE (account_id = $1 AND friend_id = $2) OR (account_id = $2 AND friend_id = $1)
            """,
            one,
            other,
        )
        return status != "DELETE 0"

    async def sever(self, account_id: AccountId, blocked_id: AccountId) -> None:
        """Somebody blocks somebody: they are no friends, what the one had asked is taken back, and what the other has asked is
        unwanted, of which they see nothing."""
        await self.part(account_id, blocked_id)
        await self.withdraw(account_id, blocked_id)
        await self.unwanted(blocked_id, account_id)

    async def request(self, asker_id: AccountId, asked_id: AccountId) -> Request | None:
        """What somebody has asked somebody; also what is over and not yet forgotten."""
        row = await self._tx.fetchrow(
            "SELECT * FROM friend_requests WHERE asker_id = $1 AND asked_id = $2", asker_id, asked_id
        )
        return None if row is None else _request(row)

    async def count_asked(self, asker_id: AccountId, since: datetime) -> int:
        """How many people somebody has asked after an instant."""
        found: int = await self._tx.fetchval(
            "SELECT count(*) FROM friend_requests WHERE asker_id = $1 AND asked_at > $2", asker_id, since
        )
        return found

    async def put(self, request: Request) -> None:
        """Keep a request, in place of one that is over or was another."""
        await self._tx.execute(
            """
            INSERT INTO friend_requests (asker_id, asked_id, called, asked_at, withdrawn, unwanted)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (asker_id, asked_id)
            DO UPDATE SET called = $3, asked_at = $4, withdrawn = $5, unwanted = $6
            """,
            request.asker_id,
            request.asked_id,
            request.called,
            utc(request.asked_ms),
            request.withdrawn,
            request.unwanted,
        )

    async def withdraw(self, asker_id: AccountId, asked_id: AccountId) -> None:
        """Who asked does not mean it any more."""
        await self._tx.execute(
            "UPDATE friend_requests SET withdrawn = true WHERE asker_id = $1 AND asked_id = $2", asker_id, asked_id
        )

    async def unwanted(self, asker_id: AccountId, asked_id: AccountId) -> None:
        """Who was asked does not want to hear of it."""
        await self._tx.execute(
            "UPDATE friend_requests SET unwanted = true WHERE asker_id = $1 AND asked_id = $2", asker_id, asked_id
        )

    async def views(self, account_id: AccountId) -> list[FriendView]:
        """Everybody with whom an account is friends, by name."""
        rows = await self._tx.fetch(
            """
            SELECT accounts.id, accounts.name, friends.since
            FROM friends JOIN accounts ON accounts.id = friends.friend_id
            WHERE friends.account_id = $1
            ORDER BY lower(accounts.name), accounts.id
            """,
            account_id,
        )
        return [FriendView(AccountId(row["id"]), row["name"], to_wall_ms(row["since"])) for row in rows]

    async def asked_by(self, account_id: AccountId, since: datetime) -> list[Request]:
        """Everything that an account has asked after an instant, the newest first."""
        rows = await self._tx.fetch(
            """
            SELECT * FROM friend_requests WHERE asker_id = $1 AND asked_at > $2
            ORDER BY asked_at DESC, asked_id
            """,
            account_id,
            since,
        )
        return [_request(row) for row in rows]

    async def asking(self, account_id: AccountId, since: datetime, limit: int) -> list[AskingView]:
        """Who has asked an account after an instant and waits for an answer, the oldest first."""
        rows = await self._tx.fetch(
            """
            SELECT accounts.id, accounts.name, request.asked_at
            FROM friend_requests AS request JOIN accounts ON accounts.id = request.asker_id
            WHERE request.asked_id = $1 AND request.asked_at > $2 AND NOT request.withdrawn AND NOT request.unwanted
            ORDER BY request.asked_at, accounts.id
            LIMIT $3
            """,
            account_id,
            since,
            limit,
        )
        return [AskingView(AccountId(row["id"]), row["name"], to_wall_ms(row["asked_at"])) for row in rows]

    async def of(self, account_ids: Collection[AccountId]) -> dict[AccountId, frozenset[AccountId]]:
        """The friends of each of these accounts, in one go; also for those who have none."""
        rows: list[asyncpg.Record] = await self._tx.fetch(
            "SELECT account_id, array_agg(friend_id) AS friends FROM friends WHERE account_id = ANY($1) GROUP BY account_id",
            list(account_ids),
        )
        found = {AccountId(row["account_id"]): frozenset(map(AccountId, row["friends"])) for row in rows}
        return {account_id: found.get(account_id, frozenset()) for account_id in account_ids}

    async def prune(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` requests from before an instant; how many they were."""
        status: str = await self._tx.execute(
            """
            DELETE FROM friend_requests
            WHERE (asker_id, asked_id) IN (
                SELECT asker_id, asked_id FROM friend_requests
                WHERE asked_at <= $1
                ORDER BY asked_at
                LIMIT $2
                FOR UPDATE SKIP LOCKED
            )
            """,
            before,
            limit,
        )
        return int(status.split()[-1])

    async def _forget_requests(self, one: AccountId, other: AccountId) -> None:
        await self._tx.execute(
            """
            DELETE FROM friend_requests
            WHERE (asker_id = $1 AND asked_id = $2) OR (asker_id = $2 AND asked_id = $1)
            """,
            one,
            other,
        )


def _request(row: asyncpg.Record) -> Request:
    return Request(
        asker_id=AccountId(row["asker_id"]),
        asked_id=AccountId(row["asked_id"]),
        called=row["called"],
        asked_ms=to_wall_ms(row["asked_at"]),
        withdrawn=row["withdrawn"],
        unwanted=row["unwanted"],
    )
