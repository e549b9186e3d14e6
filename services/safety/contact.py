"""Whom somebody has named to be told when they do not answer, and what may be asked of that person. Pure.

A contact is somebody else's address, so the other one decides: named is asked, by mail; told is only who has agreed. They need no
account.

Asking costs the one who is asked: `ASKS_A_DAY` for an account, `ASKS_A_WEEK` for an address, whoever asks, and no two by one
account within `PAUSE_MS`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.accounts.account import normal_email, normal_name
from services.kernel.ids import ContactId, ContactPhoneId
from services.kernel.problems import BadShape
from services.safety.question import Question

DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
PAUSE_MS: Final = 10 * 60_000
ASKS_A_DAY: Final = 5
ASKS_A_WEEK: Final = 3


class Contact(Question, frozen=True, kw_only=True):
    """One time that somebody was asked, by mail."""

    id: ContactId
    name: str
    email: str


class Reachable(msgspec.Struct, frozen=True):
    """A contact who is to be told, and the ways that they have agreed to: `by_mail`, and a number."""

    id: ContactId
    by_mail: bool
    phone_id: ContactPhoneId | None


def checked(name: str, email: str, own_email: str) -> tuple[str, str]:
    """Name and address as they are stored. Raises BadShape with the path."""
    normal = normal_email(email)
    if normal == own_email:
        raise BadShape("name somebody else: it is you who has not answered then", path="$.email")
    return normal_name(name), normal


def wait_ms(by_account: Sequence[int], to_address: Sequence[int], now_ms: int) -> int:
    """How long until an account may ask at an address, when it was asked at these times of the last week, in order; 0 for now."""
    today = [at for at in by_account if at > now_ms - DAY_MS]
    week = [at for at in to_address if at > now_ms - WEEK_MS]
    free_ms = [
        today[-1] + PAUSE_MS if today else 0,
        today[-ASKS_A_DAY] + DAY_MS if len(today) >= ASKS_A_DAY else 0,
        week[-ASKS_A_WEEK] + WEEK_MS if len(week) >= ASKS_A_WEEK else 0,
    ]
    return max(max(free_ms) - now_ms, 0)
