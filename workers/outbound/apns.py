"""Push to Apple's devices: APNs with provider tokens, over HTTP/2.

One connection carries everything, many messages at a time, and stays open: Apple takes quickly made connections for an attack.
HTTP/2 makes some ends certain that are doubtful elsewhere. A stream that was refused (REFUSED_STREAM), whose number lies above
the last one that a GOAWAY names, or whose end was never written, was never looked at; the message goes again at once.

A provider token is a JWT that says which team asks. Apple wants it renewed between 20 and 60 minutes after it was made. When
one is called expired all the same (a clock that is wrong, here or there), one newer token is tried, once.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import h2.errors
import h2.events
import httpcore
import httpx
import jwt
import msgspec

from services.kernel.clock import Clock
from services.notifications.outgoing import (
    DeadAddress,
    InDoubt,
    NotTaken,
    Outgoing,
    PushMessage,
    Receipt,
    Refused,
    TryLater,
)
from workers.outbound.fitting import fitted
from workers.outbound.outcomes import Away, Throttled, retry_after_s, shown
from workers.outbound.signing_keys import p256_key

NAME: Final = "apns"
MOST_BYTES: Final = 4_096
RENEW_S: Final = 40 * 60
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
IDLE_S: Final = 600.0
CLOSE_S: Final = 2.0

_DEAD: Final = frozenset({"BadDeviceToken", "Unregistered", "ExpiredToken"})
_EXPIRED: Final = "ExpiredProviderToken"
for _library in ("httpx", "httpcore", "hpack"):
    # They write down every address that is asked, and what is in every header.
    logging.getLogger(_library).setLevel(logging.WARNING)

_PRIORITY: Final = {"low": "5", "normal": "10", "high": "10"}


@dataclass(frozen=True)
class Team:
    """Who sends: the key (ES256, as PEM) with its id, the team's id, and the topic, which is the app's bundle id."""

    key: str = field(repr=False)
    key_id: str
    team_id: str
    topic: str


class _Told(msgspec.Struct):
    reason: str = ""
    timestamp: int | None = None


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str | None
    reason: str = ""
    timestamp: int | None = None


@dataclass(frozen=True)
class _Token:
    text: str
    made_at: float


class ApnsProvider:
    """Pushes to devices with a token of APNs, through `url` (https://api.push.apple.com)."""

    name: Final = NAME

    def __init__(
        self,
        team: Team,
        clock: Clock,
        *,
        url: str,
        tls: ssl.SSLContext | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Raises `BadKey`."""
        self._key: Final = p256_key(team.key, "APNs (the .p8 file)")
        self._team: Final = team
        self._clock: Final = clock
        self._url: Final = url.rstrip("/")
        self._answer_s: Final = answer_s
        self._token: _Token | None = None
        self._calls: Final[set[asyncio.Task[_Answer]]] = set()
        self._client: Final = httpx.AsyncClient(
            http1=False,
            http2=True,
            verify=tls or ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            # What is over the read timeout costs the connection, which is right: it is dead.
            timeout=httpx.Timeout(answer_s, connect=min(CONNECT_S, answer_s)),
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=IDLE_S),
        )

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, PushMessage) or message.device.kind != NAME:
            raise Refused("this provider sends to devices of APNs only", provider=NAME)
        if not (message.device.address.isascii() and message.device.address.isalnum()):
            raise DeadAddress("this is no token of APNs", provider=NAME)
        payload = fitted(message, lambda title, body: _payload(message, title, body), MOST_BYTES, provider=NAME)
        token = self._current()
        answer = await self._post(message, payload, token)
        if answer.reason == _EXPIRED:
            answer = await self._post(message, payload, self._renewed(token))
        if answer.status == 200:
            return Receipt(NAME, str(message.message_id))
        raise self._refusal(answer)

    async def close(self) -> None:
        """Close the connections, after the calls that nobody waits for any more have had a moment to end."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=CLOSE_S)
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._client.aclose()

    async def _post(self, message: PushMessage, payload: bytes, token: _Token) -> _Answer:
        """Ask once, and once more when it is certain that nobody has looked at the first."""
        try:
            return await self._ask(message, payload, token)
        except _NotLookedAt:
            pass
        try:
            return await self._ask(message, payload, token)
        except _NotLookedAt:
            raise Away("APNs ends its connections before a message has left", provider=NAME) from None

    async def _ask(self, message: PushMessage, payload: bytes, token: _Token) -> _Answer:
        """One call, in a task of its own: who is cancelled leaves at once, and the call ends by itself. The library does not bear
        being cancelled while it connects; it loses sockets and miscounts its streams."""
        call = asyncio.create_task(self._call(message, payload, token), name="call to APNs")
        self._calls.add(call)
        call.add_done_callback(self._ended)
        await asyncio.wait({call}, timeout=self._answer_s * 2)
        if not call.done():
            raise InDoubt("APNs answers others and not this one", provider=NAME)
        return call.result()

    def _ended(self, call: "asyncio.Task[_Answer]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waits has it; if nobody does, it is nobody's

    async def _call(self, message: PushMessage, payload: bytes, token: _Token) -> _Answer:
        url = f"{self._url}/3/device/{message.device.address}"
        going = _Going(payload)
        # Errors of the library may show the address, which is the device's token: the chain of causes ends here.
        try:
            async with (
                asyncio.timeout(self._answer_s * 3),
                self._client.stream(
                    "POST",
                    url,
                    content=going,
                    headers=self._headers(message, token),
                    extensions={"trace": going.note},
                ) as response,
            ):
                return await _read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as fault:
            raise Away(f"APNs cannot be reached ({type(fault).__name__})", provider=NAME) from None
        except httpx.HTTPError as fault:
            if going.was_not_looked_at(fault):
                raise _NotLookedAt from None
            raise InDoubt(f"APNs took the message and did not answer ({type(fault).__name__})", provider=NAME) from None
        except TimeoutError:
            raise InDoubt("APNs never answered", provider=NAME) from None

    def _headers(self, message: PushMessage, token: _Token) -> dict[str, str]:
        expires = self._clock.wall_ms() // 1_000 + message.ttl_s if message.ttl_s > 0 else 0
        return {
            "authorization": f"bearer {token.text}",
            "apns-id": str(message.message_id),
            "apns-topic": self._team.topic,
            "apns-push-type": "alert",
            "apns-priority": _PRIORITY[message.urgency],
            "apns-expiration": str(expires),
            "apns-collapse-id": message.collapse_key,
        }

    def _current(self) -> _Token:
        if self._token is None or self._clock.monotonic() - self._token.made_at >= RENEW_S:
            self._token = self._make()
        return self._token

    def _renewed(self, rejected: _Token) -> _Token:
        """A token newer than the rejected one; those who were rejected together share it."""
        if self._token is rejected or self._token is None:
            self._token = self._make()
        return self._token

    def _make(self) -> _Token:
        claims = {"iss": self._team.team_id, "iat": self._clock.wall_ms() // 1_000}
        text = jwt.encode(claims, self._key, "ES256", headers={"kid": self._team.key_id, "typ": None})
        return _Token(text, self._clock.monotonic())

    def _refusal(self, answer: _Answer) -> NotTaken:
        """What an answer other than 200 means."""
        status, reason = answer.status, answer.reason
        said = f"APNs said {status} {shown(reason)}".rstrip()
        wait_s = retry_after_s(answer.retry_after, self._clock.wall_ms())
        if reason in _DEAD or status == 410:
            return DeadAddress(said, provider=NAME, since_ms=answer.timestamp)
        if reason == "TooManyProviderTokenUpdates":
            return Throttled(said, provider=NAME, retry_after_s=wait_s)
        if status == 429:  # too many to this one device
            return TryLater(said, provider=NAME, retry_after_s=wait_s)
        if status in {403, 408} or status >= 500:
            return Away(said, provider=NAME, retry_after_s=wait_s)
        return Refused(said, provider=NAME)


class _Going:
    """A payload on its way: the number of its stream, and whether all of it has been written. The end of the stream is written
    after that; before it nobody can have taken the message."""

    def __init__(self, payload: bytes) -> None:
        self._payload: Final = payload
        self._stream_id = 0
        self._written = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._written = False  # the library begins again on another connection
        yield self._payload
        self._written = True

    async def note(self, step: str, of: Mapping[str, Any]) -> None:
        """What the library tells of its steps (its extension `trace`)."""
        if step == "http2.send_request_headers.started":
            self._stream_id = of["stream_id"]

    def was_not_looked_at(self, fault: httpx.HTTPError) -> bool:
        """Whether it is certain after this fault that the server has not looked at the message (RFC 9113, 6.8 and 8.7)."""
        if not self._written:
            return True
        cause = fault.__cause__
        event = cause.args[0] if isinstance(cause, httpcore.RemoteProtocolError) and cause.args else None
        if isinstance(event, h2.events.StreamReset):
            return event.error_code == h2.errors.ErrorCodes.REFUSED_STREAM
        return isinstance(event, h2.events.ConnectionTerminated) and (event.last_stream_id or 0) < self._stream_id


class _NotLookedAt(Exception):  # noqa: N818 - it says what became of the message
    """The server has said that it never looked at this stream, or has got nothing of it."""


def _payload(message: PushMessage, title: str, body: str) -> bytes:
    aps: dict[str, object] = {"alert": {"title": title, "body": body}, "thread-id": message.collapse_key}
    if message.badge is not None:
        aps["badge"] = message.badge
    if message.urgency != "low":
        aps["sound"] = "default"
    return msgspec.json.encode({"aps": aps, "id": str(message.message_id), "data": message.data})


async def _read(response: httpx.Response) -> _Answer:
    """The answer. Its status alone says whether the message was taken; what breaks off behind it does not matter."""
    status, retry_after = response.status_code, response.headers.get("retry-after")
    if status == 200:
        return _Answer(status, retry_after)
    try:
        told = msgspec.json.decode(await response.aread(), type=_Told)
    except (msgspec.MsgspecError, httpx.HTTPError):
        told = _Told()
    return _Answer(status, retry_after, told.reason, told.timestamp)
