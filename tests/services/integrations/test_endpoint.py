"""An endpoint's life, call by call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.integrations.endpoint import (
    DEAD_AFTER_FAILURES,
    DEAD_AFTER_MS,
    LONGEST_REST_S,
    Standing,
    Verdict,
    after,
    rest_s,
    verdict_of,
)
from services.integrations.retrying import ATTEMPTS, delay_s

NOW = 1_790_000_000_000
HOUR_MS = 3_600_000

verdicts = st.sampled_from(["taken", "busy", "failed", "gone"])
lives = st.lists(st.tuples(verdicts, st.integers(0, 24 * HOUR_MS)), max_size=60)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, "taken") for status in (200, 201, 202, 204, 299)),
        *(
            (status, "failed")
            for status in (None, 100, 199, 300, 301, 304, 307, 308, 400, 401, 404, 500, 503, 599, 999)
        ),
        (429, "busy"),
        (410, "gone"),
    ],
)
def test_a_status_says_how_the_endpoint_is(status: int | None, verdict: Verdict) -> None:
    assert verdict_of(status) == verdict


def test_one_bad_call_makes_it_failing_and_one_good_call_makes_it_as_new() -> None:
    failing = after(Standing(), "failed", NOW)
    assert failing == Standing("failing", 1, NOW)
    assert after(failing, "failed", NOW + 1) == Standing("failing", 2, NOW)
    assert after(failing, "taken", NOW + 1) == Standing()


def test_gone_pauses_at_once() -> None:
    assert after(Standing(), "gone", NOW) == Standing("paused", 1, NOW, "gone")


def test_three_days_and_ten_failures_are_needed_to_be_dead() -> None:
    many = Standing("failing", 500, NOW)
    assert after(many, "failed", NOW + DEAD_AFTER_MS - 1).state == "failing"
    assert after(many, "failed", NOW + DEAD_AFTER_MS) == Standing("paused", 501, NOW, "dead")
    few = Standing("failing", DEAD_AFTER_FAILURES - 2, NOW)
    assert after(few, "failed", NOW + 10 * DEAD_AFTER_MS).state == "failing"


def test_an_endpoint_that_never_takes_its_only_event_is_dead_with_the_last_attempt() -> None:
    standing, now_ms = Standing(), NOW
    for attempt in range(1, ATTEMPTS + 1):
        assert standing.state != "paused"
        standing = after(standing, "failed", now_ms)
        now_ms += round((delay_s(attempt, 0.0) or 0) * 1_000)
    assert standing.paused_reason == "dead"


def test_being_busy_is_held_against_nobody() -> None:
    assert after(Standing(), "busy", NOW) == Standing()
    failing = Standing("failing", 3, NOW)
    assert after(failing, "busy", NOW + 10 * DEAD_AFTER_MS) == failing


@given(lives)
def test_a_paused_endpoint_stays_paused_whatever_a_late_call_says(life: list[tuple[Verdict, int]]) -> None:
    paused = Standing("paused", 12, NOW, "dead")
    for verdict, wait_ms in life:
        assert after(paused, verdict, NOW + wait_ms) == paused


@given(lives)
def test_what_an_endpoint_says_of_itself_always_fits_together(life: list[tuple[Verdict, int]]) -> None:
    standing, now_ms = Standing(), NOW
    for verdict, wait_ms in life:
        now_ms += wait_ms
        standing = after(standing, verdict, now_ms)
        assert (standing.state == "active") == (standing.failures == 0) == (standing.failing_since_ms is None)
        assert (standing.state == "paused") == (standing.paused_reason is not None)
        assert standing.failing_since_ms is None or standing.failing_since_ms <= now_ms


@given(st.integers(0, 10_000), verdicts, st.none() | st.floats(0, 1e9))
def test_a_rest_is_bounded_and_grows_with_the_failures(failures: int, verdict: Verdict, wish: float | None) -> None:
    standing = Standing("failing" if failures else "active", failures, NOW if failures else None)
    rest = rest_s(standing, verdict, wish)
    assert 0 <= rest <= 3_600
    if verdict == "taken":
        assert rest == 0
    elif wish is None:
        assert 0.5 <= rest <= LONGEST_REST_S
        assert rest_s(Standing("failing", failures + 1, NOW), verdict, None) >= rest
