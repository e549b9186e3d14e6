"""The queues that deliveries wait in, and how one is woken when something was put into it."""

from typing import Final

from persistence.database import Tx
from services.notifications.delivery import Lane

CHANNEL: Final = "paceline_deliveries"
"""The notification that wakes a lane; its payload is the lane. A hint: lanes also look by themselves."""


async def wake(tx: Tx, lane: Lane) -> None:
    """Wake a lane when this transaction commits."""
    await tx.execute("SELECT pg_notify($1, $2)", CHANNEL, lane)
