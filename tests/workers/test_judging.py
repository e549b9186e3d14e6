"""Fair play from the last sample to the table: workouts are judged, compared, appealed against and ruled on, on a real Postgres."""

import random

import pytest

from persistence.database import Database
from services.fairplay.case import APPEAL_DAYS
from services.fairplay.verdicts import StepView
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.facts import WorkoutJudged
from services.kernel.ids import WorkoutId
from services.kernel.problems import AppealTooLate, ChallengeNotFound, ClassNotFound, Forbidden, NotFound, NotJudgedYet
from services.schedule.jobs import Tick
from services.training.location import LOCATION_DAYS, Location
from services.training.plausibility import RULES
from services.training.sample import Sample
from tests.support.challenged import shown
from tests.support.judged import Judged, cheats, outing, shaken
from tests.workers.test_handlers import Pushed
from workers.jobs import Jobs
from workers.outbox_upkeep import OutboxUpkeep

DAY_S = 86_400
REJECTED = {"faster_than_hearts", "jumps", "flat", "metronome"}


@pytest.fixture
def world(database: Database) -> Judged:
    """An empty world."""
    return Judged(database, Pushed())


async def test_an_honest_workout_is_accepted_and_nobody_is_told(world: Judged) -> None:
    ada = await world.account("Ada")
    ridden = await world.rides(ada, outing(1))
    with pytest.raises(NotJudgedYet):
        await world.verdicts.of_workout(ada, ridden)
    facts = await world.handled()
    view = await world.verdicts.of_workout(ada, ridden)
    assert (view.verdict, view.grade, view.findings, view.steps) == ("accepted", "optical", (), ())
    assert (await world.stored_workout(ridden)).revision == 1
    assert not [fact for fact in facts if isinstance(fact, WorkoutJudged)]


@pytest.mark.parametrize("rule", sorted(cheats(1)))
async def test_each_rule_is_found_told_with_its_figure_and_found_once(world: Judged, rule: str) -> None:
    ada = await world.account("Ada")
    ridden = await world.rides(ada, cheats(1)[rule])
    await world.handled(seed=3)
    view = await world.verdicts.of_workout(ada, ridden)
    finding = view.findings[0]
    assert {finding.rule, rule} <= {each.rule for each in view.findings} <= {rule, "far_above_own_maximum"}
    assert view.verdict == finding.verdict == ("rejected" if rule in REJECTED else "flagged")
    at_least = finding.rejected_from if view.verdict == "rejected" else finding.flagged_from
    assert at_least is not None
    assert finding.figure >= at_least
    assert [step.kind for step in view.steps] == ["judged"]
    assert (await world.stored_workout(ridden)).revision == 2
    await world.summarised(ridden)
    facts = await world.handled()
    assert not [fact for fact in facts if isinstance(fact, WorkoutJudged)], "it is nothing new"


async def test_a_challenge_with_a_cheat_of_each_kind_ends_as_its_log_says_before_and_after_a_word(
    world: Judged,
) -> None:
    maker, ada = await world.account("Mia"), await world.account("Ada")
    view = await world.challenge(maker)
    await world.join(view, ada)
    cheaters: dict[str, tuple[Caller, WorkoutId]] = {}
    for number, rule in enumerate(sorted(cheats(1))):
        caller = await world.account(rule)
        await world.join(view, caller)
        cheaters[rule] = caller, await world.rides(caller, cheats(20 + number)[rule])
    honest = await world.rides(ada, outing(7))
    thief = await world.account("copied")
    await world.join(view, thief)
    cheaters["copied"] = thief, await world.rides(thief, shaken(outing(7), 2))
    torn = await world.account("two_hearts")
    await world.join(view, torn)
    await world.rides(torn, outing(11))
    cheaters["two_hearts"] = torn, await world.rides(torn, [Sample(one.t, (one.bpm or 0) - 30) for one in outing(11)])
    await world.handled(seed=5)
    for rule, (caller, workout_id) in cheaters.items():
        assert (await world.found(caller, workout_id))[0] == rule
    assert await world.stands(honest) == "flagged", "of a copy and its original nobody knows which is which"

    table = await world.challenges.table(maker, view.id)
    assert {line.name for line in table.lines if not line.value} == REJECTED
    marked = {line.name for line in table.lines if line.flagged}
    assert marked == {"Ada"} | set(cheaters) - REJECTED
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    assert any(b'"mark":"rejected"' in link.body for link in await world.challenges.log(maker, view.id, 0, 100))

    flat, workout_id = cheaters["flat"]
    await world.verdicts.appeal(flat, workout_id, "This is a resting test on an ergometer.")
    await world.verdicts.rule(maker, workout_id, "overturn", "I was there.")
    await world.handled(seed=6)
    after = await world.challenges.table(maker, view.id)
    assert {line.name for line in after.lines if not line.value} == REJECTED - {"flat"}
    assert after.revision == table.revision + 1, "by a visible revision"
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    await world.close(view)
    stored = await world.stored(view.id)
    assert (stored.lines, stored.ledger.closed) == (stored.derived, True)


BERLIN, SYDNEY = Location(52.5, 13.4), Location(-33.9, 151.2)


async def _rides_at(world: Judged, caller: Caller, location: Location | None, seed: int, ago_s: float) -> WorkoutId:
    ridden = await world.rides(caller, outing(seed), ago_s=ago_s)
    if location is not None:
        async with world.transactions() as stores:
            await stores.locations.add(ridden, caller.account_id, location, utc(world.clock.wall_ms()))
    return ridden


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_one_person_in_two_places_is_flagged_in_both_whatever_comes_first(world: Judged, seed: int) -> None:
    ada, ben = await world.account("Ada"), await world.account("Ben")
    first = await _rides_at(world, ada, BERLIN, 1, ago_s=10 * 3_600)
    second = await _rides_at(world, ada, SYDNEY, 2, ago_s=4 * 3_600)
    unsaid = await _rides_at(world, ada, None, 3, ago_s=3 * 3_600)
    of_another = await _rides_at(world, ben, BERLIN, 4, ago_s=4 * 3_600)
    await world.handled(seed=seed)
    for workout_id in (first, second):
        assert await world.found(ada, workout_id) == ["two_places"]
        assert await world.stands(workout_id) == "flagged"
        (finding,) = (await world.verdicts.of_workout(ada, workout_id)).findings
        assert round(finding.figure, -2) == 2_700, "16,100 km in six hours"
    assert await world.stands(unsaid) == "accepted"
    assert await world.stands(of_another) == "accepted"


async def test_somebody_who_flew_or_stayed_is_not_in_two_places(world: Judged) -> None:
    ada = await world.account("Ada")
    ridden = [
        await _rides_at(world, ada, BERLIN, 1, ago_s=60 * 3_600),
        await _rides_at(world, ada, Location(52.4, 13.1), 2, ago_s=59 * 3_600),
        await _rides_at(world, ada, SYDNEY, 3, ago_s=35 * 3_600),
    ]
    await world.handled()
    assert [await world.stands(workout_id) for workout_id in ridden] == ["accepted"] * 3


async def test_what_was_found_of_two_places_stands_when_they_are_forgotten(world: Judged) -> None:
    ada = await world.account("Ada")
    first = await _rides_at(world, ada, BERLIN, 1, ago_s=10 * 3_600)
    second = await _rides_at(world, ada, SYDNEY, 2, ago_s=4 * 3_600)
    await world.handled()
    async with world.transactions() as stores:
        assert await stores.locations.of(first) == BERLIN
    upkeep, tick = Jobs(world.clock, OutboxUpkeep(world.clock)), Tick("prune-locations", 0)
    for days, forgotten in ((LOCATION_DAYS, 0), (1, 2)):
        await world.clock.advance(days * DAY_S)
        async with world.transactions() as stores:
            assert await upkeep.prune_locations(stores, tick) == forgotten
    async with world.transactions() as stores:
        assert await stores.locations.of(first) is None
    await world.later(second, [Sample(10_000_000 + one.t, one.bpm) for one in outing(3, 1_500)])
    await world.handled()
    for workout_id in (first, second):
        assert await world.found(ada, workout_id) == ["two_places"]


async def test_late_samples_may_clear_up_what_was_found_and_the_score_comes_back(world: Judged) -> None:
    ada, maker = await world.account("Ada"), await world.account("Mia")
    view = await world.challenge(maker)
    await world.join(view, ada)
    jumping = [Sample(1_000 * n, 100 if n % 6 < 3 else 150) for n in range(100)]
    ridden = await world.rides(ada, jumping)
    await world.handled()
    assert await world.stands(ridden) == "rejected"
    assert [value for _, _, value in shown(await world.challenges.table(maker, view.id))] == [0]
    rest = [Sample(100_000 + one.t, one.bpm) for one in outing(3, 1_500)]
    await world.later(ridden, rest)
    await world.handled()
    assert await world.stands(ridden) == "accepted"
    (line,) = (await world.challenges.table(maker, view.id)).lines
    assert line.value > 0
    stored = await world.stored(view.id)
    assert stored.lines == stored.derived
    verdicts = [step.verdict for step in (await world.verdicts.of_workout(ada, ridden)).steps]
    assert (verdicts[0], verdicts[-1]) == ("rejected", "accepted")


async def test_the_table_of_a_class_marks_what_is_flagged_leaves_out_what_is_rejected_and_heeds_a_word(
    world: Judged,
) -> None:
    coach = await world.account("Mia", "member", "coach")
    live = await world.live_class(coach)
    ridden = {}
    for name, samples in (("Ada", outing(1)), ("Bob", cheats(2)["flat"]), ("Cleo", cheats(2)["beats_disagree"])):
        caller = await world.account(name)
        await world.enter(live, caller)
        ridden[name] = caller, await world.rides(caller, samples, live=live, zone_ms=(0, 0, 600_000, 0, 0, 0))
    await world.end(live)
    assert await world.final_table(live) == {"Ada": (20.0, False), "Bob": (20.0, False), "Cleo": (20.0, False)}
    await world.handled()
    assert await world.final_table(live) == {"Ada": (20.0, False), "Bob": (0.0, False), "Cleo": (20.0, True)}
    caller, workout_id = ridden["Bob"]
    await world.verdicts.appeal(caller, workout_id, "It is a pacemaker.")
    await world.verdicts.rule(coach, workout_id, "overturn", "It is.")
    await world.handled()
    assert (await world.final_table(live))["Bob"] == (20.0, False)


async def test_a_live_copy_is_found_in_the_same_hours_and_cleared_up_when_it_parts(world: Judged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    whole = outing(4, 900)
    mine = await world.rides(ada, whole, ago_s=1_000)
    his = await world.rides(bob, [Sample(one.t - 200_000, one.bpm) for one in shaken(whole[400:], 8)], ago_s=1_000)
    strangers = [await world.rides(await world.account(), outing(seed, 900), ago_s=1_000) for seed in (5, 6)]
    await world.handled()
    assert await world.stands(mine) == "accepted", "by the clock of neither do they belong together"
    passed_on = await world.rides(
        await world.account("Eve"), [Sample(one.t - 400_000, one.bpm) for one in shaken(whole[400:], 9)], ago_s=600
    )
    await world.handled()
    assert [await world.stands(one) for one in (mine, passed_on)] == ["flagged", "flagged"]
    assert [await world.stands(one) for one in (his, *strangers)] == ["accepted"] * 3
    own = random.Random(3)
    await world.later(passed_on, [Sample(500_000 + 1_000 * n, 100 + own.randint(0, 9)) for n in range(3_000)])
    await world.handled()
    assert [await world.stands(one) for one in (mine, passed_on)] == ["flagged", "flagged"], "most of it is still hers"


async def test_a_copy_to_the_last_bit_is_found_though_it_comes_a_week_later(world: Judged) -> None:
    ada, bob = await world.account("Ada"), await world.account("Bob")
    mine = await world.rides(ada, outing(4))
    await world.clock.advance(7 * DAY_S)
    his = await world.rides(bob, outing(4))
    await world.handled()
    assert [await world.stands(one) for one in (mine, his)] == ["flagged", "flagged"]
    assert await world.found(ada, mine) == await world.found(bob, his) == ["copied"]
    async with world.transactions() as stores:
        await stores.tx.execute("DELETE FROM accounts WHERE id = $1", bob.account_id)
        assert await stores.verdicts.pairs(mine) == [], "it goes with his account"


async def test_two_devices_on_one_heart_are_no_two_hearts(world: Judged) -> None:
    ada = await world.account("Ada")
    both = [await world.rides(ada, samples) for samples in (outing(5), shaken(outing(5), 3))]
    await world.handled()
    assert [await world.stands(one) for one in both] == ["accepted", "accepted"]


async def test_whom_a_workout_is_compared_with_comes_from_an_index(world: Judged) -> None:
    ada = await world.account("Ada")
    ridden = await world.rides(ada, outing(1))
    await world.handled()
    async with world.transactions() as stores:
        await stores.tx.execute(
            """
            INSERT INTO workouts (id, account_id, physiology, created_at)
            SELECT gen_random_uuid(), $1, '{}', now() FROM generate_series(1, 20000)
            """,
            (await world.account("Bob")).account_id,
        )
        await stores.tx.execute(
            """
            INSERT INTO verdicts (workout_id, account_id, began_at, ended_at, judged_at, rules_version, grade, samples,
                                  findings, mean_bpm, sketch)
            SELECT id, account_id, now() - make_interval(hours => n), now() - make_interval(hours => n - 1), now(), 1, 'strap', 1,
                '[]', 90 + n % 80, '{}'
            FROM (SELECT id, account_id, row_number() OVER () :: integer AS n FROM workouts WHERE id <> $1) AS each
            """,
            ridden,
        )
        await stores.tx.execute("ANALYZE verdicts")
        plan = await stores.tx.fetchval(
            """
            EXPLAIN (FORMAT JSON) SELECT workout_id FROM verdicts
            WHERE mean_bpm IS NOT NULL AND tstzrange(began_at, ended_at, '[]') && tstzrange(now() - interval '1 hour', now(), '[]')
                AND int4range(mean_bpm, mean_bpm, '[]') && int4range(120, 128)
            """
        )
    assert "verdicts_by_hours" in plan
    assert "Seq Scan" not in plan


async def test_one_appeals_in_time_and_sees_what_became_of_it(world: Judged) -> None:
    coach, ada = await world.account("Mia", "member", "coach"), await world.account("Ada")
    live = await world.live_class(coach)
    await world.enter(live, ada)
    ridden = await world.rides(ada, cheats(1)["flat"], live=live)
    await world.handled()
    view = await world.verdicts.of_workout(ada, ridden)
    assert view.appeal_until_ms == world.clock.wall_ms() + APPEAL_DAYS * DAY_S * 1_000
    with pytest.raises(NotFound):
        await world.verdicts.appeal(coach, ridden, "it is not mine")
    await world.verdicts.appeal(ada, ridden, " My strap was broken. ")
    (case,) = await world.verdicts.waiting_in_class(coach, live.id)
    assert (case.waits_for, case.name, case.verdict, case.appeal) == (
        "appeal",
        "Ada",
        "rejected",
        "My strap was broken.",
    )
    with pytest.raises(Forbidden):
        await world.verdicts.rule(ada, ridden, "overturn", "I say so")
    await world.verdicts.rule(coach, ridden, "overturn", "True, I lent it to her.")
    told = [fact for fact in await world.handled() if isinstance(fact, WorkoutJudged)]
    assert [fact.verdict for fact in told] == ["accepted"]
    assert await world.verdicts.waiting_in_class(coach, live.id) == ()
    steps = (await world.verdicts.of_workout(ada, ridden)).steps
    now_ms = world.clock.wall_ms()
    assert steps[1:] == (
        StepView("appealed", now_ms, "owner", "rejected", text="My strap was broken."),
        StepView("ruled", now_ms, "reviewer", "accepted", "overturn", "True, I lent it to her."),
    )


async def test_an_appeal_that_comes_too_late_changes_nothing(world: Judged) -> None:
    ada = await world.account("Ada")
    ridden = await world.rides(ada, cheats(1)["jumps"])
    await world.handled()
    await world.clock.advance(APPEAL_DAYS * DAY_S + 1)
    with pytest.raises(AppealTooLate):
        await world.verdicts.appeal(ada, ridden, "I was away")
    assert await world.stands(ridden) == "rejected"


async def test_only_coaches_and_makers_review_and_one_who_has_ruled_does_not_see_the_appeal(world: Judged) -> None:
    maker, coach = await world.account("Cleo"), await world.account("Mia", "member", "coach")
    ada, stranger = await world.account("Ada"), await world.account("Eve")
    live = await world.live_class(coach)
    challenge = await world.challenge(maker)
    await world.join(challenge, ada, maker)
    ridden = await world.rides(ada, cheats(1)["beats_disagree"], live=live)
    await world.rides(maker, cheats(3)["beats_disagree"])
    await world.handled()
    (case,) = await world.verdicts.waiting_in_challenge(maker, challenge.id)
    assert (case.workout_id, case.waits_for) == (ridden, "review"), "one's own is not for oneself"
    with pytest.raises(ChallengeNotFound):
        await world.verdicts.waiting_in_challenge(ada, challenge.id)
    with pytest.raises(ClassNotFound):
        await world.verdicts.waiting_in_class(stranger, live.id)
    for use in (world.verdicts.of_workout(stranger, ridden), world.verdicts.rule(stranger, ridden, "uphold", "no")):
        with pytest.raises(NotFound):
            await use
    await world.verdicts.rule(maker, ridden, "uphold", "These beats are made up.")
    assert await world.stands(ridden) == "rejected"
    await world.verdicts.appeal(ada, ridden, "They are mine.")
    assert await world.verdicts.waiting_in_challenge(maker, challenge.id) == ()
    with pytest.raises(Forbidden, match="second pair of eyes"):
        await world.verdicts.rule(maker, ridden, "uphold", "No.")
    (case,) = await world.verdicts.waiting_in_class(coach, live.id)
    await world.verdicts.rule(coach, case.workout_id, "overturn", "Her watch does that.")
    assert await world.stands(ridden) == "accepted"
    async with world.transactions() as stores:
        by = [(step.kind, step.by) for step in await stores.verdicts.steps(ridden)]
    assert by == [
        ("judged", None),
        ("ruled", maker.account_id),
        ("appealed", ada.account_id),
        ("ruled", coach.account_id),
    ]


def test_every_rule_of_one_stream_has_its_cheat_here() -> None:
    pairs = {"copied", "two_hearts", "two_places"}
    assert set(cheats(1)) == set(RULES) - pairs
