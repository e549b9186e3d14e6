"""Who gets a notification where, and when: from a topic, a person and the time to the deliveries. Pure.

The inbox is not decided here: it gets everything. What is decided here is decided once, when the notification is told, and
looked at again when a delivery is due (`still`): people change their minds and move, and what was read in the app in the
meantime need not ring.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from services.kernel.ids import AccountId, DeviceId
from services.notifications import preferences as prefs
from services.notifications.delivery import Lane
from services.notifications.outgoing import Channel
from services.notifications.preferences import Preferences
from services.notifications.topics import Topic, Way

Kind = Literal["apns", "fcm", "webpush"]
LANES: Final[Mapping[Kind, Lane]] = {"apns": "apns", "fcm": "fcm", "webpush": "webpush"}


class Person(msgspec.Struct, frozen=True):
    """What has to be known of somebody to decide: preferences and living addresses. `email` and `phone` say whether there is
    one that may be used."""

    account_id: AccountId
    preferences: Preferences
    email: bool
    devices: tuple[tuple[DeviceId, Kind], ...] = ()
    phone: bool = False


@dataclass(frozen=True)
class Planned:
    """A delivery to be made: on which channel, in which lane, to which device, and not before when (wall ms)."""

    channel: Channel
    lane: Lane
    due_at_ms: int
    device_id: DeviceId | None = None


@dataclass(frozen=True)
class Later:
    """Not now: due again at `due_at_ms`; the attempt does not count."""

    due_at_ms: int


@dataclass(frozen=True)
class Stop:
    """Not any more: the state it ends in, and why."""

    state: Literal["suppressed", "expired"]
    reason: str


def decide(topic: Topic, person: Person, now_ms: int) -> Iterator[Planned]:
    """The deliveries of a notification that is told now. Nothing for a channel that is off, or without an address."""
    night_over_ms = None if topic.essential else prefs.quiet_until(person.preferences, now_ms)
    due_at_ms = night_over_ms or now_ms
    chosen = prefs.chosen_for(person.preferences, topic)
    for channel in topic.ways:
        way = prefs.way_of(chosen, topic, channel)
        if way == "off":
            continue
        if channel == "push":
            for device_id, kind in person.devices:
                yield Planned("push", LANES[kind], due_at_ms, device_id)
        elif channel == "email" and person.email:
            yield _mail(way, person, now_ms, due_at_ms)
        elif channel == "sms" and person.phone:
            yield Planned("sms", "sms", due_at_ms)


def still(
    topic: Topic, channel: Channel, preferences: Preferences, now_ms: int, *, expires_at_ms: int, read: bool
) -> Later | Stop | None:
    """Whether a delivery that is due now may leave: None for yes."""
    if now_ms >= expires_at_ms:
        return Stop("expired", "nobody wants it any more")
    if topic.essential:
        return None
    if prefs.way_of(prefs.chosen_for(preferences, topic), topic, channel) == "off":
        return Stop("suppressed", "turned off meanwhile")
    if read:
        return Stop("suppressed", "read in the inbox before it left")
    night_over_ms = prefs.quiet_until(preferences, now_ms)
    return None if night_over_ms is None else Later(night_over_ms)


def _mail(way: Way, person: Person, now_ms: int, due_at_ms: int) -> Planned:
    if way == "digest":
        return Planned("email", "digest", prefs.next_digest(person.preferences, now_ms))
    return Planned("email", "email", due_at_ms)
