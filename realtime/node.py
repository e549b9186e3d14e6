"""This process among its peers: the hub (connections here) and the broker (everybody else) as one thing.

Above this floor nobody asks where a member is connected. `tell` reaches a channel's members wherever they are; `publish`
speaks to the other nodes; `broadcast` to the members here. A channel is followed only while somebody here needs it.

What a node says to itself over the broker is dropped on arrival: it acted on it before it spoke.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import msgspec
import structlog

from realtime import peer
from realtime.broker import Broker, BrokerStatistics
from realtime.codec import Frame, relayed_frame
from realtime.connection import Connection
from realtime.disconnect import LOGIN_ENDED
from realtime.hub import Hub, HubStatistics
from realtime.peer import EVERY_NODE, AnyPeerMessage, Heartbeat, LoginEnded, PeerMessage, RelayedFrame
from services.kernel.clock import Clock

log = structlog.get_logger(__name__)

HEARTBEAT_EVERY_S: Final = 2.0
"""How often a node tells the others that it is there."""
READY_LOOK_S: Final = 0.02
PEER_SILENT_S: Final = 10.0
"""After this long without a word a peer is no longer listed."""

_Message = TypeVar("_Message", bound=PeerMessage)
_Handler = Callable[[str, PeerMessage], None]
GapHandler = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """The hub's and the broker's counters, `peers` heard lately, and messages from peers that were `not_understood`."""

    hub: HubStatistics
    broker: BrokerStatistics
    peers: int
    not_understood: int


class Node:
    """One gateway process. `id` names it to its peers and must be unique among them."""

    def __init__(self, id: str, hub: Hub, broker: Broker, clock: Clock) -> None:
        self.id: Final = id
        self.hub: Final = hub
        self._broker: Final = broker
        self._clock: Final = clock
        self._handlers: dict[type[PeerMessage], list[_Handler]] = {}
        self._on_gap: list[GapHandler] = []
        self._followed: Counter[str] = Counter()
        self._peers: dict[str, float] = {}
        self._beats = 0
        self._not_understood = 0
        self._running = False
        broker.deliver = self._receive
        broker.on_gap = self._gap
        self.listen(RelayedFrame, self._relayed)
        self.listen(LoginEnded, self._login_ended)
        self.listen(Heartbeat, self._heard_heartbeat)
        self.follow(EVERY_NODE)

    # -- speaking -------------------------------------------------------------------------------------------------

    def publish(self, channel: str, message: AnyPeerMessage) -> None:
        """Say something to the other nodes that follow the channel. A hint: see realtime/broker.py."""
        self._broker.publish(channel, peer.encode(self.id, message))

    def tell(self, channel: str, frame: Frame) -> int:
        """Send a frame to the members of a channel on every node; how many of them are here."""
        self.publish(channel, RelayedFrame(event=frame.event, text=frame.text))
        return self.hub.broadcast(channel, frame)

    def broadcast(
        self,
        channel: str,
        frame: Frame,
        *,
        key: str | None = None,
        whole: Callable[[], Frame] | None = None,
    ) -> int:
        """Send a frame to the members of a channel on this node; how many they are. See `Hub.broadcast`."""
        return self.hub.broadcast(channel, frame, key=key, whole=whole)

    # -- listening ------------------------------------------------------------------------------------------------

    def listen(self, kind: type[_Message], handler: Callable[[str, _Message], None]) -> None:
        """Call `handler(channel, message)` for every message of this kind that another node sends on a channel followed
        here. Synchronous: it must not take long."""
        self._handlers.setdefault(kind, []).append(cast(_Handler, handler))

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
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._broker.run(), name="node.broker")
                group.create_task(self._beat(), name="node.heartbeat")
        finally:
            self._running = False

    def ready(self) -> bool:
        """Whether this node runs and its broker is known to carry."""
        return self._running and self._broker.healthy()

    async def until_ready(self) -> None:
        """Return when `ready` is true."""
        while not self.ready():
            await self._clock.sleep(READY_LOOK_S)

    def peers(self) -> dict[str, float]:
        """Other nodes heard in the last 10 s, with the seconds since."""
        now = self._clock.monotonic()
        return {node: now - at for node, at in self._peers.items() if now - at < PEER_SILENT_S}

    def statistics(self) -> NodeStatistics:
        """Counters for the probes."""
        return NodeStatistics(
            hub=self.hub.statistics(),
            broker=self._broker.statistics(),
            peers=len(self.peers()),
            not_understood=self._not_understood,
        )

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            self.publish(EVERY_NODE, Heartbeat(node=self.id, seq=self._beats))
            self._peers = {node: self._clock.monotonic() - age for node, age in self.peers().items()}
            await self._clock.sleep(HEARTBEAT_EVERY_S)

    # -- what arrives ---------------------------------------------------------------------------------------------

    def _receive(self, channel: str, data: bytes) -> None:
        try:
            parcel = peer.decode(data)
        except msgspec.DecodeError as problem:
            self._not_understood += 1
            log.warning("node.message_not_understood", channel=channel, problem=str(problem))
            return
        if parcel.sender == self.id:
            return
        for handler in self._handlers.get(type(parcel.message), ()):
            try:
                handler(channel, parcel.message)
            except Exception:
                log.exception("node.handler_failed", channel=channel, message=type(parcel.message).__name__)

    def _gap(self, channels: tuple[str, ...]) -> None:
        for handler in self._on_gap:
            try:
                handler(channels)
            except Exception:
                log.exception("node.gap_handler_failed", channels=len(channels))

    def _relayed(self, channel: str, message: RelayedFrame) -> None:
        try:
            frame = relayed_frame(message.event, message.text)
        except TypeError as problem:
            self._not_understood += 1
            log.warning("node.frame_not_understood", channel=channel, problem=str(problem))
            return
        self.hub.broadcast(channel, frame)

    def _login_ended(self, _channel: str, message: LoginEnded) -> None:
        self.end_login(message)

    def end_login(self, message: LoginEnded) -> int:
        """End the connections of a login on this node; how many there were."""
        connections = self.hub.of_login(message.login_id)
        for connection in connections:
            connection.end(LOGIN_ENDED)
        return len(connections)

    def _heard_heartbeat(self, _channel: str, message: Heartbeat) -> None:
        self._peers[message.node] = self._clock.monotonic()


def account_channel(connection: Connection) -> str:
    """The channel of a connection's account: what is meant for one person, on whatever devices."""
    return f"account:{connection.caller.account_id}"
