"""What an account has besides its password, and a log-in that waits for it. Pure.

An account has a second factor as soon as it has an authenticator app or a passkey; from then on its password alone opens
nothing and proves nothing. Recovery codes are no factor of their own: they stand in for the one that is gone, and go with the
last one.

The right password of such an account is answered with a continuation: a token that says that the password was right. It is
good for a few minutes, few guesses and one login, on the device that asked; and it dies when the password changes, since it
stands for the old one.
"""

import hashlib
import secrets
from typing import Final, Literal

import msgspec

from services.accounts.passkey import Passkey
from services.kernel.ids import AccountId

Kind = Literal["totp", "passkey", "recovery_code"]
Change = Literal[
    "totp_added",
    "totp_removed",
    "passkey_added",
    "passkey_removed",
    "passkey_copied",
    "codes_made",
    "code_used",
    "guessed",
    "reset",
]
"""What an owner is told of: what they, or somebody in their place, have added, removed, made anew or used; a passkey that
there seem to be two of; somebody who knows the password and has guessed in vain; an operator who has taken all factors
away."""

CONTINUATION_PREFIX: Final = "plc_"
CONTINUATION_MS: Final = 5 * 60_000
MOST_WRONG: Final = 5
"""Guesses with one continuation."""
MOST_WAITING: Final = 10
"""Log-ins of one account that wait at a time; full means: the oldest can no longer go on."""


class Factors(msgspec.Struct, frozen=True):
    """What an account has: since when an app (wall ms), which passkeys, and how many recovery codes are left."""

    totp_since_ms: int | None = None
    passkeys: tuple[Passkey, ...] = ()
    recovery_codes: int = 0

    @property
    def any(self) -> bool:
        """Whether the password alone is not enough."""
        return self.totp_since_ms is not None or bool(self.passkeys)

    def kinds(self) -> tuple[Kind, ...]:
        """What may be shown as the second factor."""
        kinds: list[Kind] = []
        if self.totp_since_ms is not None:
            kinds.append("totp")
        if self.passkeys:
            kinds.append("passkey")
        if self.recovery_codes and self.any:
            kinds.append("recovery_code")
        return tuple(kinds)


class WaitingLogin(msgspec.Struct, frozen=True):
    """A log-in that waits for its second factor. `password_mark` stands for the password that was right."""

    account_id: AccountId
    device: str
    password_mark: bytes


def make_continuation() -> str:
    """256 random bits as text. Given out once; only `continuation_hash` of it is kept."""
    return CONTINUATION_PREFIX + secrets.token_urlsafe(32)


def continuation_hash(token: str) -> bytes:
    """What the database knows a continuation by."""
    return hashlib.sha256(token.encode()).digest()


def password_mark(password_hash: str | None) -> bytes:
    """Changes whenever the password does, and says nothing of it."""
    return hashlib.sha256(b"paceline continuation" + (password_hash or "").encode()).digest()
