"""What people are told about: one closed table.

A topic says on which channels it can leave and how, unless the person chose otherwise. The inbox is no choice: it holds
everything, so that whatever a provider does with a message, the person finds it. Only what really happens in the
product is here; a topic without a trigger would be a switch that does nothing.

Adding one: a row here, its content in `content.py`, a template of the same name, a trigger in `workers/notifying.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from services.notifications.outgoing import Channel, Urgency

Way = Literal["off", "now", "digest"]
"""How a topic leaves on a channel: not at all, as soon as it may, or gathered into one message per day or week."""
Collapse = Literal["never", "silently", "again"]
"""What a newer notification about the same subject does. never: both stand. silently: it takes the older one's place, and
what has not left yet leaves with the new words; nothing is sent a second time. again: it takes its place as something
new, and is sent again."""

DAY_S: Final = 86_400


@dataclass(frozen=True)
class Topic:
    """One row. `about` says to people what it is; `ways` are the channels that it can leave on, with the way it does unless
    chosen otherwise. `essential`: the person's safety, so what is on by default cannot be turned off, and quiet hours do
    not hold it. `digestible`: may be gathered. `ttl_s`: after so long nobody wants it sent any more. `keep_s`: how long
    the inbox holds it."""

    name: str
    about: str
    ways: Mapping[Channel, Way]
    essential: bool = False
    digestible: bool = False
    collapse: Collapse = "never"
    ttl_s: int = DAY_S
    keep_s: int = 90 * DAY_S
    urgency: Urgency = field(default="normal")

    def allowed(self, channel: Channel) -> tuple[Way, ...]:
        """The ways a person may choose from; none for a channel this topic never leaves on."""
        if channel not in self.ways:
            return ()
        if self.essential and self.ways[channel] == "now":
            return ("now",)
        # Gathering is for mail: a phone that buzzes once for many things says less than one that does not buzz.
        return ("off", "now", "digest") if self.digestible and channel == "email" else ("off", "now")


LOGIN_ENDED: Final = Topic(
    "security.login_ended",
    "Somebody else may have used one of your logins, so we ended it",
    {"email": "now", "push": "now", "sms": "off"},
    essential=True,
    ttl_s=7 * DAY_S,
    urgency="high",
)
SECOND_FACTOR: Final = Topic(
    "security.second_factor",
    "What you log in with besides your password has changed or was used: an app, a passkey, a recovery code",
    {"email": "now", "push": "now", "sms": "off"},
    essential=True,
    ttl_s=7 * DAY_S,
    urgency="high",
    collapse="silently",  # each event is a subject of its own: told twice, it is there once
)
ERASURE_ASKED: Final = Topic(
    "security.erasure_asked",
    "Somebody has asked for your account and everything about you to be erased",
    {"email": "now", "push": "now", "sms": "off"},
    essential=True,
    ttl_s=7 * DAY_S,
    urgency="high",
)
WORKOUT_SUMMARISED: Final = Topic(
    "workout.summarised",
    "The summary of your workout is ready",
    {"push": "now", "email": "off"},
    digestible=True,
    collapse="silently",
)
CLASS_SUMMARISED: Final = Topic(
    "class.summarised",
    "The results of a class you took part in are ready",
    {"push": "now", "email": "digest"},
    digestible=True,
    collapse="silently",
)
CLASS_REMINDER: Final = Topic(
    "class.reminder",
    "A class in which you have a place begins soon",
    {"push": "now", "email": "off", "sms": "off"},
    collapse="again",
    ttl_s=3_600,
    keep_s=7 * DAY_S,
)
BOOKING_PROMOTED: Final = Topic(
    "booking.promoted",
    "You have come off a waitlist and have a place in the class",
    {"push": "now", "email": "now", "sms": "off"},
)
BOOKING_CANCELLED: Final = Topic(
    "booking.cancelled",
    "A class you had booked is called off, or its coach has cancelled your booking",
    {"push": "now", "email": "now", "sms": "off"},
)
VERDICT_CHANGED: Final = Topic(
    "verdict.changed",
    "Fair play: whether a workout of yours counts has changed, or somebody has ruled on it",
    {"push": "now", "email": "now", "sms": "off"},
    collapse="again",
    ttl_s=7 * DAY_S,
)
APPEAL_WAITING: Final = Topic(
    "appeal.waiting",
    "Fair play: somebody appeals, and it is for you to look",
    {"push": "now", "email": "now", "sms": "off"},
    ttl_s=7 * DAY_S,
)
FRIEND_ASKED: Final = Topic(
    "friend.asked",
    "Somebody asks you to be friends",
    {"push": "now", "email": "off"},
    digestible=True,
    collapse="again",
    ttl_s=7 * DAY_S,
)
FRIEND_MADE: Final = Topic(
    "friend.made",
    "Somebody whom you have asked is your friend now",
    {"push": "now", "email": "off"},
    digestible=True,
    collapse="again",
    ttl_s=7 * DAY_S,
)
ANNOUNCEMENT: Final = Topic(
    "announcement",
    "News from your coach or from us",
    {"email": "now", "push": "off"},
    digestible=True,
    collapse="again",
    ttl_s=7 * DAY_S,
    urgency="low",
)
WEBHOOK_PAUSED: Final = Topic(
    "webhook.paused",
    "One of your webhooks failed for days, so we paused it",
    {"email": "now", "push": "off"},
    collapse="again",
    ttl_s=7 * DAY_S,
)

TOPICS: Final[Mapping[str, Topic]] = MappingProxyType(
    {
        topic.name: topic
        for topic in (
            LOGIN_ENDED,
            SECOND_FACTOR,
            ERASURE_ASKED,
            WORKOUT_SUMMARISED,
            CLASS_SUMMARISED,
            CLASS_REMINDER,
            BOOKING_PROMOTED,
            BOOKING_CANCELLED,
            VERDICT_CHANGED,
            APPEAL_WAITING,
            FRIEND_ASKED,
            FRIEND_MADE,
            ANNOUNCEMENT,
            WEBHOOK_PAUSED,
        )
    }
)
"""Every topic by its name, in the order in which people see them."""
