"""Who of those who lead classes here has what the installation asks of coaches (services/classes/coach_plan.py).

A cockpit is told twice a second and waits for no database, so it is looked up beside it: for all who lead a class through this
node, in one statement, every `LOOK_EVERY_S`. What was granted or withdrawn anywhere holds here in less than a second. Whoever has
just come is shown nothing until the first look; with the database away what was seen last goes on holding. Where nothing is
asked for, nothing is looked up.
"""

from typing import Final

import structlog

from persistence.stores import Transactions
from rooms.rooms import Rooms
from services.classes.coach_plan import NOTHING_NEEDED, CoachPlan, plan_of
from services.kernel.clock import Clock
from services.kernel.ids import AccountId

LOOK_EVERY_S: Final = 0.4
"""Beside half a second until the next cockpit: together less than one."""

log = structlog.get_logger(__name__)


class Planning:
    """See the module. `needs` is the entitlement that is asked for, None for nothing."""

    def __init__(self, rooms: Rooms, transactions: Transactions, clock: Clock, needs: str | None) -> None:
        self._rooms: Final = rooms
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._needs: Final = needs
        self._unknown: Final = NOTHING_NEEDED if needs is None else CoachPlan(needs, "unknown")
        self._known: dict[AccountId, CoachPlan] = {}
        rooms.cockpits.plan_of = self.plan_of

    def plan_of(self, account_id: AccountId) -> CoachPlan:
        """How it stands with somebody, as of the last look."""
        return self._known.get(account_id, self._unknown)

    async def run(self) -> None:
        """Look until cancelled; while the database is away what is known holds."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as problem:
                log.warning("planning.not_looked", problem=repr(problem))

    async def look(self) -> None:
        """Look once. Raises Unavailable."""
        leading = self._rooms.leading_here()
        if self._needs is None or not leading:
            self._known = {}
            return
        async with self._transactions() as stores:
            granted = await stores.entitlements.named(leading, self._needs)
        now_ms = self._clock.wall_ms()
        self._known = {account_id: plan_of(self._needs, found, now_ms) for account_id, found in granted.items()}
