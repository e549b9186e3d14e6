"""Mails about an account that go to an address, whoever reads it; most have a link that is good once. Pure.

Whoever follows a link has shown that they read the mail of an address. What they may do with that depends on what the mail says:
finish a registration, confirm the address of an account, choose a new password, move an account to another address, take that move
back. The other mails only tell somebody what has been done.

A token is the id of its mail with a seal under a key that is not in the database: neither the token nor a hash of it is stored, so
nobody who has read the database can follow anybody's link. The seal covers what the mail says, so a link for one thing is good for
nothing else. It is good until the row of the mail says that it has ended, and that is written in the transaction that does what
the link is for.

How often an address is written to is counted by what is said, whoever asks and whether the address has an account or not. Who is
refused is told nothing and needs nothing: the last link is in their mailbox.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, Literal, get_args
from uuid import UUID

import msgspec

from services.accounts.account import SignupRole
from services.kernel.ids import AccountId, AccountMailId
from services.kernel.problems import LinkOver

Says = Literal["register", "confirm", "reset", "change", "undo", "moving", "password", "invite"]
"""`register` finishes a registration, `confirm` proves the address of an account, `reset` chooses a new password, `change` moves an
account to this address, `undo` takes that back, to the address it had before, `invite` asks whoever reads it into an organisation.
Without a link: `moving` tells the old address that somebody asks for a move, `password` that the password was changed."""
Link = Literal["register", "confirm", "reset", "change", "undo", "invite"]
LINKS: Final[frozenset[Says]] = frozenset(get_args(Link))

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

LIFE_MS: Final = MappingProxyType[Says, int](
    {
        "register": DAY_MS,
        "confirm": 3 * DAY_MS,
        # Whoever reads this mail has the account, so it is short (ASVS 6.4.1); the others give nobody more than they had.
        "reset": 30 * MINUTE_MS,
        "change": DAY_MS,
        # Long enough for somebody who reads their old mailbox once a week.
        "undo": 14 * DAY_MS,
        "moving": DAY_MS,
        "password": DAY_MS,
        "invite": 7 * DAY_MS,
    }
)
"""How long a link is good; of mails without one, how long the news is worth sending. By feeling."""

PAUSE_MS: Final = MINUTE_MS
AN_HOUR: Final = 5
A_DAY: Final = 20
"""At most so many mails that say the same to one address, with a pause between two. By feeling: a mailbox that is flooded with them
gets 20 a day, and whoever waits for one has it after a minute."""

PURPOSE: Final = b"paceline: links in mails about accounts, 1"
_ID: Final = 16
_SEAL: Final = 16
TOKEN_LENGTH: Final = 43


class Pending(msgspec.Struct, frozen=True):
    """What somebody has asked for who registers: who they will be once the address is proved."""

    name: str
    role: SignupRole
    password_hash: str

    def __repr__(self) -> str:
        return "Pending()"


class AccountMail(msgspec.Struct, frozen=True):
    """One mail. `account_id` is None where it depends on the address: of `register`, `reset` and `invite`. `pending` is of
    `register`."""

    id: AccountMailId
    says: Says
    email: str
    asked_at_ms: int
    account_id: AccountId | None = None
    pending: Pending | None = None
    ended_at_ms: int | None = None

    @property
    def until_ms(self) -> int:
        """When its link is over, ms since 1970."""
        return self.asked_at_ms + LIFE_MS[self.says]


def open_(mail: AccountMail | None, now_ms: int) -> AccountMail:
    """The mail, if its link is still good. Raises LinkOver."""
    if mail is None or mail.ended_at_ms is not None or now_ms >= mail.until_ms:
        raise LinkOver
    return mail


def may_write(asked_ms: Sequence[int], now_ms: int) -> bool:
    """Whether an address may be written to once more, that was asked to be at these instants of the last day."""
    day = [at for at in asked_ms if at > now_ms - DAY_MS]
    hour = [at for at in day if at > now_ms - HOUR_MS]
    return len(day) < A_DAY and len(hour) < AN_HOUR and all(at <= now_ms - PAUSE_MS for at in hour)


class MailTokens:
    """Makes and reads the tokens of links. `secret`: anything that all nodes share and nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        self._key: Final = hmac.digest(secret, PURPOSE, "sha256")

    def token(self, mail_id: AccountMailId, says: Says) -> str:
        """The token for the link of a mail: 16 bytes of its id and 16 of HMAC-SHA256, in base64url."""
        return urlsafe_b64encode(mail_id.bytes + self._seal(mail_id.bytes, says)).rstrip(b"=").decode()

    def read(self, token: str, says: Link) -> AccountMailId:
        """The mail whose link this is. Raises LinkOver for any token that is not ours, or of another kind of mail."""
        try:
            data = urlsafe_b64decode(token.encode("ascii") + b"=") if len(token) == TOKEN_LENGTH else b""
        except (NotBase64, ValueError) as cause:
            raise LinkOver from cause
        body, seal = data[:_ID], data[_ID:]
        if len(body) != _ID or not hmac.compare_digest(self._seal(body, says), seal):
            raise LinkOver
        return AccountMailId(UUID(bytes=body))

    def _seal(self, body: bytes, says: Says) -> bytes:
        return hmac.digest(self._key, body + says.encode(), "sha256")[:_SEAL]
