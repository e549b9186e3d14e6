"""Text messages that leave the way they do in an installation: through a worker's lane, over HTTP, to a server that speaks as the
provider does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network

from services.accounts.account_mail import MailTokens
from services.kernel.clock import Clock, SystemClock
from services.notifications.contact_link import ContactLinks
from services.notifications.links import Linking
from services.notifications.phone import PhoneCodes
from services.notifications.rendering import Words
from services.notifications.unsubscribe import Unsubscribe
from tests.support.mailed import BASE_URL
from tests.support.postbox import send_due
from tests.support.providers import SmsServer, open_sms
from tests.support.providers.build import sms_account
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.providers import Means, SmsMeans, open_providers
from workers.sending import Post, Sender, Transactions


@dataclass
class Texts:
    """A lane of text messages and the server they go to."""

    server: SmsServer
    sender: Sender

    async def arrived(self) -> list[tuple[str, str]]:
        """All that has arrived so far, with the number that it came to, the oldest first, after what is due has left."""
        await send_due(self.sender)
        return [(sent["To"], sent["Body"]) for sent in self.server.messages.values()]


@asynccontextmanager
async def open_texts(transactions: Transactions, clock: Clock, secret: bytes) -> AsyncIterator[Texts]:
    """The lane and the server, with the words and links of an installation that has this secret."""
    linking = Linking(lambda: BASE_URL, Unsubscribe(secret), ContactLinks(secret), MailTokens(secret))
    post = Post(Words(), linking, PhoneCodes(secret))
    loopback = Egress((ip_network("127.0.0.0/8"),))
    async with open_sms() as server, open_outbound(SystemClock(), loopback) as calls:
        means = Means(sms=SmsMeans(sms_account(), server.url))
        async with open_providers(means, SystemClock(), named=calls, guarded=calls) as providers:
            yield Texts(server, Sender("sms", 1, transactions, providers, post, clock))
