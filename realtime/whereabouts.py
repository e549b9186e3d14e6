"""Where somebody is connected, over all nodes: asked for when a person of the staff wants to know, and kept nowhere.

A node knows its own connections and nobody else's, so it asks: a question on the channel that every node follows, and an answer
from each. It waits for those it has heard lately, and at most `ANSWER_S`: a node that is gone or busy is named as silent, and
whoever looks knows that there may be more. Questions and answers are hints like all that nodes say to each other
(realtime/peer.py); a node of before does not know them and is silent.
"""

import asyncio
from typing import Final

from realtime.connection import Connection
from realtime.node import Node, channel_of_account
from realtime.peer import EVERY_NODE, ConnectionHere, ConnectionsHere, ConnectionsWanted
from services.accounts.connection import ConnectionSeen, Found
from services.kernel.clock import Clock, pause
from services.kernel.ids import AccountId

ANSWER_S: Final = 1.0
"""How long a node may take to answer. Chosen: a loop that is later than that has other troubles."""
MOST_TOLD: Final = 64
"""Connections of one account that a node tells of; more than it lets one account have, by default."""


class _Question:
    """One that is waiting for `missing` nodes."""

    def __init__(self, missing: set[str]) -> None:
        self.missing: Final = missing
        self.found: Final[list[ConnectionSeen]] = []
        self.all_in: Final = asyncio.Event()


class Whereabouts:
    """See the module. Answers for this node as long as it lives."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node: Final = node
        self._clock: Final = clock
        self._asked = 0
        self._open: Final[dict[int, _Question]] = {}
        node.listen(ConnectionsWanted, self._wanted)
        node.listen(ConnectionsHere, self._here)

    async def of(self, account_id: AccountId) -> Found:
        """Their connections, the newest first, and which nodes have not answered."""
        self._asked += 1
        ask, question = self._asked, _Question(set(self._node.peers()))
        question.found.extend(_seen(self._node.id, each) for each in self._told(account_id))
        self._open[ask] = question
        try:
            if question.missing:
                self._node.publish(EVERY_NODE, ConnectionsWanted(account_id, self._node.id, ask))
                await pause(self._clock, ANSWER_S, question.all_in)
        finally:
            del self._open[ask]
        newest_first = sorted(question.found, key=lambda seen: -seen.opened_at_ms)
        return Found(tuple(newest_first), tuple(sorted(question.missing)))

    def _wanted(self, _channel: str, message: ConnectionsWanted) -> None:
        here = ConnectionsHere(self._node.id, message.by, message.ask, self._told(message.account_id))
        self._node.publish(EVERY_NODE, here)

    def _here(self, _channel: str, message: ConnectionsHere) -> None:
        question = self._open.get(message.ask) if message.to == self._node.id else None
        if question is None or message.node not in question.missing:
            return
        question.missing.discard(message.node)
        question.found.extend(_seen(message.node, each) for each in message.connections)
        if not question.missing:
            question.all_in.set()

    def _told(self, account_id: AccountId) -> tuple[ConnectionHere, ...]:
        members = self._node.members(channel_of_account(account_id))
        return tuple(self._view(each) for each in members[:MOST_TOLD])

    def _view(self, connection: Connection) -> ConnectionHere:
        age_ms = round((self._clock.monotonic() - connection.opened_at) * 1_000)
        caller = connection.caller
        rooms = tuple(sorted(connection.rooms, key=str))
        return ConnectionHere(caller.login_id, self._clock.wall_ms() - age_ms, rooms, caller.app_id)


def _seen(node: str, told: ConnectionHere) -> ConnectionSeen:
    return ConnectionSeen(node, told.login_id, told.opened_at_ms, told.rooms, told.app_id)
