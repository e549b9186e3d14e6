"""What a person wants to hear about, on which channel, and when. Pure.

Only what differs from a topic's own way is kept: a topic that is added later, or a default that changes, reaches
everybody who has not said otherwise.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from services.kernel.problems import BadShape
from services.notifications import hours
from services.notifications.outgoing import Channel
from services.notifications.topics import TOPICS, Topic, Way

Minute = Annotated[int, msgspec.Meta(ge=0, lt=hours.MINUTES, description="minutes past local midnight")]
Hour = Annotated[int, msgspec.Meta(ge=0, le=23, description="local hour")]
Weekday = Annotated[int, msgspec.Meta(ge=0, le=6, description="0 is Monday")]

MAX_LOCALE: Final = 35
_LOCALE: Final = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When nothing may ring, in minutes past local midnight; over midnight where `until` is the smaller one."""

    begins: Minute
    until: Minute


class DigestTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the gathered mail comes: every day at a local hour, or on one weekday."""

    hour: Hour = 8
    weekday: Weekday | None = None


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of it. `locale` as in BCP 47 ("de-AT"), `time_zone` of the IANA list; `chosen` by topic and channel, only what
    differs from the topic's own way. `revision` counts the times it was stored, 0 for never."""

    locale: str = "en"
    time_zone: str = "UTC"
    quiet_hours: QuietHours | None = None
    digest: DigestTime = DigestTime()
    chosen: dict[str, dict[Channel, Way]] = {}
    revision: int = 0


DEFAULT: Final = Preferences()


def checked(preferences: Preferences) -> Preferences:
    """The preferences, fit to be stored: what equals a topic's own way is left out. Raises BadShape with the path."""
    if len(preferences.locale) > MAX_LOCALE or not _LOCALE.fullmatch(preferences.locale):
        raise BadShape('a locale is a language with or without a country, like "de" or "en-GB"', path="$.locale")
    if preferences.time_zone not in _zones():
        raise BadShape('a time zone is a name of the IANA list, like "Europe/Berlin"', path="$.time_zone")
    quiet = preferences.quiet_hours
    if quiet is not None and quiet.begins == quiet.until:
        raise BadShape("quiet hours need a beginning and another end; null for none", path="$.quiet_hours")
    chosen: dict[str, dict[Channel, Way]] = {}
    for name, channels in preferences.chosen.items():
        topic = TOPICS.get(name)
        if topic is None:
            raise BadShape(f"there is no topic {name!r}; there are {', '.join(TOPICS)}", path="$.chosen")
        for channel, way in channels.items():
            _check_way(topic, channel, way)
        if kept := {channel: way for channel, way in channels.items() if way != topic.ways[channel]}:
            chosen[name] = kept
    return msgspec.structs.replace(preferences, chosen=chosen)


def way_of(chosen: Mapping[Channel, Way], topic: Topic, channel: Channel) -> Way:
    """How `topic` leaves on `channel` for somebody who has `chosen` so for this topic. What is not allowed any more, because
    the topic has changed, counts as not chosen."""
    own = topic.ways.get(channel, "off")
    way = chosen.get(channel, own)
    return way if way in topic.allowed(channel) else own


def chosen_for(preferences: Preferences, topic: Topic) -> Mapping[Channel, Way]:
    """What was chosen for one topic."""
    return preferences.chosen.get(topic.name, _NOTHING)


def without(preferences: Preferences, channel: Channel, topics: tuple[Topic, ...]) -> Preferences:
    """The preferences with these topics off on a channel, as far as they can be."""
    chosen = {name: dict(ways) for name, ways in preferences.chosen.items()}
    for topic in topics:
        if "off" in topic.allowed(channel):
            chosen.setdefault(topic.name, {})[channel] = "off"
    return checked(msgspec.structs.replace(preferences, chosen=chosen))


def quiet_until(preferences: Preferences, now_ms: int) -> int | None:
    """When the quiet hours that it is in now are over, wall ms; None outside them."""
    quiet = preferences.quiet_hours
    if quiet is None:
        return None
    return hours.quiet_until(now_ms, quiet.begins, quiet.until, zone_of(preferences.time_zone))


def next_digest(preferences: Preferences, now_ms: int) -> int:
    """When the next digest comes, wall ms."""
    digest = preferences.digest
    return hours.next_digest(now_ms, digest.hour, digest.weekday, zone_of(preferences.time_zone))


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone; UTC for a name that this machine's list has lost since it was stored."""
    return ZoneInfo(name if name in _zones() else "UTC")


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # Read from disk once: some ten milliseconds. "localtime" is this machine's, not a place.
    return frozenset(available_timezones() - {"localtime"})


_NOTHING: Final[Mapping[Channel, Way]] = MappingProxyType({})


def _check_way(topic: Topic, channel: Channel, way: Way) -> None:
    allowed = topic.allowed(channel)
    path = f"$.chosen.{topic.name}.{channel}"
    if not allowed:
        raise BadShape(f"{topic.name} never leaves by {channel}: {', '.join(topic.ways)} are possible", path=path)
    if way not in allowed:
        raise BadShape(f"{topic.name} by {channel} can only be {' or '.join(allowed)}", path=path)
