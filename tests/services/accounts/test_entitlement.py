"""Whether somebody has what is needed, and why not."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.accounts.entitlement import Entitlement, check_times, lack_of, require
from services.kernel.ids import AccountId, EntitlementId
from services.kernel.problems import BadShape, EntitlementNeeded

ANA = AccountId(uuid.UUID(int=1))
NOW = 1_000_000


def granted(
    name: str = "premium", *, n: int = 1, from_ms: int = 0, until_ms: int | None = None, withdrawn_ms: int | None = None
) -> Entitlement:
    """The `n`-th grant of an account."""
    return Entitlement(EntitlementId(uuid.UUID(int=n)), ANA, name, "operator", from_ms, until_ms, 0, withdrawn_ms)


def test_it_holds_from_its_first_ms_and_until_the_one_before_its_end() -> None:
    one = granted(from_ms=NOW, until_ms=NOW + 10)
    assert [one.holds(at) for at in (NOW - 1, NOW, NOW + 9, NOW + 10)] == [False, True, True, False]


def test_without_an_end_it_holds_for_ever_unless_it_is_withdrawn() -> None:
    assert granted().holds(2**42)
    assert not granted(withdrawn_ms=NOW).holds(NOW)


@pytest.mark.parametrize(
    ("grants", "lack"),
    [
        ([], "never"),
        ([granted("live")], "never"),
        ([granted()], None),
        ([granted(until_ms=NOW)], "expired"),
        ([granted(from_ms=NOW + 1)], "not_yet"),
        ([granted(withdrawn_ms=NOW - 5)], "withdrawn"),
        ([granted(n=1, withdrawn_ms=NOW - 5), granted(n=2)], None),
        ([granted(n=1, withdrawn_ms=NOW - 5), granted(n=2, until_ms=NOW)], "expired"),
        ([granted(n=1, until_ms=NOW - 5), granted(n=2, withdrawn_ms=NOW)], "withdrawn"),
    ],
)
def test_why_somebody_lacks_it_is_what_the_newest_grant_says(grants: list[Entitlement], lack: str | None) -> None:
    assert lack_of("premium", grants, NOW) == lack
    assert lack_of("premium", reversed(grants), NOW) == lack


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20), st.none() | st.integers(0, 20)), max_size=5))
def test_one_grant_that_holds_is_enough_whatever_the_others_say(grants: list[tuple[int, int, int | None]]) -> None:
    made = [
        granted(n=n, from_ms=begins, until_ms=begins + lasts, withdrawn_ms=withdrawn)
        for n, (begins, lasts, withdrawn) in enumerate(grants)
    ]
    for now_ms in (0, 10, 25, 50):
        assert (lack_of("premium", made, now_ms) is None) == any(each.holds(now_ms) for each in made)


def test_who_lacks_it_is_told_what_is_needed_and_why() -> None:
    with pytest.raises(EntitlementNeeded) as refused:
        require("premium", [granted(until_ms=NOW)], NOW)
    assert refused.value.data == {"needs": "premium", "reason": "expired"}
    assert refused.value.message == "this needs the entitlement premium: yours has run out"


def test_what_needs_nothing_is_for_everybody() -> None:
    require(None, [], NOW)


def test_it_cannot_end_before_it_begins() -> None:
    check_times(NOW, None)
    check_times(NOW, NOW + 1)
    with pytest.raises(BadShape):
        check_times(NOW, NOW)
