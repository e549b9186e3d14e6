"""The ways out that an installation has: every adapter that it has settings for, behind its circuit and its places.

`Means` is all that has to be known of third parties; `open_providers` makes the adapters and closes their connections. A channel
without means refuses: nothing is kept for a day when somebody might set it up.

The places of each are per process: what a mail server or a push service takes easily from one client. Those for browsers are as
many as their lane has hands (services/notifications/hands.py), which are given out before a call comes here.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from pathlib import Path
from ssl import SSLContext
from typing import Final

from services.kernel.clock import Clock
from services.notifications.hands import EACH, HANDS
from services.notifications.outgoing import Channel, Mail, Outgoing, Provider, PushMessage, Receipt, Refused, Sms
from services.notifications.vapid import VapidKey
from workers.outbound.apns import ApnsProvider, Team
from workers.outbound.breaker import CallStatistics, Guarded
from workers.outbound.calls import Calls
from workers.outbound.fcm import FcmProvider
from workers.outbound.google_token import ServiceAccount
from workers.outbound.mail_folder import MailFolder
from workers.outbound.mail_server import Server
from workers.outbound.sms import SmsAccount, SmsProvider
from workers.outbound.smtp import SmtpProvider
from workers.outbound.web_push import WebPushProvider, origin_of

SMTP_PLACES: Final = 4
"""Connections to the mail server; many relays allow ten."""
PUSH_PLACES: Final = 8
SMS_PLACES: Final = 4


@dataclass(frozen=True)
class MailMeans:
    """A mail server or a folder, and who the mails are from."""

    way: Server | Path
    sender: Address


@dataclass(frozen=True)
class ApnsMeans:
    team: Team
    url: str


@dataclass(frozen=True)
class FcmMeans:
    account: ServiceAccount
    url: str


@dataclass(frozen=True)
class WebPushMeans:
    key: VapidKey
    subject: str


@dataclass(frozen=True)
class SmsMeans:
    account: SmsAccount
    url: str


@dataclass(frozen=True)
class Means:
    """What an installation has; None is a way out that it has not."""

    mail: MailMeans | None = None
    apns: ApnsMeans | None = None
    fcm: FcmMeans | None = None
    web_push: WebPushMeans | None = None
    sms: SmsMeans | None = None


class WaysOut:
    """`Providers`, by a guarded provider for each kind of address: "email", "apns", "fcm", "webpush", "sms"."""

    def __init__(self, ways: Mapping[str, Guarded]) -> None:
        self._ways: Final = dict(ways)

    async def send(self, message: Outgoing) -> Receipt:
        """See `Providers.send`."""
        kind = _kind_of(message)
        way = self._ways.get(kind)
        if way is None:
            raise Refused(f"this installation has no provider for {kind}: see docs/howto/providers.md")
        return await way.send(message)

    def speaks(self, channel: Channel) -> bool:
        """See `Providers.speaks`."""
        kinds = {"inbox": (), "email": ("email",), "push": ("apns", "fcm", "webpush"), "sms": ("sms",)}[channel]
        return any(kind in self._ways for kind in kinds)

    def statistics(self) -> dict[str, CallStatistics]:
        """What each provider has been asked and how it ended, by the provider's name."""
        return {way.name: way.statistics() for way in self._ways.values()}


@asynccontextmanager
async def open_providers(
    means: Means, clock: Clock, *, named: Calls, guarded: Calls, tls: SSLContext | None = None
) -> AsyncIterator[WaysOut]:
    """The ways out. `named` calls hosts that an operator has named, `guarded` those that strangers have; `tls` says whose
    certificates SMTP and APNs believe, in place of the system's."""
    async with AsyncExitStack() as open_ones:
        ways: dict[str, Guarded] = {}

        def guard(kind: str, provider: Provider, places: int) -> None:
            ways[kind] = Guarded(provider, clock, places=places)

        if means.mail is not None:
            guard("email", _mailer(means.mail, clock, tls, open_ones), SMTP_PLACES)
        if means.apns is not None:
            apns = ApnsProvider(means.apns.team, clock, url=means.apns.url, tls=tls)
            open_ones.push_async_callback(apns.close)
            guard("apns", apns, PUSH_PLACES)
        if means.fcm is not None:
            guard("fcm", FcmProvider(means.fcm.account, named, clock, url=means.fcm.url), PUSH_PLACES)
        if means.web_push is not None:
            browsers = WebPushProvider(means.web_push.key, means.web_push.subject, guarded, clock)
            ways["webpush"] = Guarded(browsers, clock, places=HANDS, places_each=EACH, whose=origin_of)
        if means.sms is not None:
            guard("sms", SmsProvider(means.sms.account, named, clock, url=means.sms.url), SMS_PLACES)
        yield WaysOut(ways)


def _mailer(means: MailMeans, clock: Clock, tls: SSLContext | None, open_ones: AsyncExitStack) -> Provider:
    if isinstance(means.way, Path):
        return MailFolder(means.way, means.sender, clock)
    mailer = SmtpProvider(means.way, means.sender, clock, tls=tls)
    open_ones.push_async_callback(mailer.close)
    return mailer


def _kind_of(message: Outgoing) -> str:
    match message:
        case Mail():
            return "email"
        case PushMessage():
            return message.device.kind
        case Sms():
            return "sms"
