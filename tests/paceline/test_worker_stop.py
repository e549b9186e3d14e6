"""A worker that is told to stop: what runs is finished, the rest is untouched and anybody's, and the process ends well."""

import asyncio
import signal
from typing import Final

from persistence.database import Database
from services.kernel.clock import SystemClock
from services.kernel.facts import ClassEnded, Envelope
from services.kernel.ids import FactId
from tests.support.server import PROGRAM, open_program
from tests.support.task_buses import eventually
from tests.support.world import World
from workers.handlers import CLASS_SUMMARIES, QUEUES
from workers.postgres_bus import PostgresBus

RUN: Final = CLASS_SUMMARIES.concurrency


async def test_a_worker_finishes_what_runs_and_begins_nothing_new(database: Database, fresh_dsn: str) -> None:
    world = World(database)
    coach = await world.account("Cleo", "coach")
    classes = [await world.live_class(coach) for _ in range(RUN + 2)]
    for live in classes:
        await world.end(live)
    facts = [
        Envelope(id=FactId(world.ids.next()), at_ms=SystemClock().wall_ms(), fact=ClassEnded(class_id=live.id))
        for live in classes
    ]

    async def blocked() -> bool:
        async with database.connection() as look:
            waiting = await look.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            begun = await look.fetchval("SELECT count(*) FROM tasks WHERE queue = 'class-summaries' AND leased")
        return bool(waiting) and begun == RUN  # others want the class, too

    with open_program(PROGRAM, PACELINE_ROLES="worker", DATABASE_URL=fresh_dsn) as server:
        async with database.tx() as holder:
            # The handlers of the first ones cannot go on before this transaction ends.
            await holder.fetch("SELECT FROM classes FOR UPDATE")
            await PostgresBus(database, SystemClock(), QUEUES).publish(*facts)
            await eventually(blocked)
            server.send(signal.SIGTERM)
            await eventually(lambda: server.said("bus.stopping"))
        assert await asyncio.to_thread(server.wait) == 0
    async with database.connection() as look:
        left = await look.fetch(
            "SELECT fact_id, attempt, leased FROM tasks WHERE queue = 'class-summaries' ORDER BY seq"
        )
        made = await look.fetchval("SELECT count(*) FROM classes WHERE summary IS NOT NULL")
    assert [(row["fact_id"], row["attempt"], row["leased"]) for row in left] == [
        (envelope.id, 0, False) for envelope in facts[RUN:]
    ]
    assert made == RUN
