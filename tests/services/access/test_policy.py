"""The policy function: deny by default, in a fixed order, and always with a reason."""

import uuid
from itertools import product

import pytest

from gateway.http.routes import ROUTES
from realtime.wire import CLIENT_EVENTS
from services.access import permission as may
from services.access.decision import REASONS, Thing
from services.access.permission import ALL, Permission, Place
from services.access.policy import ALLOWED, NOTHING, decide, held, require
from services.access.role import EVERYBODY, GRANTED
from services.kernel.caller import AccountRole, Caller
from services.kernel.ids import AccountId, ClassId, LoginId
from services.kernel.problems import ClassNotFound, ClassOver, EntitlementNeeded, Forbidden, RemovedFromClass

MIRA = AccountId(uuid.UUID(int=1))
SOMEBODY = AccountId(uuid.UUID(int=2))
HILLS = ClassId(uuid.UUID(int=3))
FLATS = ClassId(uuid.UUID(int=4))
PLACES: tuple[Place, ...] = ("none", "spectator", "athlete", "co_coach", "coach", "starter")
LIVE_HILLS = Thing(class_id=HILLS, place="coach", consent=True, plan=True)


def caller(*roles: AccountRole, shows: ClassId | None = None) -> Caller:
    return Caller(MIRA, LoginId(uuid.UUID(int=5)), "Mira", frozenset(roles), 2**53, shows)


COACH = caller("member", "coach")
SCREEN = caller("display", shows=HILLS)


def test_the_table_has_each_name_once_and_says_what_it_is_for() -> None:
    rows = [each for each in vars(may).values() if isinstance(each, Permission)]
    assert len({each.name for each in rows}) == len(rows) == len(ALL)
    for each in rows:
        assert each.does, each.name
        assert not each.to or each.otherwise or each.hides, f"{each.name} does not say why it refuses"


def test_every_route_and_every_event_of_a_client_names_a_permission_of_the_table_asvs_8_1_1() -> None:
    for route in ROUTES:
        assert ALL[route.permission.name] is route.permission, route.url
    for event in CLIENT_EVENTS:
        assert event.permission is not None, event.name
        assert ALL[event.permission.name] is event.permission, event.name


def test_whoever_has_no_role_may_do_nothing_asvs_8_2_1() -> None:
    nobody = caller()
    for permission in ALL.values():
        for place in PLACES:
            thing = Thing(owner_id=MIRA, class_id=HILLS, place=place, seat="owner", consent=True, plan=True)
            decision = decide(nobody, permission, thing)
            assert not decision.allowed, permission.name
            assert decision.reason == "role_missing"


def test_with_nothing_known_of_the_thing_only_what_asks_for_nothing_is_allowed_asvs_8_2_2() -> None:
    everything = caller("member", "coach", "author", "support", "admin")
    for permission in ALL.values():
        if permission.to or permission.consent:
            assert not decide(everything, permission, NOTHING).allowed, permission.name


def test_the_admin_token_is_no_role_so_no_account_operates_the_installation_asvs_8_2_1() -> None:
    everything = caller(*EVERYBODY)
    assert not decide(everything, may.OPERATE).allowed


@pytest.mark.parametrize("permission", ALL.values(), ids=lambda each: each.name)
def test_less_is_never_allowed_where_more_was_not(permission: Permission) -> None:
    """ASVS 8.2.2: each fact that speaks against it, alone, turns a yes into a no, and none turns a no into a yes."""
    for place, owner in product(PLACES, (None, MIRA, SOMEBODY)):
        good = Thing(owner_id=owner, class_id=HILLS, place=place, consent=True, plan=True)
        allowed = decide(COACH, permission, good).allowed
        for worse in (
            Thing(owner_id=owner, class_id=HILLS, place=place, consent=True, plan=True, out=True),
            Thing(owner_id=owner, class_id=HILLS, place=place, consent=True, plan=True, over=True),
            Thing(owner_id=owner, class_id=HILLS, place=place, plan=True),
            Thing(owner_id=owner, class_id=HILLS, place=place, consent=True, needs="live", lacks="expired"),
        ):
            decision = decide(COACH, permission, worse)
            assert allowed or not decision.allowed
            assert decision.reason in REASONS
            assert decision.says


def test_a_coach_sees_raw_heart_rate_with_consent_in_a_live_class_while_the_plan_allows() -> None:
    assert decide(COACH, may.SEE_HEART_RATE, LIVE_HILLS) is ALLOWED


@pytest.mark.parametrize(
    ("who", "thing", "reason"),
    [
        (caller("member"), LIVE_HILLS, "role_missing"),
        (COACH, Thing(class_id=HILLS, place="none", consent=True, plan=True), "not_yours"),
        (COACH, Thing(class_id=HILLS, place="athlete", consent=True, plan=True), "not_yours"),
        (COACH, Thing(class_id=HILLS, place="coach", consent=True, plan=True, over=True), "class_over"),
        (COACH, Thing(class_id=HILLS, place="coach", plan=True), "no_consent"),
        (COACH, Thing(class_id=HILLS, place="coach", consent=True, needs="coaching", lacks="expired"), "plan_missing"),
        (SCREEN, LIVE_HILLS, "no_account"),
    ],
)
def test_a_coach_sees_raw_heart_rate_no_other_way(who: Caller, thing: Thing, reason: str) -> None:
    """OWASP API3:2023: each of the conditions alone is enough for a no, and says so."""
    decision = decide(who, may.SEE_HEART_RATE, thing)
    assert (decision.allowed, decision.reason) == (False, reason)


def test_a_screen_watches_its_class_and_no_other() -> None:
    assert decide(SCREEN, may.SHOW_CLASS, Thing(class_id=HILLS)).allowed
    assert not decide(SCREEN, may.SHOW_CLASS, Thing(class_id=FLATS)).allowed
    assert not decide(SCREEN, may.SHOW_CLASS, NOTHING).allowed
    assert not decide(COACH, may.SHOW_CLASS, LIVE_HILLS).allowed


def test_a_screen_with_the_id_of_a_coach_leads_nothing_asvs_8_2_2() -> None:
    odd = caller("display", "coach", shows=HILLS)
    assert not decide(odd, may.CONTROL_CLASS, LIVE_HILLS).allowed
    assert not decide(odd, may.READ_WORKOUTS, Thing(owner_id=MIRA)).allowed


def test_a_refusal_is_the_problem_that_says_why() -> None:
    over = Thing(class_id=HILLS, place="coach", over=True)
    for permission, thing, problem in (
        (may.CONTROL_CLASS, Thing(class_id=HILLS), Forbidden),
        (may.CONTROL_CLASS, over, ClassOver),
        (may.READ_CLASS, Thing(class_id=HILLS), ClassNotFound),
        (may.READ_CLASS, Thing(class_id=HILLS, place="athlete", out=True), RemovedFromClass),
        (
            may.SEE_HEART_RATE,
            Thing(class_id=HILLS, place="coach", consent=True, needs="x", lacks="never"),
            EntitlementNeeded,
        ),
    ):
        with pytest.raises(problem):
            require(COACH, permission, thing)
    with pytest.raises(Forbidden, match="only the coach of this class may control it") as refused:
        require(COACH, may.CONTROL_CLASS, Thing(class_id=HILLS))
    assert refused.value.data == {"reason": "not_yours"}


def test_nobody_controls_a_class_that_its_clock_leads_and_is_told_so() -> None:
    group = Thing(class_id=HILLS, place="starter", led=False)
    assert decide(COACH, may.CONTROL_CLASS, group).reason == "no_leader"
    assert decide(COACH, may.RUN_CLASS, group).allowed


def test_staff_see_accounts_and_only_admins_suspend_and_grant_asvs_8_2_1() -> None:
    support, admin = caller("member", "support"), caller("member", "admin")
    for permission in (may.LOOK_AT_ACCOUNTS, may.END_THEIR_LOGINS):
        assert held(support, permission).allowed
        assert held(admin, permission).allowed
        assert not held(COACH, permission).allowed
    for permission in (may.SUSPEND, may.GRANT_ROLES):
        assert held(admin, permission).allowed
        assert not held(support, permission).allowed
    assert not decide(admin, may.SEE_HEART_RATE, LIVE_HILLS).allowed


def test_nobody_is_made_a_member_or_a_display_by_granting() -> None:
    assert {"member", "display"} == EVERYBODY - GRANTED
