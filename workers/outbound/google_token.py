"""Access tokens from Google for a service account: a signed assertion is exchanged for a token that is good for an hour
(RFC 7523).

The token is kept until shortly before its end. However many messages want one at the same moment, one asks and the others wait
for what it gets, be it a token or a refusal: a token endpoint that is away is asked once, not once per message.
"""

import asyncio
from typing import Final
from urllib.parse import urlencode

import jwt
import msgspec

from services.kernel.clock import Clock
from services.notifications.outgoing import InDoubt, TryLater
from workers.outbound.calls import Calls, answered
from workers.outbound.client import Limits
from workers.outbound.outcomes import Away, retry_after_s, shown
from workers.outbound.signing_keys import rsa_key

EARLY_S: Final = 300.0
"""So long before its end a token is not used any more: messages on the way, and clocks that differ."""
ASSERTION_S: Final = 3_600
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class ServiceAccount(msgspec.Struct, frozen=True):
    """The file that Google's console gives for a service account, as far as it is needed. Other fields are let be."""

    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str

    def __repr__(self) -> str:
        return f"ServiceAccount(project_id={self.project_id!r})"


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int = 3_600


class GoogleTokens:
    """The token of one service account for one scope."""

    def __init__(
        self, account: ServiceAccount, scope: str, calls: Calls, clock: Clock, *, provider: str, limits: Limits
    ) -> None:
        """Raises `BadKey`."""
        self._key: Final = rsa_key(account.private_key, "the service account of Google")
        self._account: Final = account
        self._scope: Final = scope
        self._calls: Final = calls
        self._clock: Final = clock
        self._provider: Final = provider
        self._limits: Final = limits
        self._turn: Final = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0
        self._asked = 0
        self._last_failure: TryLater | None = None

    async def token(self) -> str:
        """A token that is good for some minutes at least. Raises `Away`."""
        before = self._asked
        if self._is_good():
            return self._token
        async with self._turn:
            if self._is_good():
                return self._token
            if self._asked != before and self._last_failure is not None:
                # Somebody asked while this one waited, and has the answer for both.
                failure = self._last_failure
                raise Away(str(failure), provider=self._provider, retry_after_s=failure.retry_after_s)
            try:
                await self._ask()
            except TryLater as failure:
                self._last_failure = failure
                raise
            else:
                self._last_failure = None
            finally:
                self._asked += 1
        return self._token

    def forget(self, token: str) -> None:
        """This token was not accepted; the next one who asks gets another."""
        if token == self._token:
            self._token = ""

    def _is_good(self) -> bool:
        return bool(self._token) and self._clock.monotonic() < self._good_until

    async def _ask(self) -> None:
        asked_at = self._clock.monotonic()
        form = urlencode({"grant_type": _GRANT, "assertion": self._assertion()})
        try:
            outcome = await self._calls.call(
                "POST",
                self._account.token_uri,
                body=form.encode(),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                limits=self._limits,
            )
            answer = answered(outcome, self._provider)
        except InDoubt as fault:  # no message was sent, only a question
            raise Away(f"no token: {fault}", provider=self._provider) from None
        if answer.status != 200 or answer.cut:
            wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock.wall_ms())
            said = shown(answer.body.decode("utf-8", "replace"))
            raise Away(
                f"no token: the answer was {answer.status} {said}", provider=self._provider, retry_after_s=wait_s
            )
        try:
            granted = msgspec.json.decode(answer.body, type=_Granted)
        except msgspec.MsgspecError:
            raise Away("no token: the answer is not what was agreed on", provider=self._provider) from None
        self._token = granted.access_token
        self._good_until = asked_at + max(granted.expires_in - EARLY_S, granted.expires_in / 2)

    def _assertion(self) -> str:
        now_s = self._clock.wall_ms() // 1_000
        claims = {
            "iss": self._account.client_email,
            "scope": self._scope,
            "aud": self._account.token_uri,
            "iat": now_s,
            "exp": now_s + ASSERTION_S,
        }
        return jwt.encode(claims, self._key, "RS256", headers={"kid": self._account.private_key_id})
