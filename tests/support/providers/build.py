"""Messages in a word or two, and adapters that talk to the servers of this package."""

import itertools
import uuid
from typing import Any, Final

import msgspec

from services.kernel.clock import Clock
from services.notifications.outgoing import Device, Mail, PushMessage, Sms
from services.notifications.vapid import VapidKey, load_vapid_key, make_vapid_key
from tests.support.providers import apns_server, sms_server
from tests.support.providers.apns_server import ApnsServer
from tests.support.providers.authority import authority
from tests.support.providers.fcm_server import FcmServer
from tests.support.providers.sms_server import SmsServer
from tests.support.providers.smtp_server import PASSWORD, USER, SmtpServer
from workers.outbound.apns import ApnsProvider, Team
from workers.outbound.calls import Calls
from workers.outbound.client import Limits
from workers.outbound.fcm import FcmProvider
from workers.outbound.google_token import ServiceAccount
from workers.outbound.mail_server import Server
from workers.outbound.mime import mailbox
from workers.outbound.sms import SmsAccount, SmsProvider
from workers.outbound.smtp import SmtpProvider
from workers.outbound.web_push import WebPushProvider

PERSON: Final = "mira.okafor@example.org"
NUMBER: Final = "+4915112345678"
SENDER: Final = mailbox("Paceline <coach@paceline.example>")
SUBJECT: Final = "mailto:operator@paceline.example"
CALLBACK: Final = "https://paceline.example/v1/callbacks/sms"

_count = itertools.count(1)


def message_id() -> uuid.UUID:
    """Another one each time."""
    return uuid.UUID(int=(0x01930000 << 96) | (7 << 76) | (2 << 62) | next(_count))


def mail(to: str = PERSON, **differs: Any) -> Mail:
    """A mail."""
    words: dict[str, Any] = {
        "message_id": message_id(),
        "to": to,
        "subject": "Your class",
        "text": "You did 42 points.\n",
        "html": "<p>You did <b>42</b> points.</p>",
        "unsubscribe_url": "https://paceline.example/unsubscribe?token=abc.def",
    }
    return Mail(**{**words, **differs})


def apns_token(number: int = 1) -> str:
    """A device token as Apple makes them."""
    return f"{number:064x}"


def push(device: Device | None = None, **differs: Any) -> PushMessage:
    """A push, to some device of Apple's if no other is given."""
    words: dict[str, Any] = {
        "message_id": message_id(),
        "device": device or Device("apns", apns_token()),
        "title": "Your class",
        "body": "You did 42 points.",
        "collapse_key": "class-0193",
        "ttl_s": 3_600,
        "data": {"open": "/classes/0193"},
    }
    return PushMessage(**{**words, **differs})


def sms(to: str = NUMBER, **differs: Any) -> Sms:
    """A text message."""
    return Sms(**{"message_id": message_id(), "to": to, "text": "Your class starts at 18:00.", **differs})


def smtp_provider(
    server: SmtpServer, clock: Clock, *, tls: str = "offered", login: bool = False, **waits: float
) -> SmtpProvider:
    """The adapter for this server; `tls` as in `Server.tls`, `login` with the server's password."""
    user, password = (USER, PASSWORD) if login else ("", "")
    way = Server("localhost", server.port, tls, user, password)  # type: ignore[arg-type]
    return SmtpProvider(way, SENDER, clock, tls=authority().client(), **waits)


def team() -> Team:
    """The one that the APNs server knows."""
    return Team(apns_server.key_pem(), apns_server.KEY_ID, apns_server.TEAM, apns_server.TOPIC)


def apns_provider(server: ApnsServer, clock: Clock, **waits: float) -> ApnsProvider:
    """The adapter for this server."""
    return ApnsProvider(team(), clock, url=server.url, tls=authority().client(), **waits)


def service_account(server: FcmServer) -> ServiceAccount:
    """The one that the FCM server knows."""
    return msgspec.json.decode(server.service_account(), type=ServiceAccount)


def fcm_provider(server: FcmServer, calls: Calls, clock: Clock, limits: Limits) -> FcmProvider:
    """The adapter for this server."""
    return FcmProvider(service_account(server), calls, clock, url=server.url, limits=limits)


def vapid_key() -> VapidKey:
    """A fresh one."""
    return load_vapid_key(make_vapid_key().decode())


def web_push_provider(key: VapidKey, calls: Calls, clock: Clock, limits: Limits) -> WebPushProvider:
    """The adapter with this key."""
    return WebPushProvider(key, SUBJECT, calls, clock, limits=limits)


def sms_account() -> SmsAccount:
    """The one that the SMS server knows."""
    return SmsAccount(sms_server.SID, sms_server.TOKEN, sms_server.SENDER, CALLBACK)


def sms_provider(server: SmsServer, calls: Calls, clock: Clock, limits: Limits) -> SmsProvider:
    """The adapter for this server."""
    return SmsProvider(sms_account(), calls, clock, url=server.url, limits=limits)
