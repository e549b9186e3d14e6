"""The catalogue of durable facts: what happened, in the past tense, told through the outbox.

A fact is written in the transaction that made it true and reaches every consumer at least once. Fields are only
ever added, with defaults: a worker of yesterday must be able to read a fact of today. Consumers are listed in
`workers/handlers.py`.
"""

import uuid
from typing import Final

import msgspec

from services.kernel.ids import (
    AccountId,
    AnnouncementId,
    BookingId,
    ChallengeId,
    ClassId,
    FactId,
    IncidentId,
    LoginId,
    NotificationId,
    TaskId,
    WebhookEndpointId,
    WorkoutId,
)


class Fact(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of all facts. The tag is the routing key on the bus."""


class AccountRegistered(Fact, frozen=True, tag="account.registered"):
    """Somebody made an account."""

    account_id: AccountId


class LoginEnded(Fact, frozen=True, tag="login.ended"):
    """A login was ended: logged out, or its refresh token was `stolen`. Its open sockets must close."""

    account_id: AccountId
    login_id: LoginId
    reason: str
    stolen: bool = False


class SecondFactorChanged(Fact, frozen=True, tag="account.second_factor_changed"):
    """Something happened to what an account has besides its password. `change` is what (services/accounts/second_factor.py), `name`
    the passkey's it happened to, `left` the recovery codes that are left."""

    account_id: AccountId
    change: str
    at_ms: int
    name: str = ""
    left: int = 0


class ErasureAsked(Fact, frozen=True, tag="account.erasure_asked"):
    """Somebody wants everything about an account to go: at `due_ms` it is closed, until then it may be taken back."""

    account_id: AccountId
    asked_ms: int
    due_ms: int


class FriendAsked(Fact, frozen=True, tag="friend.asked"):
    """Somebody asks somebody to be friends."""

    asker_id: AccountId
    asked_id: AccountId


class FriendsMade(Fact, frozen=True, tag="friend.made"):
    """Two are friends: the one had asked, the other has said yes."""

    asker_id: AccountId
    asked_id: AccountId


class EntitlementGranted(Fact, frozen=True, tag="account.entitlement_granted"):
    """A source lets an account have something, from `from_ms` on and before `until_ms` (ms since 1970, None: without an end), in
    place of what it gave of that name before."""

    account_id: AccountId
    name: str
    source: str
    from_ms: int
    until_ms: int | None = None


class EntitlementWithdrawn(Fact, frozen=True, tag="account.entitlement_withdrawn"):
    """A source has taken back what it gave of that name."""

    account_id: AccountId
    name: str
    source: str


class ClassEnded(Fact, frozen=True, tag="class.ended"):
    """A live class is over."""

    class_id: ClassId


class ClassSummarised(Fact, frozen=True, tag="class.summarised"):
    """The final table of a class is stored and can be shown."""

    class_id: ClassId


class ClassBooked(Fact, frozen=True, tag="class.booked"):
    """Somebody has booked a class: `state` says whether they have a place (confirmed) or wait for one (waitlisted)."""

    class_id: ClassId
    booking_id: BookingId
    account_id: AccountId
    state: str


class BookingPromoted(Fact, frozen=True, tag="class.booking_promoted"):
    """Somebody who waited for a place in a class has one."""

    class_id: ClassId
    booking_id: BookingId
    account_id: AccountId


class BookingCancelled(Fact, frozen=True, tag="class.booking_cancelled"):
    """A booking was given back: by its owner (`by` member) or the coach; or its owner waited, it was
    their turn, and they lacked what the class needs (`by` entitlement); or the class is for members of an organisation only, and
    they are none any more (`by` organisation). What a class that is called off takes along is told by `ClassCalledOff` alone."""

    class_id: ClassId
    booking_id: BookingId
    account_id: AccountId
    by: str


class ClassCalledOff(Fact, frozen=True, tag="class.called_off"):
    """A class that was offered does not take place; all its bookings are cancelled."""

    class_id: ClassId


class ClassReminderDue(Fact, frozen=True, tag="class.reminder_due"):
    """It is time to remind those who have a place in a class, if what was offered still holds."""

    class_id: ClassId


class ClassDoorsDue(Fact, frozen=True, tag="class.doors_due"):
    """It is time for the doors of a class to open, if what was offered still holds."""

    class_id: ClassId


class ClassEndDue(Fact, frozen=True, tag="class.end_due"):
    """It is time for a class without a coach to end by itself, if its clock still says so."""

    class_id: ClassId


class ClassClockMoved(Fact, frozen=True, tag="class.clock_moved"):
    """The timeline of a class was changed: another script, or its coach did something to its clock."""

    class_id: ClassId


class ShowingChosen(Fact, frozen=True, tag="class.showing_chosen"):
    """Somebody has decided how they are shown in a class."""

    class_id: ClassId
    account_id: AccountId


class ClassCoachesChanged(Fact, frozen=True, tag="class.coaches_changed"):
    """Others lead a class than before."""

    class_id: ClassId


class ClassRankingChanged(Fact, frozen=True, tag="class.ranking_changed"):
    """The board of a class is ranked by something else than before."""

    class_id: ClassId


class ClassMemberRemoved(Fact, frozen=True, tag="class.member_removed"):
    """A member was sent out of a class; `n` is their number in it, `removals` see `Membership`."""

    class_id: ClassId
    account_id: AccountId
    n: int
    removals: int = 1


class ClassMemberLetIn(Fact, frozen=True, tag="class.member_let_in"):
    """A member who was sent out of a class may come in again; `n` is their number in it, `removals` see `Membership`."""

    class_id: ClassId
    account_id: AccountId
    n: int
    removals: int


class ClassMessageRemoved(Fact, frozen=True, tag="class.message_removed"):
    """A message of a class's chat was taken down; `position` is where it stands in the room's log."""

    class_id: ClassId
    position: str


class ChallengeMoved(Fact, frozen=True, tag="challenge.moved"):
    """The table of a challenge is another one: somebody came, went or scored."""

    challenge_id: ChallengeId


class ChallengeDue(Fact, frozen=True, tag="challenge.due"):
    """A challenge's last day has ended everywhere, and the time for late data after it. Of a heat: it was not started for long, or
    its end has come, or one of the times after it."""

    challenge_id: ChallengeId


class Prize(msgspec.Struct, frozen=True):
    """A place that wins something: rank, member number, score in the challenge's unit; `account_id` None when that account is
    gone, `team` the name of theirs."""

    rank: int
    n: int
    account_id: AccountId | None
    value: int
    team: str | None = None


class ChallengeFinished(Fact, frozen=True, tag="challenge.finished"):
    """A challenge is closed and its table final. `head` (hex) is the hash of the last of the `entries` of its score log, from which
    the table can be derived again. `prizes` are the first three ranks, as far as they are a hundred people; `winning_teams`
    those on the first rank."""

    challenge_id: ChallengeId
    head: str
    entries: int
    members: int
    prizes: tuple[Prize, ...] = ()
    winning_teams: tuple[str, ...] = ()


class WorkoutFinished(Fact, frozen=True, tag="workout.finished"):
    """A workout is finished, or late samples were added to a finished one: its summary is due."""

    workout_id: WorkoutId
    account_id: AccountId


class SensorChosen(Fact, frozen=True, tag="workout.sensor_chosen"):
    """Of several sensors that an athlete wears in a class one was chosen: from `from_ms` on (wall ms) the stream of this workout
    feeds their line, until the next of these for the same athlete and class. `reason`: services/training/arbitration.py."""

    workout_id: WorkoutId
    account_id: AccountId
    class_id: ClassId
    from_ms: int
    reason: str


class WorkoutSummarised(Fact, frozen=True, tag="workout.summarised"):
    """A workout's summary is stored (again, with a higher revision, when late samples arrived)."""

    workout_id: WorkoutId
    account_id: AccountId


class SafetyIncidentMoved(Fact, frozen=True, tag="safety.incident_moved"):
    """Somebody is asked whether they are all right, or what became of it has changed: its row says how it stands."""

    incident_id: IncidentId
    account_id: AccountId


class SafetyStepDue(Fact, frozen=True, tag="safety.step_due"):
    """It is time for the next step of an incident, if it still is at the `revision` at which this was planned."""

    incident_id: IncidentId
    account_id: AccountId
    revision: int


class WorkoutExamined(Fact, frozen=True, tag="workout.examined"):
    """The rules of fair play have gone over a workout whose samples are others than before: it can be compared with others."""

    workout_id: WorkoutId
    account_id: AccountId


class WorkoutJudged(Fact, frozen=True, tag="workout.judged"):
    """Another verdict stands of a workout ("accepted", "flagged", "rejected"), or somebody has ruled on it."""

    workout_id: WorkoutId
    account_id: AccountId
    verdict: str


class WorkoutAppealed(Fact, frozen=True, tag="workout.appealed"):
    """The owner of a workout has appealed against the verdict on it: somebody is to look."""

    workout_id: WorkoutId
    account_id: AccountId


class TaskAsked(Fact, frozen=True, tag="task.asked"):
    """Somebody wants a long task done (services/tasks/), or goes on wanting it after its worker has let go of it."""

    task_id: TaskId
    account_id: AccountId
    kind: str


class TaskEnded(Fact, frozen=True, tag="task.ended"):
    """A long task is done, has failed, or was cancelled: its row says which."""

    task_id: TaskId
    account_id: AccountId
    kind: str


class AnnouncementMade(Fact, frozen=True, tag="announcement.made"):
    """An operator has something to say to many; nobody has been told yet."""

    announcement_id: AnnouncementId


class AudienceTold(Fact, frozen=True, tag="audience.told"):
    """Of everybody who is to be told about a subject (a class, an announcement), those up to the account `through` have
    been; the others come next."""

    topic: str
    subject_id: uuid.UUID
    through: AccountId


class NotificationsTold(Fact, frozen=True, tag="notifications.told"):
    """These notifications are new in their inboxes."""

    ids: tuple[NotificationId, ...]


class NotificationsRead(Fact, frozen=True, tag="notifications.read"):
    """Somebody has read some of their notifications: these, or everything up to one of them."""

    account_id: AccountId
    ids: tuple[NotificationId, ...] = ()
    up_to: NotificationId | None = None


class WebhookPaused(Fact, frozen=True, tag="webhook.paused"):
    """Nothing is sent to an account's webhook endpoint any more: `reason` "dead" after three days of failures, "gone" after
    its own 410. Its owner resumes it."""

    account_id: AccountId
    endpoint_id: WebhookEndpointId
    reason: str


AnyFact = (
    AccountRegistered
    | LoginEnded
    | SecondFactorChanged
    | ErasureAsked
    | FriendAsked
    | FriendsMade
    | EntitlementGranted
    | EntitlementWithdrawn
    | ClassEnded
    | ClassSummarised
    | ClassBooked
    | BookingPromoted
    | BookingCancelled
    | ClassCalledOff
    | ClassReminderDue
    | ClassDoorsDue
    | ClassEndDue
    | ClassClockMoved
    | ClassMessageRemoved
    | ShowingChosen
    | ClassCoachesChanged
    | ClassRankingChanged
    | ClassMemberRemoved
    | ClassMemberLetIn
    | ChallengeMoved
    | ChallengeDue
    | ChallengeFinished
    | WorkoutFinished
    | SensorChosen
    | WorkoutSummarised
    | SafetyIncidentMoved
    | SafetyStepDue
    | WorkoutExamined
    | WorkoutJudged
    | WorkoutAppealed
    | TaskAsked
    | TaskEnded
    | AnnouncementMade
    | AudienceTold
    | NotificationsTold
    | NotificationsRead
    | WebhookPaused
)

FACTS: Final[tuple[type[Fact], ...]] = (
    AccountRegistered,
    LoginEnded,
    SecondFactorChanged,
    ErasureAsked,
    FriendAsked,
    FriendsMade,
    EntitlementGranted,
    EntitlementWithdrawn,
    ClassEnded,
    ClassSummarised,
    ClassBooked,
    BookingPromoted,
    BookingCancelled,
    ClassCalledOff,
    ClassReminderDue,
    ClassDoorsDue,
    ClassEndDue,
    ClassClockMoved,
    ClassMessageRemoved,
    ShowingChosen,
    ClassCoachesChanged,
    ClassRankingChanged,
    ClassMemberRemoved,
    ClassMemberLetIn,
    ChallengeMoved,
    ChallengeDue,
    ChallengeFinished,
    WorkoutFinished,
    SensorChosen,
    WorkoutSummarised,
    SafetyIncidentMoved,
    SafetyStepDue,
    WorkoutExamined,
    WorkoutJudged,
    WorkoutAppealed,
    TaskAsked,
    TaskEnded,
    AnnouncementMade,
    AudienceTold,
    NotificationsTold,
    NotificationsRead,
    WebhookPaused,
)


class Envelope(msgspec.Struct, frozen=True):
    """A fact on its way: `id` makes it one of its kind for every inbox, `at_ms` is when it became true (wall ms), `traceparent`
    what it came of (services/kernel/trace.py).

    `about` is the aggregate it happened to: whoever keeps an order keeps it among facts about the same one. None in what
    a program of yesterday wrote.
    """

    id: FactId
    at_ms: int
    fact: AnyFact
    traceparent: str = ""
    about: uuid.UUID | None = None


def fact_type(kind: type[Fact]) -> str:
    """The routing key of a fact class, e.g. "workout.finished"."""
    tag = kind.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(f"{kind.__name__} has no tag")
    return tag


_decoder = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()


def encode(envelope: Envelope) -> bytes:
    """The envelope as JSON bytes, as stored and as sent."""
    return _encoder.encode(envelope)


def decode(data: bytes | str) -> Envelope:
    """Back from JSON; raises `msgspec.ValidationError` when it is not an envelope of this catalogue."""
    return _decoder.decode(data)
