"""What the settings say about providers of mail, push and SMS, and the clients that call them.

Two clients, because two kinds of addresses are called. `named` ones come from the settings and may lead anywhere, into an inner
network too. `guarded` ones come from strangers, and the egress rule stands before them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Final

import msgspec

from paceline.keys import known_vapid_key, vapid_key
from paceline.settings import Settings
from services.kernel.clock import Clock
from services.notifications.hands import HANDS
from services.notifications.vapid import load_vapid_key
from workers.outbound.apns import Team
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.google_token import ServiceAccount
from workers.outbound.mail_server import way_of
from workers.outbound.mime import mailbox
from workers.outbound.providers import (
    ApnsMeans,
    FcmMeans,
    MailMeans,
    Means,
    SmsMeans,
    WaysOut,
    WebPushMeans,
    open_providers,
)
from workers.outbound.sms import SmsAccount

LOCAL_SENDER: Final = "Paceline <paceline@localhost>"
MAIL_FOLDER: Final = "mail"
SMS_CALLBACK: Final = "/v1/callbacks/sms"
ANYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@asynccontextmanager
async def open_third_parties(settings: Settings, clock: Clock, *, makes_key: bool = True) -> AsyncIterator[WaysOut]:
    """The ways out that these settings give. Not `makes_key`, for a command: none to browsers where there is no key for
    them. Raises `BadKey` for a key that cannot be used, and OSError when the data folder cannot."""
    proxy = settings.outbound_proxy or None
    async with (
        open_outbound(clock, Egress(ANYWHERE), proxy=proxy) as named,
        open_outbound(clock, Egress(settings.outbound_allow), proxy=proxy, connections=HANDS) as guarded,
        open_providers(means_of(settings, makes_key=makes_key), clock, named=named, guarded=guarded) as ways,
    ):
        yield ways


def means_of(settings: Settings, *, makes_key: bool = True) -> Means:
    """What there is to send with. A key for browsers is made when there is none and `makes_key`."""
    return Means(
        mail=_mail(settings),
        apns=_apns(settings),
        fcm=_fcm(settings),
        web_push=_web_push(settings, makes_key=makes_key),
        sms=_sms(settings),
    )


def _mail(settings: Settings) -> MailMeans | None:
    sender = mailbox(settings.mail_from or LOCAL_SENDER)
    if settings.mail_url:
        return MailMeans(way_of(settings.mail_url), sender)
    return MailMeans(settings.data_dir / MAIL_FOLDER, sender) if settings.embedded_postgres else None


def _apns(settings: Settings) -> ApnsMeans | None:
    if not settings.apns_key:
        return None
    team = Team(settings.apns_key, settings.apns_key_id, settings.apns_team_id, settings.apns_topic)
    return ApnsMeans(team, settings.apns_url)


def _fcm(settings: Settings) -> FcmMeans | None:
    if not settings.fcm_service_account:
        return None
    account = msgspec.json.decode(settings.fcm_service_account, type=ServiceAccount)
    return FcmMeans(account, settings.fcm_url)


def _web_push(settings: Settings, *, makes_key: bool) -> WebPushMeans | None:
    key = vapid_key(settings) if makes_key else known_vapid_key(settings)
    if key is None:
        return None
    sender = mailbox(settings.mail_from or LOCAL_SENDER)
    subject = settings.vapid_subject or f"mailto:{sender.addr_spec}"
    return WebPushMeans(load_vapid_key(key), subject)


def _sms(settings: Settings) -> SmsMeans | None:
    if not settings.sms_account:
        return None
    callback = f"{settings.public_url}{SMS_CALLBACK}" if settings.public_url else ""
    account = SmsAccount(settings.sms_account, settings.sms_token, settings.sms_from, callback)
    return SmsMeans(account, settings.sms_url)
