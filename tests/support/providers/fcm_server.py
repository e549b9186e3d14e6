"""Firebase Cloud Messaging for tests: Google's token endpoint and the HTTP v1 API on one port.

The token endpoint checks the signature and the claims of the assertion, and its tokens end by the server's clock. The API checks
the token, the project and the size, and knows registrations: `dead` ones are UNREGISTERED, `foreign` ones SENDER_ID_MISMATCH, and
those that begin with "bad" are no tokens at all.

The faults: slow_down is 429 QUOTA_EXCEEDED, broken 500 INTERNAL, away 503 UNAVAILABLE, dead 404 UNREGISTERED, refused 400
INVALID_ARGUMENT about our message, expired_token 401; cut breaks a 200 in its body: the message was taken. `token_faults` are
those of the token endpoint. `code` "device" makes slow_down the quota of one device.
"""

import functools
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.providers.faults import Fault, Faults
from tests.support.providers.http_server import HttpProvider, retry_headers, serving

PROJECT: Final = "paceline-test"
KEY_ID: Final = "4f5c2e"
EMAIL: Final = f"push@{PROJECT}.iam.gserviceaccount.com"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
TOKEN_S: Final = 3_600
MOST_BYTES: Final = 4_096

_ERRORS: Final[dict[str, tuple[int, str, str, str]]] = {
    "slow_down": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Message rate exceeded."),
    "broken": (500, "INTERNAL", "INTERNAL", "Internal error encountered."),
    "away": (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
    "dead": (404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    "refused": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid value at 'message.android.ttl'"),
    "expired_token": (401, "UNAUTHENTICATED", "", "Request had invalid authentication credentials."),
    "bad_token": (403, "PERMISSION_DENIED", "", "Permission denied on project."),
}


@dataclass(frozen=True)
class Pushed:
    """A message that was taken."""

    registration: str
    message: dict[str, Any]


class FcmServer(HttpProvider):
    """One project."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        super().__init__()
        self.token_faults: Final = Faults()
        self.tokens_given = 0
        self.pushed: Final[list[Pushed]] = []
        self.screens: Final[dict[str, dict[str, str]]] = {}
        """What each device shows: by tag, the title of the newest."""
        self.dead: Final[set[str]] = set()
        self.foreign: Final[set[str]] = set()
        self._now_s: Final = now_s
        self._good: Final[dict[str, float]] = {}

    def service_account(self) -> str:
        """The JSON file of the service account."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": KEY_ID,
                "private_key": _private_pem(),
                "client_email": EMAIL,
                "client_id": "1",
                "token_uri": f"{self.url}/token",
            }
        )

    def revoke_tokens(self) -> None:
        """No token that was given is good any more."""
        self._good.clear()

    async def grant(self, request: web.Request) -> web.StreamResponse:
        """POST /token"""
        self.note(request)
        form = await request.post()
        fault = self.token_faults.meet()
        if fault is not None:
            if (broken := await self.break_off(request, fault)) is not None:
                return broken
            status = fault.status or _ERRORS[fault.kind][0]
            return web.json_response({"error": "not now"}, status=status, headers=retry_headers(fault))
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assertion = str(form["assertion"])
        claims = jwt.decode(
            assertion,
            _key().public_key(),
            algorithms=["RS256"],
            audience=f"{self.url}/token",
            options={"verify_exp": False, "verify_iat": False, "require": ["iss", "aud", "exp", "iat"]},
        )
        right = (
            claims["iss"] == EMAIL
            and claims["scope"] == SCOPE
            and jwt.get_unverified_header(assertion)["kid"] == KEY_ID
        )
        in_time = claims["iat"] <= self._now_s() + 1 and self._now_s() < claims["exp"] <= claims["iat"] + 3_600
        if not (right and in_time):
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = secrets.token_urlsafe(40)
        self._good[token] = self._now_s() + TOKEN_S
        self.tokens_given += 1
        return web.json_response({"access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer"})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/projects/{project}/messages:send"""
        self.note(request)
        body = await request.read()
        self.asked += 1
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._good.get(token, 0.0) <= self._now_s():
            return _error(Fault("expired_token"))
        fault = self.faults.meet()
        if fault is not None and fault.kind != "cut":
            return await self.break_off(request, fault) or _error(fault)
        refusal = self._judge(request, body)
        if refusal is not None:
            return refusal
        message = json.loads(body)["message"]
        self._take(message)
        broken = await self.break_off(request, fault)
        return broken or web.json_response({"name": f"projects/{PROJECT}/messages/{len(self.pushed)}"})

    def _judge(self, request: web.Request, body: bytes) -> web.Response | None:
        if request.match_info["project"] != PROJECT:
            return _error(Fault("bad_token"))
        message = json.loads(body)["message"]
        registration = message["token"]
        if len(body) > MOST_BYTES:
            return _error(Fault("refused"))
        if any(not isinstance(value, str) for value in message["data"].values()):
            return _error(Fault("refused"))
        if registration.startswith("bad"):
            return _bad_registration(registration)
        if registration in self.foreign:
            return _error(Fault("bad_token", code="SENDER_ID_MISMATCH"))
        return _error(Fault("dead")) if registration in self.dead else None

    def _take(self, message: dict[str, Any]) -> None:
        self.pushed.append(Pushed(message["token"], message))
        self.taken[message["data"]["id"]] += 1
        screen = self.screens.setdefault(message["token"], {})
        screen[message["android"]["notification"]["tag"]] = message["notification"]["title"]


@asynccontextmanager
async def open_fcm(
    *, port: int = 0, tls: bool = False, now_s: Callable[[], float] = time.time
) -> AsyncIterator[FcmServer]:
    """A running service. `now_s`: its clock, in seconds since 1970."""
    server, app = FcmServer(now_s), web.Application()
    app.router.add_post("/token", server.grant)
    app.router.add_post("/v1/projects/{project}/messages:send", server.handle)
    async with serving(server, app, port=port, tls=tls):
        yield server


def _error(fault: Fault) -> web.Response:
    status, word, code, message = _ERRORS[fault.kind]
    details: list[dict[str, object]] = []
    if fault.code == "device":
        violation = {"subject": "device:1", "description": "Device message rate exceeded."}
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
    elif code or fault.code:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details.append({"@type": kind, "errorCode": fault.code or code})
    return web.json_response(
        {"error": {"code": status, "message": message, "status": word, "details": details}},
        status=fault.status or status,
        headers=retry_headers(fault),
    )


def _bad_registration(registration: str) -> web.Response:
    words = "The registration token is not a valid FCM registration token"
    details: list[dict[str, object]] = [
        {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "INVALID_ARGUMENT"},
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [
                {"field": "message.token", "description": f"Invalid registration token {registration}"}
            ],
        },
    ]
    error = {"code": 400, "message": words, "status": "INVALID_ARGUMENT", "details": details}
    return web.json_response({"error": error}, status=400)


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _private_pem() -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return _key().private_bytes(encoding, form, serialization.NoEncryption()).decode()
