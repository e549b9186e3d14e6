"""What becomes of a task whose handler failed."""

import pytest

from services.kernel.problems import NotFound, Unavailable
from workers.retry import PATIENCE_MS, Again, Ladder, Park, Unprocessable, after_failure

LADDER = Ladder((5.0, 30.0, 300.0))


def verdict(failure: BaseException, attempt: int = 1, age_ms: int = 0) -> Again | Park:
    """After a failure in a queue that allows five attempts."""
    return after_failure(failure, attempt, ladder=LADDER, max_attempts=5, age_ms=age_ms)


def test_each_attempt_waits_a_rung_longer_and_the_last_rung_serves_on() -> None:
    assert [verdict(ValueError(), attempt) for attempt in (1, 2, 3, 4)] == [
        Again(5.0, 2),
        Again(30.0, 3),
        Again(300.0, 4),
        Again(300.0, 5),
    ]


def test_the_last_attempt_parks_with_the_number_and_the_reason() -> None:
    assert verdict(KeyError("pace"), 5) == Park("failed 5 times, at last with KeyError: 'pace'")


def test_what_cannot_be_processed_parks_at_once() -> None:
    assert verdict(Unprocessable("no such fact")) == Park("Unprocessable: no such fact")


def test_an_outage_costs_no_attempt_however_often_it_happens() -> None:
    assert verdict(Unavailable("away"), 5) == Again(5.0, 5)


def test_an_old_fact_can_no_longer_blame_an_outage() -> None:
    assert verdict(Unavailable("away"), 1, PATIENCE_MS) == Again(5.0, 2)
    assert isinstance(verdict(Unavailable("away"), 5, PATIENCE_MS), Park)


def test_a_refusal_that_retrying_cannot_change_climbs_like_any_failure() -> None:
    assert verdict(NotFound(), 1) == Again(5.0, 2)


def test_a_reason_is_never_longer_than_people_read() -> None:
    parked = verdict(Unprocessable("x" * 100_000))
    assert isinstance(parked, Park)
    assert len(parked.reason) == 1_000


@pytest.mark.parametrize("delays", [(), (0.0,), (5.0, -1.0)])
def test_a_ladder_needs_delays(delays: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above 0 s"):
        Ladder(delays)
