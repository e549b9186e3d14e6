"""What an installation asks of whoever leads a class, before it shows them hearts."""

import uuid

import pytest

from services.accounts.entitlement import Entitlement
from services.classes.coach_plan import NOTHING_NEEDED, CoachPlan, plan_of
from services.kernel.ids import AccountId, EntitlementId

ONE, MIA = EntitlementId(uuid.UUID(int=1)), AccountId(uuid.UUID(int=2))


def test_where_nothing_is_asked_for_everybody_has_it() -> None:
    assert plan_of(None, (), 0) == NOTHING_NEEDED
    assert NOTHING_NEEDED.holds


@pytest.mark.parametrize(
    ("name", "until_ms", "now_ms", "lacks"),
    [
        ("coaching", None, 10, None),
        ("coaching", 20, 19, None),
        ("coaching", 20, 20, "expired"),
        ("coaching", None, 9, "not_yet"),
        ("live", None, 10, "never"),
    ],
)
def test_what_is_asked_for_holds_from_its_first_to_its_last_millisecond(
    name: str, until_ms: int | None, now_ms: int, lacks: str | None
) -> None:
    granted = Entitlement(ONE, MIA, name, "operator", from_ms=10, until_ms=until_ms, granted_ms=0)
    plan = plan_of("coaching", [granted], now_ms)
    assert (plan.needs, plan.lacks, plan.holds) == ("coaching", lacks, lacks is None)


def test_until_it_was_looked_up_nobody_has_it() -> None:
    assert not CoachPlan("coaching", "unknown").holds
