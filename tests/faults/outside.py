"""Everybody whom workers call: providers of mail, push and SMS, and whoever receives webhooks, on loopback, in this process.

The providers (tests/support/providers/) run before the stand does, because the workers are told their addresses when they start.
Receivers of webhooks and push services of strangers are opened by the case that wants them.

Workers may call 127.0.0.1 and ::1 and nothing else inside: `TRAP` is a machine of this network that nobody may lead them to. If
nothing kept them from it, they would reach it.
"""

import asyncio
import base64
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from services.kernel.sealing import Seals
from services.notifications.vapid import load_vapid_key, make_vapid_key
from tests.support.hostile import Act, Request, answers, says, silence
from tests.support.providers import (
    ApnsServer,
    FcmServer,
    PushService,
    SmsServer,
    SmtpServer,
    apns_server,
    authority,
    open_apns,
    open_fcm,
    open_push_service,
    open_sms,
    open_smtp,
    sms_server,
)
from workers.outbound.egress import Egress

MAY_CALL: Final = ("127.0.0.1/32", "::1/128")
TRAP: Final = "127.0.0.2"
WRITTEN: Final = Egress((ipaddress.ip_network("127.0.0.0/8"),))
"""How addresses are judged when they are written down: the one of the trap passes, as one would that meant something else then."""
SEALING_KEY: Final = bytes(range(32))
TEN_MB: Final = 10_000_000
DRIP_S: Final = 0.2


class Outside(msgspec.Struct, frozen=True):
    """The providers, and the key that browsers know us by."""

    email: SmtpServer
    apns: ApnsServer
    fcm: FcmServer
    webpush: PushService
    sms: SmsServer
    vapid_pem: str

    @property
    def lanes(self) -> "Mapping[str, SmtpServer | ApnsServer | FcmServer | PushService | SmsServer]":
        """Each provider by the lane that leads to it."""
        return {
            "email": self.email,
            "apns": self.apns,
            "fcm": self.fcm,
            "webpush": self.webpush,
            "sms": self.sms,
        }

    @property
    def vapid_public(self) -> str:
        """What a browser subscribes with."""
        return load_vapid_key(self.vapid_pem).public

    def environ(self) -> dict[str, str]:
        """What the workers have to be told of all this."""
        return {
            "SSL_CERT_FILE": str(authority().file),
            "PACELINE_PUBLIC_URL": "https://paceline.example.org",
            "PACELINE_MAIL_URL": f"smtps://localhost:{self.email.port}",
            "PACELINE_SIGNUP": "direct",
            "PACELINE_MAIL_FROM": "Paceline <coach@paceline.example>",
            "PACELINE_APNS_KEY": apns_server.key_pem(),
            "PACELINE_APNS_KEY_ID": apns_server.KEY_ID,
            "PACELINE_APNS_TEAM_ID": apns_server.TEAM,
            "PACELINE_APNS_TOPIC": apns_server.TOPIC,
            "PACELINE_APNS_URL": self.apns.url,
            "PACELINE_FCM_SERVICE_ACCOUNT": self.fcm.service_account(),
            "PACELINE_FCM_URL": self.fcm.url,
            "PACELINE_VAPID_KEY": self.vapid_pem,
            "PACELINE_SMS_ACCOUNT": sms_server.SID,
            "PACELINE_SMS_TOKEN": sms_server.TOKEN,
            "PACELINE_SMS_FROM": sms_server.SENDER,
            "PACELINE_SMS_URL": self.sms.url,
            "PACELINE_SEALING_KEYS": base64.b64encode(SEALING_KEY).decode(),
            "PACELINE_OUTBOUND_ALLOW": ",".join(MAY_CALL),
        }


def seals() -> Seals:
    """What the workers can open."""
    return Seals((SEALING_KEY,))


@asynccontextmanager
async def open_outside() -> AsyncIterator[Outside]:
    """All providers, well."""
    async with AsyncExitStack() as resources:
        yield Outside(
            await resources.enter_async_context(open_smtp(tls=True)),
            await resources.enter_async_context(open_apns()),
            await resources.enter_async_context(open_fcm()),
            await resources.enter_async_context(open_push_service()),
            await resources.enter_async_context(open_sms()),
            make_vapid_key().decode(),
        )


# -- what strangers do -----------------------------------------------------------------------------------------------------------


async def flood(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Says no, and ten megabytes besides."""
    writer.write(f"HTTP/1.1 500 Oh\r\nContent-Length: {TEN_MB}\r\n\r\n".encode())
    for _ in range(TEN_MB // 100_000):
        writer.write(b"x" * 100_000)
        await writer.drain()


async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Begins a header and goes on with it, a byte at a time, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def break_off(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Resets the connection in the middle of an answer's body that began with a no."""
    writer.write(b'HTTP/1.1 500 Oh\r\nContent-Length: 500\r\n\r\n{"detail": "it')
    await writer.drain()
    writer.transport.abort()


def leads_to(*addresses: str) -> Act:
    """Sends whoever asks to these, in turn."""
    turn = 0

    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        await answers(307, b"", f"Location: {addresses[turn % len(addresses)]}")(request, writer)

    return act


RUDE: Final[Mapping[str, Act]] = {
    "ten megabytes": flood,
    "drips": drip,
    "breaks off": break_off,
    "wrong JSON": answers(500, b'{"ok": tru\xff', "Content-Type: application/json"),
    "no HTTP": says(b"220 mail.example ESMTP\r\n"),
    "silent": silence,
}
"""What a stranger can do wrong with a call, by what it is called here. None of these takes what it is sent."""


def server_tls() -> ssl.SSLContext:
    """For a stranger whom the workers believe to be localhost."""
    return authority().server()
