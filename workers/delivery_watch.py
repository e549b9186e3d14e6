"""What operators see of all deliveries: how many are due in each lane, for how long the oldest has been, and how many are
in doubt. Read from the database every so often, because the readings of `/metrics` may not wait for anybody."""

from dataclasses import dataclass, field
from typing import Final

import structlog

from services.kernel.clock import Clock, utc
from workers.sending import Transactions

LOOK_S: Final = 15.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DeliveryFigures:
    """As of the last look."""

    due: dict[str, int] = field(default_factory=dict)
    oldest_s: dict[str, float] = field(default_factory=dict)
    in_doubt: int = 0


class DeliveryWatch:
    """Looks every `LOOK_S`."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self.figures = DeliveryFigures()

    async def run(self) -> None:
        """Look until cancelled; while the database is away the last figures stand."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("delivery_watch.failed", again_in_s=LOOK_S)
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Read the figures once."""
        async with self._transactions() as stores:
            waiting = await stores.deliveries.waiting(utc(self._clock.wall_ms()))
            in_doubt = await stores.deliveries.count_in_doubt()
        self.figures = DeliveryFigures(
            due={lane.lane: lane.due for lane in waiting},
            oldest_s={lane.lane: lane.oldest_s for lane in waiting},
            in_doubt=in_doubt,
        )
