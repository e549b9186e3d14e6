"""The peer catalogue: every message between nodes.

Nodes speak over a carrier that may lose, repeat or delay (see realtime/broker.py). So no message here is needed for
correctness on its own: shares repeat whole every few seconds, ends of logins are also in the database, a relayed frame that
is lost is found again by asking.

They travel in parcels (realtime/parcel.py), as MessagePack, tagged by their class name. A node that does not know a tag ignores the
message and counts it.
"""

from typing import Final

import msgspec

from realtime.parcel import Header, MalformedError, body_of, pack
from realtime.wire import Role
from services.classes.course import Doing
from services.classes.metric import Figure
from services.classes.receipts import Receipt
from services.classes.showing import Showing
from services.kernel.ids import AccountId, AppId, ChallengeId, ClassId, LoginId, StreamId
from services.social.reaction import Reaction

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
    """The class of this room has ended at `ended_ms` (wall ms). Lost, it is taken from `class.ended` in the room's log, and where
    that is lost with the log, from the database."""

    class_id: ClassId
    ended_ms: int


class TableMoved(PeerMessage, frozen=True):
    """The table of a challenge is another one. Sent on the challenge's channel. Lost, it is told with the next change."""

    challenge_id: ChallengeId


class MemberShown(PeerMessage, frozen=True):
    """A member of this room has decided how they are shown. Sent on the room's channel once it is stored. Lost, it is found in the
    next whole share of the node that spoke, or in the database."""

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


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[AnyPeerMessage]] = msgspec.msgpack.Decoder(AnyPeerMessage)


def encode(sender: str, message: AnyPeerMessage) -> bytes:
    """A message as it travels."""
    return pack(sender, _encoder.encode(message))


def decode(header: Header, data: bytes) -> AnyPeerMessage:
    """The message in a parcel. Raises `MalformedError` for anything that is not in this catalogue."""
    try:
        return _decoder.decode(body_of(header, data))
    except msgspec.DecodeError as fault:
        raise MalformedError(f"not a message: {fault}") from fault
