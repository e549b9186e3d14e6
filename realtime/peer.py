"""The peer catalogue: every message between nodes, and how it is wrapped.

Nodes speak over a carrier that may lose, repeat or delay (see realtime/broker.py). So no message here is needed for
correctness on its own: shares repeat whole every few seconds, ends of logins are also in the database, a relayed frame that
is lost is found again by asking.

On the wire a message is a *parcel*: a header, a checksum, a body.

    0  protocol level                 the first four places, and the name behind them, are the same at every level, so that
    1  length of the header, h        a node of another level can be refused by name
    2  kind: 1 message, 2 frame
    3  length of the sender's name
    4  sender, then (kind 2) one byte that says how long the open end is, and the name of the event
    h  CRC-32 of header and body without its open end, 4 bytes
       body: a message as MessagePack, tagged by its class name; or a frame, the very bytes that go to clients' WebSockets

A frame is not decoded by anybody: the header says all that a node must know to drop it or to hand it to its members. Headers
are few, a sender's name with an event's, so each is taken apart once and remembered. The checksum is there because the bytes
of a frame would otherwise reach clients unread, whatever else speaks on that Redis; it is taken of the header once and of the
body at about a microsecond per kilobyte.

The open end of a frame are its last bytes, into which the server that carries it may write: a room's log puts the position there
that the event has in it. Such a frame is heard by its sender too. All others have none.

A node that does not know a tag or an event ignores the message and counts it. What nodes must agree on beyond that raises
`LEVEL`.
"""

import re
import zlib
from functools import lru_cache
from typing import Final

import msgspec

from realtime.codec import relayed_frame
from realtime.frame import Frame
from realtime.wire import Role
from services.classes.course import Doing
from services.classes.metric import Figure
from services.classes.receipts import Receipt
from services.classes.showing import Showing
from services.kernel.ids import AccountId, AppId, ChallengeId, ClassId, LoginId, StreamId
from services.social.reaction import Reaction

LEVEL: Final = 2
"""Raised when nodes of before and after could not understand each other. Nodes of different levels do not talk. 2: a cue may be for
some members only; a node of before would hand it to all."""
EVERY_NODE: Final = "nodes"
"""The channel that every node follows always."""


class PeerMessage(msgspec.Struct, frozen=True, tag=True):
    """Base of everything nodes say to each other."""


class ShareEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one node knows first-hand about one member of a room.

    `n` the member's number; `feed_epoch` which opening of a stream feeds the score (0 none yet); `rev` grows with every
    change on the node that speaks; `bpm` beats per minute, None without contact, and its `zone` 0 to 5; `at_ms` when the
    reading was made, wall ms, None before the first; `max_hr` bpm that percentages refer to; `zone_ms` ms earned in zone
    0 to 5; `finished` the stream has ended; `doing` where they are in the steps of the class; `rest_hr` bpm, None until their
    stream has told it; `above_own` whether the heart is above the limit that they have set for themselves, None where they have
    set none: that limit stays on the node that speaks; `first`: they have been an athlete in no earlier class; `receipts` of
    cues that their clients have given lately; `showing` how they are shown, None when they never decided; `figure` of what the
    board is ranked by, where it is not made of the zones; `off_ms` how far off the clock of their client may be, None while it has
    not said; `team` an index into the teams of the class, which stays. What `showing` keeps from the hearers of the channel is not
    in the entry (rooms/redaction.py).
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
    doing: Doing | None = None
    rest_hr: int | None = None
    first: bool = False
    receipts: tuple[Receipt, ...] = ()
    showing: Showing | None = None
    figure: Figure | None = None
    above_own: bool | None = None
    off_ms: int | None = None
    team: int | None = None


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


class LoginEnded(PeerMessage, frozen=True):
    """A login is over: every connection of it must end. Sent on `EVERY_NODE` or on the account's channel."""

    login_id: LoginId
    reason: str


class StreamOpenedHere(PeerMessage, frozen=True):
    """A stream was opened on the node that speaks, in its `epoch`: whoever has an older opening of it has lost it. Sent on the
    account's channel. Lost, the older one learns it when its next commit is refused."""

    stream: StreamId
    epoch: int


class RoomClosed(PeerMessage, frozen=True):
    """The class of this room has ended at `ended_ms` (wall ms)."""

    class_id: ClassId
    ended_ms: int


class TableMoved(PeerMessage, frozen=True):
    """The table of a challenge is another one. Sent on the challenge's channel. Lost, it is told with the next change."""

    challenge_id: ChallengeId


class MemberShown(PeerMessage, frozen=True):
    """A member of this room has decided how they are shown. Sent on the room's channel once it is stored. Lost, it is found in the
    next whole share of the node that spoke."""

    account_id: AccountId
    showing: Showing


class MutesChanged(PeerMessage, frozen=True):
    """Somebody was muted in this room, or unmuted: read it from the database. Sent on the room's channel."""


class Reacted(PeerMessage, frozen=True):
    """How often who has reacted how, on the node that speaks, since it last said so. Sent on the room's channel. Lost, it is not
    counted by others: reactions mean now."""

    class_id: ClassId
    entries: tuple[tuple[AccountId, Reaction, int], ...]


class ReactedTo(PeerMessage, frozen=True):
    """`author`, who is `n` and called `name` in this room, reacts to one member. Sent on the channel of `account_id`."""

    class_id: ClassId
    author: AccountId
    account_id: AccountId
    n: int
    name: str
    kind: Reaction


class BlocksChanged(PeerMessage, frozen=True):
    """This account has blocked somebody, or unblocked: read it from the database. Sent on the account's channel."""

    account_id: AccountId


class FriendsChanged(PeerMessage, frozen=True):
    """This account has other friends: read them from the database. `parted` it has no more, which holds without reading. Sent on
    the account's channel."""

    account_id: AccountId
    parted: AccountId | None = None


class ConnectionsWanted(PeerMessage, frozen=True):
    """The node `by` wants to know where this account is connected; `ask` is its number of the question. Sent on `EVERY_NODE`. Lost,
    whoever asked says that some have not answered (realtime/whereabouts.py)."""

    account_id: AccountId
    by: str
    ask: int


class ConnectionHere(msgspec.Struct, frozen=True):
    """An open connection: by which login, since when (wall ms), in which rooms, of which app."""

    login_id: LoginId
    opened_at_ms: int
    rooms: tuple[ClassId, ...]
    app_id: AppId | None


class ConnectionsHere(PeerMessage, frozen=True):
    """What `node` answers the node `to` to its question `ask`. Sent on `EVERY_NODE`."""

    node: str
    to: str
    ask: int
    connections: tuple[ConnectionHere, ...]


class Heartbeat(PeerMessage, frozen=True):
    """`node` is alive; `seq` counts; `hears` are the nodes it has just heard (see realtime/watchdog.py)."""

    node: str
    seq: int
    hears: tuple[str, ...] = ()


AnyPeerMessage = (
    Share
    | WholeWanted
    | LoginEnded
    | StreamOpenedHere
    | RoomClosed
    | TableMoved
    | MemberShown
    | MutesChanged
    | BlocksChanged
    | FriendsChanged
    | Reacted
    | ReactedTo
    | ConnectionsWanted
    | ConnectionsHere
    | Heartbeat
)

PEER_MESSAGES: Final[tuple[type[PeerMessage], ...]] = (
    Share,
    WholeWanted,
    LoginEnded,
    StreamOpenedHere,
    RoomClosed,
    TableMoved,
    MemberShown,
    MutesChanged,
    BlocksChanged,
    FriendsChanged,
    Reacted,
    ReactedTo,
    ConnectionsWanted,
    ConnectionsHere,
    Heartbeat,
)


_SENDER: Final = re.compile(rb"[!-~]{1,64}")
_LEVELS: Final = range(1, 32)
"""What may be a level. A first byte outside is not ours at all."""
_FIXED, _CRC = 4, 4
_MESSAGE, _FRAME = 1, 2
MOST_OPEN: Final = 128
"""Bytes of an open end at most: what is not in the checksum has to be looked at by whoever takes it."""
_HEADERS_REMEMBERED: Final = 4_096

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[AnyPeerMessage]] = msgspec.msgpack.Decoder(AnyPeerMessage)


class MalformedError(ValueError):
    """Bytes that no node of this level has sent."""


class OtherLevelError(Exception):
    """A parcel of a node that speaks another level."""

    def __init__(self, sender: str, level: int) -> None:
        super().__init__(f"{sender} speaks level {level} and this node level {LEVEL}: give both the same release")
        self.sender = sender
        self.level = level


class Header(msgspec.Struct, frozen=True, gc=False):
    """What is written on a parcel: who sent it, and for a frame its `event` (else empty) and the bytes of its `open_end`;
    `packed` as it travels and `crc` its checksum."""

    sender: str
    event: str
    open_end: int
    packed: bytes
    crc: int


def encode(sender: str, message: AnyPeerMessage) -> bytes:
    """A message as it travels."""
    return _parcel(_header(sender, "", 0), _encoder.encode(message))


def encode_frame(sender: str, frame: Frame, *, open_end: int = 0) -> bytes:
    """A finished frame for the members of a channel, as it travels; the carrier's server may write into its last `open_end`
    bytes."""
    return _parcel(_header(sender, frame.event, open_end), frame.ws)


def header_of(data: bytes) -> Header:
    """What is written on a parcel. Raises `MalformedError`, and `OtherLevelError` for one of another level. Believed only as
    far as it is needed to throw the parcel away: the checksum is looked at with the body."""
    if len(data) < _FIXED + _CRC:
        raise MalformedError(f"{len(data)} bytes are no parcel")
    return _read(data[: data[1]])


def decode(header: Header, data: bytes) -> AnyPeerMessage:
    """The message in a parcel. Raises `MalformedError` for anything that is not in this catalogue."""
    try:
        return _decoder.decode(_body(header, data))
    except msgspec.DecodeError as fault:
        raise MalformedError(f"not a message: {fault}") from fault


def decode_frame(header: Header, data: bytes) -> Frame:
    """The frame in a parcel, as it left the other node. Raises `MalformedError` for one that no member could read."""
    try:
        return relayed_frame(header.event, _body(header, data))
    except ValueError as fault:
        raise MalformedError(f"not a frame: {fault}") from fault


def _parcel(header: Header, body: bytes) -> bytes:
    return b"%b%b%b" % (header.packed, _checksum(header, body).to_bytes(_CRC), body)


def _body(header: Header, data: bytes) -> bytes:
    begin = len(header.packed) + _CRC
    body = data[begin:]
    if _checksum(header, body) != int.from_bytes(data[begin - _CRC : begin]):
        raise MalformedError("its checksum is wrong")
    return body


def _checksum(header: Header, body: bytes) -> int:
    return zlib.crc32(body[: -header.open_end] if header.open_end else body, header.crc)


@lru_cache(_HEADERS_REMEMBERED)
def _header(sender: str, event: str, open_end: int) -> Header:
    """For what this node sends. Raises `ValueError` when the sender's name is none."""
    name, what = sender.encode(), event.encode()
    if not _SENDER.fullmatch(name):
        raise ValueError(f"{sender!r} names no node: 1 to 64 visible ASCII characters do")
    rest = bytes((open_end,)) + what if event else b""
    packed = bytes((LEVEL, _FIXED + len(name) + len(rest), _FRAME if event else _MESSAGE, len(name))) + name + rest
    return Header(sender, event, open_end, packed, zlib.crc32(packed))


@lru_cache(_HEADERS_REMEMBERED)
def _read(packed: bytes) -> Header:
    if len(packed) <= _FIXED or len(packed) != packed[1] or packed[0] not in _LEVELS:
        raise MalformedError("not a parcel")
    level, _, kind, size = packed[:_FIXED]
    name, rest = packed[_FIXED : _FIXED + size], packed[_FIXED + size :]
    if len(name) != size or not _SENDER.fullmatch(name):
        raise MalformedError("it names no sender")
    if level != LEVEL:
        raise OtherLevelError(name.decode(), level)
    sender, crc = name.decode(), zlib.crc32(packed)
    if kind == _MESSAGE and not rest:
        return Header(sender, "", 0, packed, crc)
    if kind == _FRAME and len(rest) > 1 and rest[0] <= MOST_OPEN and rest[1:].isascii():
        return Header(sender, rest[1:].decode(), rest[0], packed, crc)
    raise MalformedError(f"a parcel of kind {kind} has no such header")
