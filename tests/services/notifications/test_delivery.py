"""The states of a delivery: what may follow what, and what each end of an attempt leads to."""

from collections.abc import Sequence
from typing import Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.delivery import (
    LONGEST_PAUSE_S,
    NEXT,
    POLICIES,
    REASON_LENGTH,
    SHORTEST_PAUSE_S,
    State,
    after_attempt,
    in_doubt,
    may_follow,
)
from services.notifications.outgoing import (
    MOST_NAME,
    Channel,
    CutShort,
    DeadAddress,
    InDoubt,
    NotTaken,
    Receipt,
    Refused,
    TryLater,
)

MAILED: Final[Channel] = "email"
channels = st.sampled_from(sorted(POLICIES))
seconds = st.none() | st.floats(0, 1e9)
ends = st.one_of(
    st.builds(Receipt, st.just("smtp"), st.text()),
    st.builds(TryLater, st.text(), retry_after_s=seconds, blameless=st.booleans()),
    st.builds(Refused, st.text()),
    st.builds(DeadAddress, st.text(), since_ms=st.none() | st.integers(0, 2**41)),
    st.builds(InDoubt, st.text()),
    st.builds(CutShort, st.text()),
)


def counts(end: Receipt | NotTaken) -> bool:
    """Whether an attempt that ended so is one."""
    return not isinstance(end, CutShort) and not getattr(end, "blameless", False)


def test_every_state_has_a_row_and_every_following_one_exists() -> None:
    states = set(get_args(State))
    assert set(NEXT) == states
    assert set().union(*NEXT.values()) <= states


def test_every_state_can_be_reached_and_what_is_over_stays_over() -> None:
    reached: set[State] = {"waiting"}
    while more := {after for state in reached for after in NEXT[state]} - reached:
        reached |= more
    assert reached == set(NEXT)
    assert {state for state in NEXT if not NEXT[state]} == {"bounced", "suppressed", "expired", "collapsed"}


@given(channels, st.integers(1, 20), ends)
def test_whatever_happens_to_an_attempt_leads_where_sending_may_lead(
    channel: Channel, attempt: int, end: Receipt | NotTaken
) -> None:
    step = after_attempt(channel, attempt, end)
    assert may_follow("sending", step.state)
    assert len(step.reason) <= REASON_LENGTH + 40
    if step.state == "waiting":
        assert SHORTEST_PAUSE_S <= step.pause_s <= max(LONGEST_PAUSE_S, *POLICIES[channel].ladder_s)


@given(channels, st.lists(ends.filter(counts), min_size=20))
def test_attempts_that_count_come_to_an_end(channel: Channel, answers: Sequence[Receipt | NotTaken]) -> None:
    for attempt, end in enumerate(answers, 1):
        if after_attempt(channel, attempt, end).state != "waiting":
            assert attempt <= POLICIES[channel].max_attempts
            return
    raise AssertionError("still waiting")


def test_a_provider_that_was_never_asked_costs_no_attempt() -> None:
    step = after_attempt(MAILED, 99, TryLater("away", blameless=True, retry_after_s=7.0))
    assert (step.state, step.counted, step.pause_s) == ("waiting", False, 7.0)


def test_what_a_stop_cut_short_costs_no_attempt_on_any_channel() -> None:
    for channel in POLICIES:
        step = after_attempt(channel, 99, CutShort("stopped before the mail was handed over", provider="smtp"))
        assert (step.state, step.counted, step.pause_s) == ("waiting", False, SHORTEST_PAUSE_S)


@pytest.mark.parametrize("said", ["/m/\udcff", "SM\0", "SM\n", "größe", "x" * (MOST_NAME + 1)])
def test_a_name_that_cannot_be_kept_is_none_and_the_message_is_sent_all_the_same(said: str) -> None:
    step = after_attempt("push", 1, Receipt("webpush", said))
    assert (step.state, step.provider, step.provider_id) == ("sent", "webpush", "")


@given(channels, ends)
def test_no_word_of_a_provider_keeps_a_step_from_being_written_down(channel: Channel, end: Receipt | NotTaken) -> None:
    step = after_attempt(channel, 1, end)
    for word in (step.reason, step.provider_id):
        assert "\0" not in word
        word.encode()


def test_a_provider_that_says_when_is_not_asked_before_and_not_waited_for_for_ever() -> None:
    assert after_attempt("push", 1, TryLater("busy", retry_after_s=90)).pause_s == 90
    assert after_attempt("push", 1, TryLater("busy", retry_after_s=0.01)).pause_s == POLICIES["push"].ladder_s[0]
    assert after_attempt("push", 1, TryLater("busy", retry_after_s=1e9)).pause_s == LONGEST_PAUSE_S


def test_the_last_attempt_fails_with_the_last_reason() -> None:
    step = after_attempt(MAILED, POLICIES[MAILED].max_attempts, TryLater("mailbox full"))
    assert step.state == "failed"
    assert "mailbox full" in step.reason


def test_a_dead_address_is_forgotten_and_a_refused_message_is_not_the_addresss_fault() -> None:
    dead = after_attempt("push", 1, DeadAddress("unregistered", since_ms=5))
    assert (dead.state, dead.forget, dead.dead_since_ms) == ("failed", True, 5)
    assert not after_attempt("push", 1, Refused("too large")).forget


@pytest.mark.parametrize("channel", ["email", "sms"])
def test_mail_and_sms_in_doubt_are_not_sent_again(channel: Channel) -> None:
    for attempt in range(1, 10):
        assert in_doubt(channel, attempt, "who knows").state == "in_doubt"


def test_a_push_in_doubt_is_sent_again_but_not_for_ever() -> None:
    states = [in_doubt("push", attempt, "who knows").state for attempt in range(1, 8)]
    assert states == ["waiting"] * (POLICIES["push"].max_attempts - 1) + ["failed"] * 2
