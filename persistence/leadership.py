"""Being the only one: an advisory lock that lives as long as its connection.

Postgres gives the lock to one connection at a time and takes it back the moment that connection ends, so a leader that
is killed is replaced as soon as its socket is seen to close. A leader that lost its connection without noticing is why
`held` asks the server on that very connection, and why what a leader does must bear being done twice.
"""

from typing import Final

from persistence.database import Tx


class Leadership:
    """The claim of one pinned connection (not a transaction) to a lock named by a number."""

    def __init__(self, connection: Tx, lock: int) -> None:
        self._connection: Final = connection
        self._lock: Final = lock

    async def take(self) -> bool:
        """Try to become the leader, without waiting. Call it once until `give_up`: the lock counts."""
        taken: bool = await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", self._lock)
        return taken

    async def held(self) -> bool:
        """Whether the server still knows this connection as the leader."""
        held: bool = await self._connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM pg_locks
                WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND classid = ($1::bigint >> 32)::int AND objid = ($1::bigint & 4294967295)::oid
                  AND objsubid = 1
            )
            """,
            self._lock,
        )
        return held

    async def give_up(self) -> None:
        """Let another one lead."""
        await self._connection.fetchval("SELECT pg_advisory_unlock($1)", self._lock)
