"""Who leads a class, and what that lets them do."""

import uuid

import msgspec
import pytest

from services.classes.coach_plan import NOTHING_NEEDED, CoachPlan
from services.classes.leading import (
    MAX_CO_COACHES,
    Person,
    appointed,
    may_appoint,
    may_remove,
    may_see_heart_rate,
    person_view,
)
from services.classes.live_class import LiveClass, may_control, may_end, may_enter, may_script
from services.classes.saying import may_cue
from services.classes.showing import Showing
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId
from services.kernel.problems import ClassOver, Forbidden, NotACoach, TooManyCoCoaches


def person(n: int) -> Caller:
    return Caller(AccountId(uuid.UUID(int=n)), LoginId(uuid.UUID(int=n)), f"Person {n}", frozenset({"member"}), 2**50)


MIA, NOE, ADA = person(1), person(2), person(3)
CLASS = LiveClass(ClassId(uuid.UUID(int=9)), "ABCDEF", "Ride", MIA.account_id, "Mia", 0)
LED = appointed(CLASS, NOE.account_id, "co_coach", is_coach=True)
OVER = LiveClass(CLASS.id, "ABCDEF", "Ride", MIA.account_id, "Mia", 0, 1)


def test_a_co_coach_leads_but_does_not_end_script_or_appoint() -> None:
    may_enter(LED, NOE, "coach")
    may_control(LED, NOE)
    may_cue(LED, NOE)
    for refused in (may_end, may_script, may_appoint):
        with pytest.raises(Forbidden):
            refused(LED, NOE)
        refused(LED, MIA)
    with pytest.raises(Forbidden):
        may_control(LED, ADA)


def test_handing_over_changes_places_and_every_change_counts() -> None:
    handed = appointed(LED, NOE.account_id, "coach", is_coach=True)
    assert (handed.coach_id, handed.co_coach_ids) == (NOE.account_id, (MIA.account_id,))
    assert (CLASS.coaches_n, LED.coaches_n, handed.coaches_n) == (0, 1, 2)
    may_end(handed, NOE)
    with pytest.raises(Forbidden):
        may_end(handed, MIA)


def test_what_changes_nothing_is_the_same_class() -> None:
    assert appointed(LED, NOE.account_id, "co_coach", is_coach=True) is LED
    assert appointed(LED, MIA.account_id, "coach", is_coach=True) is LED
    assert appointed(CLASS, ADA.account_id, "none", is_coach=False) is CLASS


def test_a_class_keeps_a_coach_who_is_one_and_only_so_many_to_help() -> None:
    for to in ("none", "co_coach"):
        with pytest.raises(Forbidden):
            appointed(LED, MIA.account_id, to, is_coach=True)
    for to in ("coach", "co_coach"):
        with pytest.raises(NotACoach):
            appointed(LED, ADA.account_id, to, is_coach=False)  # type: ignore[arg-type]
    full = CLASS
    for n in range(MAX_CO_COACHES):
        full = appointed(full, AccountId(uuid.UUID(int=100 + n)), "co_coach", is_coach=True)
    with pytest.raises(TooManyCoCoaches):
        appointed(full, NOE.account_id, "co_coach", is_coach=True)


def test_who_may_send_out_whom() -> None:
    may_remove(LED, NOE, ADA.account_id)
    may_remove(LED, MIA, NOE.account_id)
    for caller, target in ((NOE, MIA), (NOE, NOE), (MIA, MIA), (ADA, ADA)):
        with pytest.raises(Forbidden):
            may_remove(LED, caller, target.account_id)
    with pytest.raises(ClassOver):
        may_remove(OVER, MIA, ADA.account_id)


@pytest.mark.parametrize(
    ("live", "roles", "showing", "reason"),
    [
        (LED, ("member", "coach"), None, "allowed"),
        (LED, ("member", "coach"), Showing("zone"), "allowed"),
        (LED, ("member", "coach"), Showing("coach"), "allowed"),
        (LED, ("member", "coach"), Showing("hidden"), "no_consent"),
        (OVER, ("member", "coach"), Showing("full"), "class_over"),
        (LED, ("member",), Showing("full"), "role_missing"),
        (LED, ("member", "coach"), Showing("full"), "plan_missing"),
    ],
)
def test_whoever_leads_a_class_is_told_whose_heart_rate_they_see_live_and_why_not(
    live: LiveClass, roles: tuple[AccountRole, ...], showing: Showing | None, reason: str
) -> None:
    """OWASP API3:2023: with consent, inside a live class, in the role of a coach, while the plan allows; one of them missing is
    enough."""
    coach = msgspec.structs.replace(MIA, roles=frozenset(roles))
    plan = CoachPlan("coaching", "expired") if reason == "plan_missing" else NOTHING_NEEDED
    assert may_see_heart_rate(live, coach, showing, plan).reason == reason
    athlete = Person(
        n=3, account_id=ADA.account_id, name="Ada", role="athlete", is_coach=False, removed=False, muted=False,
        muted_until_ms=None, showing=showing or Showing(),
    )  # fmt: skip
    assert person_view(live, coach, athlete, plan, 0).heart_rate == reason


def test_whoever_does_not_lead_a_class_sees_nobodys_heart_rate_in_it() -> None:
    stranger = msgspec.structs.replace(ADA, roles=frozenset({"member", "coach"}))
    assert may_see_heart_rate(LED, stranger, Showing("full"), NOTHING_NEEDED).reason == "not_yours"
