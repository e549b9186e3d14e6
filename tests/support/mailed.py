"""Mail that leaves the way it does in an installation: through a worker's lane, over SMTP, to a server that keeps it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from services.accounts.account_mail import MailTokens
from services.flags.switches import Switches
from services.kernel.clock import Clock, SystemClock
from services.notifications.contact_link import ContactLinks
from services.notifications.links import Linking
from services.notifications.phone import PhoneCodes
from services.notifications.rendering import Words
from services.notifications.unsubscribe import Unsubscribe
from tests.support.postbox import send_due
from tests.support.providers import SmtpServer, open_smtp
from tests.support.providers.build import SENDER
from workers.outbound.client import open_outbound
from workers.outbound.egress import Egress
from workers.outbound.mail_server import Server
from workers.outbound.providers import MailMeans, Means, open_providers
from workers.sending import Post, Sender, Transactions

BASE_URL: Final = "https://run.example"


@dataclass
class Mailing:
    """A lane of mails, the server they go to, and what an operator may switch off."""

    server: SmtpServer
    sender: Sender
    switches: Switches

    async def mails(self) -> list[EmailMessage]:
        """All that has arrived so far, the oldest first, after what is due has left."""
        await send_due(self.sender)
        return self.server.mails

    async def subjects(self) -> list[tuple[str, str]]:
        """The same, each by whom it came to and its subject."""
        return [(str(mail["To"]), str(mail["Subject"])) for mail in await self.mails()]


@asynccontextmanager
async def open_mailing(transactions: Transactions, clock: Clock, secret: bytes) -> AsyncIterator[Mailing]:
    """The lane and the server, with the words and links of an installation that has this secret."""
    linking = Linking(lambda: BASE_URL, Unsubscribe(secret), ContactLinks(secret), MailTokens(secret))
    post = Post(Words(), linking, PhoneCodes(secret))
    async with open_smtp() as server, open_outbound(SystemClock(), Egress(())) as calls:
        means = Means(mail=MailMeans(Server("localhost", server.port, "never"), SENDER))
        async with open_providers(means, SystemClock(), named=calls, guarded=calls) as providers:
            switches = Switches()
            sender = Sender("email", 1, transactions, providers, post, clock, switches=switches)
            yield Mailing(server, sender, switches)


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link_in(mail: EmailMessage) -> str:
    """The path of the link in a mail to an emergency contact, with its token."""
    found = re.search(r"https://run\.example(/emergency-contact\?token=\S+)", text_of(mail))
    assert found is not None, text_of(mail)
    return found[1]
