"""Who gets a notification where and when, and whether it still may leave when its time has come."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.clock import to_wall_ms
from services.kernel.ids import AccountId, DeviceId
from services.notifications.deciding import Later, Person, Planned, Stop, decide, still
from services.notifications.outgoing import Channel
from services.notifications.preferences import DEFAULT, Preferences, QuietHours
from services.notifications.topics import (
    ANNOUNCEMENT,
    CLASS_SUMMARISED,
    LOGIN_ENDED,
    TOPICS,
    WORKOUT_SUMMARISED,
    Topic,
    Way,
)

NOON = to_wall_ms(datetime(2026, 11, 10, 12, tzinfo=UTC))
NIGHT = to_wall_ms(datetime(2026, 11, 10, 23, tzinfo=UTC))
MORNING = to_wall_ms(datetime(2026, 11, 11, 7, tzinfo=UTC))
QUIET = Preferences(quiet_hours=QuietHours(begins=22 * 60, until=7 * 60))
PHONE, BROWSER = DeviceId(UUID(int=1)), DeviceId(UUID(int=2))


def person(preferences: Preferences = DEFAULT, *, email: bool = True, phone: bool = False) -> Person:
    """Somebody with a telephone and a browser."""
    return Person(
        AccountId(UUID(int=9)), preferences, email, devices=((PHONE, "apns"), (BROWSER, "webpush")), phone=phone
    )


def plan(topic: Topic, who: Person, now_ms: int = NOON) -> list[Planned]:
    return list(decide(topic, who, now_ms))


def test_each_device_is_sent_to_in_the_lane_of_its_provider() -> None:
    assert plan(WORKOUT_SUMMARISED, person()) == [
        Planned("push", "apns", NOON, PHONE),
        Planned("push", "webpush", NOON, BROWSER),
    ]


def test_mail_that_is_gathered_waits_for_the_digest_and_the_push_does_not() -> None:
    lanes = {each.lane: each.due_at_ms for each in plan(CLASS_SUMMARISED, person())}
    assert lanes == {"apns": NOON, "webpush": NOON, "digest": to_wall_ms(datetime(2026, 11, 11, 8, tzinfo=UTC))}


def test_at_night_everything_waits_for_the_morning() -> None:
    assert {each.due_at_ms for each in plan(WORKOUT_SUMMARISED, person(QUIET), NIGHT)} == {MORNING}
    assert {each.due_at_ms for each in plan(ANNOUNCEMENT, person(QUIET), NIGHT)} == {MORNING}


def test_a_stolen_login_wakes_people_up() -> None:
    planned = plan(LOGIN_ENDED, person(QUIET, phone=True), NIGHT)
    assert {each.due_at_ms for each in planned} == {NIGHT}
    assert {each.channel for each in planned} == {"email", "push"}


def test_nothing_is_begun_for_an_address_that_is_not_there() -> None:
    nobody = Person(AccountId(UUID(int=9)), DEFAULT, email=False)
    for topic in TOPICS.values():
        assert plan(topic, nobody) == []


def test_an_sms_is_sent_to_those_who_asked_for_it_and_have_a_number() -> None:
    wants = Preferences(chosen={"security.login_ended": {"sms": "now"}})
    assert "sms" in {each.lane for each in plan(LOGIN_ENDED, person(wants, phone=True))}
    assert "sms" not in {each.lane for each in plan(LOGIN_ENDED, person(wants))}


ways: st.SearchStrategy[Way] = st.sampled_from(["off", "now", "digest"])
asked: st.SearchStrategy[Channel] = st.sampled_from(["email", "push", "sms"])


@given(
    st.sampled_from(sorted(TOPICS)),
    st.dictionaries(asked, ways),
    st.integers(NOON - 10**9, NOON + 10**9),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_due_in_the_past_and_nothing_off_is_begun(
    name: str, chosen: dict[Channel, Way], now_ms: int, email: bool, phone: bool
) -> None:
    topic = TOPICS[name]
    preferences = Preferences(quiet_hours=QUIET.quiet_hours, chosen={name: chosen})
    for planned in decide(topic, person(preferences, email=email, phone=phone), now_ms):
        assert planned.due_at_ms >= now_ms
        assert chosen.get(planned.channel) != "off" or "off" not in topic.allowed(planned.channel)
        # What is planned may leave when it is due, as long as nothing changes: no delivery is made to be held again.
        later = still(
            topic, planned.channel, preferences, planned.due_at_ms, expires_at_ms=planned.due_at_ms + 1, read=False
        )
        assert later is None or planned.lane == "digest"


@pytest.mark.parametrize(
    ("topic", "preferences", "now_ms", "expires_at_ms", "read", "expected"),
    [
        (WORKOUT_SUMMARISED, DEFAULT, NOON, NOON + 1, False, None),
        (WORKOUT_SUMMARISED, DEFAULT, NOON, NOON, False, Stop("expired", "nobody wants it any more")),
        (WORKOUT_SUMMARISED, DEFAULT, NOON, NOON + 1, True, Stop("suppressed", "read in the inbox before it left")),
        (WORKOUT_SUMMARISED, QUIET, NIGHT, MORNING + 1, False, Later(MORNING)),
        (
            WORKOUT_SUMMARISED,
            Preferences(chosen={"workout.summarised": {"push": "off"}}),
            NOON,
            NOON + 1,
            False,
            Stop("suppressed", "turned off meanwhile"),
        ),
        (LOGIN_ENDED, QUIET, NIGHT, NIGHT + 1, True, None),
        (LOGIN_ENDED, QUIET, NIGHT, NIGHT, False, Stop("expired", "nobody wants it any more")),
    ],
)
def test_what_is_due_is_asked_once_more_whether_it_is_wanted(
    topic: Topic,
    preferences: Preferences,
    now_ms: int,
    expires_at_ms: int,
    read: bool,
    expected: Later | Stop | None,
) -> None:
    assert still(topic, "push", preferences, now_ms, expires_at_ms=expires_at_ms, read=read) == expected
