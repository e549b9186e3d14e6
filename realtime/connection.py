"""One open, authenticated socket, as the rest of the program sees it.

Everything here is synchronous and none of it waits: `push` puts a frame into the mailbox, `end` says goodbye. The bytes
are moved by a `Transport`, which the gateway brings; a connection knows nothing of WebSockets or polling, and tests give it
a transport of three lines.
"""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from realtime.codec import Frame, event_frame
from realtime.disconnect import SLOW_READER, Disconnect
from realtime.mailbox import Mailbox, Verdict
from services.kernel.caller import Caller
from services.kernel.ids import ClassId, StreamId

log = structlog.get_logger(__name__)

OnClose = Callable[["Connection", str], None]


class Transport(Protocol):
    """What a connection asks of whatever moves its bytes. Synchronous, may be called when the peer is gone already."""

    def finish(self, ending: Disconnect) -> None:
        """Close once the (sealed) mailbox is empty; cut the line when the peer does not read it empty in time."""
        ...


class Connection:
    """A connected client.

    `id` is unique on this node; `caller` who it is; `opened_at` the monotonic second of its opening; `peer` its network
    address; `channels` what it hears (kept by the hub); `streams` and `rooms` are slots for the handlers above.
    """

    __slots__ = (
        "_on_close",
        "_transport",
        "caller",
        "channels",
        "dropped",
        "ending",
        "gone",
        "id",
        "mailbox",
        "opened_at",
        "peer",
        "replaced",
        "rooms",
        "streams",
    )

    def __init__(
        self,
        id: str,
        caller: Caller,
        mailbox: Mailbox,
        transport: Transport,
        *,
        opened_at: float,
        peer: str = "",
    ) -> None:
        self.id: Final = id
        self.caller: Final = caller
        self.mailbox: Final = mailbox
        self.opened_at: Final = opened_at
        self.peer: Final = peer
        self.channels: Final[set[str]] = set()
        self.streams: Final[set[StreamId]] = set()
        self.rooms: Final[set[ClassId]] = set()
        self.ending: Disconnect | None = None
        self.gone = False
        self.dropped = 0
        self.replaced = 0
        self._transport: Final = transport
        self._on_close: list[OnClose] = []

    @property
    def closed(self) -> bool:
        """Whether nothing more can be pushed: it is gone, or about to be."""
        return self.gone or self.ending is not None

    def push(self, frame: Frame, *, key: str | None = None, whole: Callable[[], Frame] | None = None) -> None:
        """Send a frame as its delivery class says (see realtime/mailbox.py). Never waits; ends the connection when the
        mailbox overflows; does nothing when it is closed."""
        match self.mailbox.put(frame, key=key, whole=whole):
            case Verdict.OVERFLOW:
                self.end(SLOW_READER)
            case Verdict.DROPPED:
                self.dropped += 1
            case Verdict.REPLACED:
                self.replaced += 1
            case Verdict.QUEUED | Verdict.CLOSED:
                pass

    def end(self, ending: Disconnect) -> None:
        """Say `bye` and close. What is queued before it still goes out, except to a reader too slow to want it. Only the
        first ending counts."""
        if self.closed:
            return
        self.ending = ending
        self.mailbox.seal(event_frame("bye", ending.bye()), forget=ending is SLOW_READER)
        self._transport.finish(ending)

    def on_close(self, callback: OnClose) -> None:
        """Call `callback(connection, reason)` once when the connection is gone; at once when it already is."""
        if self.gone:
            callback(self, self.reason)
        else:
            self._on_close.append(callback)

    @property
    def reason(self) -> str:
        """Why it ended, as a word for logs and counters."""
        return "transport" if self.ending is None else self.ending.name

    def lost(self, reason: str) -> None:
        """The transport says that the line is gone. `reason` is used when the server had not ended it itself."""
        if self.gone:
            return
        self.gone = True
        self.mailbox.close()
        callbacks, self._on_close = self._on_close, []
        for callback in callbacks:
            try:
                callback(self, reason if self.ending is None else self.ending.name)
            except Exception:
                # One listener's fault must not keep the others from cleaning up.
                log.exception("connection.on_close_failed", connection=self.id)
