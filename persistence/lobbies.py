"""Who is ready in the lobbies of classes without a coach."""

from typing import Final

from persistence.database import Tx
from services.classes.lobby import Lobby, LobbyNow
from services.kernel.ids import AccountId, ClassId


class Lobbies:
    """The lobbies inside one transaction. Whoever writes holds the lock of the class (`stores.classes.lock`)."""

    def __init__(self, tx: Tx) -> None:
        self._tx: Final = tx

    async def of(self, class_id: ClassId) -> Lobby:
        """The lobby of a class; the empty one when nobody has said anything."""
        row = await self._tx.fetchrow("SELECT ready, n FROM class_lobbies WHERE class_id = $1", class_id)
        return Lobby() if row is None else Lobby(tuple(AccountId(each) for each in row["ready"]), row["n"])

    async def now(self, class_id: ClassId) -> LobbyNow:
        """The same by the numbers of its members."""
        row = await self._tx.fetchrow(
            """
            SELECT lobby.n, ARRAY(
                SELECT member.n FROM unnest(lobby.ready) WITH ORDINALITY AS said (account_id, place)
                JOIN class_members AS member ON member.class_id = $1 AND member.account_id = said.account_id
                ORDER BY said.place
            ) AS ready
            FROM class_lobbies AS lobby WHERE lobby.class_id = $1
            """,
            class_id,
        )
        return LobbyNow((), 0) if row is None else LobbyNow(tuple(row["ready"]), row["n"])

    async def save(self, class_id: ClassId, lobby: Lobby) -> None:
        """Keep it in place of the one before."""
        await self._tx.execute(
            """
            INSERT INTO class_lobbies (class_id, ready, n) VALUES ($1, $2, $3)
            ON CONFLICT (class_id) DO UPDATE SET ready = excluded.ready, n = excluded.n
            """,
            class_id,
            list(lobby.ready),
            lobby.n,
        )
