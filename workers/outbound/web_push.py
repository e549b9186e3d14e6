"""Push to browsers (RFC 8030), encrypted for each (RFC 8291), signed by us (VAPID, RFC 8292).

The address is a URL that somebody's browser gave us, so it may lead anywhere: calls go through the egress guard, answers are
believed only as far as their status, and redirects are not followed. Push services are many; `origin_of` names the one behind an
address, so that a slow or hostile one can be held apart from the others (breaker.py).

A push service replaces a waiting message by a newer one of the same Topic, which is the collapse key; what the service worker
of the page gets is JSON: id, title, body, tag, data.
"""

import re
import secrets
from collections import OrderedDict
from typing import Final
from urllib.parse import urlsplit

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from services.kernel.clock import Clock
from services.notifications.outgoing import DeadAddress, Outgoing, PushMessage, Receipt, Refused, TryLater
from services.notifications.vapid import VapidKey
from workers.outbound.calls import Calls, answered
from workers.outbound.client import Limits
from workers.outbound.fitting import fitted
from workers.outbound.outcomes import Away, retry_after_s, shown
from workers.outbound.push_encryption import MOST_PLAIN, BadSubscription, encrypted

NAME: Final = "webpush"
TOKEN_S: Final = 12 * 3_600
"""How long a token says it is good; more than a day is refused everywhere."""
RENEW_S: Final = 6 * 3_600
TOKENS_KEPT: Final = 256
"""Push services whose token is kept. A handful serve all browsers; anybody may invent more, and then the least used goes."""
LIMITS: Final = Limits(connect_s=5.0, total_s=10.0, max_body=4 * 1_024)


class WebPushProvider:
    """Pushes to subscriptions of browsers. `subject`: whom a push service may write to about us, mailto: or https:."""

    name: Final = NAME

    def __init__(self, key: VapidKey, subject: str, calls: Calls, clock: Clock, *, limits: Limits = LIMITS) -> None:
        self._key: Final = key
        self._subject: Final = subject
        self._calls: Final = calls
        self._clock: Final = clock
        self._limits: Final = limits
        self._tokens: Final[OrderedDict[str, tuple[str, float]]] = OrderedDict()  # full: the least used goes

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, PushMessage) or message.device.kind != NAME:
            raise Refused("this provider sends to browsers only", provider=NAME)
        device = message.device
        plain = fitted(message, lambda title, body: _payload(message, title, body), MOST_PLAIN, provider=NAME)
        sender = ec.generate_private_key(ec.SECP256R1())
        try:
            body = encrypted(plain, device.p256dh, device.auth, salt=secrets.token_bytes(16), sender=sender)
        except BadSubscription as problem:
            raise DeadAddress(str(problem), provider=NAME) from problem
        outcome = await self._calls.call(
            "POST", device.address, body=body, headers=self._headers(message), limits=self._limits
        )
        answer = answered(outcome, NAME)
        if answer.status in {200, 201, 202, 204}:
            return Receipt(NAME, answer.headers.get("Location", ""))
        said = shown(answer.body.decode("utf-8", "replace"), *_parts(device.address))
        why = f"the push service said {answer.status} {said}".rstrip()
        wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock.wall_ms())
        if answer.status in {404, 410}:
            raise DeadAddress(why, provider=NAME)
        if answer.status == 429:  # too many to this one subscription
            raise TryLater(why, provider=NAME, retry_after_s=wait_s)
        if answer.status >= 500:
            raise Away(why, provider=NAME, retry_after_s=wait_s)
        raise Refused(why, provider=NAME)

    def _headers(self, message: PushMessage) -> dict[str, str]:
        return {
            "Authorization": f"vapid t={self._token(origin_of(message))}, k={self._key.public}",
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(max(message.ttl_s, 0)),
            "Topic": message.collapse_key,
            "Urgency": message.urgency,
        }

    def _token(self, origin: str) -> str:
        now = self._clock.monotonic()
        token, made_at = self._tokens.get(origin, ("", 0.0))
        if not token or now - made_at >= RENEW_S:
            claims = {"aud": origin, "exp": self._clock.wall_ms() // 1_000 + TOKEN_S, "sub": self._subject}
            token, made_at = jwt.encode(claims, self._key.private, "ES256"), now
        self._tokens[origin] = (token, made_at)
        self._tokens.move_to_end(origin)
        while len(self._tokens) > TOKENS_KEPT:
            self._tokens.popitem(last=False)
        return token


def origin_of(message: Outgoing) -> str:
    """The push service that a message to a browser goes to; empty for any other message."""
    if not isinstance(message, PushMessage) or message.device.kind != NAME:
        return ""
    try:
        parts = urlsplit(message.device.address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}".lower()


def _parts(address: str) -> list[str]:
    """Whatever of an address a push service may repeat."""
    return [address, *(part for part in re.split(r"[/?&=]", address) if len(part) > 5)]


def _payload(message: PushMessage, title: str, body: str) -> bytes:
    told: dict[str, object] = {
        "id": str(message.message_id),
        "title": title,
        "body": body,
        "tag": message.collapse_key,
        "data": message.data,
    }
    if message.badge is not None:
        told["badge"] = message.badge
    return msgspec.json.encode(told)
