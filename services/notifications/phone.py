"""A telephone number, and the code that proves that somebody reads what is sent to it. Pure.

The code is stored nowhere, not even as a hash, which a million guesses would undo: it is made from the check's id and the number
with a key that is good for this alone. So whoever reads the database does not know it, and a worker that sends it makes it at
that moment.

A code costs money and rings on somebody's table, so there are few: one a minute and `CODES_A_DAY` for an account, and as many for a
number, whoever asks. A code can be guessed `MOST_WRONG` times, so a day of guessing finds one in 40,000.
"""

import hmac
import re
from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from services.kernel.ids import AccountId, PhoneCheckId

PURPOSE: Final = b"paceline: prove a telephone number, 1"
DIGITS: Final = 6
LIFE_MS: Final = 10 * 60_000
MOST_WRONG: Final = 5
PAUSE_MS: Final = 60_000
"""Between two codes: as long as a text message may take on a bad day, and somebody's patience."""
CODES_A_DAY: Final = 5
DAY_MS: Final = 86_400_000


class Phone(msgspec.Struct, frozen=True):
    """A number that was proved. `dead_at_ms`: when the provider said that nobody lives there; it is used no more then."""

    number: str
    verified_at_ms: int
    dead_at_ms: int | None = None


class PhoneCheck(msgspec.Struct, frozen=True):
    """A code on its way, or waited for. `message` is what became of the text message: "failed" will never arrive."""

    id: PhoneCheckId
    account_id: AccountId
    number: str
    made_at_ms: int
    expires_at_ms: int
    wrong: int = 0
    message: Literal["waiting", "sent", "failed"] = "waiting"

    @property
    def guesses_left(self) -> int:
        return max(MOST_WRONG - self.wrong, 0)


class PhoneCodes:
    """Makes codes. `secret`: anything that all nodes share and nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        self._key: Final = hmac.digest(secret, PURPOSE, "sha256")

    def code(self, check_id: UUID, number: str) -> str:
        """The code of a check, `DIGITS` digits. Always the same one."""
        made = hmac.digest(self._key, check_id.bytes + number.encode(), "sha256")
        return f"{int.from_bytes(made[:8]) % 10**DIGITS:0{DIGITS}}"

    def matches(self, check: PhoneCheck, typed: str) -> bool:
        """Whether somebody typed the code of this check, in whatever groups."""
        return hmac.compare_digest(re.sub(r"[ -]", "", typed).encode(), self.code(check.id, check.number).encode())


def wait_ms(made_ms: Sequence[int], now_ms: int) -> int:
    """How long until another code may leave, when the last day's left at `made_ms`, in order; 0 for now."""
    today = [at for at in made_ms if at > now_ms - DAY_MS]
    if not today:
        return 0
    pause_ms = today[-1] + PAUSE_MS - now_ms
    full_ms = today[-CODES_A_DAY] + DAY_MS - now_ms if len(today) >= CODES_A_DAY else 0
    return max(pause_ms, full_ms, 0)
