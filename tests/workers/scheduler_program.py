"""A scheduler as a process of its own, to be frozen and killed: `scheduler_program.py DSN NODE LEASE_S`.

Its one job, due every second and never to be missed, writes the due time into the table `ledger` in bites of one, three for each.
"""

import asyncio
import sys

from persistence.database import open_database
from persistence.stores import Stores, Transactions
from services.kernel.clock import SystemClock
from services.kernel.ids import Uuid7Ids
from services.schedule.jobs import Tick
from services.schedule.timetable import Every
from workers.schedule import Job, Scheduler

BITES = 3


async def write_down(stores: Stores, tick: Tick) -> int:
    """One line of the ledger per bite."""
    if tick.did == BITES:
        return 0
    await stores.tx.execute(
        "INSERT INTO ledger (due_at, bite, node) VALUES ($1, $2, $3)", tick.due, tick.did, sys.argv[2]
    )
    return 1


async def main() -> None:
    clock = SystemClock()
    async with open_database(sys.argv[1], size=4) as database:
        transactions = Transactions(database, clock, Uuid7Ids(clock))
        table = (Job("write-down", Every(1), write_down, missed="each"),)
        scheduler = Scheduler(transactions, clock, table, node=sys.argv[2], lease_s=float(sys.argv[3]), look_s=0.05)
        await scheduler.run()


if __name__ == "__main__":
    asyncio.run(main())
