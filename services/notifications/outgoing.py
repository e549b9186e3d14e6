"""What leaves for a person's pocket, and how that can end. Pure values; `workers/outbound/` has a provider for each
channel.

A provider is called with one message and answers in one of five ways, unless it is cut short. It returns a `Receipt`:
the provider has taken the message and is responsible for it now. `TryLater`: nothing was taken, and asking again may
help. `Refused`: this message will never be taken. `DeadAddress`: nobody lives there any more, forget the address.
`InDoubt`: the line broke after everything was sent and before the answer, so the message may be on its way; whether
sending it again would be noticed is for the caller to know.

`message_id` is ours, the same on every attempt. Where the other side can tell a repetition by it (Message-ID,
apns-id, Topic), it is told.
"""

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from uuid import UUID

Channel = Literal["inbox", "email", "push", "sms"]
CHANNELS: Final[tuple[Channel, ...]] = ("inbox", "email", "push", "sms")

Urgency = Literal["low", "normal", "high"]


@dataclass(frozen=True)
class Mail:
    """An e-mail to one address (RFC 5322 addr-spec). `unsubscribe_url`: answers RFC 8058's one-click POST; None for
    mail that nobody can refuse."""

    message_id: UUID
    to: str
    subject: str
    text: str
    html: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True)
class Device:
    """Where a push goes. `address`: the token of APNs (hex) or FCM, the endpoint URL of Web Push. `p256dh` and
    `auth`: the keys of a Web Push subscription (base64url), empty elsewhere."""

    kind: Literal["apns", "fcm", "webpush"]
    address: str
    p256dh: str = ""
    auth: str = ""


@dataclass(frozen=True)
class PushMessage:
    """A push to one device. Of those with one `collapse_key` (at most 32 characters of base64url), a device shows the
    newest only. `ttl_s`: after that many seconds nobody wants it any more. `data`: for the app."""

    message_id: UUID
    device: Device
    title: str
    body: str
    collapse_key: str
    ttl_s: int
    urgency: Urgency = "normal"
    badge: int | None = None
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sms:
    """A text message to a number in E.164 form (+4915112345678)."""

    message_id: UUID
    to: str
    text: str


Outgoing = Mail | PushMessage | Sms

MOST_NAME: Final = 500
"""Characters of a name that is kept. By feeling: the longest are URLs of push services, with some hundred."""


@dataclass(frozen=True)
class Receipt:
    """The provider has it. `provider_id`: its own name for the message, as its callbacks and its support use it; a
    stranger's word, see `kept_name`."""

    provider: str
    provider_id: str


def kept_name(said: str) -> str:
    """What a provider calls a message, as it may be kept: printable ASCII, no longer than `MOST_NAME`. Anything else is
    no name, and empty: the database takes neither the zero byte nor what is no UTF-8, and one that was cut is no name
    either."""
    return said if said.isascii() and said.isprintable() and len(said) <= MOST_NAME else ""


class NotTaken(Exception):  # noqa: N818 - it says what became of the message
    """The message was not taken; the message of the exception says why, for an operator, without anybody's address."""

    def __init__(self, why: str, *, provider: str = "") -> None:
        super().__init__(why)
        self.provider: Final = provider


class TryLater(NotTaken):
    """Nothing was taken, and asking again can help; not before `retry_after_s`, where the provider has said so.
    `blameless`: it was never asked, because it is known to be away, and the attempt is not to be counted."""

    def __init__(
        self, why: str, *, provider: str = "", retry_after_s: float | None = None, blameless: bool = False
    ) -> None:
        super().__init__(why, provider=provider)
        self.retry_after_s: Final = retry_after_s
        self.blameless: Final = blameless


class Refused(NotTaken):
    """This message will never be taken."""


class DeadAddress(NotTaken):
    """Nobody lives at this address any more: it must be forgotten. `since_ms`: since when (wall ms), where the provider says
    so; an address that was registered again after that is alive."""

    def __init__(self, why: str, *, provider: str = "", since_ms: int | None = None) -> None:
        super().__init__(why, provider=provider)
        self.since_ms: Final = since_ms


class InDoubt(NotTaken):
    """Everything was sent and no answer came: the message may be on its way."""


class CutShort(NotTaken):
    """The call was cancelled before anything of the message was handed over: nothing was taken."""


class Provider(Protocol):
    """One way out. Bounded in time; raises nothing but `NotTaken`'s kinds. When it is cancelled: `CutShort`, if it
    knows that nothing was taken, otherwise `asyncio.CancelledError`."""

    @property
    def name(self) -> str:
        """As in receipts, logs and metrics: "smtp", "apns", "fcm", "webpush", "sms"."""
        ...

    async def send(self, message: Outgoing) -> Receipt: ...


class Providers(Protocol):
    """The ways out that this installation has. Raises `NotTaken`'s kinds as a `Provider` does; `Refused` for a
    channel without one."""

    async def send(self, message: Outgoing) -> Receipt: ...

    def speaks(self, channel: Channel) -> bool:
        """Whether anything can leave on this channel at all."""
        ...
