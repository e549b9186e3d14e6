"""Displays: big screens that watch one class without an account.

Whoever knows the join code of a live class may put it on a screen; knowing the code is the right. A screen on which nobody can type
is let in by somebody who is in the class (`pairings.py`). The token lasts for
half a day, because nobody stands at the screen to log in again, and can do nothing but watch this one class.
"""

from typing import Generic, Protocol, TypeVar

import msgspec

from services.accounts.attempts import Attempts
from services.accounts.tokens import Issued, Tokens
from services.kernel.clock import Clock
from services.kernel.ids import ClassId, Ids
from services.kernel.problems import ClassOver
from services.limits.limits import Limits


class WatchableClass(Protocol):
    """What a display needs to know of a class."""

    @property
    def id(self) -> ClassId: ...
    @property
    def over(self) -> bool: ...


C_co = TypeVar("C_co", bound=WatchableClass, covariant=True)


class ClassByCode(Protocol[C_co]):
    """Finds a class by its join code. Raises ClassNotFound."""

    async def by_code(self, code: str) -> C_co: ...


C = TypeVar("C", bound=WatchableClass)


class Display(msgspec.Struct, Generic[C], frozen=True):
    """A screen that has been let in: its token, and the class it may watch."""

    issued: Issued
    watched: C


class Displays(Generic[C]):
    """Lets screens in."""

    def __init__(
        self, classes: ClassByCode[C], tokens: Tokens, clock: Clock, ids: Ids, attempts: Attempts | None = None
    ) -> None:
        self._classes = classes
        self._tokens = tokens
        self._clock = clock
        self._ids = ids
        self._attempts = attempts or Attempts(Limits(clock))

    async def open(self, code: str, *, address: str | None) -> Display[C]:
        """A token for a screen that shows the live class with the join code `code`.

        Raises ClassNotFound, ClassOver, TooManyAttempts.
        """
        # Counted before looking: join codes are short, and this is where a stranger would guess them.
        await self._attempts.from_address(address)
        return self.admit(await self._classes.by_code(code))

    def admit(self, watched: C) -> Display[C]:
        """A token for a screen that is let into a class, by whatever way. Raises ClassOver."""
        if watched.over:
            raise ClassOver(class_id=str(watched.id))
        issued = self._tokens.for_display(watched.id, self._ids.next(), "display", self._clock.wall_ms())
        return Display(issued, watched)
