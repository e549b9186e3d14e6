"""Leases by the wall clock, and whether this machine's may be believed in them.

What a worker takes from a lane, a line or a log is leased until an instant of its own wall clock, and the next one
takes it when that has passed on theirs. Two machines that differ by more than a lease has to spare would both have it,
and send it twice; what one that is an hour ahead has left behind would lie for an hour. So whoever takes something asks
the database what time it is, at first, now and then, and when its own clock has stepped, and takes nothing while the
two do not agree.

The schedule and long tasks need none of this: their leases are by the database's clock.
"""

from typing import Final

import structlog

from persistence.database import Tx, wall_ms
from services.kernel.clock import Clock

MOST_SKEW_S: Final = 10.0
"""How far this machine's wall clock may be off the database's. Two that are off by so much in either direction differ
by 20 s; a push (workers/sending.py) has 30 s of its lease to spare, a webhook 24 s. Machines that keep time are within
one second."""
EVERY_S: Final = 30.0
"""How often the database is asked; also how often it is said that this machine's clock is wrong."""
STEP_S: Final = 1.0
"""A wall clock that has gone by so much more or less than the one that never steps has stepped."""

log = structlog.get_logger(__name__)


class WallWatch:
    """Whether the wall clock of this process agrees with the database's; one for all of its loops."""

    def __init__(self, clock: Clock, *, most_skew_s: float = MOST_SKEW_S) -> None:
        self._clock: Final = clock
        self._most_skew_s: Final = most_skew_s
        self._agreed_at: float | None = None
        self._agreed_offset_s = 0.0
        self._said_at: float | None = None

    async def agrees(self, tx: Tx) -> bool:
        """Whether what is taken in this transaction may be leased by the wall clock."""
        now = self._clock.monotonic()
        has_stepped = abs(self._offset_s() - self._agreed_offset_s) > STEP_S
        if self._agreed_at is not None and now - self._agreed_at < EVERY_S and not has_stepped:
            return True
        # The database has looked at its clock somewhere between the two looks at ours.
        before_ms = self._clock.wall_ms()
        database_ms = await wall_ms(tx)
        ahead_s, behind_s = (before_ms - database_ms) / 1_000, (database_ms - self._clock.wall_ms()) / 1_000
        off_s = max(ahead_s, behind_s)
        if off_s > self._most_skew_s:
            self._agreed_at = None
            self._say(now, ahead_s if ahead_s > 0 else -behind_s)
            return False
        if self._said_at is not None:
            log.info("wall_watch.clock_right")
        self._agreed_at, self._agreed_offset_s, self._said_at = now, self._offset_s(), None
        return True

    def _offset_s(self) -> float:
        return self._clock.wall_ms() / 1_000 - self._clock.monotonic()

    def _say(self, now: float, off_s: float) -> None:
        if self._said_at is None or now - self._said_at >= EVERY_S:
            self._said_at = now
            log.error(
                "wall_watch.clock_wrong",
                off_s=off_s,
                most_s=self._most_skew_s,
                cure="set this machine's clock, or the database's: until then nothing is sent or followed here",
            )
