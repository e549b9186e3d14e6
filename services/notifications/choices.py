"""A person's preferences with everything that a page needs to offer the choice: which topics there are, in words, and what each
allows on which channel. Pure."""

from collections.abc import Collection

import msgspec

from services.notifications import preferences as prefs
from services.notifications.outgoing import CHANNELS, Channel
from services.notifications.preferences import Preferences
from services.notifications.topics import TOPICS, Way
from services.notifications.wording import about


class Choice(msgspec.Struct, frozen=True):
    """One channel of one topic: how it leaves now, and what may be chosen."""

    way: Way
    allowed: tuple[Way, ...]


class TopicChoices(msgspec.Struct, frozen=True):
    """One topic. `about` is what it is in words; `essential`: it cannot be turned off where it is on by itself.
    The inbox holds every topic and is not listed."""

    topic: str
    about: str
    essential: bool
    channels: dict[Channel, Choice]


class PreferencesView(msgspec.Struct, frozen=True):
    """Preferences, as they are stored and are given back to be changed, and all there is to choose from. `channels` are those on
    which this installation can send anything."""

    preferences: Preferences
    topics: tuple[TopicChoices, ...]
    channels: tuple[Channel, ...]


def choices_of(preferences: Preferences, leaving: Collection[Channel], language: str | None = None) -> PreferencesView:
    """The view of these preferences, on an installation that can send on the channels `leaving`; described in `language` (a
    locale), or in that of the preferences."""
    topics = tuple(
        TopicChoices(
            topic=topic.name,
            about=about(topic, preferences.locale if language is None else language),
            essential=topic.essential,
            channels={
                channel: Choice(
                    prefs.way_of(prefs.chosen_for(preferences, topic), topic, channel), topic.allowed(channel)
                )
                for channel in CHANNELS
                if topic.allowed(channel)
            },
        )
        for topic in TOPICS.values()
    )
    return PreferencesView(preferences, topics, tuple(channel for channel in CHANNELS if channel in leaving))
