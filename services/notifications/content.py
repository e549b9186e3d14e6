"""What a notification says, as data: one shape per topic, which is what its template may use.

Words are made when somebody reads: in their language, at that moment. What is stored is this, with the name and version
of the template, so that an old notification reads as it did. Fields are only ever added, with defaults, because the
stored ones stay. Times are wall clock, ms since 1970; durations ms.
"""

from typing import Final

import msgspec

from services.kernel.ids import AccountId, BookingId, ClassId, LoginId, WebhookEndpointId, WorkoutId


class LoginEndedContent(msgspec.Struct, frozen=True, tag="security.login_ended", tag_field="topic"):
    """A login was ended because its refresh token came back used. `device` is what it called itself, may be empty."""

    login_id: LoginId
    device: str
    ended_at_ms: int


class SecondFactorContent(msgspec.Struct, frozen=True, tag="security.second_factor", tag_field="topic"):
    """Something happened to what an account has besides its password. `change` is what (services/accounts/second_factor.py),
    `name` the passkey's, `left` the recovery codes that are left."""

    change: str
    at_ms: int
    name: str = ""
    left: int = 0


class ErasureAskedContent(msgspec.Struct, frozen=True, tag="security.erasure_asked", tag_field="topic"):
    """Somebody has asked for everything about this account to go. Until `due_at_ms` it may be taken back."""

    asked_at_ms: int
    due_at_ms: int


class WorkoutContent(msgspec.Struct, frozen=True, tag="workout.summarised", tag_field="topic"):
    """A workout's summary. `sport` may be empty, `class_title` None outside a class, bpm None without a reading; `energy_kcal`
    None where it cannot be computed; `effort` in points of the board; `zone_ms` the time in zone 0 to 5."""

    workout_id: WorkoutId
    sport: str
    started_at_ms: int
    duration_ms: int
    mean_bpm: int | None
    max_bpm: int | None
    effort: float
    energy_kcal: int | None
    class_title: str | None = None
    zone_ms: tuple[int, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """A line of a final table."""

    rank: int
    name: str
    effort: float


class ClassContent(msgspec.Struct, frozen=True, tag="class.summarised", tag_field="topic"):
    """The final table of a class, for one of its members. `rank` and `effort` None for who was not ranked; `top` the first
    lines of the table."""

    class_id: ClassId
    title: str
    coach_name: str
    duration_ms: int
    athletes: int
    rank: int | None = None
    effort: float | None = None
    ended_at_ms: int | None = None
    top: tuple[Place, ...] = ()


class ClassReminderContent(msgspec.Struct, frozen=True, tag="class.reminder", tag_field="topic"):
    """A class begins soon, for somebody who has a place in it. `equipment` is what to bring."""

    class_id: ClassId
    title: str
    coach_name: str
    starts_at_ms: int
    equipment: tuple[str, ...] = ()


class BookingPromotedContent(msgspec.Struct, frozen=True, tag="booking.promoted", tag_field="topic"):
    """Somebody who waited for a place in a class has one."""

    class_id: ClassId
    booking_id: BookingId
    title: str
    coach_name: str
    starts_at_ms: int


class BookingCancelledContent(msgspec.Struct, frozen=True, tag="booking.cancelled", tag_field="topic"):
    """Somebody has lost their place or their number on the waitlist: the whole class is `called_off`, it was their turn and they
    lacked the entitlement that it `needs`, it is for members of an organisation only (`members_only`) and they are none any more,
    or the coach has cancelled this one booking."""

    class_id: ClassId
    title: str
    coach_name: str
    starts_at_ms: int
    called_off: bool
    needs: str = ""
    members_only: bool = False


class VerdictContent(msgspec.Struct, frozen=True, tag="verdict.changed", tag_field="topic"):
    """What stands of a workout: `verdict` "accepted", "flagged" or "rejected". `rule` is the gravest that has found something,
    empty for none (services/training/plausibility.py). Where `by_person`, `reason` is theirs. `appeal_until_ms` None where there is
    no appeal any more."""

    workout_id: WorkoutId
    sport: str
    started_at_ms: int
    verdict: str
    rule: str = ""
    by_person: bool = False
    reason: str = ""
    appeal_until_ms: int | None = None


class AppealContent(msgspec.Struct, frozen=True, tag="appeal.waiting", tag_field="topic"):
    """An appeal that waits for the reader to look: `name` has made it, about a workout of theirs."""

    workout_id: WorkoutId
    name: str
    sport: str
    started_at_ms: int


class FriendAskedContent(msgspec.Struct, frozen=True, tag="friend.asked", tag_field="topic"):
    """`name` asks the reader to be friends, who may say yes before `until_ms`."""

    account_id: AccountId
    name: str
    until_ms: int


class FriendMadeContent(msgspec.Struct, frozen=True, tag="friend.made", tag_field="topic"):
    """`name`, whom the reader had asked, is their friend since `since_ms`."""

    account_id: AccountId
    name: str
    since_ms: int


class AnnouncementContent(msgspec.Struct, frozen=True, tag="announcement", tag_field="topic"):
    """What an operator says to many, already in words. `sender` is who says it, `link` where there is more, or empty."""

    title: str
    body: str
    sender: str
    link: str = ""


class WebhookPausedContent(msgspec.Struct, frozen=True, tag="webhook.paused", tag_field="topic"):
    """A webhook endpoint is called no more, since all its calls failed from `failing_since_ms` on; `reason` "dead" for that alone,
    "gone" when it said so. `host` is where it is: the rest of its URL may hold a secret. `description` is its owner's, may be
    empty."""

    endpoint_id: WebhookEndpointId
    host: str
    description: str
    reason: str
    failing_since_ms: int


Content = (
    LoginEndedContent
    | SecondFactorContent
    | ErasureAskedContent
    | WorkoutContent
    | ClassContent
    | ClassReminderContent
    | BookingPromotedContent
    | BookingCancelledContent
    | VerdictContent
    | AppealContent
    | FriendAskedContent
    | FriendMadeContent
    | AnnouncementContent
    | WebhookPausedContent
)

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


def topic_of(content: Content) -> str:
    """The name of the topic that a content belongs to."""
    return str(content.__struct_config__.tag)


def encode(content: Content) -> str:
    """As it is stored."""
    return _encoder.encode(content).decode()


def decode(stored: str) -> Content:
    """Back from JSON; raises `msgspec.ValidationError` for what is no content."""
    return _decoder.decode(stored)
