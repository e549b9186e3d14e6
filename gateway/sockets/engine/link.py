"""One Engine.IO link: who is at the other end, how it is reached, and what waits to be sent.

A link outlives its transport: it may begin on long-polling and go on over a WebSocket. What goes out has an order:
what the protocol itself has to say comes first, then the connection's mailbox, then, when the link has ended, the
goodbye. While a WebSocket is clear, frames do not come by here at all (see realtime/connection.py).

A link has no task, no timer and no queue of its own while it does nothing. What it is reminded of stands in
heartbeat.py; the order of what comes in, when a handler has to wait, in order.py.
"""

import math
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from gateway.sockets.engine import heartbeat
from gateway.sockets.engine.frames import BINARY, TEXT, server_frame
from gateway.sockets.engine.order import Order
from realtime.connection import Connection
from realtime.disconnect import ABUSE, MALFORMED, SILENT, SLOW_READER, Disconnect
from realtime.limits import Allowance
from realtime.mailbox import HARD_BYTES, Mailbox
from realtime.turn import NO_SLOT
from realtime.wire import NAMESPACE

if TYPE_CHECKING:
    from gateway.sockets.engine.polling import Poll
    from gateway.sockets.engine.server import Engine
    from gateway.sockets.engine.websocket import WebSocketLine

BATCH_BYTES: Final = 16 * 1024
"""How much is taken out of a mailbox at once. What is taken can no longer be replaced by something newer."""
POLLED_PACKETS: Final = 15
"""Packets in the answer to one poll, the goodbye not counted. python-engineio's client refuses more than 16."""

_SECRET: Final = 12
"""Characters of an id that are shown to nobody else: 72 random bits."""
_CLOSE, _PONG, _MESSAGE, _NOOP = 0x31, 0x33, 0x34, 0x36
_FAREWELL: Final = b"41" + NAMESPACE.encode() + b","


class Link:
    """See the module. Made by the engine; it is the `Transport` of its connection.

    `connection` is set between the client's CONNECT and DISCONNECT; `waiting_since` is when it last had none.
    `ending` is how the server ends it, `ended_at` when that began. `rtt_s` is the last answer to a ping;
    `goodbye_taken` that a poller has come for the last that was to be said.
    """

    __slots__ = (
        "_close_code",
        "_control",
        "_control_bytes",
        "_woken",
        "allowance",
        "answer_due",
        "attempts",
        "blocked_since",
        "closed",
        "connection",
        "ended_at",
        "ending",
        "engine",
        "environ",
        "events_in",
        "goodbye_taken",
        "line",
        "mailbox",
        "mark",
        "opened_at",
        "order",
        "peer",
        "ping_due",
        "pinged_at",
        "poll",
        "probe",
        "probing_since",
        "rtt_s",
        "sid",
        "takes_noop",
        "waiting_since",
        "welcomed",
        "wheel_due",
    )

    def __init__(self, engine: "Engine", sid: str, peer: str) -> None:
        now = engine.clock.monotonic()
        self.engine: Final = engine
        self.sid: Final = sid
        self.peer: Final = peer
        self.environ: dict[str, Any] | None = None
        self.line: WebSocketLine | None = None
        self.poll: Poll | None = None
        self.probe: WebSocketLine | None = None
        self.probing_since = 0.0
        self.connection: Connection | None = None
        self.mailbox: Mailbox | None = None
        self.allowance: Final = Allowance(now, engine.events_per_second, engine.events_burst)
        self.attempts = 0
        self.welcomed = False
        self.events_in = 0
        self.opened_at: Final = now
        self.waiting_since: float | None = now
        self.ending: Disconnect | None = None
        self.ended_at: float | None = None
        self.closed = False
        self.rtt_s: float | None = None
        self.wheel_due = math.inf
        self._close_code: int | None = None
        self._control: deque[tuple[int, bytes]] | None = None
        self._control_bytes = 0
        self._woken = False
        self.ping_due = now + engine.ping_interval_s
        self.pinged_at: float | None = None
        self.answer_due = math.inf
        self.blocked_since: float | None = None
        self.mark = 0
        self.takes_noop = False
        self.goodbye_taken = False
        self.order: Order | None = None

    # -- who is there -------------------------------------------------------------------------------------------------

    def open_mailbox(self) -> Mailbox:
        """A mailbox whose frames leave by this link. Replaces the one of a connection that is gone."""
        self.mailbox = Mailbox()
        self.mailbox.on_ready = self._wake
        return self.mailbox

    def connected(self, connection: Connection) -> None:
        """The client is authenticated; frames may leave after what stands in front of them."""
        self.connection = connection
        connection.turn = self.engine.turn
        self.admitted()
        self._wake()

    def waits_again(self) -> None:
        """The client has left the last namespace that it was in: its deadline is on again. Harmless when it is."""
        if self.waiting_since is not None or self.ended_at is not None:
            return
        self.waiting_since = self.engine.clock.monotonic()
        self.engine.unauthenticated += 1
        self.look_at(self.waiting_since + self.engine.auth_deadline_s)

    def admitted(self) -> None:
        """The client is in some namespace: its deadline is off."""
        self.attempts = 0
        self.welcomed = True
        self._no_longer_waits()

    def _no_longer_waits(self) -> None:
        if self.waiting_since is not None:
            self.engine.unauthenticated -= 1
        self.waiting_since = None

    @property
    def name(self) -> str:
        """What it is called where people look. Not its whole id: whoever knows that can speak for it."""
        return self.sid[:-_SECRET] + "…"

    @property
    def on_websocket(self) -> bool:
        """Whether a WebSocket carries it at the moment."""
        return self.line is not None

    # -- what goes out ------------------------------------------------------------------------------------------------

    def send(self, packet: bytes, *, binary: bool = False) -> None:
        """Send one Engine.IO message ahead of the mailbox. Ends the link when too much of this kind waits; does
        nothing when it is ending."""
        if self.ending is None and not self.closed:
            self.put(BINARY if binary else TEXT, packet if binary else b"4" + packet)

    def put(self, opcode: int, packet: bytes, *, first: bool = False) -> None:
        """Put an Engine.IO packet in line, ahead of the mailbox; `first`: ahead of everything."""
        if self._control is None:
            self._control = deque()
        if first:
            self._control.appendleft((opcode, packet))
        else:
            self._control.append((opcode, packet))
        self._control_bytes += len(packet)
        if self._control_bytes > HARD_BYTES:
            self._control.clear()
            self._control_bytes = 0
            self.end(SLOW_READER)
        self._wake()

    def _wake(self) -> None:
        """Something stands in line: write it when this turn is over."""
        connection = self.connection
        if connection is not None and connection.write_now is not None:
            connection.write_out()
            connection.shut()
        if not self._woken:
            self._woken = True
            self.engine.turn.ask(self)

    def write_out(self) -> None:
        """Give the transport what it takes; the turn calls this."""
        self._woken = False
        if self.closed:
            return
        if self.line is None:
            if self.poll is not None and (self.has_output or self.over):
                self.poll.wake()
            return
        line = self.line
        while not line.blocked and not line.closing:
            data, count = self._batch()
            if data:
                self.engine.turn.writes += 1
                self.engine.turn.frames += count
                self.engine.turn.bytes_out += len(data)
                line.write(data)
            if self.over:
                ending = self.ending
                if ending is not None:
                    code = ending.code if self._close_code is None else self._close_code
                    line.close(code, ending.name)
                return
            if not self.has_output:
                if self.connection is not None and not self.connection.closed and not line.blocked and not line.deflate:
                    self.connection.clear(line.write, line.slot)
                return

    def flush(self) -> None:
        """Write what there is now: what was answered before a goodbye still goes out before it."""
        if self.connection is not None:
            self.connection.write_out()
        self.write_out()

    def last_words(self) -> None:
        """The peer is about to close: write what there is, and nothing more after it."""
        self.flush()
        if self.connection is not None:
            self.connection.shut()

    def write_rest(self, data: bytes) -> None:
        """See `realtime.connection.Transport`."""
        if self.line is not None and not self.line.closing:
            self.line.write(data)

    def slot(self) -> int:
        """See `realtime.connection.Transport`."""
        return NO_SLOT if self.line is None else self.line.ask_slot()

    def _batch(self) -> tuple[bytes, int]:
        """The next frames in one piece, and how many they are."""
        chunks: list[bytes] = []
        if self._control:
            chunks += [server_frame(opcode, packet) for opcode, packet in self._control]
            self._control.clear()
            self._control_bytes = 0
        size, mailbox = 0, self.mailbox
        deflate = self.line is not None and self.line.deflate
        while mailbox is not None and size < BATCH_BYTES and (frame := mailbox.take()) is not None:
            chunks.append(frame.compressed() if deflate else frame.ws)
            size += frame.size
        if self.over and self._says_farewell():
            chunks.append(server_frame(TEXT, _FAREWELL))
        return chunks[0] if len(chunks) == 1 else b"".join(chunks), len(chunks)

    def take_packets(self, budget: int) -> list[tuple[int, bytes]]:
        """Up to about `budget` bytes of packets, for a poll. At least one, when there is any."""
        packets: list[tuple[int, bytes]] = []
        while self._control and len(packets) < POLLED_PACKETS and (not packets or budget > 0):
            opcode, packet = self._control.popleft()
            self._control_bytes -= len(packet)
            packets.append((opcode, packet))
            budget -= len(packet)
        mailbox = self.mailbox
        while mailbox and len(packets) < POLLED_PACKETS and (not packets or budget > 0):
            frame = mailbox.take()
            if frame is None:
                break
            packets.append((TEXT, frame.wire))
            budget -= frame.size
        if self.over:
            self.goodbye_taken = True
            if self._says_farewell():
                packets.append((TEXT, _FAREWELL))
        return packets

    def _says_farewell(self) -> bool:
        # The one packet after which an official client does not come back by itself. Without it a poller finds its link unknown
        # at the next request, and a WebSocket closes: every client comes back after that. The engine's own CLOSE is not sent: the
        # official client acts on it before it has read the `bye`.
        return self.ending is not None and self.ending.come_back_ms is None and self.connection is not None

    @property
    def has_output(self) -> bool:
        """Whether something stands in line."""
        return bool(self._control) or bool(self.mailbox)

    @property
    def over(self) -> bool:
        """Whether it has ended and everything was said."""
        return self.ended_at is not None and not self.has_output

    # -- what comes in ------------------------------------------------------------------------------------------------

    def receive(self, packet: bytearray, now: float) -> None:
        """One Engine.IO packet of text, known to be UTF-8, that was read at `now`.

        Handles it before it returns, unless something waits before it.
        """
        if self.ended_at is not None:
            return  # goodbye is on its way: nothing more is heard
        kind = packet[0] if packet else 0
        if kind == _MESSAGE:
            self.events_in += 1
            if self.order is not None:
                self.order.hold_back(packet, binary=False)
                return
            try:
                waiting = self.engine.handle(self, packet, now)
            except Exception:
                self.failed()
            else:
                if waiting is not None:
                    self.wait_for(waiting)
        elif len(packet) != 1 or kind not in (_CLOSE, _PONG, _NOOP):
            self.malformed()
        elif kind == _PONG:
            self.ponged(now)
        elif kind == _CLOSE:
            self.close("client")
        else:
            self.bother()

    def ponged(self, now: float) -> None:
        """A pong that was read at `now`. One that nobody asked for costs an allowance, and so does one to a ping that still
        stands in line here: who has not read it has not answered it."""
        if self.ended_at is not None:
            return
        if self.pinged_at is not None and not (self._control and self._control[0] == heartbeat.WAITING_PING):
            heartbeat.answered(self, self.pinged_at, now)
        else:
            self.bother()

    def receive_binary(self, data: bytearray) -> None:
        """One binary message."""
        if self.ended_at is not None:
            return
        if not self.engine.binary:
            self.malformed()
            return
        self.events_in += 1
        if self.order is not None:
            self.order.hold_back(data, binary=True)
        elif (waiting := self.handle(data, binary=True)) is not None:
            self.wait_for(waiting)

    def wait_for(self, waiting: Awaitable[None]) -> None:
        """What comes in from now on stands behind a message whose handler really waits."""
        self.order = Order(self, waiting)

    def bother(self) -> None:
        """Something harmless and useless came in, which costs an allowance.

        A ping of the WebSocket's own, a pong nobody asked for.
        """
        now = self.engine.clock.monotonic()
        if not self.allowance.take(now) and self.allowance.strike(now):
            self.end(ABUSE)

    def strike(self) -> None:
        """Something was refused; too often, and the link ends."""
        if self.allowance.strike(self.engine.clock.monotonic()):
            self.end(ABUSE)

    def malformed(self, close_code: int | None = None) -> None:
        """Something came in that no official client sends. Harmless when it has been told goodbye already.

        `close_code`: what the WebSocket closes with instead of ours.
        """
        if self.ending is not None:
            return
        self.engine.malformed += 1
        self._close_code = close_code
        self.end(MALFORMED)

    def handle(self, packet: bytearray, *, binary: bool) -> Awaitable[None] | None:
        """Handle one message in place; what to wait for, when its handler really waits."""
        try:
            if binary:
                return self.engine.handle_binary(self, packet)
            return self.engine.handle(self, packet, self.engine.monotonic())
        except Exception:
            self.failed()
            return None

    def failed(self) -> None:
        """A fault of ours in one message, which must not cost the others their line."""
        self.engine.log.exception("link.message_failed", link=self.name)

    # -- the line -----------------------------------------------------------------------------------------------------

    def carried_by(self, line: "WebSocketLine") -> None:
        """A WebSocket carries it from now on."""
        self.line = line
        self._wake()

    def blocked(self) -> None:
        """The peer does not take what was written: from here on it is the mailbox that decides."""
        if self.connection is not None:
            # What was put together before comes before what will stand in the mailbox.
            self.connection.write_out()
            self.connection.shut()
        if self.blocked_since is None:
            self.blocked_since = self.engine.clock.monotonic()
            self.mark = self.unwritten
            self.look_at(self.blocked_since + heartbeat.LOOK_S)

    def clear(self) -> None:
        """The peer has taken everything."""
        self.blocked_since = None
        self.write_out()

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self.line is None else self.line.unwritten

    @property
    def queued(self) -> tuple[int, int]:
        """Bytes and frames that stand in line."""
        mailbox = self.mailbox
        held, frames = (0, 0) if mailbox is None else (mailbox.bytes, len(mailbox))
        return held + self._control_bytes, frames + len(self._control or ())

    def waiting_s(self, now: float) -> float:
        """How long something has waited without a byte moving."""
        return 0.0 if self.blocked_since is None else now - self.blocked_since

    def line_lost(self, line: "WebSocketLine") -> None:
        """A WebSocket is gone. A probe that is given up leaves polling as it was."""
        if line is self.probe:
            self.probe = None
            self.takes_noop = False
        elif line is self.line:
            self.line = None
            self.close("transport")
            self.engine.forget(self)

    # -- upgrade ------------------------------------------------------------------------------------------------------

    def probed_by(self, line: "WebSocketLine") -> None:
        """A WebSocket has come that may take over."""
        self.probe = line
        self.probing_since = self.engine.clock.monotonic()
        self.look_at(self.probing_since + heartbeat.UPGRADE_S)

    def probed(self) -> None:
        """The WebSocket has shown that it carries packets: release the poll, so that the client can turn to it."""
        self.takes_noop = True
        if self.poll is not None:
            self.poll.wake()

    def upgraded(self, line: "WebSocketLine") -> None:
        """The client has turned to the WebSocket."""
        self.probe = None
        self.takes_noop = False
        poll, self.poll = self.poll, None
        self.line = line
        if poll is not None:
            poll.release()
        if line.blocked:
            self.blocked()  # the peer has not read what was written while it probed, which nobody was told
        self._wake()

    # -- endings ------------------------------------------------------------------------------------------------------

    def end(self, ending: Disconnect) -> None:
        """End whatever there is: the connection with a `bye`, or a link that has none yet."""
        if self.connection is not None and not self.connection.closed:
            self.connection.end(ending)
        else:
            self.finish(ending)

    def finish(self, ending: Disconnect) -> None:
        """Say what is queued, then close. A line that takes too long for it is cut."""
        if self.ending is not None or self.closed:
            return
        self.ending = ending
        self.ended_at = self.engine.clock.monotonic()
        self._no_longer_waits()
        if self.probe is not None and not self.takes_noop:
            # One that has been answered is left: the client polls no more, and hears the goodbye once it has turned to it.
            self.probe.abort()
        if self.line is None and ending in (SILENT, MALFORMED):
            # A poller that is silent will not come, and one that sent garbage gives up at the 400 it gets for it. Only a poll that
            # is under way can still be told.
            packets = self.take_packets(HARD_BYTES)
            if self.poll is not None and ending is MALFORMED:
                self.poll.release(packets or [(TEXT, b"1")])
            elif self.poll is not None:
                self.poll.refuse()
            self.close(ending.name)
            return
        self._wake()
        self.look_at(self.ended_at + heartbeat.GRACE_S)

    def abort(self) -> None:
        """Cut it now. What is unsent is lost."""
        if self.line is not None:
            self.line.abort()
        self.close("transport")

    def close(self, reason: str) -> None:
        """It is gone for good. `reason` is used when the server had not ended it. Harmless when it was known before."""
        if self.closed:
            return
        self.flush()
        self.closed = True
        self._no_longer_waits()
        why = reason if self.ending is None else self.ending.name
        if self.ended_at is None:
            self.ended_at = self.engine.clock.monotonic()
        if self.poll is not None:
            self.poll.release(self.take_packets(HARD_BYTES))
        if self.probe is not None:
            self.probe.abort()
        line = self.line
        if line is not None and not line.closing:
            line.close(1000, "")
        self._control = None
        self._control_bytes = 0
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.lost(why)
        self.mailbox = None
        self.engine.gone(self, why)
        if line is None:
            self.engine.forget(self)
        else:
            self.look_at(self.ended_at + heartbeat.GRACE_S)

    # -- deadlines ----------------------------------------------------------------------------------------------------

    def look_at(self, due: float) -> None:
        """Look at the deadlines at `due`, if not before (see heartbeat.py)."""
        if due < self.wheel_due:
            self.engine.wheel.put(self, due)
