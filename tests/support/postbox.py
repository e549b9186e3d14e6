"""Providers in memory: what tests of the pipeline hand letters to. The real adapters have tests and servers of their own
(tests/workers/outbound/); here it is about what becomes of a delivery, whatever a provider answers.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from services.accounts.account_mail import MailTokens
from services.flags.switches import ALL_ON, Switches
from services.notifications.contact_link import ContactLinks
from services.notifications.delivery import Lane
from services.notifications.links import Linking
from services.notifications.outgoing import CHANNELS, Channel, Mail, Outgoing, PushMessage, Receipt
from services.notifications.phone import PhoneCodes
from tests.support.notified import SECRET, Notified, PlainWords
from workers.sending import Post, Sender
from workers.wakeups import Wakeups

Answer = Callable[[Outgoing], Awaitable[Receipt]]


class Postbox:
    """Keeps what it is given, and answers as `answer` says: by default it has taken everything."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.sent: Final[list[Outgoing]] = []
        self.answer: Answer = answer or self._take
        self._taken = 0

    async def send(self, message: Outgoing) -> Receipt:
        self.sent.append(message)
        return await self.answer(message)

    def speaks(self, channel: Channel) -> bool:
        return channel in CHANNELS

    def refuse(self, *failures: Exception) -> None:
        """Answer with these, one after the other, and take everything after them."""
        left = list(failures)

        async def answer(message: Outgoing) -> Receipt:
            if left:
                raise left.pop(0)
            return await self._take(message)

        self.answer = answer

    def mails(self) -> list[Mail]:
        """The mails among them."""
        return [message for message in self.sent if isinstance(message, Mail)]

    def pushes(self) -> list[PushMessage]:
        """The pushes among them."""
        return [message for message in self.sent if isinstance(message, PushMessage)]

    async def _take(self, message: Outgoing) -> Receipt:
        self._taken += 1
        return Receipt("postbox", f"no-{self._taken}")


def a_sender(
    world: Notified,
    postbox: Postbox,
    lane: Lane = "email",
    *,
    concurrency: int = 4,
    wakeups: Wakeups | None = None,
    switches: Switches = ALL_ON,
) -> Sender:
    """A lane whose letters go to this postbox."""
    return Sender(
        lane, concurrency, world.transactions, postbox, a_post(world), world.clock, wakeups, switches=switches
    )


def a_post(world: Notified) -> Post:
    """Plain words, and links to nowhere."""
    linking = Linking(lambda: "https://pace.example.org", world.unsubscribe, ContactLinks(SECRET), MailTokens(SECRET))
    return Post(PlainWords(), linking, PhoneCodes(SECRET))


async def send_due(sender: Sender) -> int:
    """Send everything that is due in its lane now; how many deliveries were looked at."""
    looked_at = 0
    while True:
        taken, letters = await sender.take(10)
        for letter in letters:
            await sender.send(letter)
        looked_at += taken
        if not taken:
            return looked_at
