"""A browser's push service for tests, with the browsers behind it: it checks VAPID tokens and headers as services do, and hands
what it gets to the browser, which decrypts it by the letter of RFC 8291, in code of its own.

The faults: slow_down is 429, broken 500, away 503, dead 410 (`status` 404), refused 413; cut breaks a 201 in its body: the
message was taken.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.notifications.outgoing import Device
from tests.support.providers.faults import Fault
from tests.support.providers.http_server import HttpProvider, retry_headers, serving

MOST_BYTES: Final = 4_096
_STATUS: Final = {"slow_down": 429, "broken": 500, "away": 503, "dead": 410, "refused": 413, "bad_token": 403}


@dataclass(frozen=True)
class Shown:
    """What a browser's service worker got, and the headers it came with."""

    payload: dict[str, Any]
    headers: dict[str, str]


class Browser:
    """One subscription: a key pair and a secret that the push service does not know."""

    def __init__(self, address: str) -> None:
        self._private: Final = ec.generate_private_key(ec.SECP256R1())
        self._secret: Final = secrets.token_bytes(16)
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.device: Final = Device("webpush", address, _text(point), _text(self._secret))
        self.got: Final[list[Shown]] = []

    @property
    def shows(self) -> dict[str, str]:
        """By tag, the title of the newest."""
        return {one.payload["tag"]: one.payload["title"] for one in self.got}

    def decrypted(self, body: bytes) -> bytes:
        """RFC 8291, section 4, seen from the other side."""
        salt, (record, length) = body[:16], struct.unpack("!IB", body[16:21])
        sender, cipher = body[21 : 21 + length], body[21 + length :]
        assert len(cipher) <= record, "one record"
        shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        own = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        first = hmac.digest(self._secret, shared, "sha256")
        material = hmac.digest(first, b"WebPush: info\0" + own + sender + b"\x01", "sha256")
        second = hmac.digest(salt, material, "sha256")
        key = hmac.digest(second, b"Content-Encoding: aes128gcm\0\x01", "sha256")[:16]
        nonce = hmac.digest(second, b"Content-Encoding: nonce\0\x01", "sha256")[:12]
        plain, _, padding = AESGCM(key).decrypt(nonce, cipher, None).rpartition(b"\x02")
        assert not padding.strip(b"\0"), "the end of the last record"
        return plain


class PushService(HttpProvider):
    """`dead`: addresses of browsers that have unsubscribed. `key`: the public key that subscriptions are bound to."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self.browsers: Final[dict[str, Browser]] = {}
        self.dead: Final[set[str]] = set()
        self.key = ""
        self._now_s: Final = now_s

    def subscribe(self, key: str) -> Browser:
        """A browser subscribes, with our public key as the page gave it."""
        self.key = key
        name = hashlib.sha256(secrets.token_bytes(8)).hexdigest()[:32]
        self.browsers[name] = Browser(f"{self.url}/push/{name}")
        return self.browsers[name]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST /push/{name}"""
        self.note(request)
        body = await request.read()
        self.asked += 1
        fault = self.faults.meet()
        if fault is not None and fault.kind != "cut":
            if (broken := await self.break_off(request, fault)) is not None:
                return broken
            status = fault.status or _STATUS[fault.kind]
            return web.Response(status=status, text=f"no: {request.path}", headers=retry_headers(fault))
        browser = self.browsers.get(request.match_info["name"])
        if browser is None or browser.device.address in self.dead:
            return web.Response(status=410)
        if len(body) > MOST_BYTES:
            return web.Response(status=413)
        if (why := self._why_not(request)) is not None:
            return web.Response(status=400, text=why)
        if not self._knows(request):
            return web.Response(status=403, text="the key is not the subscription's")
        payload = json.loads(browser.decrypted(body))
        browser.got.append(Shown(payload, dict(request.headers)))
        self.taken[payload["id"]] += 1
        broken = await self.break_off(request, fault and Fault("cut", status=201))
        return broken or web.Response(status=201, headers={"Location": f"{self.url}/message/{secrets.token_hex(8)}"})

    def _why_not(self, request: web.Request) -> str | None:
        headers = request.headers
        if not re.fullmatch(r"\d{1,10}", headers.get("TTL", "")):
            return "TTL"
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers.get("Topic", "x")):
            return "Topic"
        if headers.get("Urgency", "normal") not in {"very-low", "low", "normal", "high"}:
            return "Urgency"
        return None if headers.get("Content-Encoding") == "aes128gcm" else "Content-Encoding"

    def _knows(self, request: web.Request) -> bool:
        found = re.fullmatch(r"vapid t=([\w.-]+), k=([\w-]+)", request.headers.get("Authorization", ""))
        if found is None or found[2] != self.key:
            return False
        point = base64.urlsafe_b64decode(found[2] + "=")
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        claims = jwt.decode(
            found[1],
            public,
            algorithms=["ES256"],
            audience=self.url,
            options={"verify_exp": False, "require": ["exp", "sub"]},
        )
        return bool(self._now_s() < claims["exp"] <= self._now_s() + 86_400 and claims["sub"].startswith("mailto:"))


@asynccontextmanager
async def open_push_service(
    *, port: int = 0, tls: bool = True, now_s: Callable[[], float] = time.time
) -> AsyncIterator[PushService]:
    """A running service. `now_s`: its clock, in seconds since 1970."""
    service, app = PushService(now_s), web.Application()
    app.router.add_post("/push/{name}", service.handle)
    async with serving(service, app, port=port, tls=tls):
        yield service


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
