"""The peer catalogue: every message between nodes.

Nodes speak over a carrier that may lose, repeat or delay (see realtime/broker.py). So no message here is needed for
correctness on its own: shares repeat whole every few seconds, ends of logins are also in the database, a relayed frame that
is lost is found again by asking.

On the wire a message is MessagePack, tagged by its class name and wrapped in a parcel that names the sender. A node that
does not know a tag (it is older than its peer) ignores the message and counts it.
"""

from typing import Final

import msgspec

from realtime.wire import Role
from services.kernel.ids import AccountId, ClassId, LoginId

EVERY_NODE: Final = "nodes"
"""The channel that every node follows always."""


class PeerMessage(msgspec.Struct, frozen=True, tag=True):
    """Base of everything nodes say to each other."""


class ShareEntry(msgspec.Struct, frozen=True):
    """What one node knows first-hand about one member of a room.

    `n` the member's number; `feed_epoch` which opening of a stream feeds the score (0 none yet); `rev` grows with every
    change on the node that speaks; `bpm` beats per minute, None without contact, and its `zone` 0 to 5; `at_ms` when the
    reading was made, wall ms, None before the first; `max_hr` bpm that percentages refer to; `zone_ms` ms earned in zone
    0 to 5; `finished` the stream has ended.
    """

    n: int
    account_id: AccountId
    name: str
    role: Role
    present: bool
    feed_epoch: int
    rev: int
    bpm: int | None
    zone: int | None
    at_ms: int | None
    max_hr: int
    zone_ms: tuple[int, ...]
    finished: bool


class Share(PeerMessage, frozen=True):
    """A node's part of a room's board: what changed, or all of it when `whole`. `epoch` and `seq` name the telling."""

    node: str
    epoch: str
    seq: int
    whole: bool
    entries: tuple[ShareEntry, ...]


class WholeWanted(PeerMessage, frozen=True):
    """`node` has just begun to follow this channel: please send whole shares."""

    node: str


class RelayedFrame(PeerMessage, frozen=True):
    """A finished frame for the members of this channel: `event` its name, `text` its Socket.IO packet."""

    event: str
    text: str


class LoginEnded(PeerMessage, frozen=True):
    """A login is over: every connection of it must end. Sent on `EVERY_NODE` or on the account's channel."""

    login_id: LoginId
    reason: str


class RoomClosed(PeerMessage, frozen=True):
    """The class of this room has ended at `ended_ms` (wall ms)."""

    class_id: ClassId
    ended_ms: int


class Heartbeat(PeerMessage, frozen=True):
    """`node` is alive; `seq` counts; `hears` are the nodes it has just heard (see realtime/watchdog.py)."""

    node: str
    seq: int
    hears: tuple[str, ...] = ()


AnyPeerMessage = Share | WholeWanted | RelayedFrame | LoginEnded | RoomClosed | Heartbeat

PEER_MESSAGES: Final[tuple[type[PeerMessage], ...]] = (
    Share,
    WholeWanted,
    RelayedFrame,
    LoginEnded,
    RoomClosed,
    Heartbeat,
)


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """A message and the node that sent it."""

    sender: str
    message: AnyPeerMessage


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Parcel)


def encode(sender: str, message: AnyPeerMessage) -> bytes:
    """A message as it travels."""
    return _encoder.encode(Parcel(sender, message))


def decode(data: bytes) -> Parcel:
    """Back again; raises `msgspec.DecodeError` for anything that is not in this catalogue."""
    return _decoder.decode(data)
