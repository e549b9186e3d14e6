"""What becomes of an incident, whoever answers, whoever is told, in whatever order it comes."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import AccountId, ClassId, IncidentId
from services.kernel.problems import IncidentOver
from services.safety.incident import (
    COACH_MS,
    FRESH_MS,
    OPEN_MS,
    PAUSE_MS,
    PROMPT_MS,
    Incident,
    Reach,
    acknowledged,
    cancelled,
    may_open,
    opened,
    step,
    view_of,
)
from services.safety.watching import Finding

ADA, COACH = AccountId(uuid.UUID(int=1)), AccountId(uuid.UUID(int=2))
CLASS = ClassId(uuid.UUID(int=3))
NOW = 1_790_000_000_000
OVER = Finding("over_limit", NOW, 197)
BOTH, NOBODY = Reach(coach=True, contact=True), Reach(coach=False, contact=False)


def asked() -> Incident:
    return opened(IncidentId(uuid.UUID(int=9)), ADA, CLASS, OVER, NOW)


def stepped(incident: Incident, reach: Reach) -> Incident:
    """Its time has come."""
    assert incident.due_ms is not None
    moved = step(incident, incident.revision, reach, incident.due_ms)
    assert moved is not None
    return moved


def test_nobody_hears_of_it_for_fifteen_seconds() -> None:
    incident = asked()
    assert (incident.state, incident.due_ms) == ("prompted", NOW + 15_000)
    assert not view_of(incident).coach_told


def test_without_an_answer_the_coach_is_told_then_the_contact_then_it_is_over() -> None:
    told = stepped(asked(), BOTH)
    assert (told.state, told.coach_told_ms, told.due_ms) == ("coach_told", NOW + PROMPT_MS, NOW + PROMPT_MS + COACH_MS)
    reached = stepped(told, BOTH)
    assert (reached.state, reached.contact_told_ms) == ("contact_told", NOW + PROMPT_MS + COACH_MS)
    over = stepped(reached, BOTH)
    assert (over.state, over.ended_by, over.due_ms) == ("closed", "time", None)


def test_outside_a_class_the_contact_is_told_at_once() -> None:
    assert stepped(asked(), Reach(coach=False, contact=True)).state == "contact_told"


def test_where_nobody_can_be_told_it_ends_with_the_question() -> None:
    over = stepped(asked(), NOBODY)
    assert (over.state, over.ended_by) == ("closed", "nobody_to_tell")


def test_a_coach_alone_has_it_until_it_is_over() -> None:
    told = stepped(asked(), Reach(coach=True, contact=False))
    assert told.due_ms == NOW + PROMPT_MS + OPEN_MS
    assert stepped(told, Reach(coach=True, contact=False)).ended_by == "time"


def test_the_first_coach_who_takes_it_on_has_it_and_the_contact_is_not_told() -> None:
    taken = acknowledged(stepped(asked(), BOTH), COACH, NOW + 20_000)
    assert (taken.state, taken.acknowledged_by) == ("acknowledged", COACH)
    assert acknowledged(taken, ADA, NOW + 21_000) == taken
    over = stepped(taken, BOTH)
    assert (over.state, over.contact_told_ms) == ("closed", None)


def test_a_coach_who_comes_after_the_contact_was_told_still_has_it() -> None:
    taken = acknowledged(stepped(stepped(asked(), BOTH), BOTH), COACH, NOW + 80_000)
    assert taken.state == "acknowledged"
    assert taken.contact_told_ms is not None


def test_who_is_all_right_ends_it_whoever_knows_by_then() -> None:
    incident = asked()
    assert cancelled(incident, NOW + 14_900).state == "cancelled"
    for told in (stepped(incident, BOTH), stepped(stepped(incident, BOTH), BOTH)):
        assert (cancelled(told, NOW).state, cancelled(told, NOW).ended_by) == ("closed", "athlete")


def test_said_again_it_is_as_it_was_and_what_ended_otherwise_cannot_be_cancelled() -> None:
    once = cancelled(asked(), NOW)
    assert cancelled(once, NOW + 5) == once
    over = stepped(asked(), NOBODY)
    with pytest.raises(IncidentOver):
        cancelled(over, NOW)
    with pytest.raises(IncidentOver):
        acknowledged(once, COACH, NOW)


@pytest.mark.parametrize(
    ("kind", "after_ms", "asks"),
    [
        ("over_limit", PAUSE_MS - 1, False),
        ("over_limit", PAUSE_MS, True),
        ("rate_fell", 0, True),
    ],
)
def test_about_the_same_nobody_is_asked_again_for_five_minutes(kind: str, after_ms: int, asks: bool) -> None:
    latest, later = cancelled(asked(), NOW), NOW + after_ms
    assert may_open(Finding(kind, later, 197), latest, later) is asks  # type: ignore[arg-type]


def test_while_one_is_open_nothing_else_is_asked_and_history_asks_nobody() -> None:
    assert not may_open(Finding("rate_fell", NOW, 90), asked(), NOW)
    assert may_open(OVER, None, NOW + FRESH_MS)
    assert not may_open(OVER, None, NOW + FRESH_MS + 1)


ACTS = st.lists(st.sampled_from(["due", "late", "cancel", "acknowledge"]), max_size=12)
REACHES = st.builds(Reach, coach=st.booleans(), contact=st.booleans())


@given(ACTS, REACHES)
def test_in_any_order_each_is_told_once_and_the_end_is_the_end(acts: list[str], reach: Reach) -> None:
    """`late` is every plan that was ever made for it, told once more."""
    incident, now, plans = asked(), NOW, [1]
    for act in acts:
        before, now = incident, now + 1_000
        for revision in plans if act == "late" else [incident.revision] if act == "due" else []:
            moved = step(incident, revision, reach, now)
            if moved is not None:
                assert revision == incident.revision
                incident = moved
        if act in {"cancel", "acknowledge"}:
            try:
                incident = cancelled(incident, now) if act == "cancel" else acknowledged(incident, COACH, now)
            except IncidentOver:
                assert incident.over
        plans.append(incident.revision)
        assert incident.revision >= before.revision
        assert (incident == before) == (incident.revision == before.revision)
        assert incident == before or not before.over
        for told in ("coach_told_ms", "contact_told_ms", "acknowledged_by"):
            assert getattr(before, told) in {None, getattr(incident, told)}, "what was told once stays as it was"
        assert incident.over == (incident.due_ms is None)
