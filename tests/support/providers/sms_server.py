"""An SMS provider in Twilio's shape, for tests: basic auth, a form per message, JSON answers, signed callbacks.

The faults: slow_down is 429 with code 20429, broken 500, away 503, dead 400 with code 21211, refused 400 with code 21612; `code`
gives another code. cut breaks a 201 in its body: the message was taken.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import BasicAuth, web

from tests.support.providers.faults import Fault
from tests.support.providers.http_server import HttpProvider, retry_headers, serving

SID: Final = "AC00000000000000000000000000000001"
TOKEN: Final = "velvet-anchor-quartz-58213"
SENDER: Final = "+15005550006"

_ERRORS: Final[dict[str, tuple[int, str, str]]] = {
    "slow_down": (429, "20429", "Too Many Requests"),
    "broken": (500, "20500", "Internal Server Error"),
    "away": (503, "20503", "Service Unavailable"),
    "dead": (400, "21211", "The 'To' number {to} is not a valid phone number."),
    "refused": (400, "21612", "Message cannot be sent with the current combination of 'To' ({to}) and 'From'."),
    "bad_token": (401, "20003", "Authenticate"),
}


@dataclass(frozen=True)
class Callback:
    """What it would call about the end of a message."""

    url: str
    form: dict[str, str]
    signature: str


class SmsServer(HttpProvider):
    """The messages it has taken, as the forms that they came in, by their SID."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: Final[dict[str, dict[str, str]]] = {}

    def callback(self, sid: str, status: str, error_code: str = "") -> Callback:
        """How it tells that this message is `status` now (delivered, undelivered, failed)."""
        sent = self.messages[sid]
        form = {"MessageSid": sid, "MessageStatus": status, "To": sent["To"], "AccountSid": SID}
        if error_code:
            form["ErrorCode"] = error_code
        url = sent["StatusCallback"]
        signed = url + "".join(name + value for name, value in sorted(form.items()))
        digest = hmac.digest(TOKEN.encode(), signed.encode(), hashlib.sha1)
        return Callback(url, form, base64.b64encode(digest).decode())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST …/Messages.json"""
        self.note(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked += 1
        login = BasicAuth.decode(request.headers["Authorization"])
        if (login.login, login.password) != (SID, TOKEN) or request.match_info["sid"] != SID:
            return _error(Fault("bad_token"), form)
        fault = self.faults.meet()
        if fault is None or fault.kind == "cut":
            sid = self._take(form)
            broken = await self.break_off(request, fault and Fault("cut", status=201))
            return broken or web.json_response({"sid": sid, "status": "queued", "error_code": None}, status=201)
        return await self.break_off(request, fault) or _error(fault, form)

    async def shown(self, _: web.Request) -> web.Response:
        """GET /messages: all that it has taken, for whoever reads them in another process."""
        return web.json_response(list(self.messages.values()))

    def _take(self, form: dict[str, str]) -> str:
        sid = f"SM{uuid.uuid4().hex}"
        assert form["To"], "a number"
        assert form["Body"], "a text"
        assert form.get("From", form.get("MessagingServiceSid")), "a sender"
        self.messages[sid] = form
        asked = parse_qs(urlsplit(form.get("StatusCallback", "")).query)
        self.taken[asked.get("message", [sid])[0]] += 1
        return sid


@asynccontextmanager
async def open_sms(*, port: int = 0, tls: bool = False) -> AsyncIterator[SmsServer]:
    """A running provider, whose one account is `SID` with `TOKEN`."""
    server, app = SmsServer(), web.Application()
    app.router.add_post("/2010-04-01/Accounts/{sid}/Messages.json", server.handle)
    app.router.add_get("/messages", server.shown)
    async with serving(server, app, port=port, tls=tls):
        yield server


def _error(fault: Fault, form: dict[str, str]) -> web.Response:
    status, code, words = _ERRORS[fault.kind]
    told = {"code": int(fault.code or code), "message": words.format(to=form.get("To", "")), "status": status}
    return web.json_response(told, status=fault.status or status, headers=retry_headers(fault))
