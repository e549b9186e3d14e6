"""Classes without a coach: who may do what, when newcomers are too late, and when it ends by itself."""

import uuid
from typing import Final

import pytest
from msgspec.structs import replace

from services.classes.class_clock import ClassClock, Extend, Pause, Paused, Resume, Skip, Start, Started, advance
from services.classes.leading import may_appoint, may_remove
from services.classes.live_class import GroupTerms, LiveClass, may_control, may_end, may_enter
from services.classes.lobby import COUNTDOWN_MS
from services.classes.on_demand import (
    AFTER_MS,
    IDLE_MS,
    RESUME_MS,
    OnDemand,
    OnDemandTerms,
    counted_down,
    ends_ms,
    may_come_late,
    may_run,
    may_withdraw,
)
from services.classes.timeline import Timeline
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId, OnDemandId
from services.kernel.problems import ClassOver, DoorsShut, Forbidden

NOW: Final = 1_000_000_000


def somebody(number: int, *roles: AccountRole) -> Caller:
    """An account."""
    login = LoginId(uuid.UUID(int=number))
    return Caller(AccountId(uuid.UUID(int=number)), login, "Ana", frozenset(roles or ("member",)), 2**53)


ANA, BEN, MIRA = somebody(1), somebody(2), somebody(3, "member", "coach")
GROUP: Final = GroupTerms(OnDemandId(uuid.UUID(int=9)), places=3, late_min=5)
LIVE: Final = LiveClass(ClassId(uuid.UUID(int=8)), "ABC234", "Climb", ANA.account_id, "Ana", NOW, group=GROUP)
WAITING: Final = ClassClock(600_000)


def test_who_has_started_it_runs_its_clock_and_nobody_else() -> None:
    for command in (Start(), Pause(), Resume()):
        may_run(LIVE, ANA, command)
        with pytest.raises(Forbidden):
            may_run(LIVE, BEN, command)
    with pytest.raises(ClassOver):
        may_run(replace(LIVE, ended_ms=NOW), ANA, Pause())


def test_it_follows_its_script() -> None:
    for command in (Skip(), Extend(by_ms=5_000)):
        with pytest.raises(Forbidden):
            may_run(LIVE, ANA, command)


def test_nobody_coaches_it_though_they_are_a_coach_and_have_started_it() -> None:
    live = replace(LIVE, coach_id=MIRA.account_id)
    assert not live.is_led_by(MIRA.account_id)
    with pytest.raises(Forbidden):
        may_enter(live, MIRA, "coach")
    with pytest.raises(Forbidden):
        may_control(live, MIRA)
    with pytest.raises(Forbidden):
        may_appoint(live, MIRA)
    with pytest.raises(Forbidden):
        may_remove(live, MIRA, BEN.account_id)
    may_enter(live, MIRA, "athlete")
    may_end(live, MIRA)


def test_every_beginning_has_a_countdown() -> None:
    assert counted_down(Start()) == Start(in_ms=COUNTDOWN_MS)
    assert counted_down(Start(in_ms=60_000)) == Start(in_ms=60_000)
    assert counted_down(Resume()) == Resume(in_ms=RESUME_MS)
    assert counted_down(Pause()) == Pause()


@pytest.mark.parametrize(("now_ms", "late"), [(NOW, False), (NOW + 299_999, False), (NOW + 300_000, True)])
def test_newcomers_come_late_by_so_many_minutes_and_no_more(now_ms: int, late: bool) -> None:
    may_come_late(LIVE, GROUP, Timeline(), now_ms)
    begun = Timeline(events=(Started(NOW - 10_000, NOW), Paused(NOW + 60_000)))
    if late:
        with pytest.raises(DoorsShut) as refused:
            may_come_late(LIVE, GROUP, begun, now_ms)
        assert refused.value.data == {"opens_at_ms": NOW, "closes_at_ms": NOW + 300_000}
    else:
        may_come_late(LIVE, GROUP, begun, now_ms)


def test_it_ends_a_minute_after_its_script_and_after_an_hour_without_anything() -> None:
    assert ends_ms(WAITING, NOW) == NOW + IDLE_MS
    running = advance(WAITING, Started(NOW, NOW + 10_000))
    assert ends_ms(running, NOW) == NOW + 10_000 + 600_000 + AFTER_MS
    paused = advance(running, Paused(NOW + 70_000))
    assert ends_ms(paused, NOW) == NOW + 70_000 + IDLE_MS


def test_what_is_on_demand_is_withdrawn_by_its_coach() -> None:
    on_demand = OnDemand(GROUP.on_demand_id, MIRA.account_id, "Mira", OnDemandTerms(title="Climb"), 600_000, NOW)
    may_withdraw(on_demand, MIRA)
    with pytest.raises(Forbidden):
        may_withdraw(on_demand, ANA)
