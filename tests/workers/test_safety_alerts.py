"""Whoever was away when an alert went out finds it when they come back, as long as it waits, and nobody else does."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from persistence.database import Database
from persistence.stores import Stores
from services.classes.live_class import LiveClass
from services.kernel.caller import Caller
from services.kernel.clock import utc
from services.kernel.problems import Forbidden
from services.safety import safety as use_cases
from services.safety.incident import OPEN_MS, PAUSE_MS, AlertView
from tests.support.audited import entries
from tests.workers.test_safety_chain import Chain, a_class, sure

Change = Callable[[Stores, LiveClass, Caller, int], Awaitable[None]]
"""Something about a class that is another way now."""


@pytest.fixture
def chain(database: Database) -> Chain:
    """An empty world."""
    return Chain(database)


async def waiting(chain: Chain, *who: Caller) -> list[list[str]]:
    """For each of them the states of the alerts that they find when they come back."""
    return [[alert.state for alert in (await chain.safety.alerts(caller)).alerts] for caller in who]


async def test_a_coach_who_was_away_finds_the_alert_when_they_come_back_and_nobody_else_does(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    lee, eve, ben = await chain.person("Lee"), await chain.person("Eve"), await chain.person("Ben")
    await chain.live_class(eve)
    await chain.enter(live, ben)
    await chain.enter(live, lee)
    async with chain.transactions() as stores:
        led = msgspec.structs.replace(live, co_coach_ids=(lee.account_id,))
        await stores.leading.save(led, utc(chain.clock.wall_ms()))
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(14.9)
    assert await waiting(chain, kim, lee) == [[], []], "the athlete is still asked"
    await chain.pass_time(0.1)
    assert await waiting(chain, kim, lee, eve, ben, ada) == [["coach_told"], ["coach_told"], [], [], []]
    found = await chain.safety.alerts(kim)
    assert found.alerts == (
        AlertView(
            incident=incident.id,
            class_id=live.id,
            account_id=ada.account_id,
            n=1,
            name="Ada",
            kind="over_limit",
            state="coach_told",
            revision=2,
            bpm=197,
            found_ms=incident.found_ms,
            next_ms=chain.clock.wall_ms() + OPEN_MS,
        ),
    )
    assert not found.more


async def test_what_somebody_has_taken_on_waits_for_nobody(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    await chain.safety.acknowledge(kim, incident.id)
    assert await waiting(chain, kim) == [[]]


async def test_what_the_athlete_or_the_time_has_ended_waits_for_nobody(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    await chain.safety.cancel(ada, incident.id)
    assert await waiting(chain, kim) == [[]]
    await chain.pass_time(PAUSE_MS / 1_000)
    await chain.found(ada, live)
    await chain.pass_time(15)
    await chain.end(live)
    await chain.pass_time(OPEN_MS / 1_000 - 1)
    assert await waiting(chain, kim) == [["coach_told"]], "a class that has ended leaves nobody alone"
    await chain.pass_time(1)
    assert await waiting(chain, kim) == [[]]


async def test_what_no_worker_has_ended_comes_back_for_ten_minutes_more_and_not_for_ever(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    await chain.clock.advance(2 * OPEN_MS / 1_000 - 1)
    assert await waiting(chain, kim) == [["coach_told"]]
    await chain.clock.advance(1)
    assert await waiting(chain, kim) == [[]]
    assert await chain.state(incident) == "coach_told"


async def test_the_newest_is_last_and_of_too_many_the_newest_are_told(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "MOST_ALERTS", 2)
    kim = await chain.person("Kim")
    live = await chain.live_class(kim)
    incidents = []
    for name in ("Ada", "Ben", "Eve"):
        athlete = await chain.person(name, watched=True)
        await chain.enter(live, athlete)
        incidents.append(sure(await chain.found(athlete, live)))
        await chain.pass_time(15)
    found = await chain.safety.alerts(kim)
    assert ([alert.name for alert in found.alerts], found.more) == (["Ben", "Eve"], True)
    await chain.safety.acknowledge(kim, incidents[-1].id)
    found = await chain.safety.alerts(kim)
    assert ([alert.name for alert in found.alerts], found.more) == (["Ada", "Ben"], False)


async def changed_coach(stores: Stores, live: LiveClass, coach: Caller, at_ms: int) -> None:
    await stores.leading.save(msgspec.structs.replace(live, coach_id=coach.account_id, coaches_n=1), utc(at_ms))


async def sent_out(stores: Stores, live: LiveClass, athlete: Caller, at_ms: int) -> None:
    assert await stores.leading.remove(live.id, athlete.account_id, None, utc(at_ms))


async def without_a_coach(stores: Stores, live: LiveClass, _: Caller, at_ms: int) -> None:
    """As if a group had started it of what lies ready."""
    made = await stores.tx.fetchval(
        """
        INSERT INTO on_demand (id, coach_id, key, terms, script, duration_ms, created_at)
        VALUES (gen_random_uuid(), $1, 'o', '{}', '{}', 1, $2)
        RETURNING id
        """,
        live.coach_id,
        utc(at_ms),
    )
    await stores.tx.execute(
        "UPDATE classes SET on_demand_id = $2, places = 8, late_min = 0, start_key = 's' WHERE id = $1", live.id, made
    )


@pytest.mark.parametrize("change", [changed_coach, sent_out, without_a_coach])
async def test_whom_the_alert_waits_for_are_those_who_would_be_told_now(chain: Chain, change: Change) -> None:
    ada, kim, live = await a_class(chain)
    lee = await chain.person("Lee")
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    about = lee if change is changed_coach else ada
    async with chain.transactions() as stores:
        await change(stores, live, about, chain.clock.wall_ms())
        place = await stores.safety.place(live.id, ada.account_id)
    would_be_told = () if place is None else place.coaches
    assert would_be_told == ((lee.account_id,) if change is changed_coach else ())
    for caller in (ada, kim, lee):
        found = (await chain.safety.alerts(caller)).alerts
        assert [alert.incident for alert in found] == [incident.id] * (caller.account_id in would_be_told)


async def test_the_audit_knows_who_has_found_an_alert_and_of_whom(chain: Chain) -> None:
    ada, kim, live = await a_class(chain)
    await waiting(chain, kim)
    incident = sure(await chain.found(ada, live))
    await chain.pass_time(15)
    await waiting(chain, kim, ada)
    told, viewed = await entries(chain.transactions)
    assert (told.act, told.actor_kind) == ("incident.told", "system")
    assert (viewed.act, viewed.actor, viewed.account) == ("incident.viewed", kim.account_id, ada.account_id)
    assert (viewed.thing_kind, viewed.thing) == ("incident", str(incident.id))


async def test_a_display_finds_no_alerts(chain: Chain) -> None:
    ada, _, live = await a_class(chain)
    display = msgspec.structs.replace(ada, class_id=live.id, roles=frozenset({"display"}))
    with pytest.raises(Forbidden):
        await chain.safety.alerts(display)
