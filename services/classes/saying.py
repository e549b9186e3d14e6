"""Who may say what in a class. Pure.

How what is said is made fit to be shown is in plain_text.py.
"""

from typing import Final

from services.access import permission as may
from services.access.policy import require, require_held
from services.classes.live_class import LiveClass, thing_of
from services.kernel.caller import Caller

MAX_CHAT_UNITS: Final = 500
"""Characters of one chat message, as a reader counts them. By feeling: a few sentences, and a third of a phone's screen."""


def may_cue(live: LiveClass, caller: Caller) -> None:
    """Raise `Forbidden` unless `caller` leads this class."""
    require(caller, may.GIVE_CUES, thing_of(live, caller))


def may_acknowledge(caller: Caller) -> None:
    """Raise `Forbidden` for a display: that it has shown something does not say that anybody saw it."""
    require_held(caller, may.TALK)


def may_chat(caller: Caller) -> None:
    """Raise `Forbidden` for a display: nobody stands behind it."""
    require_held(caller, may.TALK)
