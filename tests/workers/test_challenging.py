"""Challenges from the first workout to the prizes, on a real Postgres."""

import asyncio
import random
from datetime import timedelta

import pytest

from persistence.database import Database
from services.challenges.challenge import MOST_OPEN
from services.kernel.clock import utc
from services.kernel.facts import ChallengeDue, ChallengeFinished, ChallengeMoved, WorkoutSummarised
from services.kernel.ids import AccountId, WorkoutId
from services.kernel.problems import ChallengeNotFound, ChallengeOver, TooManyChallenges
from services.training.sample import Motion, Sample
from services.training.summary import summarise
from tests.services.training.recordings.real import needs_recordings
from tests.support.challenged import Challenged, shown
from tests.support.explaining import Explaining
from tests.support.recordings_ride import RECORDINGS, recordings_ride
from tests.support.world import BODY, steady


@pytest.fixture
def world(database: Database) -> Challenged:
    """An empty world."""
    return Challenged(database)


async def test_workouts_are_scored_once_however_often_they_are_told(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada)
    await world.join(view, ada, bob)
    ridden = await world.works_out(bob, 1_200)
    await world.works_out(ada, 600)
    for _ in range(3):
        await world.score(WorkoutSummarised(workout_id=ridden, account_id=bob.account_id))
    table = await world.challenges.table(ada, view.id)
    assert [(rank, name) for rank, name, _ in shown(table)] == [(1, "Bob"), (2, "Ada")]
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    assert (table.entries, table.head) == (1 + 2 + 2, stored.ledger.head.hex())


async def test_a_correction_moves_the_table_by_a_visible_revision(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada)
    await world.join(view, ada, bob)
    ridden = await world.works_out(ada, 1_200)
    await world.works_out(bob, 900)
    before = await world.challenges.table(bob, view.id)
    await world.corrected(ada, ridden, steady(700))
    after = await world.challenges.table(bob, view.id)
    assert [name for _, name, _ in shown(before)] == ["Ada", "Bob"]
    assert [name for _, name, _ in shown(after)] == ["Bob", "Ada"]
    assert after.revision == before.revision + 1
    await world.corrected(ada, ridden, steady(700))
    assert (await world.challenges.table(bob, view.id)).revision == after.revision, "it says nothing new"


async def test_what_happened_before_one_came_in_or_after_one_left_does_not_count(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada)
    await world.works_out(bob)
    early, _ = await world.workout(bob)
    await world.clock.advance(1)
    await world.join(view, ada, bob)
    async with world.transactions() as stores:
        await stores.workouts.finish(early, utc(world.clock.wall_ms()))
    await world.corrected(bob, early, steady(1_200))
    assert [value for _, _, value in shown(await world.challenges.table(ada, view.id))] == [0, 0]
    counted = await world.works_out(bob)
    value = shown(await world.challenges.table(ada, view.id))[0][2]
    await world.challenges.leave(bob, view.id)
    await world.corrected(bob, counted, steady(3_000))
    assert shown(await world.challenges.table(ada, view.id)) == [(1, "Ada", 0)]
    with pytest.raises(ChallengeNotFound):
        await world.challenges.table(bob, view.id)
    await world.challenges.join(bob, view.code, "Pacific/Kiritimati", None)
    assert shown(await world.challenges.table(bob, view.id))[0] == (1, "Bob", value)
    assert (await world.challenges.by_id(bob, view.id)).time_zone == "UTC", "as it was at the first entry"


async def test_the_end_is_told_by_the_schedule_with_prizes_and_the_head_of_the_log(world: Challenged) -> None:
    people = [await world.account(name) for name in ("Ada", "Bob", "Cleo", "Dan", "Eva")]
    view = await world.challenge(people[0])
    await world.join(view, *people)
    for number, caller in enumerate(people[:4]):
        await world.works_out(caller, 1_200 - 100 * number)
    ends_ms = (await world.stored(view.id)).closes
    async with world.transactions() as stores:
        assert await stores.schedule.tell(stores.outbox, utc(ends_ms - 1), 10) == []
        assert await stores.schedule.tell(stores.outbox, utc(ends_ms), 10) == [utc(ends_ms)]
    assert (await world.told())[-1] == ChallengeDue(view.id)
    for _ in range(2):
        await world.close(view)
    finished = [fact for fact in await world.told() if isinstance(fact, ChallengeFinished)]
    assert len(finished) == 1, "once"
    stored = await world.stored(view.id)
    assert (finished[0].head, finished[0].entries) == (stored.ledger.head.hex(), stored.ledger.seq)
    prizes = [(prize.rank, prize.account_id) for prize in finished[0].prizes]
    assert prizes == [(rank, people[rank - 1].account_id) for rank in (1, 2, 3)]
    assert (stored.lines, stored.ledger.closed) == (stored.derived, True)


async def test_nothing_moves_a_challenge_that_is_closed(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada)
    await world.join(view, ada)
    ridden = await world.works_out(ada)
    await world.close(view)
    final = await world.challenges.table(ada, view.id)
    await world.corrected(ada, ridden, steady(3_000))
    with pytest.raises(ChallengeOver):
        await world.challenges.leave(ada, view.id)
    with pytest.raises(ChallengeOver):
        await world.challenges.join(bob, view.code, "UTC", None)
    assert await world.challenges.table(ada, view.id) == final
    assert final.final


async def test_nobody_comes_in_when_the_last_day_is_over_while_late_data_still_counts(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada, last_day=world.today)
    await world.join(view, ada)
    ridden = await world.works_out(ada, 600)
    await world.clock.advance(40 * 3_600)
    with pytest.raises(ChallengeOver):
        await world.challenges.join(bob, view.code, "UTC", None)
    before = (await world.challenges.table(ada, view.id)).revision
    await world.corrected(ada, ridden, steady(900))
    assert (await world.challenges.table(ada, view.id)).revision == before + 1


async def test_many_at_once_append_without_a_hole_and_lose_nothing(world: Challenged) -> None:
    people = [await world.account(f"Person {n}") for n in range(5)]
    view = await world.challenge(people[0])
    await asyncio.gather(*(world.join(view, caller) for caller in people))
    rides: list[tuple[AccountId, WorkoutId]] = []
    for caller in people:
        workout_id, _ = await world.workout(caller)
        rides.append((caller.account_id, workout_id))
    await world.clock.advance(1_200)
    async with world.transactions() as stores:
        for n, (_, workout_id) in enumerate(rides):
            await stores.workouts.finish(workout_id, utc(world.clock.wall_ms()))
            await stores.workouts.store_summary(workout_id, summarise(steady(601 + 60 * n), BODY))
    twice = [WorkoutSummarised(workout_id=workout_id, account_id=account) for account, workout_id in rides * 2]
    random.Random(6).shuffle(twice)
    await asyncio.gather(*(world.score(fact) for fact in twice))
    stored = await world.stored(view.id)
    assert stored.ledger.seq == 1 + 5 + 5
    assert stored.lines == stored.derived
    assert [value for _, value, _ in stored.lines] == sorted({value for _, value, _ in stored.lines}, reverse=True)
    assert len([fact for fact in await world.told() if isinstance(fact, ChallengeMoved)]) == 5 + 5


@pytest.mark.parametrize("ties", ["first", "shared"])
async def test_sums_of_teams_are_those_of_their_members_whatever_happens(world: Challenged, ties: str) -> None:
    people = [await world.account(f"P{n}") for n in range(5)]
    view = await world.challenge(people[0], teams=("Red", "Blue", "Idle"), ties=ties)
    for n, caller in enumerate(people):
        await world.join(view, caller, team=("Red", "Blue")[n % 2])
    ridden = [await world.works_out(caller, 700 + 60 * n) for n, caller in enumerate(people)]
    await world.corrected(people[1], ridden[1], steady(2_000))
    await world.corrected(people[2], ridden[2], steady(650))
    await world.corrected(people[3], ridden[3], [])
    await world.challenges.leave(people[4], view.id)
    await world.challenges.leave(people[0], view.id)
    await world.join(view, people[0], team="Blue")  # has the team of the first time
    await world.works_out(people[0], 900)
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    assert stored.teams == stored.ledger.teams()
    assert [each.line.value > 0 for each in stored.teams] == [True, True, False]


async def test_teams_win_together(world: Challenged) -> None:
    ada, bob, cleo = [await world.account(name) for name in ("Ada", "Bob", "Cleo")]
    view = await world.challenge(ada, teams=("Red", "Blue"), kind="count")
    await world.join(view, ada, bob, team="Red")
    await world.join(view, cleo, team="Blue")
    for caller in (ada, bob, cleo):
        await world.works_out(caller)
    table = await world.challenges.table(cleo, view.id)
    assert [(each.rank, each.team, each.value) for each in table.teams] == [(1, "Red", 2), (2, "Blue", 1)]
    await world.close(view)
    finished = [fact for fact in await world.told() if isinstance(fact, ChallengeFinished)]
    assert finished[0].winning_teams == ("Red",)


async def test_a_streak_counts_days_where_its_member_lives(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    view = await world.challenge(ada, kind="streak", first_day=world.today, last_day=world.today + timedelta(days=9))
    await world.challenges.join(ada, view.code, "Pacific/Kiritimati", None)
    await world.challenges.join(bob, view.code, "Pacific/Pago_Pago", None)
    for _ in range(3):
        for caller in (ada, bob):
            await world.works_out(caller, 700)
        await world.clock.advance(86_400 - 1_400)
    assert [value for _, _, value in shown(await world.challenges.table(ada, view.id))] == [3, 3]


async def test_a_race_over_metres_leaves_whoever_measured_none_at_nothing(world: Challenged) -> None:
    ada, bob, cleo = [await world.account(name) for name in ("Ada", "Bob", "Cleo")]
    view = await world.challenge(ada, kind="distance")
    await world.join(view, ada, bob, cleo)
    for rider, speed in ((ada, 6), (bob, 9)):
        ride = [Sample(1_000 * n, 140, (), Motion(speed * n)) for n in range(701)]
        await world.works_out(rider, 701, summary=summarise(ride, BODY))
    await world.works_out(cleo, 701)
    assert [value for _, _, value in shown(await world.challenges.table(ada, view.id))] == [6_300, 4_200, 0]
    await world.close(view)
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived


async def test_one_account_is_in_so_many_open_challenges_and_no_more(world: Challenged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    made = [await world.challenge(ada) for _ in range(MOST_OPEN)]
    with pytest.raises(TooManyChallenges):
        await world.challenge(ada)
    await world.join(made[0], ada)  # its own is counted already
    with pytest.raises(TooManyChallenges):
        await world.join(await world.challenge(bob), ada)
    await world.close(made[0])
    await world.challenge(ada)


@needs_recordings
async def test_real_recordings_ride_together_and_the_log_comes_to_their_final_table(world: Challenged) -> None:
    view = await recordings_ride(world)
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    assert [n for n, _, _ in stored.lines] != sorted(n for n, _, _ in stored.lines), "a race, and not a list"
    assert stored.ledger.seq == 1 + 3 * len(RECORDINGS) + 1


async def test_pages_and_the_page_around_me_have_the_same_ranks_as_the_whole(world: Challenged) -> None:
    people = [await world.account(f"Person {n}") for n in range(7)]
    view = await world.challenge(people[0], kind="count", ties="shared")
    await world.join(view, *people)
    for caller in people[2:4]:
        await world.works_out(caller, 700)
    whole = await world.challenges.table(people[0], view.id)
    assert [line.rank for line in whole.lines] == [1, 1, 3, 3, 3, 3, 3]
    for start in range(8):
        page = await world.challenges.table(people[0], view.id, start=start, limit=2)
        assert page.lines == whole.lines[start : start + 2]
    around = await world.challenges.table(people[6], view.id, limit=3, around_me=True)
    assert (around.start, around.lines) == (5, whole.lines[5:])


async def test_a_page_reads_no_more_rows_than_it_shows(world: Challenged) -> None:
    ada = await world.account("Ada")
    view = await world.challenge(ada)
    await world.join(view, ada)
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            INSERT INTO challenge_members (challenge_id, n, zone, joined_at, value, tie, seq, team)
            SELECT $1, n, 'UTC', now(), n % 1000, n, n, n % 2 FROM generate_series(2, 20000) AS n
            """,
            view.id,
        )
        await stores.tx.execute("ANALYZE challenge_members")
        explaining = Explaining(stores.tx)
        store = type(stores.challenges)(explaining)
        page = await store.page(view.id, 0, 50)
        assert len(page) == 50
        await store.changed_after(view.id, 10_000, 50)
        await store.team_moved(view.id, 0, 1)
    assert explaining.most <= 60, explaining.worst
