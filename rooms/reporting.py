"""A member reports a message of the chat.

Its text is read from the room's log: what is reported is what was said. So it can be reported as long as the log keeps it. The
coach decides over HTTP (services/social/reports.py).
"""

from typing import Final

from persistence.stores import Transactions
from realtime.connection import Connection
from realtime.wire import ChatReport, Done
from rooms.removing import message_at
from rooms.rooms import Rooms
from services.classes.saying import may_chat
from services.kernel.clock import Clock, utc
from services.kernel.ids import Ids, ReportId
from services.kernel.problems import MessageGone, NotInRoom
from services.limits.table import REPORT


class Reporting:
    """The use case."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock, ids: Ids) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def report(self, connection: Connection, message: ChatReport) -> Done:
        """Report a message; again changes nothing. Raises `NotInRoom`, `Forbidden` for a display, `RateLimited`, `MessageGone`, and
        `Unavailable` while the log does not answer."""
        room = self._rooms.get(message.class_id)
        if room is None or message.class_id not in connection.rooms:
            raise NotInRoom
        may_chat(connection.caller)
        await self._rooms.limits.spend(REPORT, str(connection.caller.account_id), message="too many reports")
        if message.message in room.taken_down:
            raise MessageGone(path="$.message")
        said = await message_at(self._rooms, room, message.message)
        async with self._transactions() as stores:
            await stores.reports.add(
                ReportId(self._ids.next()),
                room.live.id,
                position=said.position,
                n=said.n,
                about=room.account_of(said.n),
                text=said.text,
                reason=message.reason,
                by=connection.caller.account_id,
                at=utc(self._clock.wall_ms()),
            )
        return Done()
