"""The connections of this node, and who of them hears which channel.

A broadcast hands the same frame object to every member: nothing is encoded per recipient. When some of them are slow and
need a snapshot instead, that too is made once per broadcast.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, TypeVar

from realtime.codec import Frame
from realtime.connection import Connection
from services.kernel.ids import AccountId, LoginId

_Key = TypeVar("_Key")
_NOBODY: Final[dict[Connection, None]] = {}


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """Now: `connections`, `channels`, `mailbox_bytes` unsent. Since start: frames `broadcast`, `deliveries` made of them,
    connections `opened`, frames `dropped` and `replaced` for slow readers, and `closed` connections by reason."""

    connections: int
    channels: int
    mailbox_bytes: int
    opened: int
    broadcast: int
    deliveries: int
    dropped: int
    replaced: int
    closed: dict[str, int] = field(default_factory=dict)


class Hub:
    """Every connection of this node. Synchronous; belongs to one event loop."""

    def __init__(self) -> None:
        self._connections: dict[str, Connection] = {}
        self._channels: dict[str, dict[Connection, None]] = {}
        self._accounts: dict[AccountId, dict[Connection, None]] = {}
        self._logins: dict[LoginId, dict[Connection, None]] = {}
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
        self._accounts.setdefault(connection.caller.account_id, {})[connection] = None
        self._logins.setdefault(connection.caller.login_id, {})[connection] = None
        self._opened += 1

    def remove(self, connection: Connection, reason: str = "transport") -> tuple[str, ...]:
        """Forget a connection and return the channels it was in. Removing twice is harmless."""
        if self._connections.pop(connection.id, None) is None:
            return ()
        left = tuple(connection.channels)
        for channel in left:
            self.leave(connection, channel)
        _discard(self._accounts, connection.caller.account_id, connection)
        _discard(self._logins, connection.caller.login_id, connection)
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

    def of_account(self, account_id: AccountId) -> tuple[Connection, ...]:
        """The account's connections on this node."""
        return tuple(self._accounts.get(account_id, _NOBODY))

    def of_login(self, login_id: LoginId) -> tuple[Connection, ...]:
        """The connections of one login on this node."""
        return tuple(self._logins.get(login_id, _NOBODY))

    def __len__(self) -> int:
        return len(self._connections)

    # -- channels -------------------------------------------------------------------------------------------------

    def join(self, connection: Connection, channel: str) -> bool:
        """Let a connection hear a channel; False when it did already, or is not in the hub any more."""
        if connection.id not in self._connections or channel in connection.channels:
            return False
        connection.channels.add(channel)
        self._channels.setdefault(channel, {})[connection] = None
        return True

    def leave(self, connection: Connection, channel: str) -> bool:
        """Let a connection no longer hear a channel; False when it did not."""
        if channel not in connection.channels:
            return False
        connection.channels.discard(channel)
        _discard(self._channels, channel, connection)
        return True

    def members(self, channel: str) -> tuple[Connection, ...]:
        """Who hears the channel on this node."""
        return tuple(self._channels.get(channel, _NOBODY))

    def count(self, channel: str) -> int:
        """How many connections hear the channel on this node."""
        return len(self._channels.get(channel, _NOBODY))

    def broadcast(
        self,
        channel: str,
        frame: Frame,
        *,
        key: str | None = None,
        whole: Callable[[], Frame] | None = None,
    ) -> int:
        """Push one frame to everybody who hears the channel here; how many that is. `key` and `whole`: see `Mailbox.put`."""
        members = self.members(channel)
        once = None if whole is None else _once(whole)
        for connection in members:
            connection.push(frame, key=key, whole=once)
        self._broadcast += 1
        self._deliveries += len(members)
        return len(members)

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


def _discard(index: dict[_Key, dict[Connection, None]], key: _Key, connection: Connection) -> None:
    connections = index.get(key)
    if connections is not None:
        connections.pop(connection, None)
        if not connections:
            del index[key]


def _once(make: Callable[[], Frame]) -> Callable[[], Frame]:
    made: list[Frame] = []

    def frame() -> Frame:
        if not made:
            made.append(make())
        return made[0]

    return frame
