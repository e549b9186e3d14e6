"""What the SMS provider reports of messages that it had taken: believed when it is signed, and noted with the delivery."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

import structlog

from services.kernel.problems import Forbidden, NotFound
from services.notifications.notifications import Notifications
from services.notifications.sms_callback import MESSAGE_PARAMETER, is_signed, outcome_of

PATH: Final = "/v1/callbacks/sms"
PROVIDER: Final = "sms"

log = structlog.get_logger(__name__)


class SmsReports:
    """Takes them. `token` signs them, empty where no provider is set up; `base` is the address of this installation by which the
    provider knows us, without a slash at its end."""

    def __init__(self, notifications: Notifications, *, token: str, base: str) -> None:
        self._notifications: Final = notifications
        self._token: Final = token
        self._base: Final = base

    async def reported(self, path: str, form: Mapping[str, str], signature: str) -> None:
        """Take one. `path` as it was called, with its query. Raises Forbidden for what the provider has not signed, NotFound
        where there is no provider."""
        if not self._token:
            raise NotFound("this server has no SMS provider")
        if not is_signed(self._token, self._base + path, form, signature):
            raise Forbidden(
                "the signature is not that of our SMS provider for this address; see PACELINE_PUBLIC_URL for how we are called"
            )
        message = parse_qs(urlsplit(path).query).get(MESSAGE_PARAMETER, [""])[0]
        outcome = outcome_of(form, message)
        if outcome is None:
            return
        reason = f"error {outcome.error_code}" if outcome.error_code else ""
        known = await self._notifications.record_outcome(
            PROVIDER, outcome.provider_id, outcome.end, reason, message_id=outcome.message_id, dead=outcome.dead
        )
        log.info("sms.reported", message=outcome.provider_id[:64], end=outcome.end, known=known)
