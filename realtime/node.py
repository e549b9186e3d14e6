"""This process among its peers: the hub (connections here) and the broker (everybody else) as one thing.

Above this floor nobody asks where a member is connected. `tell` reaches a channel's members wherever they are; `publish`
speaks to the other nodes; `broadcast` to the members here. A channel is followed only while somebody here needs it.

What a node says to itself over the broker is dropped on arrival: it acted on it before it spoke. Only its heartbeat is looked
at, as proof that it hears (realtime/watchdog.py), and a frame with an open end is heard by its sender too, because what a
server wrote there is news to everybody. A node that has gone deaf while its carrier believes to be well follows everything
anew; until it hears again it is not ready, and `on_standing` tells whoever has to tell people.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import structlog

from realtime import peer
from realtime.broker import Broker, BrokerStatistics
from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.frame import Frame
from realtime.hub import Hub, HubStatistics
from realtime.parcel import Header, MalformedError, OtherLevelError, decode_frame, encode_frame, header_of
from realtime.peer import EVERY_NODE, AnyPeerMessage, Heartbeat, LoginEnded, PeerMessage
from realtime.sparingly import Sparingly
from realtime.watchdog import HEARTBEAT_EVERY_S, Standing, Watchdog
from services.kernel.clock import Clock
from services.kernel.ids import AccountId

log = structlog.get_logger(__name__)

REFUSED_NAMES: Final = 256
"""Peers of another level that are named in the log, each once. More are counted only: a name may be anything."""
READY_LOOK_S: Final = 0.02

_Message = TypeVar("_Message", bound=PeerMessage)
_Handler = Callable[[str, PeerMessage], None]
FrameHandler = Callable[[str, Frame], None]
GapHandler = Callable[[tuple[str, ...]], None]
OnStanding = Callable[[Standing], None]


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """The hub's and the broker's counters, and the seconds since each of the `peers` that were heard lately. Of what peers sent
    since start: frames `relayed` to members here as they came, messages `decoded` by their class, parcels that were
    `not_understood`, and those `refused` because their sender speaks another level. Whether the node is `stale`, how often it
    `went_stale`, and the seconds since it heard itself."""

    hub: HubStatistics
    broker: BrokerStatistics
    peers: dict[str, float]
    relayed: int
    decoded: dict[str, int]
    not_understood: int
    refused: int
    stale: bool
    went_stale: int
    own_heartbeat_s: float


class Node:
    """One gateway process. `id` names it to its peers and must be unique among them."""

    def __init__(self, id: str, hub: Hub, broker: Broker, clock: Clock) -> None:
        self.id: Final = id
        self.hub: Final = hub
        self._broker: Final = broker
        self._clock: Final = clock
        self._handlers: dict[type[PeerMessage], list[_Handler]] = {}
        self._on_finished: list[FrameHandler] = []
        self._on_gap: list[GapHandler] = []
        self._followed: Counter[str] = Counter()
        self._watchdog: Final = Watchdog(clock.monotonic())
        self._on_standing: list[OnStanding] = []
        self._went_stale = 0
        self._beats = 0
        self._log: Final = Sparingly(log, clock.monotonic)
        self._relayed = 0
        self._decoded: Counter[str] = Counter()
        self._not_understood = 0
        self._refused = 0
        self._refused_names: dict[str, None] = {}
        self._running = False
        broker.deliver = self._receive
        broker.on_gap = self._gap
        self.listen(LoginEnded, self._login_ended)
        self.listen(Heartbeat, self._heard_heartbeat)
        self.follow(EVERY_NODE)

    # -- speaking -------------------------------------------------------------------------------------------------

    def publish(self, channel: str, message: AnyPeerMessage) -> None:
        """Say something to the other nodes that follow the channel. A hint: see realtime/broker.py."""
        self._broker.publish(channel, peer.encode(self.id, message))

    def announce(self, channel: str, message: AnyPeerMessage) -> None:
        """Say something to all nodes that follow the channel, this one included."""
        self.publish(channel, message)
        if channel in self._followed:
            self._handle(channel, message)

    def tell(self, channel: str, frame: Frame) -> int:
        """Send a frame to the members of a channel on every node; how many of them are here."""
        self._broker.publish(channel, encode_frame(self.id, frame))
        return self.hub.broadcast(channel, frame)

    def broadcast(
        self,
        channel: str,
        frame: Frame,
        *,
        key: str | None = None,
        whole: Callable[[], Frame] | None = None,
        without: Collection[Connection] = (),
    ) -> int:
        """Send a frame to the members of a channel on this node; how many they are. See `Hub.broadcast`."""
        return self.hub.broadcast(channel, frame, key=key, whole=whole, without=without)

    # -- listening ------------------------------------------------------------------------------------------------

    def listen(self, kind: type[_Message], handler: Callable[[str, _Message], None]) -> None:
        """Call `handler(channel, message)` for every message of this kind that another node sends on a channel followed
        here. Synchronous: it must not take long."""
        self._handlers.setdefault(kind, []).append(cast(_Handler, handler))

    def on_finished(self, handler: FrameHandler) -> None:
        """Call `handler(channel, frame)` for every frame with an open end (`encode_frame`), whichever node sent it. The end
        is whatever the server wrote there, or somebody else: look at it."""
        self._on_finished.append(handler)

    def on_gap(self, handler: GapHandler) -> None:
        """Call `handler(channels)` each time channels begin to be heard, the first time included: what peers said on them
        before may have been missed, so ask for whole shares."""
        self._on_gap.append(handler)

    def follow(self, channel: str) -> None:
        """Hear what peers say on a channel. Counted: as many `unfollow` undo it."""
        self._followed[channel] += 1
        if self._followed[channel] == 1:
            self._broker.follow(channel)

    def unfollow(self, channel: str) -> None:
        """Undo one `follow`."""
        if self._followed[channel] > 1:
            self._followed[channel] -= 1
        elif self._followed.pop(channel, 0):
            self._broker.unfollow(channel)

    def on_standing(self, handler: OnStanding) -> None:
        """Call `handler(standing)` each time this node stops hearing the others, or hears them again."""
        self._on_standing.append(handler)

    # -- connections ----------------------------------------------------------------------------------------------

    def add(self, connection: Connection) -> None:
        """Take in a connection; it hears its account's channel from now on."""
        self.hub.add(connection)
        self.join(connection, account_channel(connection))

    def remove(self, connection: Connection, reason: str) -> None:
        """Forget a connection that is gone, and every channel that only it needed."""
        for channel in self.hub.remove(connection, reason):
            self.unfollow(channel)

    def join(self, connection: Connection, channel: str) -> None:
        """Let a connection hear a channel, from here and from other nodes."""
        if self.hub.join(connection, channel):
            self.follow(channel)

    def leave(self, connection: Connection, channel: str) -> None:
        """Undo `join`."""
        if self.hub.leave(connection, channel):
            self.unfollow(channel)

    def members(self, channel: str) -> tuple[Connection, ...]:
        """Who hears the channel on this node."""
        return self.hub.members(channel)

    def count(self, channel: str) -> int:
        """How many connections hear the channel on this node."""
        return self.hub.count(channel)

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry messages and tell peers that this node is there, until cancelled."""
        self._running = True
        self._watchdog.begin(self._clock.monotonic())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._broker.run(), name="node.broker")
                group.create_task(self._keep_watch(), name="node.watchdog")
        finally:
            self._running = False

    @property
    def standing(self) -> Standing:
        """Whether this node hears the others, as of the last look."""
        return self._watchdog.standing

    def ready(self) -> bool:
        """Whether this node runs and hears the others."""
        return self.why_not_ready() is None

    def why_not_ready(self) -> str | None:
        """None when it is ready, otherwise why not, in a sentence."""
        if not self._running:
            return "this node does not listen to the other nodes"
        if not self.standing.fresh:
            return self.standing.reason
        return None if self._broker.healthy() else "the carrier between nodes does not work right now"

    async def until_ready(self) -> None:
        """Return when `ready` is true."""
        while not self.ready():
            await self._clock.sleep(READY_LOOK_S)

    def peers(self) -> dict[str, float]:
        """Other nodes heard lately, with the seconds since."""
        return self._watchdog.peers(self._clock.monotonic())

    def gone(self, peer: str) -> bool:
        """Whether a peer has been silent so long that nobody can be connected through it. Says no while this node is deaf."""
        return self._watchdog.gone(peer, self._clock.monotonic())

    def statistics(self) -> NodeStatistics:
        """Counters for the probes."""
        return NodeStatistics(
            hub=self.hub.statistics(),
            broker=self._broker.statistics(),
            peers=self.peers(),
            relayed=self._relayed,
            decoded=dict(self._decoded),
            not_understood=self._not_understood,
            refused=self._refused,
            stale=not self.standing.fresh,
            went_stale=self._went_stale,
            own_heartbeat_s=self._watchdog.own_age(self._clock.monotonic()),
        )

    async def _keep_watch(self) -> None:
        stale_looks = 0
        while True:
            self._beat()
            await self._clock.sleep(HEARTBEAT_EVERY_S)
            before = self.standing
            after = self._watchdog.look(self._clock.monotonic(), carried=self._broker.healthy())
            if after.fresh and not before.fresh:
                # What was said meanwhile was missed, whether or not the carrier has noticed.
                self._gap(tuple(self._followed))
            if after.fresh != before.fresh:
                self._stands(after)
            stale_looks = 0 if after.fresh else stale_looks + 1
            # At the first look, the second, the fourth, …: whatever it is that does not heal must not become a storm.
            if stale_looks and not stale_looks & (stale_looks - 1) and self._broker.healthy():
                await self._follow_anew()

    def _beat(self) -> None:
        self._beats += 1
        hears = self._watchdog.hears(self._clock.monotonic())
        self.publish(EVERY_NODE, Heartbeat(node=self.id, seq=self._beats, hears=hears))

    def _stands(self, standing: Standing) -> None:
        if standing.fresh:
            log.info("node.fresh")
        else:
            self._went_stale += 1
            log.warning("node.stale", reason=standing.reason)
        for handler in self._on_standing:
            try:
                handler(standing)
            except Exception:
                log.exception("node.standing_handler_failed")

    async def _follow_anew(self) -> None:
        """The carrier believes to be well and we do not hear: let go of every channel and take it up again, in two steps, so
        that a carrier which compares what is wanted with what it has sees both. Each is then told as a gap."""
        for channel in self._followed:
            self._broker.unfollow(channel)
        await self._clock.sleep(HEARTBEAT_EVERY_S)
        for channel in self._followed:
            self._broker.follow(channel)

    # -- what arrives ---------------------------------------------------------------------------------------------

    def _receive(self, channel: str, data: bytes) -> None:
        try:
            header = header_of(data)
            if header.sender == self.id and not header.open_end:
                self._heard_own(channel, header, data)
            elif header.event:
                self._relay(channel, decode_frame(header, data), header)
            else:
                self._hear(channel, peer.decode(header, data), header)
        except OtherLevelError as other:
            self._refuse(other)
        except MalformedError as problem:
            self._not_understood += 1
            self._log.warning("node.message_not_understood", channel=channel, problem=str(problem))

    def _heard_own(self, channel: str, header: Header, data: bytes) -> None:
        if channel == EVERY_NODE and not header.event and isinstance(peer.decode(header, data), Heartbeat):
            self._watchdog.heard_own(self._clock.monotonic())

    def _relay(self, channel: str, frame: Frame, header: Header) -> None:
        self._relayed += 1
        if header.sender != self.id:
            self._watchdog.heard(header.sender, self._clock.monotonic())
        if not header.open_end:
            self.hub.broadcast(channel, frame)
            return
        for handler in self._on_finished:
            try:
                handler(channel, frame)
            except Exception:
                self._log.exception("node.handler_failed", channel=channel, message=frame.event)

    def _hear(self, channel: str, message: AnyPeerMessage, header: Header) -> None:
        self._watchdog.heard(header.sender, self._clock.monotonic())
        self._decoded[type(message).__name__] += 1
        self._handle(channel, message)

    def _handle(self, channel: str, message: AnyPeerMessage) -> None:
        kind = type(message)
        for handler in self._handlers.get(kind, ()):
            try:
                handler(channel, message)
            except Exception:
                self._log.exception("node.handler_failed", channel=channel, message=kind.__name__)

    def _refuse(self, other: OtherLevelError) -> None:
        self._refused += 1
        if other.sender not in self._refused_names and len(self._refused_names) < REFUSED_NAMES:
            self._refused_names[other.sender] = None
            log.error("node.peer_refused", peer=other.sender, level=other.level, problem=str(other))

    def _gap(self, channels: tuple[str, ...]) -> None:
        if EVERY_NODE in channels:
            # Be heard, and hear oneself, before the next round.
            self._beat()
        for handler in self._on_gap:
            try:
                handler(channels)
            except Exception:
                log.exception("node.gap_handler_failed", channels=len(channels))

    def _login_ended(self, _channel: str, message: LoginEnded) -> None:
        self.end_login(message)

    def end_login(self, message: LoginEnded) -> int:
        """End the connections of a login on this node; how many there were."""
        connections = self.hub.of_login(message.login_id)
        for connection in connections:
            connection.end(LOGIN_ENDED)
        return len(connections)

    def _heard_heartbeat(self, _channel: str, message: Heartbeat) -> None:
        now = self._clock.monotonic()
        for name in message.hears:
            if name != self.id:
                self._watchdog.named(name, now)


def account_channel(connection: Connection) -> str:
    """The channel of a connection's account: what is meant for one person, on whatever devices."""
    return channel_of_account(connection.caller.account_id)


def channel_of_account(account_id: AccountId) -> str:
    """The same for an account that need not be connected here."""
    return f"account:{account_id}"
