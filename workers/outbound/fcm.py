"""Push to Android devices: Firebase Cloud Messaging, HTTP v1.

Google's errors have three layers: the HTTP status, a status word, and FCM's own code in `details`. The last is the one that is
documented to stay, so it is looked at first. INVALID_ARGUMENT says the token is bad only where it names the token; otherwise it
is our message that is, and no address has to die for it.

The message's id travels in `data`, for the app to drop a repetition; `tag` lets the newest of one collapse key stand alone.
"""

from typing import Final

import msgspec

from services.kernel.clock import Clock
from services.notifications.outgoing import DeadAddress, NotTaken, Outgoing, PushMessage, Receipt, Refused, TryLater
from workers.outbound.calls import Calls, answered
from workers.outbound.client import Answered, Limits
from workers.outbound.fitting import fitted
from workers.outbound.google_token import GoogleTokens, ServiceAccount
from workers.outbound.outcomes import Away, Throttled, retry_after_s, shown

NAME: Final = "fcm"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
MOST_BYTES: Final = 4_096
QUOTA_WAIT_S: Final = 60.0
"""What Google asks for when it says QUOTA_EXCEEDED without a Retry-After."""
LIMITS: Final = Limits(connect_s=5.0, total_s=10.0, max_body=16 * 1_024)

_PRIORITY: Final = {"low": "NORMAL", "normal": "HIGH", "high": "HIGH"}


class _Violation(msgspec.Struct):
    field: str = ""
    subject: str = ""
    description: str = ""


class _Detail(msgspec.Struct):
    error_code: str = msgspec.field(default="", name="errorCode")
    field_violations: list[_Violation] = msgspec.field(default_factory=list, name="fieldViolations")
    violations: list[_Violation] = msgspec.field(default_factory=list)


class _Error(msgspec.Struct):
    status: str = ""
    message: str = ""
    details: list[_Detail] = msgspec.field(default_factory=list)


class _Answer(msgspec.Struct):
    name: str = ""
    error: _Error = msgspec.field(default_factory=_Error)


class FcmProvider:
    """Pushes for the project of `account`, through `url` (https://fcm.googleapis.com)."""

    name: Final = NAME

    def __init__(
        self, account: ServiceAccount, calls: Calls, clock: Clock, *, url: str, limits: Limits = LIMITS
    ) -> None:
        self._url: Final = f"{url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._tokens: Final = GoogleTokens(account, SCOPE, calls, clock, provider=NAME, limits=limits)
        self._calls: Final = calls
        self._clock: Final = clock
        self._limits: Final = limits

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, PushMessage) or message.device.kind != NAME:
            raise Refused("this provider sends to devices of FCM only", provider=NAME)
        payload = fitted(message, lambda title, body: _payload(message, title, body), MOST_BYTES, provider=NAME)
        token = await self._tokens.token()
        answer = await self._post(payload, token)
        if answer.status == 401:
            self._tokens.forget(token)
            answer = await self._post(payload, await self._tokens.token())
        told = _read(answer)
        if answer.status == 200:
            # A name that was lost with the end of the answer is no reason to send the message again.
            return Receipt(NAME, told.name)
        raise self._refusal(answer, told.error, message.device.address)

    async def _post(self, payload: bytes, token: str) -> Answered:
        outcome = await self._calls.call(
            "POST",
            self._url,
            body=payload,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            limits=self._limits,
        )
        return answered(outcome, NAME)

    def _refusal(self, answer: Answered, error: _Error, address: str) -> NotTaken:
        code = next((detail.error_code for detail in error.details if detail.error_code), error.status)
        said = f"FCM said {answer.status} {shown(f'{code} {error.message}', address)}".rstrip()
        wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock.wall_ms())
        if code == "UNREGISTERED" or (code == "INVALID_ARGUMENT" and _blames_the_token(error)):
            return DeadAddress(said, provider=NAME)
        if code == "SENDER_ID_MISMATCH":
            return Refused(said, provider=NAME)
        if answer.status == 429:
            if any("device" in one.subject.lower() for detail in error.details for one in detail.violations):
                return TryLater(said, provider=NAME, retry_after_s=wait_s)
            return Throttled(said, provider=NAME, retry_after_s=QUOTA_WAIT_S if wait_s is None else wait_s)
        # 401, 403, 404: it does not know us, or not this project. Somebody has to mend the settings; no message is to blame.
        if answer.status >= 500 or answer.status in {401, 403, 404}:
            return Away(said, provider=NAME, retry_after_s=wait_s)
        return Refused(said, provider=NAME)


def _blames_the_token(error: _Error) -> bool:
    fields = {one.field for detail in error.details for one in detail.field_violations}
    return "message.token" in fields or "registration token" in error.message.lower()


def _payload(message: PushMessage, title: str, body: str) -> bytes:
    shown_as: dict[str, object] = {"tag": message.collapse_key}
    if message.badge is not None:
        shown_as["notification_count"] = message.badge
    return msgspec.json.encode(
        {
            "message": {
                "token": message.device.address,
                "notification": {"title": title, "body": body},
                "data": {**message.data, "id": str(message.message_id)},
                "android": {
                    "collapse_key": message.collapse_key,
                    "ttl": f"{max(message.ttl_s, 0)}s",
                    "priority": _PRIORITY[message.urgency],
                    "notification": shown_as,
                },
            }
        }
    )


def _read(answer: Answered) -> _Answer:
    try:
        return msgspec.json.decode(answer.body, type=_Answer)
    except msgspec.MsgspecError:
        return _Answer()
