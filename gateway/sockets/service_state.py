"""Telling the clients of this node when it stops hearing the other nodes, and when it hears them again.

A board that misses half of its class looks like a quiet class. So whoever is connected gets `service.state` when the node turns
stale and when it is fresh again; whoever connects while it is stale is told at once. Being told twice that all is well is no use
to anybody: a newcomer to a fresh node hears nothing.
"""

from typing import Final

from realtime.codec import event_frame
from realtime.connection import Connection
from realtime.frame import Frame
from realtime.node import Node
from realtime.watchdog import Standing
from realtime.wire import ServiceState
from services.kernel.clock import Clock


class ServiceStates:
    """Pushes `service.state`. `opened` is to be called with every connection that has just been let in."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self._node: Final = node
        self._clock: Final = clock
        self._stale: Frame | None = None
        node.on_standing(self._changed)

    def opened(self, connection: Connection) -> None:
        """A connection is new: tell it if the node is stale."""
        if self._stale is not None:
            connection.push(self._stale)

    def _changed(self, standing: Standing) -> None:
        frame = self._frame(standing)
        self._stale = None if standing.fresh else frame
        for connection in tuple(self._node.hub.connections()):
            connection.push(frame)

    def _frame(self, standing: Standing) -> Frame:
        since_ms = self._clock.wall_ms() - round((self._clock.monotonic() - standing.since) * 1_000)
        state = ServiceState("fresh" if standing.fresh else "stale", since_ms, standing.reason)
        return event_frame("service.state", state)
