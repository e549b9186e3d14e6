"""The link at the end of a mail that stops it, without a login. Pure.

A token names an account and what to stop, and bears a signature under a key that is good for this alone: whoever finds a
mail can stop that mail and do nothing else. It does not expire, because mail is read years later. What is essential
cannot be stopped, so its mail has no such link, and no token for it can be made.

The token is 16 bytes of account, one of kind, the topic's name, and 16 of HMAC-SHA256, in base64url.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Final
from uuid import UUID

import msgspec

from services.kernel.ids import AccountId
from services.kernel.problems import NotFound
from services.notifications.topics import TOPICS, Topic

PURPOSE: Final = b"paceline: stop a mail, 1"
_SEAL: Final = 16
_KINDS: Final = {"topic": 0, "digest": 1, "all": 2}
MAX_TOKEN: Final = 200


class Stopping(msgspec.Struct, frozen=True):
    """What a link stops: mail of one topic, the digest (what is gathered into it), or all mail that can be stopped."""

    account_id: AccountId
    topic: str = ""
    digest: bool = False

    def topics(self, gathered: tuple[Topic, ...]) -> tuple[Topic, ...]:
        """The topics whose mail is to end; `gathered` are those that this person has in the digest."""
        if self.digest:
            return gathered
        return (TOPICS[self.topic],) if self.topic else tuple(topic for topic in TOPICS.values() if not topic.essential)


class Unsubscribe:
    """Makes and reads tokens. `secret`: anything that all nodes share and nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        self._key: Final = hmac.digest(secret, PURPOSE, "sha256")

    def token(self, stopping: Stopping) -> str:
        """The token for a link. Raises ValueError for a topic that cannot be stopped."""
        if stopping.topic and TOPICS[stopping.topic].essential:
            raise ValueError(f"{stopping.topic} cannot be stopped, so nothing may offer to")
        kind = "digest" if stopping.digest else "topic" if stopping.topic else "all"
        body = stopping.account_id.bytes + bytes([_KINDS[kind]]) + stopping.topic.encode()
        return urlsafe_b64encode(body + self._seal(body)).rstrip(b"=").decode()

    def stopping(self, token: str) -> Stopping:
        """What a token stops. Raises NotFound for any that is not ours, or of a topic there is no more."""
        wrong = NotFound("this link is not complete: copy it whole, or change your preferences in the app")
        if len(token) > MAX_TOKEN:
            raise wrong
        try:
            data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (NotBase64, ValueError) as cause:
            raise wrong from cause
        body, seal = data[:-_SEAL], data[-_SEAL:]
        if len(body) < 17 or not hmac.compare_digest(self._seal(body), seal):
            raise wrong
        topic = body[17:].decode()
        if topic and (topic not in TOPICS or TOPICS[topic].essential):
            raise NotFound("there is no such mail any more")
        return Stopping(AccountId(UUID(bytes=body[:16])), topic, digest=body[16] == _KINDS["digest"])

    def _seal(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SEAL]
