"""Who looks at which challenge's table on this node, and telling them when it has moved.

A table moves by durable facts, wherever they are handled. Whoever handles one says `TableMoved` on the challenge's channel, which a
node follows while somebody here looks at that table. That is a hint and not the news: what each watcher is told is read anew, with
their own lines and by their own right, so a member who has left hears nothing more. What moves within `EVERY_S` is told once.

Reading is what costs, a few milliseconds for each watcher. So a node reads for `MOST_A_TURN` of them in a turn, whoever waits
longest first; with more watchers each is told less often, and always the newest.
"""

import asyncio
from itertools import islice
from typing import Final

import structlog

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.node import Node
from realtime.peer import TableMoved
from realtime.sparingly import Sparingly
from services.challenges.challenges import ChallengeTable
from services.challenges.standing import ChallengeStanding, Tables, standing_of
from services.kernel.clock import Clock
from services.kernel.ids import ChallengeId
from services.kernel.problems import Problem, TooManyWatches, Unavailable

MOST_WATCHED: Final = 4
"""Tables that one connection may look at: a page shows one; nobody reads five."""
MOST_A_TURN: Final = 100
EVERY_S: Final = 1.0
"""Pause between turns. Chosen: a table of days need not move faster, and a second of corrections becomes one."""

log = structlog.get_logger(__name__)

_Watch = tuple[Connection, ChallengeId]


class Watching:
    """The watchers of this node. What waits to be told is bounded by the connections: each watch waits at most once."""

    def __init__(self, node: Node, tables: Tables, clock: Clock) -> None:
        self._node: Final = node
        self._tables: Final = tables
        self._clock: Final = clock
        self._say: Final = Sparingly(log, clock.monotonic)
        self._watched: Final[dict[Connection, dict[ChallengeId, None]]] = {}
        self._waiting: Final[dict[_Watch, None]] = {}
        self._wake: Final = asyncio.Event()
        node.listen(TableMoved, lambda _, moved: self._moved(moved.challenge_id))
        node.on_gap(self._gap)

    async def watch(self, connection: Connection, challenge_id: ChallengeId) -> ChallengeStanding:
        """Look at a table from now on; how it stands. Again is fine. Raises `ChallengeNotFound` for whoever may not see it,
        `TooManyWatches`."""
        mine = self._watched.get(connection, {})
        if challenge_id not in mine and len(mine) >= MOST_WATCHED:
            raise TooManyWatches(limit=MOST_WATCHED)
        # First heard, then read: what moves in between is told.
        self._node.join(connection, channel_of(challenge_id))
        self._watched.setdefault(connection, {})[challenge_id] = None
        try:
            return await standing_of(self._tables, connection.caller, challenge_id, {})
        except BaseException:
            self.unwatch(connection, challenge_id)
            raise
        finally:
            if connection.closed:
                self.drop(connection)

    def unwatch(self, connection: Connection, challenge_id: ChallengeId) -> None:
        """Look no longer. Harmless for who did not."""
        mine = self._watched.get(connection, {})
        if challenge_id not in mine:
            return
        del mine[challenge_id]
        self._waiting.pop((connection, challenge_id), None)
        self._node.leave(connection, channel_of(challenge_id))
        if not mine:
            del self._watched[connection]

    def drop(self, connection: Connection) -> None:
        """A connection is gone."""
        for challenge_id in tuple(self._watched.get(connection, ())):
            self.unwatch(connection, challenge_id)

    async def run(self) -> None:
        """Tell watchers what has moved, until cancelled."""
        while True:
            await self._wake.wait()
            await self._clock.sleep(EVERY_S)
            await self.turn()

    async def turn(self) -> None:
        """Tell those who wait, `MOST_A_TURN` at most."""
        leading: dict[ChallengeId, ChallengeTable] = {}
        for watch in tuple(islice(self._waiting, MOST_A_TURN)):
            if watch not in self._waiting:
                continue  # gone while others were told
            del self._waiting[watch]
            connection, challenge_id = watch
            try:
                standing = await standing_of(self._tables, connection.caller, challenge_id, leading)
            except Unavailable as problem:
                self._say.warning("watching.not_told", challenge=str(challenge_id), trouble=problem.message)
                if challenge_id in self._watched.get(connection, ()):
                    self._waiting[watch] = None
                return
            except Problem as problem:
                log.info("watching.ended", challenge=str(challenge_id), problem=problem.code)
                self.unwatch(connection, challenge_id)
                continue
            if challenge_id in self._watched.get(connection, ()):
                connection.push(event_frame("challenge.table", standing), key=channel_of(challenge_id))
        if not self._waiting:
            self._wake.clear()

    def _moved(self, challenge_id: ChallengeId) -> None:
        for connection in self._node.members(channel_of(challenge_id)):
            if challenge_id in self._watched.get(connection, ()):
                self._waiting.setdefault((connection, challenge_id))
                self._wake.set()

    def _gap(self, channels: tuple[str, ...]) -> None:
        """What was said on these channels may have been missed."""
        heard = set(channels)
        for challenge_id in {one for mine in self._watched.values() for one in mine}:
            if channel_of(challenge_id) in heard:
                self._moved(challenge_id)


def channel_of(challenge_id: ChallengeId) -> str:
    """The channel on which nodes hear that a challenge's table has moved."""
    return f"challenge:{challenge_id}"
