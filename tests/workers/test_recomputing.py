"""All summaries of somebody anew, by what their profile says now."""

import uuid
from datetime import date, datetime, timedelta

import msgspec
import pytest

from persistence.database import Database
from services.accounts.account import Account, Profile
from services.accounts.vital import Vital
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.ids import TaskId, VitalId, WorkoutId
from services.tasks.task import RecomputeWorkouts, Step, Task
from services.training import workouts
from services.training.physiology import Physiology
from services.training.sample import Motion, Sample
from services.training.summary import summarise
from tests.support.world import World, steady
from workers.recomputing import RecomputeKind

DAY_S = 86_400


@pytest.fixture
def world(database: Database) -> World:
    """An empty world."""
    return World(database)


async def finished(world: World, ada: Caller, seconds: int) -> WorkoutId:
    """A finished workout with a summary, and a day later."""
    workout_id, _ = await world.workout(ada, steady(seconds))
    async with world.transactions() as stores:
        await stores.workouts.finish(workout_id, _now(world))
        await workouts.summarise(stores, workout_id)
    await world.clock.advance(DAY_S)
    return workout_id


def _now(world: World) -> datetime:
    return utc(world.clock.wall_ms())


async def now_called(world: World, ada: Caller, profile: Profile) -> Account:
    """Somebody changes their profile."""
    async with world.transactions() as stores:
        account = await stores.accounts.by_id(ada.account_id)
        assert account is not None
        changed = Account(account.id, account.email, account.name, account.roles, account.created_at_ms, profile)
        await stores.accounts.save(changed)
    return changed


async def recomputed(world: World, ada: Caller, since: date | None = None) -> list[Step]:
    """All steps."""
    steps: list[Step] = []
    while not steps or steps[-1].result is None:
        task = Task(
            id=TaskId(world.ids.next()),
            account_id=ada.account_id,
            work=RecomputeWorkouts(since=since),
            state="running",
            created_ms=0,
            checkpoint=steps[-1].checkpoint if steps else None,
        )
        async with world.transactions() as stores:
            steps.append(await RecomputeKind(world.clock).step(stores, task))
    return steps


PROFILE = Profile(birth_date=date(1990, 5, 17), sex="female", mass_kg=61.0, max_hr=180, rest_hr=50)


async def test_each_finished_workout_is_judged_by_the_profile_of_now_and_the_age_of_its_day(world: World) -> None:
    ada, bob = await world.account(), await world.account("Bob")
    mine = [await finished(world, ada, seconds) for seconds in (60, 120, 180)]
    his = await finished(world, bob, 60)
    live, _ = await world.workout(ada, steady(30))
    await now_called(world, ada, PROFILE)
    told = len(await world.told())
    steps = await recomputed(world, ada)
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert steps[-1].result is not None
    assert steps[-1].result.changed == 3
    body = Physiology(
        max_hr=180,
        rest_hr=50,
        sex="female",
        mass_kg=61.0,
        age_years=36,
        max_hr_source="measured",
        rest_hr_source="measured",
    )
    async with world.transactions() as stores:
        for workout_id, seconds in zip(mine, (60, 120, 180), strict=True):
            workout = await stores.workouts.by_id(workout_id)
            assert workout is not None
            assert (workout.physiology, workout.revision) == (body, 2)
            assert workout.summary == summarise(steady(seconds), body)
        for other in (his, live):
            workout = await stores.workouts.by_id(other)
            assert workout is not None
            assert workout.physiology != body
    assert len(await world.told()) == told, "nobody is told per workout"


async def test_a_workout_of_march_is_judged_by_the_body_of_march(world: World) -> None:
    ada = await world.account()
    march = await finished(world, ada, 60)
    day = _now(world).date()
    await world.clock.advance(100 * 86_400)
    later = await finished(world, ada, 60)
    await now_called(world, ada, PROFILE)
    async with world.transactions() as stores:
        for n, (value, from_day) in enumerate(((192, day), (180, day + timedelta(days=50)))):
            vital = Vital(VitalId(uuid.UUID(int=n)), "max_hr", value, from_day, "test", n)
            await stores.vitals.add(ada.account_id, vital)
    await recomputed(world, ada)
    async with world.transactions() as stores:
        bodies = [(await stores.workouts.by_id(workout_id)) for workout_id in (march, later)]
    assert [body and body.physiology.max_hr for body in bodies] == [192, 180]
    assert [body and body.physiology.rest_hr for body in bodies] == [50, 50]


async def test_doing_it_again_changes_nothing(world: World) -> None:
    ada = await world.account()
    workout_id = await finished(world, ada, 60)
    await now_called(world, ada, PROFILE)
    await recomputed(world, ada)
    result = (await recomputed(world, ada))[-1].result
    assert result is not None
    assert result.changed == 0
    async with world.transactions() as stores:
        workout = await stores.workouts.by_id(workout_id)
    assert workout is not None
    assert workout.revision == 2


async def test_only_since_a_day_and_not_from_before_somebody_s_birth(world: World) -> None:
    ada = await world.account()
    for _ in range(3):
        await finished(world, ada, 60)
    await now_called(world, ada, PROFILE)
    last_day = date.fromordinal(_now(world).date().toordinal() - 1)
    assert [step.total for step in await recomputed(world, ada, last_day)] == [1, 1]
    await now_called(world, ada, Profile(birth_date=date(2026, 10, 1)))
    assert (await recomputed(world, ada))[-1].result is not None


async def test_a_workout_that_was_summed_up_before_there_was_motion_gets_its_distance(world: World) -> None:
    ada = await world.account()
    workout_id = await finished(world, ada, 60)
    ride = [Sample(1_000 * n, 140, (), Motion(8 * n, 200, 90)) for n in range(61)]
    async with world.transactions() as stores:
        moved, _ = await world.workout(ada, ride)
        await stores.workouts.finish(moved, _now(world))
        old = msgspec.structs.replace(
            summarise(ride, await stores.workouts.physiology(moved)),
            distance_m=None,
            mean_power_w=None,
            mean_cadence=None,
        )
        await stores.workouts.store_summary(moved, old)
    await recomputed(world, ada)
    async with world.transactions() as stores:
        unmoved, found = await stores.workouts.by_id(workout_id), await stores.workouts.by_id(moved)
    assert unmoved is not None
    assert found is not None
    assert found.summary is not None
    assert (found.revision, found.summary.distance_m, found.summary.mean_power_w) == (2, 480, 200)
