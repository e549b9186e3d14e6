"""One open, authenticated socket, as the rest of the program sees it.

Everything here is synchronous and none of it waits: `push` sends a frame, `end` says goodbye. The bytes are moved by
a `Transport`, which the gateway brings; a connection knows nothing of WebSockets or polling, and tests give it a
transport of three lines.

There are two ways out. While the line is clear, that is, the peer takes what it gets, frames are put together for one
write at the end of the loop turn (realtime/turn.py). While it is not, they stand in the mailbox, where a newer board
takes the place of an older one and everything is counted. Most connections never see their mailbox.

Thousands of connections do nothing for minutes, so everything they may never need is made when it is first asked for.
"""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from realtime.codec import ACK_EVENT, event_frame
from realtime.disconnect import SLOW_READER, Disconnect
from realtime.frame import Frame
from realtime.mailbox import Mailbox, Verdict
from realtime.turn import EAGER_BYTES, NO_SLOT, UNASKED, Turn, Write, Writer
from realtime.wire import Delivery, heard_with
from services.kernel.caller import Caller
from services.kernel.ids import ClassId, StreamId

log = structlog.get_logger(__name__)

OnClose = Callable[["Connection", str], None]


class Transport(Protocol):
    """What a connection asks of whatever moves its bytes. Synchronous, may be called when the peer is gone already."""

    def finish(self, ending: Disconnect) -> None:
        """Close once the (sealed) mailbox is empty; cut the line when the peer does not read it empty in time."""
        ...

    def write_rest(self, data: bytes) -> None:
        """Write frames that were put together before the line stopped being clear, ahead of the mailbox."""
        ...

    def slot(self) -> int:
        """Where the turn's bulk knows its line, NO_SLOT when it does not."""
        ...


class Connection(Writer):
    """A connected client.

    `id` is unique on this node; `caller` who it is, by the newest token that it has shown; `opened_at` the monotonic
    second of its opening; `peer` its network address; `channels` what it hears (kept by the hub);
    `streams` and `rooms` are slots for the handlers above, and so is `off_ms`, how far off its clock may be, as it said last.
    `pid` is the secret by which its client may take it up again (realtime/records.py), empty: it may not.
    `error_first`: its acknowledgements begin with a null, which some clients take for the place of an error.
    `hears`: the events that an app may hear with its scopes, acknowledgements among them; None for a person, who hears all.

    Belonging to the transport, which says `clear` and `shut`: `write_now` hands bytes to a line that is clear, and is None
    while frames must go through the mailbox; `turn` is where it is put down for writing. The rest of it: `realtime.turn.Writer`.
    """

    __slots__ = (
        "_on_close",
        "_rooms",
        "_streams",
        "_transport",
        "caller",
        "channels",
        "dropped",
        "ending",
        "error_first",
        "gone",
        "hears",
        "id",
        "mailbox",
        "off_ms",
        "opened_at",
        "peer",
        "pid",
        "replaced",
        "turn",
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
        error_first: bool = False,
    ) -> None:
        super().__init__()
        self.id: Final = id
        self.caller = caller
        self.mailbox: Final = mailbox
        self.opened_at: Final = opened_at
        self.peer: Final = peer
        self.error_first: Final = error_first
        self.hears: Final = None if caller.scopes is None else heard_with(caller.scopes) | {ACK_EVENT}
        self.channels: tuple[str, ...] = ()
        self.ending: Disconnect | None = None
        self.gone = False
        self.dropped = 0
        self.replaced = 0
        self.pid = ""
        self.off_ms: int | None = None
        self.turn: Turn | None = None
        self._transport: Final = transport
        self._on_close: tuple[OnClose, ...] = ()
        self._streams: set[StreamId] | None = None
        self._rooms: set[ClassId] | None = None

    @property
    def streams(self) -> set[StreamId]:
        """The streams that it feeds."""
        if self._streams is None:
            self._streams = set()
        return self._streams

    @property
    def rooms(self) -> set[ClassId]:
        """The rooms that it is in."""
        if self._rooms is None:
            self._rooms = set()
        return self._rooms

    @property
    def closed(self) -> bool:
        """Whether nothing more can be pushed: it is gone, or about to be."""
        return self.gone or self.ending is not None

    def clear(self, write: Write, slot: int = UNASKED) -> None:
        """The line takes what it is given: from now on frames go to it. `slot`: where the turn's bulk knows it."""
        self._leave_group()
        self.write_now = write
        self.slot = slot

    def shut(self) -> None:
        """The line takes nothing more for now: from now on frames go to the mailbox."""
        self._leave_group()
        self.write_now = None
        self.slot = NO_SLOT

    def _leave_group(self) -> None:
        if self.group is not None:
            self.group.end()
            self.group = None

    def ask_slot(self) -> int:
        """See `realtime.turn.Writer`."""
        self.slot = self._transport.slot()
        return self.slot

    def push(self, frame: Frame, *, key: str | None = None, whole: Callable[[], Frame] | None = None) -> None:
        """Send a frame as its delivery class says (see realtime/mailbox.py). Never waits; ends the connection when the
        mailbox overflows; does nothing when it is closed, or may not hear this."""
        if self.hears is not None and frame.event not in self.hears:
            return
        if self.write_now is not None:
            if frame.delivery is Delivery.LATEST:
                self.say_later(frame.ws)
            else:
                self.say(frame.ws)
            return
        match self.mailbox.put(frame, key=key, whole=whole):
            case Verdict.OVERFLOW:
                self.end(SLOW_READER)
            case Verdict.DROPPED:
                self.dropped += 1
            case Verdict.REPLACED:
                self.replaced += 1
            case Verdict.QUEUED | Verdict.CLOSED:
                pass

    def say(self, data: bytes) -> None:
        """Add bytes to what the end of this turn writes. Only while `write_now` is set."""
        turn = self.turn
        if turn is None:
            raise RuntimeError("a connection that writes has a turn")
        if self.group is not None:
            self.group.apart()
        turn.frames += 1
        out = self.out
        if not out:
            self.out = data
        else:
            self.out = out = out + data
            if len(out) > EAGER_BYTES:
                self.write_out()
                return
            if self.urgent:
                return
        self.urgent = True
        turn.soon().append(self)

    def say_later(self, data: bytes) -> None:
        """Add bytes with patience to what is written next. Only while `write_now` is set."""
        turn = self.turn
        if turn is None:
            raise RuntimeError("a connection that writes has a turn")
        if self.group is not None:
            self.group.apart()
        turn.frames += 1
        if self.out:
            self.out += data
            if len(self.out) > EAGER_BYTES:
                self.write_out()
            return
        self.out = data
        self.urgent = False
        turn.later().append(self)

    def write_out(self) -> None:
        """Write at once what was put together."""
        if self.group is not None:
            self.group.apart()
        out, self.out = self.out, b""
        if not out:
            return
        if self.turn is not None:
            self.turn.writes += 1
            self.turn.bytes_out += len(out)
        if self.write_now is not None:
            self.write_now(out)
        else:
            self.write_rest(out)

    def write_rest(self, data: bytes) -> None:
        """Write what was put together before the line stopped being clear: nothing may overtake it."""
        self._transport.write_rest(data)

    def end(self, ending: Disconnect) -> None:
        """Say `bye` and close. What is queued before it still goes out, except to a reader too slow to want it. Only the
        first ending counts."""
        if self.closed:
            return
        self.ending = ending
        self.write_out()
        self.shut()
        self.mailbox.seal(event_frame("bye", ending.bye()), forget=ending is SLOW_READER)
        self._transport.finish(ending)

    def on_close(self, callback: OnClose) -> None:
        """Call `callback(connection, reason)` once when the connection is gone; at once when it already is."""
        if self.gone:
            callback(self, self.reason)
        else:
            self._on_close += (callback,)

    @property
    def reason(self) -> str:
        """Why it ended, as a word for logs and counters."""
        return "transport" if self.ending is None else self.ending.name

    def lost(self, reason: str) -> None:
        """The transport says that the line is gone. `reason` is used when the server had not ended it itself."""
        if self.gone:
            return
        self.gone = True
        self.shut()
        self.out = b""
        self.mailbox.close()
        callbacks, self._on_close = self._on_close, ()
        for callback in callbacks:
            try:
                callback(self, reason if self.ending is None else self.ending.name)
            except Exception:
                # One listener's fault must not keep the others from cleaning up.
                log.exception("connection.on_close_failed", connection=self.id)
