"""Text messages through a provider in Twilio's shape: one form per message, an answer in JSON.

There is no way to tell such a provider that a message is a repetition. What there is: the URL that it calls about the message's
fate carries our message id, so a message whose answer was lost is found again when its fate is told. Until then it is in doubt,
and nobody is written to twice.

An answer of 502 or 504 is a gateway's that lost what was behind it: in doubt as well.
"""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from services.kernel.clock import Clock
from services.notifications.outgoing import CutShort, DeadAddress, InDoubt, NotTaken, Outgoing, Receipt, Refused, Sms
from services.notifications.sms_callback import callback_url
from workers.outbound.calls import Calls, answered
from workers.outbound.client import Answered, Limits, Outcome, Reach
from workers.outbound.outcomes import Away, Throttled, retry_after_s, shown

NAME: Final = "sms"
MOST_CHARACTERS: Final = 1_600
LIMITS: Final = Limits(connect_s=5.0, total_s=15.0, max_body=16 * 1_024)

_DEAD: Final = frozenset({21211, 21214, 21217, 21614})
"""Not a number, not reachable at all, not a mobile."""
_SETTINGS: Final = frozenset({20003, 21212, 21603, 21606, 21659, 21660})
"""It does not know us, or not the number we send from: every message would end like this one until somebody mends it."""
_STOPPED: Final = 21610
"""The person has answered STOP. The number is alive; it must not be written to."""
_TOO_MANY: Final = frozenset({14107, 20429})


@dataclass(frozen=True)
class SmsAccount:
    """Who sends: the account with its token, and the number (+…) or messaging service (MG…) it is sent from.
    `callback`: where the provider tells how messages end; empty: nowhere."""

    sid: str
    token: str = field(repr=False)
    sender: str
    callback: str = ""


class _Answer(msgspec.Struct):
    sid: str = ""
    code: int | None = None
    message: str = ""


class SmsProvider:
    """Sends for `account`, through `url` (https://api.twilio.com)."""

    name: Final = NAME

    def __init__(self, account: SmsAccount, calls: Calls, clock: Clock, *, url: str, limits: Limits = LIMITS) -> None:
        self._url: Final = f"{url.rstrip('/')}/2010-04-01/Accounts/{quote(account.sid, safe='')}/Messages.json"
        self._account: Final = account
        self._calls: Final = calls
        self._clock: Final = clock
        self._limits: Final = limits

    async def send(self, message: Outgoing) -> Receipt:
        """See `Provider.send`."""
        if not isinstance(message, Sms):
            raise Refused("this provider sends text messages only", provider=NAME)
        if len(message.text) > MOST_CHARACTERS:
            raise Refused(f"the text has more than {MOST_CHARACTERS} characters", provider=NAME)
        answer = answered(await self._call(message), NAME)
        told = _read(answer)
        if answer.status in {200, 201}:
            # The status alone says that it was taken; an id that was cut off is found again by the callback.
            return Receipt(NAME, told.sid)
        raise self._refusal(answer, told, message.to)

    async def _call(self, message: Sms) -> Outcome:
        login = base64.b64encode(f"{self._account.sid}:{self._account.token}".encode()).decode()
        reach = Reach()
        try:
            return await self._calls.call(
                "POST",
                self._url,
                body=urlencode(self._form(message), errors="replace").encode(),
                headers={"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"},
                limits=self._limits,
                reach=reach,
            )
        except asyncio.CancelledError:
            if reach.connected:
                raise
            raise CutShort("stopped before the provider was reached", provider=NAME) from None

    def _form(self, message: Sms) -> dict[str, str]:
        sender = self._account.sender
        form = {"To": message.to, "Body": message.text}
        form["MessagingServiceSid" if sender.startswith("MG") else "From"] = sender
        if self._account.callback:
            form["StatusCallback"] = callback_url(self._account.callback, message.message_id)
        return form

    def _refusal(self, answer: Answered, told: _Answer, to: str) -> NotTaken:
        """What an answer other than "taken" means."""
        said = f"the SMS provider said {answer.status} {told.code or ''} {shown(told.message, to)}".rstrip()
        wait_s = retry_after_s(answer.headers.get("Retry-After"), self._clock.wall_ms())
        if told.code in _DEAD:
            return DeadAddress(said, provider=NAME)
        if told.code == _STOPPED:
            return Refused(said, provider=NAME)
        if answer.status == 429 or told.code in _TOO_MANY:
            return Throttled(said, provider=NAME, retry_after_s=wait_s)
        if answer.status in {502, 504}:
            return InDoubt(said, provider=NAME)
        if answer.status >= 500 or answer.status in {401, 403, 404} or told.code in _SETTINGS:
            return Away(said, provider=NAME, retry_after_s=wait_s)
        return Refused(said, provider=NAME)


def _read(answer: Answered) -> _Answer:
    try:
        return msgspec.json.decode(answer.body, type=_Answer)
    except msgspec.MsgspecError:
        return _Answer()
