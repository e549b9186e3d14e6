"""How a call to a provider ended, a little more exactly than `services/notifications/outgoing.py` asks, and what of its words
may be shown.

The circuit breaker must tell a provider that is away from a person whose mailbox is full: both are `TryLater`, and only one
counts against the provider. So adapters raise `Away` for what is the provider's fault and `Throttled` when it asks everybody to
wait; a plain `TryLater` concerns one message.

A provider's answer may hold whom the message was for, and exceptions end in logs. Adapters pass every foreign word through
`shown`, and break the chain of causes (`from None`) where a library's exception would carry an address.
"""

import re
from email.utils import parsedate_to_datetime
from typing import Final

from services.kernel.clock import to_wall_ms
from services.notifications.outgoing import TryLater

LONGEST_WAIT_S: Final = 86_400.0
"""No provider's Retry-After is followed for longer: by then it has been mended, or somebody has to look."""
_MOST_SHOWN: Final = 160

_MAILBOX: Final = re.compile(r"[^\s<>()\[\]:;,]{1,254}@[^\s<>()\[\]:;,]+")
"""An address is no longer, and a page of letters without an "@" is not looked through to its end from each of them."""
_NUMBER: Final = re.compile(r"\+?\d[\d ()/.-]{6,}\d")
_LONG_WORD: Final = re.compile(r"[A-Za-z0-9_+/=:%-]{40,}")
"""Tokens of devices, keys, signatures."""


class Away(TryLater):
    """The provider did not do its part: not reached, too slow, broken, or it does not know us."""


class Throttled(TryLater):
    """The provider asks us to wait before the next message to anybody."""


def shown(words: str, *private: str) -> str:
    """A provider's words, fit for a log: one line, short, without `private` or anything that looks like an address, a number
    or a key."""
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    for one in sorted(filter(None, private), key=len, reverse=True):
        line = re.sub(re.escape(one), "…", line, flags=re.IGNORECASE)
    for pattern in (_MAILBOX, _LONG_WORD, _NUMBER):
        line = pattern.sub("…", line)
    return line if len(line) <= _MOST_SHOWN else f"{line[: _MOST_SHOWN - 1]}…"


def retry_after_s(value: str | None, now_ms: int) -> float | None:
    """What a Retry-After header (RFC 9110, 10.2.3: seconds, or a date) asks for, in seconds from `now_ms`; None when there is
    none or it cannot be read. Never negative, never more than `LONGEST_WAIT_S`."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_WAIT_S)
    if not text:
        return None
    try:
        due_ms = to_wall_ms(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None
    return min(max((due_ms - now_ms) / 1_000, 0.0), LONGEST_WAIT_S)
