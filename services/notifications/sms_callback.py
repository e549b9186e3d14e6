"""What an SMS provider tells us later about a message, and how we know that it is the provider. Pure.

Providers in Twilio's shape call the URL that was sent along with the message, as a form, and sign it: HMAC-SHA1 with the
account's token over the whole URL followed by every field's name and value, in the order of the names
(X-Twilio-Signature). The URL is the public one, as the provider was given it, not what a proxy makes of it.

The URL that `workers/outbound/sms.py` gives carries our own message id, so even a message whose answer never came finds its way
home.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode
from uuid import UUID

from services.notifications.outgoing import kept_name

MESSAGE_PARAMETER: Final = "message"
"""Of the callback's URL: our message id."""
SIGNATURE_HEADER: Final = "X-Twilio-Signature"

_ENDS: Final[Mapping[str, Literal["delivered", "failed", "bounced"]]] = {
    "delivered": "delivered",
    "read": "delivered",
    "failed": "failed",
    "undelivered": "bounced",
}
_NOBODY_THERE: Final = frozenset({"30005", "30006"})
"""Unknown number, landline. 30003 (unreachable handset) may pass, and is no reason to forget a number."""


@dataclass(frozen=True)
class SmsOutcome:
    """How a message ended. `dead`: its number does not exist or takes no messages."""

    message_id: UUID | None
    provider_id: str
    end: Literal["delivered", "failed", "bounced"]
    error_code: str
    dead: bool


def callback_url(base: str, message_id: UUID) -> str:
    """Where the provider shall tell how this message ended."""
    return f"{base}{'&' if '?' in base else '?'}{urlencode({MESSAGE_PARAMETER: str(message_id)})}"


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """What the provider puts into the header when it calls `url` with `form`."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_signed(token: str, url: str, form: Mapping[str, str], given: str) -> bool:
    """Whether `given` is the provider's signature; in constant time. A port that is the scheme's own may be written or not:
    providers differ in it."""
    return any(
        hmac.compare_digest(signature(token, spelt, form).encode(), given.encode("utf-8", "replace"))
        for spelt in _spellings(url)
    )


def outcome_of(form: Mapping[str, str], message: str) -> SmsOutcome | None:
    """What a callback says; `message` is the URL's parameter. None while the message is still on its way."""
    end = _ENDS.get(form.get("MessageStatus", ""))
    if end is None:
        return None
    try:
        message_id = UUID(message)
    except ValueError:
        message_id = None
    code = kept_name(form.get("ErrorCode", ""))
    return SmsOutcome(message_id, kept_name(form.get("MessageSid", "")), end, code, code in _NOBODY_THERE)


def _spellings(url: str) -> tuple[str, ...]:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    port = {"https": ":443", "http": ":80"}.get(scheme, "")
    if not separator or not port:
        return (url,)
    bare = host.removesuffix(port)
    if bare == host and ":" in host.rpartition("]")[2]:
        return (url,)  # a port of its own
    return tuple(f"{scheme}://{one}{slash}{path}" for one in (bare, bare + port))
