"""What people may choose, and what holds when they have not."""

import pytest

from services.kernel.problems import BadShape
from services.notifications.outgoing import CHANNELS, Channel
from services.notifications.preferences import (
    DEFAULT,
    Preferences,
    QuietHours,
    checked,
    chosen_for,
    way_of,
    without,
    zone_of,
)
from services.notifications.topics import ANNOUNCEMENT, LOGIN_ENDED, TOPICS, Topic, Way


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS.keys())
def test_every_topics_own_way_is_one_that_people_may_choose(topic: Topic) -> None:
    for channel, way in topic.ways.items():
        assert way in topic.allowed(channel)
    assert "inbox" not in topic.ways


def test_only_what_differs_from_the_topics_own_way_is_kept() -> None:
    chosen: dict[str, dict[Channel, Way]] = {
        "announcement": {"email": "now", "push": "now"},
        "workout.summarised": {"push": "now"},
    }
    assert checked(Preferences(chosen=chosen)).chosen == {"announcement": {"push": "now"}}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (Preferences(locale="Deutsch"), "$.locale"),
        (Preferences(locale="de-" + "A" * 40), "$.locale"),
        (Preferences(time_zone="Mars/Olympus"), "$.time_zone"),
        (Preferences(time_zone="../../etc/passwd"), "$.time_zone"),
        (Preferences(time_zone="localtime"), "$.time_zone"),
        (Preferences(quiet_hours=QuietHours(begins=60, until=60)), "$.quiet_hours"),
        (Preferences(chosen={"weather": {"email": "off"}}), "$.chosen"),
        (Preferences(chosen={"announcement": {"sms": "now"}}), "$.chosen.announcement.sms"),
        (Preferences(chosen={"announcement": {"inbox": "off"}}), "$.chosen.announcement.inbox"),
        (Preferences(chosen={"announcement": {"push": "digest"}}), "$.chosen.announcement.push"),
        (Preferences(chosen={"security.login_ended": {"email": "off"}}), "$.chosen.security.login_ended.email"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_its_place(wrong: Preferences, path: str) -> None:
    with pytest.raises(BadShape) as refused:
        checked(wrong)
    assert refused.value.path == path


@pytest.mark.parametrize("locale", ["en", "de-AT", "es-419", "zh-Hant-TW"])
def test_a_locale_is_a_language_with_or_without_a_country(locale: str) -> None:
    assert checked(Preferences(locale=locale)).locale == locale


def test_what_is_essential_cannot_be_turned_off_but_more_of_it_can_be_turned_on() -> None:
    more = checked(Preferences(chosen={"security.login_ended": {"sms": "now"}}))
    assert way_of(chosen_for(more, LOGIN_ENDED), LOGIN_ENDED, "sms") == "now"
    off = without(DEFAULT, "email", tuple(TOPICS.values()))
    assert way_of(chosen_for(off, LOGIN_ENDED), LOGIN_ENDED, "email") == "now"


def test_a_choice_that_is_not_allowed_any_more_counts_as_none() -> None:
    assert way_of({"email": "off"}, LOGIN_ENDED, "email") == "now"
    assert way_of({"push": "digest"}, ANNOUNCEMENT, "push") == "off"


def test_a_channel_that_a_topic_never_leaves_on_is_off() -> None:
    for channel in CHANNELS:
        if channel not in ANNOUNCEMENT.ways:
            assert way_of({}, ANNOUNCEMENT, channel) == "off"


def test_stopping_twice_is_stopping_once() -> None:
    once = without(DEFAULT, "email", (ANNOUNCEMENT,))
    assert without(once, "email", (ANNOUNCEMENT,)) == once
    assert once.chosen == {"announcement": {"email": "off"}}


def test_a_zone_that_this_machine_does_not_know_is_utc() -> None:
    assert zone_of("Mars/Olympus").key == "UTC"
