"""Pairing: how a big screen gets its class without anybody typing on it (RFC 8628). Pure.

The screen shows a **user code**; somebody with a login types it on a page of ours, or comes by the QR code beside it, and chooses
the class. The screen itself holds a **device code**, 256 random bits that nobody sees and of which the database knows the SHA-256,
and asks with it every few seconds what became of it.

A pairing waits, is agreed to or refused, and is then told to the screen once. There is no way back from an answer, so whoever
answers second finds nobody waiting.

A user code is easy to type and nothing more: 8 of 20 letters are 34 bits, good for ten minutes, so that guessing one has to be
bounded (services/limits/table.py), and it opens nothing to whoever has no class to show.
"""

import hashlib
import re
import secrets
from typing import Final, Literal

import msgspec

from services.kernel.ids import ClassId

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628, 6.1: no vowels, so that no word comes of it, and no digits, so that no letter is taken for one."""
CODE_LENGTH: Final = 8
DEVICE_PREFIX: Final = "pld_"
"""Lets a scanner of leaked secrets recognise a device code."""
LIFETIME_S: Final = 600
INTERVAL_S: Final = 5
"""Seconds between two questions of a screen, and what is added for each that comes too early (RFC 8628, 3.5)."""
EARLY_MS: Final = 1_000
"""A question that comes earlier by this is not too early: timers of browsers and clocks of nodes differ. By feeling."""
FETCH_MS: Final = 60_000
"""For how long at least a screen can fetch an answer, though its time is nearly up: nobody should agree in vain."""
MOST_WAITING: Final = 2_000
"""Pairings that are kept at once in all. By feeling: a large chain of studios in the morning; 400 questions a second."""

State = Literal["waiting", "agreed", "refused"]
Heard = Literal["pending", "slow_down", "agreed", "refused", "expired"]
"""What a screen hears when it asks."""

_NO_LETTER: Final = re.compile(r"[\s\-\u2010-\u2015\u2212]")


class Pairing(msgspec.Struct, frozen=True):
    """A screen that asks to be let in. Times are wall ms. `network`: where it asks from (services/audit/entry.py), "" when unknown;
    `class_id` what it was given; it last asked what became of it at `polled_ms`, and should wait `interval_s` in between."""

    device_hash: bytes
    user_code: str
    network: str
    asked_ms: int
    expires_ms: int
    interval_s: int = INTERVAL_S
    polled_ms: int | None = None
    state: State = "waiting"
    class_id: ClassId | None = None

    def waits(self, now_ms: int) -> bool:
        """Whether it can be answered."""
        return self.state == "waiting" and now_ms < self.expires_ms


def begin(device_code: str, network: str, now_ms: int) -> Pairing:
    """A new pairing, with a user code that nobody knows yet."""
    return Pairing(hash_of(device_code), make_user_code(), network, now_ms, now_ms + LIFETIME_S * 1_000)


def make_device_code() -> str:
    """A new device code."""
    return DEVICE_PREFIX + secrets.token_urlsafe(32)


def hash_of(device_code: str) -> bytes:
    """What the database knows a device code by. No slow hash: there is nothing to guess."""
    return hashlib.sha256(device_code.encode()).digest()


def make_user_code() -> str:
    """A new user code, as it is kept."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def spelled(user_code: str) -> str:
    """The code as people read it: XXXX-XXXX."""
    half = CODE_LENGTH // 2
    return f"{user_code[:half]}-{user_code[half:]}"


def typed(text: str) -> str | None:
    """The code that somebody typed, in whatever case and groups; None for what cannot be one."""
    letters = _NO_LETTER.sub("", text)
    if len(letters) != CODE_LENGTH or not letters.isascii():  # some letters of other scripts become ours in capitals
        return None
    code = letters.upper()
    return code if set(code) <= set(ALPHABET) else None


def poll(pairing: Pairing, now_ms: int) -> tuple[Pairing, Heard]:
    """A screen asks what became of its pairing: how that goes on, and what the screen hears.

    An answer is told however early the screen asks; it is the waiting that must not be hurried.
    """
    if now_ms >= pairing.expires_ms:
        return pairing, "expired"
    if pairing.state != "waiting":
        return pairing, pairing.state
    asked = msgspec.structs.replace(pairing, polled_ms=now_ms)
    if pairing.polled_ms is None or now_ms - pairing.polled_ms >= pairing.interval_s * 1_000 - EARLY_MS:
        return asked, "pending"
    return msgspec.structs.replace(asked, interval_s=pairing.interval_s + INTERVAL_S), "slow_down"


def answer(pairing: Pairing, class_id: ClassId | None, now_ms: int) -> Pairing:
    """Give the screen a class, or None to refuse. Only for one that `waits`."""
    return msgspec.structs.replace(
        pairing,
        state="refused" if class_id is None else "agreed",
        class_id=class_id,
        expires_ms=max(pairing.expires_ms, now_ms + FETCH_MS),
    )
