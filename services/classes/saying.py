"""Who may say what in a class. Pure.

How what is said is made fit to be shown is in plain_text.py.
"""

from typing import Final

from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.problems import Forbidden

MAX_CHAT_UNITS: Final = 500
"""Characters of one chat message, as a reader counts them. By feeling: a few sentences, and a third of a phone's screen."""


def may_cue(live: LiveClass, caller: Caller) -> None:
    """Raise `Forbidden` unless `caller` leads this class."""
    if not live.is_led_by(caller.account_id) or "display" in caller.roles:
        raise Forbidden("only the coach of this class may give cues")


def may_acknowledge(caller: Caller) -> None:
    """Raise `Forbidden` for a display: that it has shown something does not say that anybody saw it."""
    if "display" in caller.roles:
        raise Forbidden("a display acknowledges nothing")


def may_chat(caller: Caller) -> None:
    """Raise `Forbidden` for a display: nobody stands behind it."""
    if "display" in caller.roles:
        raise Forbidden("a display may only watch")
