"""What third parties are told, to the letter: these bodies are a contract."""

import uuid
from typing import get_args

import msgspec
import pytest

from services.classes.live_class import LiveClass
from services.classes.summary import ClassStanding, ClassSummary, TeamStanding
from services.integrations import events
from services.integrations.events import EVENTS, MAX_SAMPLES, EventName
from services.kernel.ids import AccountId, ClassId, WebhookEndpointId, WorkoutId
from services.training.sample import Sample
from services.training.summary import summarise
from services.training.workouts import Workout
from tests.support.world import BODY, steady

NOW = 1_790_000_000_123
CLASS = ClassId(uuid.UUID(int=3))
WORKOUT = Workout(
    id=WorkoutId(uuid.UUID(int=5)),
    account_id=AccountId(uuid.UUID(int=1)),
    class_id=None,
    sport="run",
    physiology=BODY,
    created_at_ms=NOW,
    finished_at_ms=NOW + 60_000,
    revision=2,
    summary=summarise(steady(60), BODY),
)
TABLE = ClassSummary(
    class_id=CLASS,
    title="Hills",
    duration_ms=60_000,
    athletes=1,
    standings=(ClassStanding(n=2, rank=1, name="Ada", effort=6.0, zone_ms=(0, 0, 0, 60_000, 0, 0), team=1),),
    teams=(TeamStanding(team=1, rank=None, name="Blue", figure=None, athletes=1),),
)


def plain(event: events.AnyEvent) -> dict[str, object]:
    """The body as a receiver reads it."""
    found: dict[str, object] = msgspec.json.decode(events.encode(event))
    return found


def test_every_body_has_the_same_envelope() -> None:
    body = plain(events.ping(WebhookEndpointId(uuid.UUID(int=9)), NOW))
    assert body == {
        "type": "test.ping",
        "version": 1,
        "timestamp": "2026-09-21T14:13:20.123Z",
        "data": {"endpoint_id": "00000000-0000-0000-0000-000000000009"},
    }


def test_a_workout_is_told_without_samples_unless_they_are_given() -> None:
    body = plain(events.workout_summarised(WORKOUT, NOW))
    data = body["data"]
    assert isinstance(data, dict)
    assert (data["samples"], data["samples_path"], data["account_id"]) == (None, None, str(WORKOUT.account_id))
    assert (data["workout"]["revision"], data["workout"]["summary"]["samples"]) == (2, 60)
    assert "physiology" not in data["workout"]


def test_samples_travel_as_on_the_socket() -> None:
    body = plain(events.workout_summarised(WORKOUT, NOW, samples=(Sample(0, 120), Sample(1_000, None, (500, 510)))))
    data = body["data"]
    assert isinstance(data, dict)
    assert data["samples"] == [[0, 120, [], None], [1_000, None, [500, 510], None]]


def test_as_many_samples_as_may_travel_fit_what_receivers_take() -> None:
    samples = tuple(Sample(second * 1_000, 150, (400, 400)) for second in range(MAX_SAMPLES))
    body = events.encode(events.workout_summarised(WORKOUT, NOW, samples=samples))
    assert len(body) < 512 * 1_024


def test_names_of_others_are_left_out_unless_they_are_asked_for() -> None:
    for names, told in ((False, None), (True, "Ada")):
        data = plain(events.class_summarised(TABLE, NOW, names=names))["data"]
        assert isinstance(data, dict)
        line = {"n": 2, "rank": 1, "effort": 6.0, "zone_ms": [0, 0, 0, 60_000, 0, 0], "figure": None, "team": 1}
        assert data["standings"] == [line | {"name": told}]
        assert data["teams"] == [{"team": 1, "rank": None, "name": "Blue", "figure": None, "athletes": 1}]


def test_a_live_class_has_not_ended() -> None:
    live = LiveClass(CLASS, "CODE", "Hills", AccountId(uuid.UUID(int=1)), "Cleo", NOW)
    with pytest.raises(ValueError, match="still live"):
        events.class_ended(live, NOW)


def test_the_table_has_every_event_once_and_those_that_can_be_asked_for() -> None:
    names = [row.name for row in EVENTS]
    assert len(set(names)) == len(names)
    assert {row.name for row in EVENTS if row.role is not None} == set(get_args(EventName))
    assert {row.shape for row in EVENTS} == set(get_args(events.AnyEvent))
