"""How much happens on each day, counted from the log of facts: what a follower makes of it.

The numbers can be made again. A new run counts the days that the log has whole, and leaves those before as they are: the
first day in the log may lack its morning. What is older than the log can never be counted again.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from persistence.activity import Activity
from persistence.following import Run
from persistence.stores import Stores
from services.kernel import facts
from services.kernel.clock import Clock, utc
from services.kernel.facts import Envelope

NAME: Final = "activity"


class CountActivity:
    """Counts facts by day and type."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock

    async def __call__(self, stores: Stores, run: Run, envelopes: Sequence[Envelope]) -> int:
        """Count those that this run has not counted before; how many they are."""
        first_day = run.first_day
        if first_day is None:
            first_day = utc(envelopes[0].at_ms).date() + timedelta(days=1)
            await stores.followers.count_from(run, first_day)
            await stores.activity.forget(run.family, first_day)
        told = {envelope.id: envelope for envelope in envelopes}
        now = utc(self._clock.wall_ms())
        new = await stores.inbox.first_times(f"{run.name}.{run.number}", told.keys(), now)
        days = Counter(
            (utc(told[fact].at_ms).date(), facts.fact_type(type(told[fact].fact)))
            for fact in new
            if utc(told[fact].at_ms).date() >= first_day
        )
        await stores.activity.add([Activity(day, run.family, kind, n) for (day, kind), n in sorted(days.items())])
        return len(new)
