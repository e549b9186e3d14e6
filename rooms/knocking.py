"""Finding a class by the code that somebody gives.

A code is all that it takes to come in, so it must not be found by trying. There are 31^6 of them, 888 million; a client that may
send a hundred events a second would try a hundredth of that in a day, and find a class where some are live. So codes that no class
has are counted per account, over all nodes: after a few of them at once (people misread a wall) one every ten seconds, and until
then no code is looked at, not even a right one. With a hundred live classes that is one hit in three years.
"""

from typing import Final

from persistence.classes import Classes
from services.classes.live_class import LiveClass, normal_code
from services.kernel.caller import Caller
from services.kernel.problems import ClassNotFound, TooManyAttempts
from services.limits.limits import Limits
from services.limits.table import WRONG_CODE


class Knocking:
    """Finds classes for whoever has not tried too often."""

    def __init__(self, limits: Limits) -> None:
        self._limits: Final = limits

    async def class_of(self, classes: Classes, caller: Caller, code: str, path: str) -> LiveClass:
        """The class with this code, whether live or over. Raises `ClassNotFound` at `path`, and `TooManyAttempts` after too many of
        those."""
        account = str(caller.account_id)
        # Taken before looking and given back for a right one, so that a hundred tries at once are no way around it.
        standing = await self._limits.take(WRONG_CODE, account)
        if not standing.passed:
            raise self._limits.refusal(
                standing, TooManyAttempts, "too many codes that no class has; wait before the next one", path=path
            )
        live = await classes.by_code(normal_code(code))
        if live is None:
            raise ClassNotFound(path=path)
        await self._limits.take(WRONG_CODE, account, cost=-1)
        return live
