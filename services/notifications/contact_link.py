"""The link in every letter to an emergency contact: to agree, to say no, and to take it back later, without an account. Pure.

A token names one question that was asked, and bears a signature under a key that is good for this alone. Whether it is still good
for a yes is for the question to say: it can be agreed to once. It is good for a no as long as the question is known.

The token is 16 bytes of the question's id and 16 of HMAC-SHA256, in base64url.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Final
from uuid import UUID

from services.kernel.ids import ContactId, ContactPhoneId
from services.kernel.problems import NotFound

PURPOSE: Final = b"paceline: answer as emergency contact, 1"
PHONE_PURPOSE: Final = b"paceline: answer as the number of an emergency contact, 1"
_ID: Final = 16
_SEAL: Final = 16
MAX_TOKEN: Final = 60


class ContactLinks:
    """Makes and reads tokens: of questions by mail, and of those by text message, which answer nothing of the other kind. `secret`:
    anything that all nodes share and nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        self._mail: Final = _Seal(secret, PURPOSE)
        self._phone: Final = _Seal(secret, PHONE_PURPOSE)

    def token(self, contact_id: ContactId) -> str:
        """The token for a link in a mail."""
        return self._mail.token(contact_id)

    def contact(self, token: str) -> ContactId:
        """The question that a token answers. Raises NotFound for any that is not ours."""
        return ContactId(self._mail.asked(token))

    def phone_token(self, phone_id: ContactPhoneId) -> str:
        """The token for a link in a text message."""
        return self._phone.token(phone_id)

    def phone(self, token: str) -> ContactPhoneId:
        """The question that a token from a text message answers. Raises NotFound for any that is not ours."""
        return ContactPhoneId(self._phone.asked(token))


class _Seal:
    """Tokens of one kind."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._key: Final = hmac.digest(secret, purpose, "sha256")

    def token(self, question: UUID) -> str:
        return urlsafe_b64encode(question.bytes + self._of(question.bytes)).rstrip(b"=").decode()

    def asked(self, token: str) -> UUID:
        wrong = NotFound("this link is not complete: copy it whole")
        if len(token) > MAX_TOKEN:
            raise wrong
        try:
            data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (NotBase64, ValueError) as cause:
            raise wrong from cause
        body, seal = data[:_ID], data[_ID:]
        if len(body) != _ID or not hmac.compare_digest(self._of(body), seal):
            raise wrong
        return UUID(bytes=body)

    def _of(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SEAL]
