"""What the schedule does for the outbox: days ahead of the facts, and old days dropped.

A day is kept for as long as the log of facts should reach back (`PACELINE_OUTBOX_DAYS`), and for as long as anything of it
waits, however old it is. The inbox must remember longer than the log reaches: what can be read again
must be known again. `INBOX_MARGIN_DAYS` is by how much.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

import structlog

from persistence.outbox_days import InUse, OutboxDays
from persistence.stores import Stores
from services.kernel.clock import Clock, utc

KEEP_DAYS: Final = 7
"""Whole days that the outbox reaches back, unless it is said otherwise."""
AHEAD_DAYS: Final = 3
"""Days that are made before they come: a schedule that stands still over a weekend is no harm."""
INBOX_MARGIN_DAYS: Final = 2
"""A day is dropped when all of it is old enough, so its first fact is a day older; another one for clocks and delays."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class OutboxUpkeepStatistics:
    """Days that facts had reached before they were made: nobody kept the schedule, or a node's clock is wrong."""

    strays: int = 0


class OutboxUpkeep:
    """The jobs: each works in the transaction it is given, and says how many days it made or dropped. What is in use just
    now is left for the next time."""

    def __init__(self, clock: Clock, *, keep_days: int = KEEP_DAYS) -> None:
        self._clock: Final = clock
        self.keep_days: Final = keep_days
        self.statistics: Final = OutboxUpkeepStatistics()

    async def make_days(self, stores: Stores) -> int:
        """Make the days to come, and one for every fact that has none: many such are gathered before, a bite each
        time."""
        today = utc(self._clock.wall_ms()).date()
        ahead = [today + timedelta(days=n) for n in range(-1, AHEAD_DAYS + 1)]
        days = OutboxDays(stores.tx)
        strays = await days.strays()
        try:
            async with stores.tx.transaction():
                wanted = [*ahead, *strays]
                if strays and (copied := await days.set_apart(wanted)):
                    return copied
                made = await days.make(wanted)
        except InUse as busy:
            log.warning("outbox.days_not_made", problem=str(busy))
            return 0
        if strays:
            self.statistics.strays += len(strays)
            log.error(
                "outbox.strays", days=[str(day) for day in strays], cure="is a scheduler running, are clocks right?"
            )
        return len(made)

    async def drop_days(self, stores: Stores) -> int:
        """Drop what is old and has left."""
        before = utc(self._clock.wall_ms()).date() - timedelta(days=self.keep_days)
        try:
            async with stores.tx.transaction():
                dropped = await OutboxDays(stores.tx).drop(before)
        except InUse as busy:
            log.warning("outbox.days_not_dropped", problem=str(busy))
            return 0
        return len(dropped)

    async def forgettable(self, stores: Stores) -> datetime:
        """Facts that were handled before this instant are in the outbox no more."""
        now = utc(self._clock.wall_ms())
        days = OutboxDays(stores.tx)
        oldest = min([now.date(), *await days.days(), *await days.strays()])
        return min(
            now - timedelta(days=self.keep_days + INBOX_MARGIN_DAYS),
            # A day for clocks: nothing is handled before it is told.
            datetime.combine(oldest - timedelta(days=1), time(), UTC),
        )
