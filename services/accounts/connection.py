"""What staff see of somebody's open connections. Pure."""

from typing import Protocol

import msgspec

from services.kernel.ids import AccountId, AppId, ClassId, LoginId


class ConnectionSeen(msgspec.Struct, frozen=True):
    """An open connection: to which node, by which login, since when (wall ms), in which rooms; `app` of somebody else's app."""

    node: str
    login: LoginId
    opened_at_ms: int
    rooms: tuple[ClassId, ...]
    app: AppId | None


class Found(msgspec.Struct, frozen=True):
    """Connections, the newest first, and the nodes that have not answered: there may be more through those."""

    connections: tuple[ConnectionSeen, ...]
    silent: tuple[str, ...]


class Whereabouts(Protocol):
    """See realtime/whereabouts.py."""

    async def of(self, account_id: AccountId) -> Found: ...


class ConnectionLook(msgspec.Struct, frozen=True):
    """An open connection of somebody, as staff see it. `device` is what its login calls itself, empty for one that has ended in
    this moment; `rooms` the classes it is in; `app` the app of somebody else that it belongs to."""

    node: str
    login: LoginId
    device: str
    opened_at_ms: int
    rooms: tuple[ClassId, ...]
    app: AppId | None


class ConnectionsLook(msgspec.Struct, frozen=True):
    """The open connections of somebody on all nodes, the newest first. `silent`: nodes that have not answered in time, through
    which there may be more."""

    connections: tuple[ConnectionLook, ...]
    silent: tuple[str, ...]
