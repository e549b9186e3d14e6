"""One Socket.IO connection that comes back: WebSocket only, namespace /live, written to be cheap.

A load test holds hundreds of these beside the server it measures, so a connection costs one reading task and
nothing per message: answers find their question in a dictionary, and an event that nobody asked for is thrown
away after a look at its name. `run()` is the whole life: connect, read, come back with full jitter (or when the
server's `bye` said), until `close()` or until the server stayed away for longer than our patience.

An acknowledgement that was under way when the connection broke is answered with None: the asker cannot know
what became of its event and must ask again on the next connection. That is the only failure a user of a link
has to handle.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aiohttp
import msgspec

from loadtest import packets
from loadtest.api import Refusal, reason_of
from loadtest.patience import PATIENCE_S, OutOfPatience, Patience
from loadtest.tokens import Tokens
from realtime.limits import BYTES_PER_TOKEN, EVENTS_BURST, EVENTS_PER_SECOND, TokenBucket
from realtime.wire import BY_NAME, Bye, TokenLife, TokenRenew
from services.kernel.clock import Clock
from services.kernel.problems import ProblemView

T = TypeVar("T")
Answered = Callable[[msgspec.Raw | None], None]
"""Gets the undecoded acknowledgement, or None when the connection was lost before it came."""

OPENING_S: Final = 15.0
"""How long a server may take from the TCP connection to the namespace."""
STEADY_S: Final = 5.0
"""A connection that lasted this long was a success: the wait after it starts from the smallest again."""
PACE: Final = 0.8
"""How much of what the server grants a connection is used. Who sends until it refuses is refused all that is under way, and sent
away for it."""
LARGEST_FRAME: Final = 8 * 1024 * 1024

_RENEWABLE: Final = frozenset({"token_expired", "not_authenticated"})


class LinkLost(Exception):  # noqa: N818 - a state of the world
    """The connection is gone; the link is looking for another."""


class LinkEnded(Exception):  # noqa: N818 - a state of the world
    """There will be no other connection: we closed, the server sent us away for good, or it stayed away."""


class _Answer(msgspec.Struct, frozen=True):
    ok: msgspec.Raw = msgspec.Raw()
    problem: ProblemView | None = None


class _Refused(msgspec.Struct, frozen=True):
    """Why the namespace would not have us. `data` is the problem."""

    message: str = "refused"
    data: msgspec.Raw = msgspec.Raw()


_answer: Final = msgspec.json.Decoder(_Answer)


def ok_of(raw: msgspec.Raw, shape: type[T], doing: str) -> T:
    """The reply inside an acknowledgement. Raises Refusal when it is a problem instead."""
    answer = _answer.decode(raw)
    if answer.problem is not None:
        raise Refusal(answer.problem, doing=doing)
    return msgspec.json.decode(answer.ok, type=shape)


class Link:
    """A connection to one server, and the ones after it.

    `connection` is the number of the present one, from 1, or None while there is none.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        tokens: Tokens,
        *,
        clock: Clock,
        rng: random.Random,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/socket.io/?EIO=4&transport=websocket"
        self._tokens = tokens
        self._clock = clock
        self._patience = Patience(clock, rng, patience_s)
        self._tell = tell
        self._ws: aiohttp.ClientWebSocketResponse[bool] | None = None
        self._pace = self._new_pace()
        self._count = 0
        self._open = asyncio.Event()
        self._closing = False
        self._ended: Exception | None = None
        self._come_back_ms: int | None = None
        self._renewed = False
        self._next_id = 0
        self._waiting: dict[int, Answered] = {}
        self._typed: dict[bytes, list[Callable[[msgspec.Struct], None]]] = {}
        self._raw: dict[bytes, list[Callable[[bytes], None]]] = {}
        self._greetings: list[Callable[[], Awaitable[None]]] = []
        self._watchers: list[Callable[[], None]] = []
        self._renewing: asyncio.Task[None] | None = None
        self.on("bye", self._on_bye)
        self.on("token.expiring", self._on_expiring)

    @property
    def connection(self) -> int | None:
        """Number of the present connection, None while there is none."""
        return self._count if self._ws is not None else None

    @property
    def ended(self) -> Exception | None:
        """Why there will be no connection any more; None as long as there may be one."""
        return self._ended

    # -- what users register ------------------------------------------------------------------------------------

    def on(self, event: str, handler: Callable[..., None]) -> Callable[[], None]:
        """Call `handler` with the decoded payload of every such event. Returns what takes it back."""
        handlers = self._typed.setdefault(BY_NAME[event].name.encode(), [])
        handlers.append(handler)
        return lambda: handlers.remove(handler)

    def on_raw(self, event: str, handler: Callable[[bytes], None]) -> None:
        """Call `handler` with the undecoded frame of every such event: for whoever counts boards but does not read them."""
        self._raw.setdefault(event.encode(), []).append(handler)

    def greet(self, greeting: Callable[[], Awaitable[None]]) -> None:
        """Run `greeting` on each new connection before anything is read; it may send but must not wait for answers."""
        self._greetings.append(greeting)

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher` whenever a connection opens, is lost, or the link ends. Returns what takes it back."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # -- asking -------------------------------------------------------------------------------------------------

    async def opened(self) -> int:
        """Wait until there is a connection; its number. Raises what ended the link."""
        while self._ws is None:
            if self._ended is not None:
                raise LinkEnded(str(self._ended)) from self._ended
            await self._open.wait()
        return self._count

    async def request(self, event: str, payload: msgspec.Struct, answered: Answered) -> None:
        """Send an event; `answered` is called once, later. Raises LinkLost when there is no connection to send on."""
        ws = self._ws
        if ws is None:
            raise LinkLost(f"not connected, {event} was not sent")
        self._next_id += 1
        ack_id = self._next_id
        text = packets.event(event, ack_id, payload)
        await self._paced(1.0 + len(text) // BYTES_PER_TOKEN)
        if self._ws is not ws:
            raise LinkLost(f"the connection broke before {event} was sent")
        self._waiting[ack_id] = answered
        try:
            await ws.send_str(text)
        except ConnectionError as error:
            # Left at once, not when the reader finds out: until then `opened` would return without waiting, and whoever sends
            # again after a loss would do so for ever, never letting the reader have its turn.
            if self._ws is ws:
                self._leave()
            raise LinkLost(f"the connection broke while {event} was sent") from error

    def _new_pace(self) -> TokenBucket:
        return TokenBucket(PACE * EVENTS_PER_SECOND, PACE * EVENTS_BURST, self._clock.monotonic())

    async def _paced(self, cost: float) -> None:
        """Wait until this connection may send that much more: what the server would refuse is not sent."""
        pace = self._pace
        while not pace.take(now := self._clock.monotonic(), cost):
            await self._clock.sleep(max(pace.wait_s(now, cost), 0.001))

    async def call(self, event: str, payload: msgspec.Struct, shape: type[T]) -> T:
        """Send an event and wait for its reply. Raises Refusal, or LinkLost when nobody can know what became of it."""
        future: asyncio.Future[msgspec.Raw | None] = asyncio.get_running_loop().create_future()
        await self.request(event, payload, lambda raw: None if future.done() else future.set_result(raw))
        raw = await future
        if raw is None:
            raise LinkLost(f"the connection broke before {event} was answered")
        return ok_of(raw, shape, event)

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection until `close()`. Raises OutOfPatience, LinkEnded or Refusal when there cannot be one."""
        try:
            while not self._closing:
                await self._one_connection()
        except BaseException as error:
            self._ended = error if isinstance(error, Exception) else LinkEnded("stopped")
            raise
        finally:
            self._ended = self._ended or LinkEnded("closed")
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.wait({self._renewing})
            self._changed()

    async def close(self) -> None:
        """End the link: say goodbye and let `run()` return."""
        self._closing = True
        if self._ws is not None:
            await self._ws.close()

    async def drop(self) -> None:
        """Cut the present connection without a word, as a tunnel under a hill does; the link comes back by itself."""
        if self._ws is not None:
            await self._ws.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def _one_connection(self) -> None:
        """Connect, read until it ends, and wait for as long as is polite before the next."""
        self._come_back_ms = None
        try:
            ws, hello = await self._connected()
        except (aiohttp.ClientError, TimeoutError, ConnectionError, packets.FrameError) as error:
            await self._pause(reason_of(error))
            return
        except Refusal as refusal:
            await self._pause_if_curable(refusal)
            return
        self._renewed = False
        since = self._clock.monotonic()
        try:
            self._enter(ws)
            for greeting in self._greetings:
                await greeting()
            reason = await self._read(ws, hello)
        except LinkLost as lost:
            reason = str(lost)
        finally:
            self._leave()
            await ws.close()
        if self._clock.monotonic() - since >= STEADY_S:
            self._patience.succeeded()
        if not self._closing:
            await self._pause(reason, self._come_back_ms)

    async def _connected(self) -> tuple[aiohttp.ClientWebSocketResponse[bool], packets.Opened]:
        """A WebSocket inside the namespace. Raises Refusal when the namespace would not have us."""
        token = await self._tokens.current()
        async with asyncio.timeout(OPENING_S):
            ws = await self._http.ws_connect(self._url, decode_text=False, max_msg_size=LARGEST_FRAME)
            try:
                return ws, await self._let_in(ws, token)
            except BaseException:
                await ws.close()
                raise

    async def _let_in(self, ws: aiohttp.ClientWebSocketResponse[bool], token: str) -> packets.Opened:
        """From the Engine.IO open frame to the namespace. Raises Refusal or FrameError."""
        hello = packets.opened(await self._frame(ws))
        await ws.send_str(packets.connect(token))
        while True:
            packet = packets.parse(await self._frame(ws))
            if isinstance(packet, packets.Connected):
                return hello
            if isinstance(packet, packets.Refused):
                raise _refusal_of(packet)
            if isinstance(packet, packets.Ping):
                await ws.send_str(packets.PONG)

    @staticmethod
    async def _frame(ws: aiohttp.ClientWebSocketResponse[bool]) -> bytes:
        message = await ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise packets.FrameError("the server closed the connection while it was opened")
        return _bytes(message.data)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse[bool], hello: packets.Opened) -> str:
        """Handle frames until the connection ends; the reason it ended for."""
        silence_s = (hello.ping_interval + hello.ping_timeout) / 1000
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(silence_s) as alive:
                while True:
                    message = await ws.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return f"the server closed the connection ({ws.close_code})"
                    data = _bytes(message.data)
                    if data == packets.PING:
                        alive.reschedule(loop.time() + silence_s)
                        await ws.send_str(packets.PONG)
                    elif not self._handle(data):
                        return "the server sent us out of the namespace"
        except TimeoutError:
            return f"the server was silent for {silence_s:.0f} s"
        except (packets.FrameError, msgspec.DecodeError) as error:
            return f"the server sent what we do not understand: {error}"
        except ConnectionError as error:
            return f"the connection broke: {error}"

    def _handle(self, data: bytes) -> bool:
        """One frame; False when it ends the connection."""
        name = packets.event_name(data)
        for raw_handler in self._raw.get(name, ()):
            raw_handler(data)
        if name and not self._typed.get(name):
            return True  # nobody wants to read it
        packet = packets.parse(data)
        if isinstance(packet, packets.Event):
            self.handle_event(packet.name, packet.payload)
        elif isinstance(packet, packets.Ack):
            answered = self._waiting.pop(packet.id, None)
            if answered is not None:
                answered(packet.payload)
        return not isinstance(packet, packets.Disconnected | packets.Refused)

    def handle_event(self, name: str, payload: msgspec.Raw) -> None:
        """An event that came now, or one that was missed and was given later."""
        handlers = self._typed.get(name.encode())
        if handlers:
            shape: msgspec.Struct = msgspec.json.decode(payload, type=BY_NAME[name].shape)
            for handler in tuple(handlers):
                handler(shape)

    def _enter(self, ws: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._ws = ws
        self._pace = self._new_pace()
        self._count += 1
        self._open.set()
        self._changed()

    def _leave(self) -> None:
        self._ws = None
        self._open.clear()
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(None)
        self._changed()

    def _changed(self) -> None:
        if self._ended is not None:
            self._open.set()  # whoever waits for a connection shall learn that there will be none
        for watcher in tuple(self._watchers):
            watcher()

    def _on_bye(self, bye: Bye) -> None:
        self._come_back_ms = bye.come_back_ms
        if bye.come_back_ms is None:
            self._closing = True
            self._ended = LinkEnded(f"the server sent us away: {bye.reason} ({bye.code})")

    def _on_expiring(self, _: TokenLife) -> None:
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew(), name="renewing a token")

    async def _renew(self) -> None:
        """Show a new token on the connection there is. What does not work is not tried again: at the end of the old token the
        server closes, and the next connection begins with a new one."""
        self._tokens.expired()
        try:
            token = await self._tokens.current()
            await self.call("token.renew", TokenRenew(token=token), TokenLife)
        except (Refusal, LinkLost, aiohttp.ClientError, TimeoutError, OutOfPatience) as trouble:
            self._tell(f"the token was not renewed: {trouble}")

    async def _pause(self, reason: str, hint_ms: int | None = None) -> None:
        try:
            wait = self._patience.next_wait(reason, hint_ms)
        except OutOfPatience as error:
            raise LinkEnded(str(error)) from error
        self._tell(f"waiting for the server ({self._patience.waited_s:.0f} s): {reason}")
        await self._clock.sleep(wait)

    async def _pause_if_curable(self, refusal: Refusal) -> None:
        problem = refusal.problem
        if problem.code in _RENEWABLE and not self._renewed:
            self._renewed = True  # once: a server that refuses a token made this moment will refuse the next
            self._tokens.expired()
        elif not problem.retry:
            raise refusal
        await self._pause(str(refusal), problem.retry_after_ms)


def _bytes(data: object) -> bytes:
    """What a text message holds when it is not decoded (`decode_text=False`)."""
    if not isinstance(data, bytes):
        raise TypeError(f"expected an undecoded frame, got {type(data).__name__}")
    return data


def _refusal_of(packet: packets.Refused) -> Refusal:
    refused = msgspec.json.decode(packet.payload, type=_Refused)
    try:
        problem = msgspec.json.decode(refused.data, type=ProblemView)
    except msgspec.DecodeError:
        problem = ProblemView(code="refused", message=refused.message)
    return Refusal(problem, doing="connect")
