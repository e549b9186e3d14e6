"""What an erasure looks for among what everybody keeps is found without reading all of it."""

from typing import Any

import pytest

from persistence.database import Database
from persistence.erasing import Erasing
from tests.support.explaining import Explaining
from tests.support.world import World, steady


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def test_notifications_that_name_somebody_are_found_by_index(world: World) -> None:
    ada, bob = await world.account(), await world.account("Bob")
    await world.workout(ada, steady(3))
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            INSERT INTO notifications
                (id, account_id, topic, template, version, content, collapse_key, told_at, expires_at)
            SELECT gen_random_uuid(), $1, topic, topic, 1,
                   jsonb_build_object('account_id', gen_random_uuid(), 'workout_id', gen_random_uuid(), 'name', 'Cleo'),
                   topic || n, now(), 'infinity'
            FROM generate_series(1, 2000) AS n,
                 unnest(ARRAY['announcement', 'friend.asked', 'friend.made', 'appeal.waiting']) AS topic
            """,
            bob.account_id,
        )
        await stores.tx.execute(
            """
            INSERT INTO verdicts
                (workout_id, account_id, began_at, ended_at, judged_at, rules_version, grade, samples, findings, sketch)
            SELECT id, $1, now(), now(), now(), 1, 'clean', 3, '[]', '{}' FROM workouts
            """,
            ada.account_id,
        )
        await stores.tx.execute("ANALYZE notifications, verdicts")
        explaining = Explaining(stores.tx)
        seen: Any = explaining
        erasing = Erasing(seen)
        assert await erasing.unname_friends(ada.account_id, 500) == 0
        assert await erasing.unname_appeals(ada.account_id, 500) == 0
    assert explaining.most <= 50, explaining.worst
