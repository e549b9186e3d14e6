"""When a webhook comes again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.integrations.retrying import ATTEMPTS, DELAYS_S, LONGEST_WISH_S, delay_s, wish_of

DAY_S = 24 * 3_600
luck = st.floats(0, 1)


def delays(fortune: float) -> list[float]:
    """The delays after each failed attempt."""
    found = [delay_s(attempt, fortune) for attempt in range(1, ATTEMPTS + 5)]
    return [delay for delay in found if delay is not None]


def test_ten_attempts_reach_over_three_days_and_less_than_four() -> None:
    assert ATTEMPTS == 10
    assert 3 * DAY_S < sum(delays(0)) < sum(delays(1)) < 4 * DAY_S
    assert delay_s(ATTEMPTS, 0.5) is None


@given(luck)
def test_delays_grow_and_are_lengthened_by_a_fifth_at_most(fortune: float) -> None:
    found = delays(fortune)
    assert len(found) == ATTEMPTS - 1
    assert all(planned <= delay <= planned * 1.2 for planned, delay in zip(DELAYS_S, found, strict=True))
    assert all(earlier < later for earlier, later in itertools.pairwise(found))


@given(st.integers(1, ATTEMPTS - 1), luck, st.floats(0, 10 * DAY_S))
def test_a_wish_is_granted_up_to_an_hour_and_never_makes_it_earlier(attempt: int, fortune: float, wish: float) -> None:
    delay = delay_s(attempt, fortune, wish)
    assert delay is not None
    assert delay >= min(wish, LONGEST_WISH_S)
    assert delay >= DELAYS_S[attempt - 1]
    assert delay <= max(DELAYS_S[attempt - 1], LONGEST_WISH_S) * 1.2


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("", None),
        ("9" * 41, None),
        ("Wed, 99 Oct 2026 07:28:10 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, wish: float | None) -> None:
    now_s = 1_792_567_680.0  # 2026-10-21T07:28:00Z
    assert wish_of(header, now_s) == wish


@given(st.text(max_size=60))
def test_whatever_a_receiver_writes_there_does_no_harm(header: str) -> None:
    wish = wish_of(header, 1_790_000_000.0)
    assert wish is None or wish >= 0
