"""Codes of an authenticator app: one every thirty seconds, each good for one use. Pure.

TOTP (RFC 6238) over HOTP (RFC 4226) with SHA-1, six digits and steps of 30 s, because that is what every app can do. A
phone's clock may be a step off either way. A code that has been used is worth nothing, nor is one of an earlier step (ASVS
6.5.1): the last step that was used is stored, and only a later one counts.

Three of a million codes are right at any moment, so guesses are what has to be few: a stored allowance per account, on
whatever node they arrive, which is taken before a code is looked at (`Totp.guess`).
"""

import base64
import hmac
import re
import secrets
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

DIGITS: Final = 6
STEP_MS: Final = 30_000
WINDOW: Final = 1
"""Steps that a clock may be off, either way (RFC 6238, 5.2)."""
SECRET_BYTES: Final = 20
"""As long as the hash (RFC 4226, 4)."""
ENROL_MS: Final = 10 * 60_000
"""How long a new secret waits for its first code."""
MOST_GUESSES: Final = 10
GUESS_EVERY_MS: Final = 300_000
"""A day of guessing finds a code with a probability of one in a thousand, and its owner is told long before."""


class Totp(msgspec.Struct, frozen=True):
    """An authenticator app as stored: `sealed` its secret. It counts once a first code has confirmed it. `used_step`: no code
    of this step or an earlier one is good any more."""

    sealed: bytes
    made_at_ms: int
    confirmed_at_ms: int | None = None
    used_step: int | None = None
    guesses: float = MOST_GUESSES
    guessed_at_ms: int = 0

    def __repr__(self) -> str:
        return f"Totp(made_at_ms={self.made_at_ms}, confirmed_at_ms={self.confirmed_at_ms})"

    def guess(self, now_ms: int) -> "Totp | int":
        """With one guess fewer; or how long to wait for the next one, in ms."""
        left = min(MOST_GUESSES, self.guesses + max(now_ms - self.guessed_at_ms, 0) / GUESS_EVERY_MS)
        if left < 1:
            return max(1, round((1 - left) * GUESS_EVERY_MS))
        return msgspec.structs.replace(self, guesses=left - 1, guessed_at_ms=now_ms)

    def used(self, step: int) -> "Totp":
        """After the right code of `step`; guesses begin anew."""
        return msgspec.structs.replace(self, used_step=step, guesses=MOST_GUESSES)


def make_secret() -> bytes:
    """A new secret, random."""
    return secrets.token_bytes(SECRET_BYTES)


def spelled(secret: bytes) -> str:
    """The secret as it is typed into an app: base32 without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def code_at(secret: bytes, step: int) -> str:
    """The code of a step (the counter of RFC 4226)."""
    return HOTP(secret, DIGITS, SHA1()).generate(step).decode()  # noqa: S303 - what the apps can do; HMAC-SHA-1 is not broken


def step_of(now_ms: int) -> int:
    """The step that `now_ms` (wall ms) lies in."""
    return now_ms // STEP_MS


def matching_step(secret: bytes, typed: str, now_ms: int, used_step: int | None) -> int | None:
    """The step whose code somebody typed, in whatever groups; None when there is none that is still good."""
    code = re.sub(r"[ -]", "", typed).encode()
    now = step_of(now_ms)
    # All are compared, so that the time tells nothing of which one it was.
    found = [
        step
        for step in range(now - WINDOW, now + WINDOW + 1)
        if hmac.compare_digest(code_at(secret, step).encode(), code)
    ]
    return next((step for step in found if used_step is None or step > used_step), None)


def uri_of(secret: bytes, email: str, issuer: str) -> str:
    """What the QR code says: the key URI format that apps read."""
    label = f"{quote(issuer, safe='')}:{quote(email, safe='@')}"
    asked = urlencode(
        {"secret": spelled(secret), "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_MS // 1_000}
    )
    return f"otpauth://totp/{label}?{asked}"
