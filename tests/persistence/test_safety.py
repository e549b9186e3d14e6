"""The query behind the alerts that wait: it reads what is open now, however much there has been."""

from typing import cast

from persistence.database import Database, Tx
from persistence.safety import Safety
from persistence.sealing import Sealing
from services.kernel.clock import utc
from services.kernel.ids import IncidentId
from services.safety.incident import Reach, opened, step
from services.safety.watching import Finding
from tests.support.explaining import Explaining
from tests.support.world import VAULT, World


async def test_what_waits_for_a_coach_is_found_without_reading_what_is_over(database: Database) -> None:
    world = World(database)
    kim, ada = await world.account("Kim"), await world.account("Ada")
    live = await world.live_class(kim)
    await world.enter(live, ada)
    now_ms = world.clock.wall_ms()
    incident = opened(IncidentId(world.ids.next()), ada.account_id, live.id, Finding("over_limit", now_ms, 197), now_ms)
    told = step(incident, incident.revision, Reach(coach=True, contact=False), now_ms)
    assert told is not None
    async with world.transactions() as stores:
        await stores.safety.add(incident)
        await stores.safety.save(told)
        await stores.tx.execute(
            """
            INSERT INTO safety_incidents (
                id, account_id, class_id, found_sealed, found_at, opened_at, state, revision, coach_told_at, ended_at, ended_by
            )
            SELECT gen_random_uuid(), account_id, class_id, found_sealed, found_at, opened_at, 'closed', 3, opened_at, opened_at,
                   'time'
            FROM safety_incidents, generate_series(1, 20000)
            """
        )
        await stores.tx.execute(
            """
            INSERT INTO classes (id, code, title, coach_id, created_at, ended_at)
            SELECT gen_random_uuid(), 'PAST' || n, 'Hills', $1, $2, $2 FROM generate_series(1, 5000) AS n
            """,
            kim.account_id,
            utc(now_ms),
        )
        await stores.tx.execute("ANALYZE safety_incidents, classes, class_members, accounts")
        explaining = Explaining(stores.tx)
        store = Safety(cast(Tx, explaining), Sealing(stores.tx, VAULT))
        (alert,) = await store.waiting_for(kim.account_id, utc(now_ms), 201)
    assert alert.incident == told
    assert explaining.most <= 10, explaining.worst
