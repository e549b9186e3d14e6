"""The connections of this node, and who of them hears which channel.

A broadcast hands the same bytes to every member: nothing is encoded or framed per recipient, and a member costs a few
steps of a loop. When some of them are slow and need a snapshot instead, that too is made once per broadcast.

Who hears a channel is told as one where that is possible (`realtime.turn.Group`), and everybody else one by one. Who is in the
group is found out when something is said: all whose line is clear and known to the turn's bulk, and to whom everything goes.

Thousands of connections are held for an hour with one login and one account each, so the indexes keep the connection
itself where there is only one.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from realtime.connection import Connection
from realtime.frame import Frame
from realtime.turn import BULK, NO_SLOT, UNASKED, Group, Turn, Writer
from realtime.wire import Delivery
from services.kernel.ids import LoginId


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """Now: `connections`, `channels`, `mailbox_bytes` unsent. Since start: frames `broadcast`, `deliveries` made of
    them, connections `opened`, frames `dropped` and `replaced` for slow readers, and `closed` connections by reason."""

    connections: int
    channels: int
    mailbox_bytes: int
    opened: int
    broadcast: int
    deliveries: int
    dropped: int
    replaced: int
    closed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Together:
    """Of those who hear a channel, who is told as one, and the others, who are all the rest."""

    group: Group
    others: dict[Connection, None]


class Hub:
    """Every connection of this node. Synchronous; belongs to one event loop."""

    def __init__(self, turn: Turn | None = None) -> None:
        self.turn: Final = Turn() if turn is None else turn
        self._connections: dict[str, Connection] = {}
        self._channels: dict[str, Connection | dict[Connection, None]] = {}
        self._together: dict[str, _Together] = {}
        self._logins: dict[LoginId, Connection | tuple[Connection, ...]] = {}
        self._with_scopes = 0
        self._opened = 0
        self._broadcast = 0
        self._deliveries = 0
        self._dropped = 0
        self._replaced = 0
        self._closed: Counter[str] = Counter()

    # -- who is here ----------------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        """Take in a connection. Raises `ValueError` when its id is taken: ids are made to be unique."""
        if connection.id in self._connections:
            raise ValueError(f"connection {connection.id} is in the hub already")
        self._connections[connection.id] = connection
        held = self._logins.get(connection.caller.login_id)
        self._logins[connection.caller.login_id] = connection if held is None else (*_all(held), connection)
        self._with_scopes += connection.hears is not None
        self._opened += 1

    def remove(self, connection: Connection, reason: str = "transport") -> tuple[str, ...]:
        """Forget a connection and return the channels it was in. Removing twice is harmless."""
        if self._connections.pop(connection.id, None) is None:
            return ()
        left = connection.channels
        for channel in left:
            self.leave(connection, channel)
        others = tuple(one for one in self.of_login(connection.caller.login_id) if one is not connection)
        if others:
            self._logins[connection.caller.login_id] = others
        else:
            self._logins.pop(connection.caller.login_id, None)
        self._with_scopes -= connection.hears is not None
        self._dropped += connection.dropped
        self._replaced += connection.replaced
        self._closed[reason] += 1
        return left

    def get(self, connection_id: str) -> Connection | None:
        """The connection of this id, None when it is not here."""
        return self._connections.get(connection_id)

    def connections(self) -> Collection[Connection]:
        """All connections. A live view: copy it before doing anything that may remove one."""
        return self._connections.values()

    def of_login(self, login_id: LoginId) -> tuple[Connection, ...]:
        """The connections of one login on this node."""
        held = self._logins.get(login_id)
        return () if held is None else _all(held)

    def __len__(self) -> int:
        return len(self._connections)

    def __bool__(self) -> bool:
        return len(self._connections) > 0

    # -- channels -------------------------------------------------------------------------------------------------

    def join(self, connection: Connection, channel: str) -> bool:
        """Let a connection hear a channel; False when it did already, or is not in the hub any more."""
        if connection.id not in self._connections or channel in connection.channels:
            return False
        connection.channels += (channel,)
        held = self._channels.get(channel)
        if held is None:
            self._channels[channel] = connection
        elif isinstance(held, dict):
            held[connection] = None
            if (together := self._together.get(channel)) is not None:
                together.others[connection] = None
        else:
            self._channels[channel] = {held: None, connection: None}
        return True

    def leave(self, connection: Connection, channel: str) -> bool:
        """Let a connection no longer hear a channel; False when it did not."""
        if channel not in connection.channels:
            return False
        connection.channels = tuple(name for name in connection.channels if name != channel)
        if (together := self._together.get(channel)) is not None:
            if connection in together.others:
                del together.others[connection]
            else:
                del self._together[channel]
                together.group.end()
        held = self._channels.get(channel)
        if isinstance(held, dict):
            held.pop(connection, None)
        if held is connection or held == {}:
            del self._channels[channel]
        return True

    def members(self, channel: str) -> tuple[Connection, ...]:
        """Who hears the channel on this node."""
        held = self._channels.get(channel)
        return () if held is None else _all(held)

    def count(self, channel: str) -> int:
        """How many connections hear the channel on this node."""
        held = self._channels.get(channel, ())
        return 1 if isinstance(held, Connection) else len(held)

    def broadcast(
        self,
        channel: str,
        frame: Frame,
        *,
        key: str | None = None,
        whole: Callable[[], Frame] | None = None,
        without: Collection[Connection] = (),
    ) -> int:
        """Push one frame to everybody who hears the channel here, `without` a few.

        How many that is. `key` and `whole`: see `Mailbox.put`.
        """
        held = self._channels.get(channel)
        if held is None:
            return 0
        data = frame.ws
        urgent = frame.delivery is not Delivery.LATEST
        together = None
        if urgent and not without and isinstance(held, dict) and len(held) >= BULK and self.turn.bulk is not None:
            together = self._told_together(channel, held, data)
        members = _all(held) if together is None else tuple(together.others)
        told = 0 if together is None else len(together.group.writers)
        if without:
            members = tuple(connection for connection in members if connection not in without)
        if self._with_scopes:
            # Asked only while there is an app on this node at all: the loop below is what a busy room costs.
            event = frame.event
            members = tuple(one for one in members if one.hears is None or event in one.hears)
        told += len(members)
        if not told:
            return 0
        if members:
            self._tell_each(members, frame, key, whole, urgent=urgent)
        self._broadcast += 1
        self._deliveries += told
        return told

    def _told_together(self, channel: str, held: dict[Connection, None], data: bytes) -> _Together | None:
        """Tell those who are told as one, if that is possible: who they are, and who has to be told beside them."""
        together = self._together.get(channel)
        if (
            together is None
            or together.group.ended
            or (together.others and any(map(_could_be_told_as_one, together.others)))
        ):
            together = self._put_together(channel, held)
        return together if together is not None and together.group.tell(data) else None

    def _put_together(self, channel: str, held: dict[Connection, None]) -> _Together | None:
        """Find out who of them can be told as one."""
        before = self._together.pop(channel, None)
        if before is not None:
            before.group.end()
        writers, slots, others = list[Writer](), list[int](), dict[Connection, None]()
        for connection in held:
            slot = NO_SLOT
            if not connection.out and _could_be_told_as_one(connection):
                slot = connection.slot
                if slot == UNASKED:
                    slot = connection.ask_slot()
            if slot == NO_SLOT:
                others[connection] = None
            else:
                writers.append(connection)
                slots.append(slot)
        if len(writers) < BULK:
            return None
        together = self._together[channel] = _Together(Group(self.turn, writers, slots), others)
        return together

    def _tell_each(
        self,
        members: tuple[Connection, ...],
        frame: Frame,
        key: str | None,
        whole: Callable[[], Frame] | None,
        *,
        urgent: bool,
    ) -> None:
        once = None if whole is None else _once(whole)
        data = frame.ws
        writers: list[Writer] | None = None
        put = 0
        # What the turn says to somebody so far, and that with this frame behind it. In a busy room both are the same for nearly
        # everybody, so they are joined once: a quarter less Python per delivery than a copy for each, and one piece of memory.
        so_far, joined = b"", b""
        group: Group | None = None
        for connection in members:
            if connection.group is not group:
                group = connection.group
                if group is not None:
                    group.apart()
            # The cases of `Connection.push`, the frequent ones inlined: this loop is what a busy room costs.
            out = connection.out
            if connection.write_now is None:
                connection.push(frame, key=key, whole=once)
            elif not out:
                connection.out = data
                connection.urgent = urgent
                if writers is None:
                    writers = self.turn.soon() if urgent else self.turn.later()
                writers.append(connection)
                put += 1
            elif out is so_far:
                connection.out = joined
                put += 1
                if urgent and not connection.urgent:
                    connection.urgent = True
                    if writers is None:
                        writers = self.turn.soon()
                    writers.append(connection)
            else:
                connection.push(frame)
                so_far, joined = (out, connection.out) if connection.out else (b"", b"")
        self.turn.frames += put

    def statistics(self) -> HubStatistics:
        """Counters for the probes."""
        here = self._connections.values()
        return HubStatistics(
            connections=len(self._connections),
            channels=len(self._channels),
            mailbox_bytes=sum(connection.mailbox.bytes for connection in here),
            opened=self._opened,
            broadcast=self._broadcast,
            deliveries=self._deliveries,
            dropped=self._dropped + sum(connection.dropped for connection in here),
            replaced=self._replaced + sum(connection.replaced for connection in here),
            closed=dict(self._closed),
        )


def _all(held: Connection | dict[Connection, None] | tuple[Connection, ...]) -> tuple[Connection, ...]:
    return (held,) if isinstance(held, Connection) else tuple(held)


def _could_be_told_as_one(connection: Connection) -> bool:
    """Whether it is of those whom a group is made of, as soon as nothing waits for it alone."""
    group = connection.group
    return connection.slot != NO_SLOT and connection.hears is None and (group is None or group.ended)


def _once(make: Callable[[], Frame]) -> Callable[[], Frame]:
    made: list[Frame] = []

    def frame() -> Frame:
        if not made:
            made.append(make())
        return made[0]

    return frame
