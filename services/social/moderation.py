"""Who keeps the talk of a class decent, and how. Pure: no clock, no store."""

from typing import Final, Literal

import msgspec

from services.access import permission as may
from services.access.policy import require
from services.classes.live_class import LiveClass, thing_of
from services.kernel.caller import Caller
from services.kernel.ids import AccountId
from services.kernel.problems import Forbidden, Muted

MAX_MUTE_MS: Final = 24 * 3_600_000
"""The longest mute that has an end of its own. Longer is the rest of the class."""


class Mute(msgspec.Struct, frozen=True):
    """Somebody is not to speak in a class until `until_ms` (wall clock, ms since 1970), None: for the rest of it."""

    until_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it has not run out."""
        return self.until_ms is None or now_ms < self.until_ms


def may_speak(mute: Mute | None, now_ms: int) -> None:
    """Raise `Muted` while a mute holds."""
    if mute is None or not mute.holds(now_ms):
        return
    if mute.until_ms is None:
        raise Muted("you are muted for the rest of this class", until_ms=None)
    raise Muted(
        "you are muted in this class for a while", retry_after_ms=mute.until_ms - now_ms, until_ms=mute.until_ms
    )


def may_moderate(live: LiveClass, caller: Caller, *, over: bool = False) -> None:
    """Raise `Forbidden` unless `caller` leads this class, in person; and `ClassOver` once it has ended and not `over`."""
    require(caller, may.MODERATE, thing_of(live, caller, over=over))


def may_be_muted(live: LiveClass, account_id: AccountId) -> None:
    """Raise `Forbidden` for whoever leads the class."""
    if live.is_led_by(account_id):
        raise Forbidden("whoever leads a class cannot be muted in it")


What = Literal["mute", "unmute", "remove", "keep"]
"""What can be decided: about a member, and about a message that was reported."""


class Decision(msgspec.Struct, frozen=True):
    """What somebody has decided about somebody in a class: `until_ms` of a mute, `position` of a message."""

    by: AccountId
    about: AccountId | None
    what: What
    until_ms: int | None = None
    position: str | None = None
