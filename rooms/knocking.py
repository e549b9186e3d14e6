"""Finding a class by the code that somebody gives.

A code is all that it takes to come in, so it must not be found by trying. There are 31^6 of them, 888 million; a client that may
send a hundred events a second would try a hundredth of that in a day, and find a class where some are live. So codes that no class
has are counted per account and node: after a few of them at once (people misread a wall) one every ten seconds, and until then no
code is looked at, not even a right one. With a hundred live classes that is one hit in three years.
"""

from typing import Final

from persistence.classes import Classes
from realtime.limits import WRONG_CODES_BURST, WRONG_CODES_PER_SECOND, AccountAllowances
from services.classes.live_class import LiveClass, normal_code
from services.kernel.caller import Caller
from services.kernel.clock import Clock
from services.kernel.problems import ClassNotFound, TooManyAttempts


class Knocking:
    """Who has tried how often on this node."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._wrong: Final = AccountAllowances(WRONG_CODES_PER_SECOND, WRONG_CODES_BURST)

    async def class_of(self, classes: Classes, caller: Caller, code: str, path: str) -> LiveClass:
        """The class with this code, whether live or over. Raises `ClassNotFound` at `path`, and `TooManyAttempts` after too many of
        those."""
        now = self._clock.monotonic()
        wrong = self._wrong.of(caller.account_id, now)
        if wait_s := wrong.wait_s(now):
            raise TooManyAttempts(
                "too many codes that no class has; wait before the next one",
                path=path,
                retry_after_ms=int(wait_s * 1_000) + 1,
            )
        live = await classes.by_code(normal_code(code))
        if live is None:
            wrong.spend_up_to(self._clock.monotonic())
            raise ClassNotFound(path=path)
        return live
