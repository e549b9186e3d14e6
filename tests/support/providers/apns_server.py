"""Apple's push service for tests: HTTP/2 over TLS (the library h2), with APNs' own checks and its ways to fail.

It checks the provider's token (signature, key id, team, age by its own clock), topic, sizes and headers, and keeps what each
device shows: of those with one collapse id, the newest.

The faults: slow_down is 429 TooManyRequests, broken 500 InternalServerError, away 503 Shutdown, dead 410 Unregistered with its
timestamp, refused 400 BadTopic, expired_token 403 ExpiredProviderToken, bad_token 403 InvalidProviderToken; goaway says
that the stream was not looked at and no other will be, refuse_stream refuses it (both: never looked at), reset_stream ends it after
the message was taken; hang_up and cut end the connection, cut in the middle of an answer that says 200.
"""

import asyncio
import functools
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.providers.authority import authority
from tests.support.providers.faults import Fault, Faults

TEAM: Final = "TEAM123456"
KEY_ID: Final = "KEY1234567"
TOPIC: Final = "example.paceline"
MOST_BYTES: Final = 4_096
TOKEN_S: Final = 3_600

_ERRORS: Final[dict[str, tuple[int, str]]] = {
    "slow_down": (429, "TooManyRequests"),
    "broken": (500, "InternalServerError"),
    "away": (503, "Shutdown"),
    "dead": (410, "Unregistered"),
    "refused": (400, "BadTopic"),
    "expired_token": (403, "ExpiredProviderToken"),
    "bad_token": (403, "InvalidProviderToken"),
}


@dataclass(frozen=True)
class Pushed:
    """A message that was taken."""

    device: str
    headers: dict[str, str]
    payload: dict[str, Any]


class ApnsServer:
    """One app of one team."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.faults: Final = Faults()
        self.pushed: Final[list[Pushed]] = []
        self.taken: Final[Counter[str]] = Counter()
        self.screens: Final[dict[str, dict[str, str]]] = {}
        """What each device shows: by collapse id, the title of the newest."""
        self.dead: Final[dict[str, int]] = {}
        """Devices that are gone, and since when (ms)."""
        self.tokens: Final[set[str]] = set()
        self.asked = 0
        self.connections = 0
        self.url = ""
        self.port = 0
        self.now_s: Final = now_s
        self.lines: Final[set[_Line]] = set()

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object]]:
        """What APNs says of a message that meets no fault."""
        device = headers[":path"].removeprefix("/3/device/")
        if (refusal := self._why_not(headers, body, device)) is not None:
            return refusal
        payload = json.loads(body)
        self.pushed.append(Pushed(device, headers, payload))
        self.taken[headers["apns-id"]] += 1
        self.screens.setdefault(device, {})[headers["apns-collapse-id"]] = payload["aps"]["alert"]["title"]
        return 200, {}

    def _why_not(self, headers: dict[str, str], body: bytes, device: str) -> tuple[int, dict[str, object]] | None:
        if (reason := self._bad_token(headers.get("authorization", ""))) is not None:
            return 403, {"reason": reason}
        if not re.fullmatch(r"[0-9a-f]{64}", device):
            return 400, {"reason": "BadDeviceToken"}
        if headers.get("apns-topic") != TOPIC:
            return 400, {"reason": "DeviceTokenNotForTopic"}
        if len(body) > MOST_BYTES:
            return 413, {"reason": "PayloadTooLarge"}
        if len(headers.get("apns-collapse-id", "")) > 64:
            return 400, {"reason": "BadCollapseId"}
        if headers.get("apns-push-type") != "alert" or headers.get("apns-priority") not in {"5", "10"}:
            return 400, {"reason": "InvalidPushType"}
        if not re.fullmatch(r"\d+", headers.get("apns-expiration", "")):
            return 400, {"reason": "BadExpirationDate"}
        if device in self.dead:
            return 410, {"reason": "Unregistered", "timestamp": self.dead[device]}
        return None

    def _bad_token(self, authorization: str) -> str | None:
        token = authorization.removeprefix("bearer ")
        self.tokens.add(token)
        try:
            options = {"verify_iat": False, "require": ["iss", "iat"]}
            claims = jwt.decode(token, _key().public_key(), algorithms=["ES256"], options=options)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            return "InvalidProviderToken"
        if claims["iss"] != TEAM or jwt.get_unverified_header(token).get("kid") != KEY_ID:
            return "InvalidProviderToken"
        return "ExpiredProviderToken" if self.now_s() - claims["iat"] > TOKEN_S else None


@dataclass
class _Stream:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class _Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: ApnsServer) -> None:
        self._server: Final = server
        self._h2: Final = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._streams: Final[dict[int, _Stream]] = {}
        self._ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._server.connections += 1
        self._server.lines.add(self)
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.lines.discard(self)
        self.transport = None

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._close()
            return
        for event in events:
            if not self._ended:
                self._happened(event)
        self._flush()

    def _happened(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                pairs = ((_text(name), _text(value)) for name, value in event.headers or ())
                self._streams[event.stream_id or 0] = _Stream(dict(pairs))
            case h2.events.DataReceived():
                stream = self._streams[event.stream_id or 0]
                stream.body += event.data or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case h2.events.StreamEnded():
                self._asked(event.stream_id or 0)
            case h2.events.StreamReset():
                self._streams.pop(event.stream_id or 0, None)

    def _asked(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id)
        self._server.asked += 1
        fault = self._server.faults.meet()
        match fault:
            case None:
                self._answer(stream_id, *self._server.answer(stream.headers, bytes(stream.body)))
            case Fault("hang"):
                pass
            case Fault("hang_up"):
                self._close()
            case Fault("cut"):
                self._server.answer(stream.headers, bytes(stream.body))
                self._h2.send_headers(stream_id, [(":status", "200"), ("content-length", "50")])
                self._h2.send_data(stream_id, b'{"rea')
                self._close()
            case Fault("goaway"):
                # What comes over this connection from now on is let be; the client closes it.
                self._h2.close_connection(last_stream_id=stream_id - 2 if stream_id > 1 else 0)
                self._flush()
                self._ended = True
            case Fault("refuse_stream"):
                self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            case Fault("reset_stream"):
                self._server.answer(stream.headers, bytes(stream.body))
                self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            case Fault():
                status, reason = _ERRORS[fault.kind]
                told: dict[str, object] = {"reason": fault.code or reason}
                if fault.kind == "dead":
                    told["timestamp"] = round(self._server.now_s() * 1_000)
                self._answer(stream_id, fault.status or status, told, fault.retry_after)

    def _answer(self, stream_id: int, status: int, told: dict[str, object], retry_after: str | None = None) -> None:
        headers = [(":status", str(status))]
        if retry_after is not None:
            headers.append(("retry-after", retry_after))
        body = json.dumps(told).encode() if told else b""
        self._h2.send_headers(stream_id, headers, end_stream=not body)
        if body:
            self._h2.send_data(stream_id, body, end_stream=True)

    def _flush(self) -> None:
        if self.transport is not None and (data := self._h2.data_to_send()):
            self.transport.write(data)

    def _close(self) -> None:
        """Say what has been said so far, and go."""
        self._ended = True
        self._flush()
        if self.transport is not None:
            self.transport.close()


@asynccontextmanager
async def open_apns(*, port: int = 0, now_s: Callable[[], float] = time.time) -> AsyncIterator[ApnsServer]:
    """A running service. `now_s`: its clock, in seconds since 1970."""
    server, loop = ApnsServer(now_s), asyncio.get_running_loop()
    context = authority().server(alpn=["h2"])
    listening = await loop.create_server(lambda: _Line(server), "127.0.0.1", port, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"https://localhost:{server.port}"
    try:
        yield server
    finally:
        listening.close()
        for line in list(server.lines):
            if line.transport is not None:
                line.transport.abort()
        await listening.wait_closed()


def key_pem() -> str:
    """The .p8 file of the team's key."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return _key().private_bytes(encoding, form, serialization.NoEncryption()).decode()


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode()
