"""The wire catalogue: every event that crosses a client's socket, with its shape and its delivery class.

This file is the protocol. The AsyncAPI document is generated from it, the gateway decodes with it, the clients in
loadtest/ are written against it. All events live in the Socket.IO namespace `/live`; a client connects with
`auth: {"token": …, "acks": …}`.

Every client event is acknowledged with exactly one object: `{"ok": <reply shape>}` or `{"problem": {code, message,
path, retry, …}}` (see services/kernel/problems.py). With `acks` "error-first" a null stands before it: the JavaScript
client's option `retries`, used without `ackTimeout`, takes the first argument of an acknowledgement for an error and
sends the event again; a problem is an answer, not such an error. "plain", the default, is right for everybody else. An
event sent without an acknowledgement id gets its problem, if there is one, as a `problem` event. The acknowledgement of
`stream.samples` comes after the samples are committed: that is the promise of the product.

What must arrive in a room goes through its log (realtime/room_log.py) and carries its `position` there. A client that comes
back gives the last one it has dealt with: with `room.join`, or for all its rooms at once in the `auth` payload.

Adding an event: a shape, a row in `EVENTS`, a handler in gateway/sockets/. A test refuses a row without a handler.
"""

import enum
from functools import cache
from typing import Annotated, Final, Literal

import msgspec

from realtime.position import PATTERN
from services.access import permission as may
from services.access.permission import Permission
from services.accounts.entitlement import EntitlementName
from services.challenges.standing import ChallengeStanding as ChallengeStanding
from services.classes.age_group import AgeGroup
from services.classes.attention import Reason
from services.classes.class_clock import ClockState, Command, Programme, Rest
from services.classes.clock_sync import AGAIN_AFTER_S, SEVERAL, ClockMs, Report
from services.classes.leading import Appointment
from services.classes.metric import Metric, TieRule
from services.classes.saying import MAX_CHAT_UNITS
from services.classes.script import Script
from services.classes.showing import Age, Alias, Body, DisplayMode
from services.classes.steps import ZoneNumber
from services.classes.summary import ClassStanding as ClassStanding
from services.classes.summary import ClassSummary as ClassSummary
from services.classes.team import TeamName, TeamNames, TeamRow, TeamRule
from services.kernel.caller import Scope
from services.kernel.ids import AccountId, ChallengeId, ClassId, IncidentId, NotificationId, StreamId, TaskId, WorkoutId
from services.kernel.problems import ProblemView
from services.notifications.inbox import NotificationView
from services.notifications.notifications import MAX_READ_AT_ONCE
from services.notifications.notifications import ReadMarked as ReadMarked
from services.safety.incident import AlertView as AlertView
from services.safety.incident import IncidentView as IncidentView
from services.social.moderation import MAX_MUTE_MS
from services.social.reaction import Reaction
from services.social.reports import ReportReason
from services.tasks.task import TaskView as TaskView
from services.training.ftms_control import Pause, Simulation, Start, Stop, TargetPower, TargetResistance
from services.training.location import Location
from services.training.provenance import SensorKind
from services.training.raw_sample import UUID_PATTERN
from services.training.sample import ElapsedMs, Sample
from services.training.summary import WorkoutSummary

NAMESPACE: Final = "/live"
MAX_BATCH_SAMPLES: Final = 1_000
"""Samples in one `stream.samples`: 15 minutes at 1 Hz, about 20 KB."""
MAX_CUE_MEMBERS: Final = 200
"""Members that one cue can name. More of them are a zone, or everybody."""
MAX_PIECES: Final = 4
"""Notifications in which a machine may tell one moment. All fields of a treadmill fit into two of 20 bytes."""
MAX_UNACKED_SAMPLES: Final = 20_000
"""Samples a device may have in flight on one stream before it must wait for an acknowledgement."""
SLOWEST_REPLAY: Final = 0.25
FASTEST_REPLAY: Final = 16.0
"""Times as fast as life. Faster is for programs: they read the pages of `GET /v1/classes/{id}/replay` as fast as they like."""
MAX_PAYLOAD_BYTES: Final = 256 * 1024
"""Largest message a client may send; larger ones end the connection."""

Code = Annotated[str, msgspec.Meta(min_length=4, max_length=12, pattern="^[A-Za-z0-9]+$", description="join code")]
Title = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$",
        description="one line with something in it",
    ),
]
CueText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
MAX_CHAT_HISTORY: Final = 100
"""Messages in one answer to `chat.history`."""
ChatText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=2 * MAX_CHAT_UNITS,
        description=f"at most {MAX_CHAT_UNITS} characters as a reader counts them; an emoji of several parts is one",
    ),
]
SayKey = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$", description="unique key")]
Label = Annotated[str, msgspec.Meta(max_length=80, pattern=r"^[^\x00-\x1f]*$", description="one line")]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1, description="position of a sample in its stream, from 0")]
TraceParent = Annotated[
    str,
    msgspec.Meta(
        max_length=256,
        pattern=r"^[\x20-\x7e]*$",
        description="W3C trace context: the trace to which what follows belongs; one that cannot be read is ignored",
    ),
]
Uuid16 = Annotated[
    str,
    msgspec.Meta(
        pattern=UUID_PATTERN, description='a Bluetooth characteristic: "2a37", or the whole UUID it is short for'
    ),
]
RawBytes = Annotated[bytes, msgspec.Meta(max_length=512, description="base64 of what the sensor sent, nothing added")]
PositionText = Annotated[
    str,
    msgspec.Meta(
        min_length=21,
        max_length=21,
        pattern=PATTERN,
        description="where an event stands in its room's log; keep the last one, give it back as `since`",
    ),
]
Role = Literal["coach", "athlete", "spectator"]
Freshness = Literal["live", "stale", "lost", "none"]
"""live: a heart rate younger than 3 s; stale: 3 to 10 s; lost: older; none: never had one, or the stream finished."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything on the wire: immutable, and no field that the catalogue does not name."""


# -- from a device ----------------------------------------------------------------------------------------------


class StreamOpen(Shape, frozen=True):
    """Open a stream, or take it up again after a lost connection (same `stream`).

    `stream` a UUID made by the device, kept until the stream is finished; `class_code` the live class it feeds (none: a
    workout of one's own); `started_at_ms` the device's wall clock at t = 0, ms since 1970; `sensor` what feeds it, as far as the
    device knows: it decides which of several streams of one athlete the board believes. `team`, where the class has teams: as in
    `room.join`, for a device that is its athlete's first way in. `location`, where the device is, if its person agrees to tell: for
    fair play, kept to a tenth of a degree for 30 days and shown to nobody; the first opening of a stream says it.
    """

    stream: StreamId
    started_at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    class_code: Code | None = None
    device: Label = ""
    sport: Label = ""
    sensor: SensorKind | None = None
    traceparent: TraceParent | None = None
    team: TeamName | None = None
    location: Location | None = None


class StreamOpened(Shape, frozen=True):
    """Where to go on: the next sample to send is number `next_seq`; everything before it is stored.

    `epoch` grows with every opening; only the newest may write. `class_id` is the class the stream feeds.
    """

    stream: StreamId
    workout: WorkoutId
    epoch: int
    next_seq: Seq
    class_id: ClassId | None = None
    max_batch: int = MAX_BATCH_SAMPLES
    max_unacked: int = MAX_UNACKED_SAMPLES


class SampleBatch(Shape, frozen=True):
    """Samples number `seq`, `seq + 1`, … of a stream. Sent again in any overlap, they are stored once."""

    stream: StreamId
    seq: Seq
    samples: Annotated[tuple[Sample, ...], msgspec.Meta(min_length=1, max_length=MAX_BATCH_SAMPLES)]


class RawMoment(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One moment as a sensor told it, on the wire an array `[t, data, [more, …]]`.

    `t` as in a sample; `data` the notification, empty for a moment that is to count without a heart rate; `more` where a machine
    needs further notifications for the same moment.
    """

    t: ElapsedMs
    data: RawBytes
    more: Annotated[tuple[RawBytes, ...], msgspec.Meta(max_length=MAX_PIECES - 1)] = ()


class SensorFrame(Shape, frozen=True):
    """Samples number `seq`, `seq + 1`, … of a stream, as they came from the sensor: each of `frames` becomes one, with its heart
    rate and its beats, of a machine with its distance, power and cadence. They may be sent again, and mixed with `stream.samples`,
    like any samples.

    `characteristic` is where they came from: Heart Rate Measurement (2a37), Indoor Bike Data (2ad2) or Treadmill Data (2acd).
    `location` is the sensor's Body Sensor Location (2a38) as it was read, once is enough: what sits where it says is what feeds the
    stream, if `stream.open` has not said so.
    """

    stream: StreamId
    seq: Seq
    characteristic: Uuid16
    frames: Annotated[tuple[RawMoment, ...], msgspec.Meta(min_length=1, max_length=MAX_BATCH_SAMPLES)]
    location: RawBytes | None = None


class SamplesStored(Shape, frozen=True):
    """Everything before `next_seq` is committed: the device may forget it."""

    stream: StreamId
    next_seq: Seq


class StreamFinish(Shape, frozen=True):
    """No more samples: `samples` is how many the stream has in all. Acknowledged when all of them are stored."""

    stream: StreamId
    samples: Seq
    traceparent: TraceParent | None = None


class StreamFinished(Shape, frozen=True):
    """The stream is finished; the summary follows as `workout.summary`."""

    stream: StreamId
    workout: WorkoutId
    next_seq: Seq


class StreamTaken(Shape, frozen=True):
    """Another connection has opened this stream; this one may no longer write to it. `epoch` is the opening that is over."""

    stream: StreamId
    epoch: int


# -- rooms ------------------------------------------------------------------------------------------------------


class GroupView(Shape, frozen=True):
    """A class without a coach: so many may be in it, and newcomers are let in so many minutes after it has begun."""

    places: int
    late_min: int


class ClassView(Shape, frozen=True):
    """A live class as members see it. Times are ms since 1970. `co_coach_ids` lead it beside its coach; `coaches_n` counts the
    changes of who leads: a view with a lower one is older. `needs`: the entitlement without which no newcomer is let in.
    With `group` nobody coaches it: `coach_id` is who has started it, and it waits in a lobby (`class.ready`).

    The board is ranked by `metric`, figures are in `unit`, and equals share a rank: compared `exact`, free of rounding, or
    `as_shown`. `ranking_n` counts the changes of that, as `coaches_n` does. Athletes are in `teams`, if it has any: a team's
    figure is the `mean` of its athletes on the board, or the `sum` (`team_rule`)."""

    id: ClassId
    code: str
    title: str
    coach_name: str
    state: Literal["live", "over"]
    created_at_ms: int
    ended_at_ms: int | None = None
    coach_id: AccountId | None = None
    co_coach_ids: tuple[AccountId, ...] = ()
    coaches_n: int = 0
    needs: str | None = None
    metric: Metric = "effort"
    unit: str = "points"
    ties: TieRule = "exact"
    ranking_n: int = 0
    group: GroupView | None = None
    teams: tuple[str, ...] = ()
    team_rule: TeamRule = "mean"


class ClassCreate(Shape, frozen=True):
    """Create a live class (role coach), whose board is ranked by `metric`. `needs`: nobody but who leads it is let in without this
    entitlement. With `teams` every athlete is in one: the one that they name when they join, or the smallest."""

    title: Title
    needs: EntitlementName | None = None
    traceparent: TraceParent | None = None
    metric: Metric = "effort"
    teams: TeamNames = ()


class RankingSet(Shape, frozen=True):
    """Rank the board of the class by another metric from now on (who leads it, in its room): everybody's figure is what they have
    earned from the beginning."""

    class_id: ClassId
    metric: Metric
    traceparent: TraceParent | None = None


class ClassRef(Shape, frozen=True):
    """A class by its id."""

    class_id: ClassId
    traceparent: TraceParent | None = None


class CoachAppoint(Shape, frozen=True):
    """Make member `n` lead the class beside you (`co_coach`), hand it over to them (`coach`; you become a co-coach), or let
    them lead no longer (`none`): the coach of the class, in its room. They need an account of a coach."""

    class_id: ClassId
    n: int
    to: Appointment
    traceparent: TraceParent | None = None


class MemberRemove(Shape, frozen=True):
    """Send member `n` out of the class (who leads it, in its room): they leave the room on every device and cannot come back until
    they are let in; their score stays. Nobody sends out the coach, and only the coach a co-coach."""

    class_id: ClassId
    n: int
    traceparent: TraceParent | None = None


class MemberLetIn(Shape, frozen=True):
    """Let member `n`, who was sent out, come into the class again (who leads it, in its room): they join it as anybody does. Whom
    the coach has sent out only the coach lets in."""

    class_id: ClassId
    n: int
    traceparent: TraceParent | None = None


class RoomJoin(Shape, frozen=True):
    """Join the room of a class by its join code. `role` coach needs to lead this class.

    `since`, for whoever comes back: the position of the last event of this room that was dealt with. `team`, where the class has
    teams: the name of the one that an athlete wants to be in; who is in one stays in it.
    """

    code: Code
    role: Role = "athlete"
    since: PositionText | None = None
    team: TeamName | None = None


class RoomRef(Shape, frozen=True):
    """The room of a class."""

    class_id: ClassId


class Member(Shape, frozen=True, kw_only=True):
    """Somebody on the board. `n` is the member's number in this room, used in every row; `account_id` is missing where they go by
    an alias, which is then their `name`. `team` is an index into the teams of the class."""

    n: int
    account_id: AccountId | None = None
    name: str
    role: Role
    present: bool = True
    team: int | None = None


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One athlete's line on a board, on the wire an array of exactly these fields in this order.

    `n` member number; `rank` 1 is first, equals share a rank (1, 2, 2, 4), null for somebody whom the room does not see, or of whom
    it has no figure;
    `bpm` beats per minute, `percent` of the own maximum, `zone` 0 to 5: all three null unless the sensor is live, the first two
    also for those who show only their zone; `effort` points so far (Edwards: minutes in zone z count z), one decimal;
    `freshness` of the sensor.
    """

    n: int
    rank: int | None
    bpm: int | None
    percent: int | None
    zone: int | None
    effort: float
    freshness: Freshness


class Figured(msgspec.Struct, frozen=True, array_like=True):
    """An athlete's figure in what a board is ranked by, on the wire an array `[n, figure]`: in the unit of the class, null where
    there is none or the room may not see it."""

    n: int
    figure: float | None


class BoardSnapshot(Shape, frozen=True):
    """The whole board. Replaces everything a client knew of this room.

    `epoch` names this telling of the board and `v` its version: changes apply only on top of the same epoch and of v - 1.
    `at_ms` is the server's wall clock. It is ranked by `metric`; `figures` in that, of everybody. Ranked by effort it has none: the
    rows say it. `teams` are those of whom somebody is on the board.
    """

    class_id: ClassId
    epoch: str
    v: int
    at_ms: int
    members: tuple[Member, ...]
    rows: tuple[Row, ...]
    metric: Metric = "effort"
    figures: tuple[Figured, ...] = ()
    teams: tuple[TeamRow, ...] = ()


class BoardChanges(Shape, frozen=True):
    """What changed since version `v - 1` of `epoch`: rows and members to put in place of the old ones, by `n`, and the numbers of
    those who are `gone` from the board: forget their rows and their names. `figures` likewise; when `metric` is another one than
    before, forget all figures first. `teams` are all of them where one is another than before.

    A client whose board is not at exactly `epoch`, `v - 1` must ask for `board.get`.
    """

    class_id: ClassId
    epoch: str
    v: int
    at_ms: int
    rows: tuple[Row, ...] = ()
    members: tuple[Member, ...] = ()
    gone: tuple[int, ...] = ()
    metric: Metric = "effort"
    figures: tuple[Figured, ...] = ()
    teams: tuple[TeamRow, ...] | None = None


class BoardPrivate(Shape, frozen=True):
    """What you may see beyond the board that everybody sees, in place of its rows and members by `n`: to the coach of the class
    those who are not shown in full to the room, to such a member their own line. Replaces the one before; empty: nothing more.
    `figures` are in what the board is ranked by."""

    class_id: ClassId
    at_ms: int
    members: tuple[Member, ...] = ()
    rows: tuple[Row, ...] = ()
    figures: tuple[Figured, ...] = ()


class Place(msgspec.Struct, frozen=True, array_like=True):
    """An athlete who passes a filter, on the wire an array `[n, rank]`: the rank among those who pass, null without a figure."""

    n: int
    rank: int | None


class BoardFilter(Shape, frozen=True):
    """Say which part of the board you want to see from now on: only those who are `here`, only an `age_group`, only your `friends`
    and yourself, or several of these at once; none: all of it. Only who agrees to it is found by their age group, and only who is
    shown by name as a friend. It holds until you leave the room: ask again in the next."""

    class_id: ClassId
    here: bool = False
    age_group: AgeGroup | None = None
    friends: bool = False
    traceparent: TraceParent | None = None


class BoardFiltered(Shape, frozen=True):
    """Who passes the filter that you have set, in the order of their `places` among each other: show these lines of the board,
    in this order. Replaces the one before. Empty where you filter nothing."""

    class_id: ClassId
    at_ms: int
    here: bool = False
    age_group: AgeGroup | None = None
    places: tuple[Place, ...] = ()
    friends: bool = False


class DisplaySet(Shape, frozen=True):
    """Decide how you are shown in a class that you are in: full; zone (no heart rate); alias (another name); coach (only the coach
    sees you); hidden (nobody does). When this is answered no screen gets more any longer. `alias` is what you are called where your
    name is not shown, the chat included; without one it is your number. `body`: in a class that is ranked by calories,
    power per kg or improvement the room sees your figure too, in the modes full and alias. `age`: who filters the board by age
    group finds you in yours, in the modes full, zone and alias; it is taken from the birth date in your profile.
    """

    class_id: ClassId
    mode: DisplayMode
    alias: Alias = ""
    body: Body = False
    age: Age = False
    traceparent: TraceParent | None = None


class DisplayNow(Shape, frozen=True):
    """How you are shown in a class from now on."""

    class_id: ClassId
    mode: DisplayMode
    alias: str = ""
    body: bool = False
    age: bool = False


class Missed(Shape, frozen=True, array_like=True):
    """One event that came while you were away, on the wire the array `[event, payload]`, as it was sent to the others."""

    event: str
    payload: msgspec.Raw


# -- class time -------------------------------------------------------------------------------------------------


class ClockSync(Shape, frozen=True):
    """Ask for the server's time. `sent_ms` your clock, ms, whatever it counts from. `report` what came of the last time, once."""

    sent_ms: ClockMs
    report: Report | None = None


class ClockSynced(Shape, frozen=True):
    """The server's wall clock, ms since 1970, when your question came and when it was answered; `sent_ms` as you gave it.

    With `back`, your clock when this is there: add `((received_ms - sent_ms) + (answered_ms - back)) / 2` to your clock. Of several
    exchanges believe the one with the least `(back - sent_ms) - (answered_ms - received_ms)`.
    """

    sent_ms: float
    received_ms: int
    answered_ms: int


class ClockView(Shape, frozen=True):
    """The clock of a class: which class time it is at which server time (docs/systems/class-clock.md).

    While `state` is "running", class time goes on from `class_ms` since the server time `at_ms` (before that it stands), up to
    `duration_ms`; at the class time of each of `rests`, `[class_ms, for_ms]`, it stands for so long. Otherwise it stands at
    `class_ms`. `ran_ms` is how long the class had run at `at_ms`, pauses left out. `n` counts the changes: a clock with a lower
    one is older. `script` is the revision of the script it runs through; ask for it with `timeline.get`. `noted_at_ms` is the
    server time from which on this clock holds. `programme` ties server time to the programme time of a video.
    """

    class_id: ClassId
    n: int
    script: int
    state: ClockState
    noted_at_ms: int
    at_ms: int
    class_ms: int
    ran_ms: int
    duration_ms: int
    rests: tuple[Rest, ...] = ()
    programme: Programme | None = None


class ClassControl(Shape, frozen=True):
    """Do something to the clock of a class (who leads it). Who has started a class without a coach may start it before all are
    ready, pause and resume it; there every beginning has a countdown, of 10 s and of 5 s after a pause.

    `key`, made by you, new for each command: the same command sent again with it, after an answer that did not come, is done once.
    """

    class_id: ClassId
    do: Command
    key: SayKey | None = None
    traceparent: TraceParent | None = None


class ClassTimeline(Shape, frozen=True):
    """The script of a class and all the clocks it has had, the present one last; no script, no clock. Cues are shown by each client
    at their class time: there is no event for them. A player that is behind asks the clock that held when its picture was taken.
    """

    class_id: ClassId
    script: Script | None = None
    clocks: tuple[ClockView, ...] = ()


# -- classes that play again ------------------------------------------------------------------------------------

ReplaySpeed = Annotated[
    float,
    msgspec.Meta(ge=SLOWEST_REPLAY, le=FASTEST_REPLAY, description="times as fast as life; null: it stands still"),
]
ReplayMs = Annotated[
    int, msgspec.Meta(ge=0, le=2**53 - 1, description="ms since 1970; outside of the recording: its nearer end")
]


class ReplayOpen(Shape, frozen=True):
    """Play a class that is over to this connection, from `from_ms` on (without: from its beginning). One that plays already is
    begun anew."""

    class_id: ClassId
    from_ms: ReplayMs | None = None
    speed: ReplaySpeed | None = 1.0


class ReplayPace(Shape, frozen=True):
    """Go on at this speed, or stand still."""

    class_id: ClassId
    speed: ReplaySpeed | None


class ReplaySeek(Shape, frozen=True):
    """Go on from `to_ms`, at the speed that it has. The board as it stood there comes at once, also to one that stands still."""

    class_id: ClassId
    to_ms: ReplayMs


class ReplayAt(Shape, frozen=True):
    """Where a class that plays again is: at `at_ms`, and how fast it goes on. What was told before this answer belongs to before,
    what is told after it to from there on."""

    class_id: ClassId
    at_ms: int
    speed: float | None


class ReplayOpened(Shape, frozen=True):
    """The class plays; it was recorded from `begins_ms` to `ends_ms`. `you` is your number on its board; `timeline` what its class
    time follows from: the clock that holds at an instant is the last one noted before it."""

    room: ClassView
    begins_ms: int
    ends_ms: int
    at: ReplayAt
    timeline: ClassTimeline
    you: int | None = None


class Replayed(Shape, frozen=True):
    """An event of a class that plays again: what came at `at_ms` then. `event` names it and `payload` is the very payload it had
    live (`board.snapshot`, `board.changes`, `cue`, `chat.said`, `class.clock`, `class.ended`)."""

    class_id: ClassId
    at_ms: int
    event: str
    payload: msgspec.Raw


class ReplayEnded(Shape, frozen=True):
    """It does not play any longer. `why`: "over", all of it was played; "draining", this node is stopping: come back and open it
    again from `at_ms`; "refused", for the reason in `problem`, which says whether to try again."""

    class_id: ClassId
    at_ms: int
    why: Literal["over", "draining", "refused"]
    problem: ProblemView | None = None


class StepRow(msgspec.Struct, frozen=True, array_like=True):
    """Where one athlete is in the steps of an interval, on the wire an array of exactly these fields in this order.

    `n` member number; `interval` counted from 0 in the script with all repeats written out; `item`, `round`, `step` in its `steps`,
    from 0; `held_ms` what counts of the step so far; `inside` whether the last reading was in its band; `over` all are done.
    """

    n: int
    interval: int
    item: int
    round: int
    step: int
    held_ms: int
    inside: bool
    over: bool


class StepsProgress(Shape, frozen=True):
    """Rows to put in place of older ones, by `n`: an athlete gets their own, the coach of the class everybody's. `at_ms` server's
    wall clock."""

    class_id: ClassId
    at_ms: int
    rows: tuple[StepRow, ...]


# -- the coach's cockpit ----------------------------------------------------------------------------------------


class CockpitMember(Shape, frozen=True):
    """An athlete of the class. `first`: they have been an athlete in no earlier class."""

    n: int
    account_id: AccountId
    name: str
    first: bool = False


class CockpitRow(msgspec.Struct, frozen=True, array_like=True):
    """One athlete as the coach sees them, on the wire an array of exactly these fields in this order.

    `n` member number; `reasons` why they need the coach, most urgent first, and `since_ms` (server's wall clock) since when the
    first of them: null when none. Sort by the first reason in the order over_limit, lost_sensor, above_target, below_target,
    no_data, first_class, none; then by `since_ms`; then by `n`. `present` whether they are in the room; `off_ms` how far off
    the clock of their client may be, by its own last report, null while there is none; the rest as in a board's row.
    """

    n: int
    reasons: tuple[Reason, ...]
    since_ms: int | None
    present: bool
    bpm: int | None
    percent: int | None
    zone: int | None
    effort: float
    freshness: Freshness
    off_ms: int | None = None


class CockpitSnapshot(Shape, frozen=True):
    """All athletes of the class, to those who lead it. Replaces everything a client knew of this cockpit. `needs`: the entitlement
    without which this installation shows it to no coach, and which you lack; nothing follows until you have it."""

    class_id: ClassId
    at_ms: int
    members: tuple[CockpitMember, ...]
    rows: tuple[CockpitRow, ...]
    needs: str | None = None


class CockpitChanges(Shape, frozen=True):
    """Members and rows to put in place of older ones, by `n`. They follow a snapshot without a gap: a reader who is too slow for
    them gets a new one."""

    class_id: ClassId
    at_ms: int
    members: tuple[CockpitMember, ...] = ()
    rows: tuple[CockpitRow, ...] = ()


class ClassReady(Shape, frozen=True):
    """Say that you are `ready` for a class without a coach that waits in its lobby, or not yet. Once everybody who is there and
    rides is, two at least, it begins: `class.clock` brings the countdown."""

    class_id: ClassId
    ready: bool = True
    traceparent: TraceParent | None = None


class LobbyView(Shape, frozen=True):
    """Who is ready, by their numbers, in the order in which they said so. `n` counts the changes: a view with a lower one is
    older."""

    class_id: ClassId
    ready: tuple[int, ...]
    n: int


class ClassLobbyView(LobbyView, frozen=True, kw_only=True):
    """Others are ready than before."""

    position: PositionText


class RoomJoined(Shape, frozen=True):
    """You are in: the class, your own member entry (none for a display), and the board as it stands. `present` is how many
    people are in the room on all nodes; `room.presence` goes on from it.

    `recovered` is said only with proof: `missed` are then all events of the room since your `since`, in order. When it is
    false, events may be lost: start from what stands here. Either way `position` is where you stand now; it is missing while
    the room's log cannot be reached, and `room.reset` will bring it. `clock` is there when the class has a script,
    `lobby` when nobody coaches it.
    """

    room: ClassView
    board: BoardSnapshot
    recovered: bool
    you: Member | None = None
    present: int = 0
    position: PositionText | None = None
    clock: ClockView | None = None
    missed: tuple[Missed, ...] = ()
    lobby: LobbyView | None = None


class RoomPresence(Shape, frozen=True):
    """Who came and who left since the last of these, and `count`, how many people are in the room now.

    Believe the count; the names are for saying so. A room with much coming and going, and one whose count had to be put right,
    names nobody. Somebody who is back within the grace time has not left.
    """

    class_id: ClassId
    count: int
    joined: tuple[AccountId, ...]
    left: tuple[AccountId, ...]
    position: PositionText


class ServiceState(Shape, frozen=True):
    """Whether this node hears the others. `stale`: what happens to members on other nodes may not be shown until it says
    `fresh` again; your own samples are stored all the same. Since `since_ms` (ms since 1970); `reason` is for people."""

    state: Literal["stale", "fresh"]
    since_ms: int
    reason: str = ""


# -- the room's log: shapes that carry `position` have it last, see realtime/position.py --------------------------


class ClassEndedView(ClassView, frozen=True, kw_only=True):
    """The class is over."""

    position: PositionText


class ClassCoachesView(ClassView, frozen=True, kw_only=True):
    """Others lead the class than before."""

    position: PositionText


class ClassRankingView(ClassView, frozen=True, kw_only=True):
    """The board of the class is ranked by something else."""

    position: PositionText


class RoomRemoved(Shape, frozen=True, kw_only=True):
    """Member `n` was sent out, told to them and to who leads the class. If it is you, you have left the room and cannot come
    back until you are let in. `removals` counts how often that was done and undone: what has a lower one is older."""

    class_id: ClassId
    n: int
    account_id: AccountId
    removals: int = 1
    position: PositionText


class RoomLetIn(Shape, frozen=True, kw_only=True):
    """Member `n`, who was sent out, may come in again; told to who leads the class. `removals` as in `room.removed`."""

    class_id: ClassId
    n: int
    account_id: AccountId
    removals: int
    position: PositionText


class ClassSummaryView(ClassSummary, frozen=True, kw_only=True):
    """The final table of a class."""

    position: PositionText


class ClassClockView(ClockView, frozen=True, kw_only=True):
    """The clock of a class was changed, or its script was."""

    position: PositionText


class ToMembers(Shape, frozen=True, tag_field="type", tag="members"):
    """For these members, by their numbers, also those who come back later."""

    n: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=MAX_CUE_MEMBERS)]


class ToZone(Shape, frozen=True, tag_field="type", tag="zone"):
    """For the athletes who are in this zone when it is said."""

    zone: ZoneNumber


class CueSend(Shape, frozen=True):
    """Say something to everybody in the room, or only `to` some (who leads the class).

    `key`, made by you, new for each cue: the same cue sent again with it, after an answer that did not come, is said once.
    """

    class_id: ClassId
    text: CueText
    to: ToMembers | ToZone | None = None
    key: SayKey | None = None


class CueSeen(Shape, frozen=True):
    """You have got the cue at the position `cue`. `shown` false: it has arrived, but nobody could see it; send it once more when
    it was shown."""

    class_id: ClassId
    cue: PositionText
    shown: bool = True


TrainerRequest = TargetPower | TargetResistance | Simulation | Start | Stop | Pause
"""What a coach may ask of trainers. To ask for control is the business of the phone that holds one."""


class TrainerSet(Shape, frozen=True):
    """Drive the trainers of a class (its coach): that of member `n`, or, without it, those of all athletes who are there."""

    class_id: ClassId
    target: TrainerRequest
    n: int | None = None


class TrainerAsked(Shape, frozen=True):
    """The target is on its way to so many `athletes`. Whether a trainer obeys, its machine decides."""

    athletes: int


class TrainerTarget(Shape, frozen=True):
    """The coach drives your trainer: write `data` to the characteristic `characteristic` (Fitness Machine Control Point) of the
    machine you hold, if there is one and its rider agrees; `target` says the same in words. `at_ms` server's wall clock."""

    class_id: ClassId
    target: TrainerRequest
    characteristic: str
    data: bytes
    at_ms: int


class ChatSend(Shape, frozen=True):
    """Say something in the room's chat (members). It becomes one line; what has no shape of its own goes, and what is left must be
    something (docs/systems/chat.md). `key` as for cues."""

    class_id: ClassId
    text: ChatText
    key: SayKey | None = None


class Said(Shape, frozen=True):
    """It is in the room's log, at `position`: everybody gets it, or is told that they missed something."""

    position: PositionText


class Cue(Shape, frozen=True, kw_only=True):
    """The coach says something to the room, or, `personal`, to you and perhaps some others. `at_ms` server's wall clock. `to`, the
    numbers of those it is for, stands only in what goes to who leads the class. Acknowledge it with `cue.seen`."""

    class_id: ClassId
    text: str
    coach_name: str
    at_ms: int
    personal: bool = False
    to: tuple[int, ...] | None = None
    position: PositionText


class CueTally(msgspec.Struct, frozen=True, array_like=True):
    """What became of one cue, on the wire an array of exactly these fields in this order.

    `cue` its position; `sent` to how many people; `delivered` and `seen` how many clients have said so; `p50_ms` and `p95_ms` in
    which time half and 95 % of those had it, until their receipt was back, null while there is none.
    """

    cue: str
    sent: int
    delivered: int
    seen: int
    p50_ms: int | None
    p95_ms: int | None


class CueReceipts(Shape, frozen=True):
    """How it stands with the last cues, oldest first, to who leads the class. Replaces the one before."""

    class_id: ClassId
    at_ms: int
    cues: tuple[CueTally, ...]


class ChatSaid(Shape, frozen=True):
    """A member says something. `n` their number on the board."""

    class_id: ClassId
    n: int
    name: str
    text: str
    at_ms: int
    position: PositionText


class ChatMute(Shape, frozen=True):
    """Do not let member `n` speak in a class that you coach: for so many ms, or, without them, for the rest of it."""

    class_id: ClassId
    n: int
    for_ms: Annotated[int, msgspec.Meta(ge=1_000, le=MAX_MUTE_MS)] | None = None


class ChatUnmute(Shape, frozen=True):
    """Let member `n` speak again."""

    class_id: ClassId
    n: int


class ChatMuted(Shape, frozen=True):
    """Whether you are muted in this class from now on: until `until_ms` (server's wall clock), null for the rest of it."""

    class_id: ClassId
    muted: bool
    until_ms: int | None = None


class ChatRemove(Shape, frozen=True):
    """Take a message of the chat down in a class that you coach; `message` is its position. Nobody is given it any more."""

    class_id: ClassId
    message: PositionText


class ChatRemoved(Shape, frozen=True):
    """The message at the position `removed` was taken down: take it off the screen."""

    class_id: ClassId
    removed: PositionText
    position: PositionText


class ChatReport(Shape, frozen=True):
    """Report a message of the chat to the coach of the class; `message` is its position. Nobody is told that it was you."""

    class_id: ClassId
    message: PositionText
    reason: ReportReason


class ReactionSend(Shape, frozen=True):
    """React, with one touch: to the room, or `to` the member of that number. It means now; there is no getting it later."""

    class_id: ClassId
    kind: Reaction
    to: int | None = None


class ReactionCounts(Shape, frozen=True):
    """How many reactions of each kind there were in the room since the last of these: `[kind, how many]`, at least one."""

    class_id: ClassId
    at_ms: int
    counts: tuple[tuple[Reaction, int], ...]


class ReactionReceived(Shape, frozen=True):
    """A member reacts to you. `n` their number on the board."""

    class_id: ClassId
    n: int
    name: str
    kind: Reaction
    at_ms: int


class ChatPage(Shape, frozen=True):
    """Ask for the chat of a room one is in, backwards: the last `limit` messages `before` a position, or the last of all."""

    class_id: ClassId
    before: PositionText | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHAT_HISTORY)] = 50


class ChatHistory(Shape, frozen=True):
    """Messages of the chat, oldest first. Ask for older ones with `before`; without it there are none, or none are kept."""

    class_id: ClassId
    messages: tuple[ChatSaid, ...]
    before: PositionText | None = None


class RoomPosition(Shape, frozen=True):
    """Where you stand in the room's log: told after a join, so that a client that comes back has a position though nothing was
    said yet."""

    class_id: ClassId
    position: PositionText


class RoomReset(Shape, frozen=True, kw_only=True):
    """Events of this room may be lost: forget what you derived from them and start from what stands here."""

    room: ClassView
    board: BoardSnapshot
    clock: ClockView | None = None
    lobby: LobbyView | None = None
    position: PositionText


class RoomRecovered(Shape, frozen=True):
    """The answer to one room of the `rooms` in the auth payload: `ok` is what `room.join` would have replied, or `problem`."""

    code: str
    ok: RoomJoined | None = None
    problem: ProblemView | None = None


class Done(Shape, frozen=True):
    """It is done; there is nothing more to say."""


class WorkoutSummaryView(Shape, frozen=True):
    """A workout's summary. `revision` grows when late samples changed it."""

    workout: WorkoutId
    revision: int
    summary: WorkoutSummary
    class_id: ClassId | None = None


class TaskRef(Shape, frozen=True):
    """One of your long tasks."""

    task: TaskId


class ChallengeRef(Shape, frozen=True):
    """A challenge that one is in or has made."""

    challenge_id: ChallengeId


# -- safety -----------------------------------------------------------------------------------------------------


class IncidentRef(Shape, frozen=True):
    """An incident: your own, or one that you were told of as a coach."""

    incident: IncidentId
    traceparent: TraceParent | None = None


# -- one's inbox ------------------------------------------------------------------------------------------------


class InboxRead(Shape, frozen=True):
    """What was read: `ids`, or everything `up_to` one of them, itself included. One of the two."""

    ids: Annotated[tuple[NotificationId, ...], msgspec.Meta(min_length=1, max_length=MAX_READ_AT_ONCE)] | None = None
    up_to: NotificationId | None = None
    traceparent: TraceParent | None = None


class NotificationNew(Shape, frozen=True):
    """Something new in your inbox, on the top of it, or what one that you know says now: tell by its id. `unread` is the
    count from now on, up to 1,000."""

    notification: NotificationView
    unread: int


class NotificationsRead(Shape, frozen=True):
    """Some of your notifications were read, on whatever device: `ids`, or everything `up_to` one of them in the order of the
    inbox, itself included. `unread` is the count from now on."""

    unread: int
    ids: tuple[NotificationId, ...] = ()
    up_to: NotificationId | None = None


class ProblemEvent(Shape, frozen=True):
    """A problem with an event that was sent without an acknowledgement id."""

    event: str
    problem: ProblemView


class TokenRenew(Shape, frozen=True):
    """A new access token of the same account and login, or for a screen of the same class; or the next one of another issuer that
    is trusted, for the same identity."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8_000)]

    def __repr__(self) -> str:
        return "TokenRenew()"


class TokenLife(Shape, frozen=True):
    """Until when the connection may stay: `expires_at_ms` by the server's clock, ms since 1970, `expires_in_ms` from now."""

    expires_at_ms: int
    expires_in_ms: int


class Bye(Shape, frozen=True):
    """The last event before the server closes: see realtime/disconnect.py. `come_back_ms` is when to reconnect, null: do not."""

    code: int
    reason: str
    come_back_ms: int | None = None


# -- the table --------------------------------------------------------------------------------------------------


class Delivery(enum.Enum):
    """What a slow reader loses, decided per event when the mailbox fills."""

    LATEST = "latest-only: a newer one replaces an unsent older one"
    MUST = "must arrive: the connection is ended rather than dropping it"
    DROPPABLE = "droppable: left out when the mailbox is over its soft limit"


class Event(msgspec.Struct, frozen=True):
    """One row of the catalogue. `reply`, and `permission`, what whoever sends it must hold, are set for client events, `delivery`
    for server events. `positioned`: it carries the `position` of its room's log, as the last field and again as a second argument
    after the payload. `scopes`: an app, or a script with a key, may send or hear it with any of these; without them it is for
    people alone."""

    name: str
    shape: type
    doc: str
    reply: type | None = None
    delivery: Delivery | None = None
    positioned: bool = False
    scopes: tuple[Scope, ...] = ()
    permission: Permission | None = None

    @property
    def from_client(self) -> bool:
        return self.reply is not None


EVERY_APP: Final[tuple[Scope, ...]] = (
    "workouts:read",
    "classes:read",
    "classes:join",
    "classes:chat",
    "classes:manage",
    "live:stream",
    "challenges:read",
    "notifications:read",
)
"""The scopes with which an app has something to do on a socket, any of which lets it connect."""

EVENTS: Final[tuple[Event, ...]] = (
    Event(
        "stream.open",
        StreamOpen,
        "Open or resume a stream of samples.",
        reply=StreamOpened,
        permission=may.OPEN_STREAM,
        scopes=("live:stream",),
    ),
    Event(
        "stream.samples",
        SampleBatch,
        "Send samples; acknowledged once they are committed.",
        reply=SamplesStored,
        permission=may.FEED_STREAM,
        scopes=("live:stream",),
    ),
    Event(
        "sensor.frame",
        SensorFrame,
        "Send samples as the sensor gave them; acknowledged once they are committed.",
        reply=SamplesStored,
        permission=may.FEED_STREAM,
        scopes=("live:stream",),
    ),
    Event(
        "stream.finish",
        StreamFinish,
        "End a stream; its summary follows.",
        reply=StreamFinished,
        permission=may.FEED_STREAM,
        scopes=("live:stream",),
    ),
    Event(
        "room.join",
        RoomJoin,
        "Join the room of a live class by its code.",
        reply=RoomJoined,
        permission=may.JOIN_ROOM,
        scopes=("classes:join",),
    ),
    Event(
        "room.leave",
        RoomRef,
        "Leave a room; the score stays.",
        reply=Done,
        permission=may.FOLLOW_ROOM,
        scopes=("classes:join",),
    ),
    Event(
        "board.get",
        RoomRef,
        "Ask for the whole board of a room one is in.",
        reply=BoardSnapshot,
        permission=may.FOLLOW_ROOM,
        scopes=("classes:join",),
    ),
    Event(
        "board.filter",
        BoardFilter,
        "Say which part of the board you want to see: who is here, an age group, your friends.",
        reply=BoardFiltered,
        permission=may.FOLLOW_ROOM,
        scopes=("classes:join",),
    ),
    Event(
        "display.set",
        DisplaySet,
        "Decide how you are shown in a class.",
        reply=DisplayNow,
        permission=may.USE_SHOWING,
    ),
    Event(
        "class.create",
        ClassCreate,
        "Create a live class (coach).",
        reply=ClassView,
        permission=may.CREATE_CLASS,
        scopes=("classes:manage",),
    ),
    Event(
        "class.end",
        ClassRef,
        "End a class (its coach).",
        reply=ClassView,
        permission=may.END_CLASS,
        scopes=("classes:manage",),
    ),
    Event(
        "class.control",
        ClassControl,
        "Start, pause, resume, skip or extend a class (its coach).",
        reply=ClockView,
        permission=may.CONTROL_CLASS,
    ),
    Event(
        "class.ready",
        ClassReady,
        "Say that you are ready, in the lobby of a class without a coach.",
        reply=LobbyView,
        permission=may.READY,
    ),
    Event(
        "coach.appoint",
        CoachAppoint,
        "Say who leads the class (its coach).",
        reply=ClassView,
        permission=may.APPOINT,
    ),
    Event(
        "ranking.set",
        RankingSet,
        "Rank the board by another metric (who leads the class).",
        reply=ClassView,
        permission=may.CONTROL_CLASS,
    ),
    Event(
        "member.remove",
        MemberRemove,
        "Send somebody out of the class (who leads it).",
        reply=Done,
        permission=may.REMOVE_MEMBER,
    ),
    Event(
        "member.let_in",
        MemberLetIn,
        "Let somebody who was sent out come in again (who leads the class).",
        reply=Done,
        permission=may.LET_IN,
    ),
    Event(
        "timeline.get",
        RoomRef,
        "Ask for the script and the clocks of a class one is in.",
        reply=ClassTimeline,
        permission=may.FOLLOW_ROOM,
        scopes=("classes:join",),
    ),
    Event(
        "clock.sync",
        ClockSync,
        f"Ask for the server's time: {SEVERAL} times at first, again every {AGAIN_AFTER_S} s.",
        reply=ClockSynced,
        permission=may.ASK_TIME,
        scopes=("live:stream", "classes:join"),
    ),
    Event(
        "token.renew",
        TokenRenew,
        "Show a new access token: the connection goes on until it expires.",
        reply=TokenLife,
        scopes=EVERY_APP,
        permission=may.RENEW_TOKEN,
    ),
    Event(
        "cue.send",
        CueSend,
        "Say something to the room, or to some in it (who leads it).",
        reply=Said,
        permission=may.GIVE_CUES,
    ),
    Event(
        "cue.seen",
        CueSeen,
        "Acknowledge a cue.",
        reply=Done,
        permission=may.TALK,
        scopes=("classes:join",),
    ),
    Event(
        "trainer.set",
        TrainerSet,
        "Drive the trainers of a class (its coach).",
        reply=TrainerAsked,
        permission=may.GIVE_CUES,
    ),
    Event(
        "chat.send",
        ChatSend,
        "Say something in the room's chat.",
        reply=Said,
        permission=may.TALK,
        scopes=("classes:chat",),
    ),
    Event(
        "chat.mute",
        ChatMute,
        "Do not let a member speak (the coach of the class).",
        reply=Done,
        permission=may.MODERATE,
    ),
    Event(
        "chat.unmute",
        ChatUnmute,
        "Let a member speak again (the coach of the class).",
        reply=Done,
        permission=may.MODERATE,
    ),
    Event(
        "chat.remove",
        ChatRemove,
        "Take a message of the chat down (the coach of the class).",
        reply=Done,
        permission=may.MODERATE,
    ),
    Event(
        "chat.report",
        ChatReport,
        "Report a message of the chat.",
        reply=Done,
        permission=may.TALK,
    ),
    Event(
        "reaction.send",
        ReactionSend,
        "React to the room or to a member: a high-five, applause.",
        reply=Done,
        permission=may.TALK,
        scopes=("classes:chat",),
    ),
    Event(
        "chat.history",
        ChatPage,
        "Ask for what was said in the room's chat, backwards.",
        reply=ChatHistory,
        permission=may.FOLLOW_ROOM,
        scopes=("classes:chat",),
    ),
    Event(
        "task.cancel",
        TaskRef,
        "Cancel one of your long tasks; the reply is how it stands.",
        reply=TaskView,
        permission=may.USE_TASKS,
    ),
    Event(
        "safety.cancel",
        IncidentRef,
        "Say that you are all right: nobody (else) is told.",
        reply=IncidentView,
        permission=may.USE_SAFETY,
    ),
    Event(
        "safety.acknowledge",
        IncidentRef,
        "Take on an athlete's incident (a coach of the class).",
        reply=AlertView,
        permission=may.USE_SAFETY,
    ),
    Event(
        "inbox.read",
        InboxRead,
        "Mark notifications as read, on all your devices.",
        reply=ReadMarked,
        permission=may.USE_INBOX,
    ),
    Event(
        "challenge.watch",
        ChallengeRef,
        "Look at a challenge's table from now on: how it stands, and again whenever it has moved.",
        reply=ChallengeStanding,
        permission=may.USE_CHALLENGES,
        scopes=("challenges:read",),
    ),
    Event(
        "challenge.unwatch",
        ChallengeRef,
        "Look at it no longer.",
        reply=Done,
        permission=may.WATCH_CHALLENGE,
        scopes=("challenges:read",),
    ),
    Event(
        "replay.open",
        ReplayOpen,
        "Play a class that is over as if it were live.",
        reply=ReplayOpened,
        permission=may.WATCH_REPLAY,
        scopes=("classes:read",),
    ),
    Event(
        "replay.pace",
        ReplayPace,
        "Play it faster or slower, or have it stand still.",
        reply=ReplayAt,
        permission=may.STEER_REPLAY,
        scopes=("classes:read",),
    ),
    Event(
        "replay.seek",
        ReplaySeek,
        "Play it from another place.",
        reply=ReplayAt,
        permission=may.STEER_REPLAY,
        scopes=("classes:read",),
    ),
    Event(
        "replay.close",
        RoomRef,
        "Play it no longer.",
        reply=Done,
        permission=may.STEER_REPLAY,
        scopes=("classes:read",),
    ),
    Event(
        "board.snapshot",
        BoardSnapshot,
        "The whole board.",
        delivery=Delivery.LATEST,
        scopes=("classes:join",),
    ),
    Event(
        "board.changes",
        BoardChanges,
        "What changed on the board.",
        delivery=Delivery.LATEST,
        scopes=("classes:join",),
    ),
    Event(
        "board.filtered",
        BoardFiltered,
        "Who passes the filter that one has set.",
        delivery=Delivery.LATEST,
        scopes=("classes:join",),
    ),
    Event(
        "board.private",
        BoardPrivate,
        "What the coach, or a member of themselves, may see beyond the board.",
        delivery=Delivery.LATEST,
    ),
    Event(
        "steps.progress",
        StepsProgress,
        "Where athletes are in the steps of an interval: one's own, or to the coach everybody's.",
        delivery=Delivery.LATEST,
    ),
    Event("cockpit.snapshot", CockpitSnapshot, "All athletes, to who leads the class.", delivery=Delivery.LATEST),
    Event("cockpit.changes", CockpitChanges, "What changed, to who leads the class.", delivery=Delivery.LATEST),
    Event("cue.receipts", CueReceipts, "Who has got the last cues, to who leads the class.", delivery=Delivery.LATEST),
    Event(
        "room.presence",
        RoomPresence,
        "Who came and who left.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "service.state",
        ServiceState,
        "Boards may be missing what other nodes see, or no longer do.",
        delivery=Delivery.LATEST,
        scopes=EVERY_APP,
    ),
    Event(
        "class.ended",
        ClassEndedView,
        "The class is over; finish your streams.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "class.coaches",
        ClassCoachesView,
        "Others lead the class than before.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "class.ranking",
        ClassRankingView,
        "The board is ranked by something else.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "room.removed",
        RoomRemoved,
        "You were sent out of the class.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "room.let_in",
        RoomLetIn,
        "Somebody who was sent out may come in again.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "class.summary",
        ClassSummaryView,
        "The final table of a class.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "class.clock",
        ClassClockView,
        "The clock of the class has changed.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "class.lobby",
        ClassLobbyView,
        "Others are ready than before, in a class without a coach.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "cue",
        Cue,
        "The coach says something to the room, or to you.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "chat.said",
        ChatSaid,
        "A member says something.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:chat",),
    ),
    Event(
        "chat.removed",
        ChatRemoved,
        "A message was taken down.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:chat",),
    ),
    Event(
        "chat.muted",
        ChatMuted,
        "You may not speak in a class, or may again.",
        delivery=Delivery.MUST,
        scopes=("classes:chat",),
    ),
    Event(
        "reaction.counts",
        ReactionCounts,
        "How many reactions there were in the room.",
        delivery=Delivery.DROPPABLE,
        scopes=("classes:chat",),
    ),
    Event(
        "reaction.received",
        ReactionReceived,
        "A member reacts to you.",
        delivery=Delivery.DROPPABLE,
        scopes=("classes:chat",),
    ),
    Event(
        "room.position",
        RoomPosition,
        "Where you stand after a join.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "room.reset",
        RoomReset,
        "Events were lost; start from this.",
        delivery=Delivery.MUST,
        positioned=True,
        scopes=("classes:join",),
    ),
    Event(
        "room.recovered",
        RoomRecovered,
        "A room of the auth payload is joined, or not.",
        delivery=Delivery.MUST,
        scopes=("classes:join",),
    ),
    Event(
        "workout.summary",
        WorkoutSummaryView,
        "Your workout's summary is ready.",
        delivery=Delivery.MUST,
        scopes=("live:stream", "workouts:read"),
    ),
    Event(
        "challenge.table",
        ChallengeStanding,
        "The table that you look at has moved.",
        delivery=Delivery.LATEST,
        scopes=("challenges:read",),
    ),
    Event(
        "replay.board",
        Replayed,
        "A board of a class that plays again: `board.snapshot` or `board.changes`.",
        delivery=Delivery.LATEST,
        scopes=("classes:read",),
    ),
    Event(
        "replay.event",
        Replayed,
        "What else came in a class that plays again.",
        delivery=Delivery.MUST,
        scopes=("classes:read",),
    ),
    Event(
        "replay.ended",
        ReplayEnded,
        "A class does not play again any longer.",
        delivery=Delivery.MUST,
        scopes=("classes:read",),
    ),
    Event(
        "safety.prompt",
        IncidentView,
        "Are you all right? Or what has become of that question.",
        delivery=Delivery.MUST,
    ),
    Event("safety.alert", AlertView, "An athlete of your class may need you.", delivery=Delivery.MUST),
    Event("task.progress", TaskView, "How far one of your long tasks is, or how it ended.", delivery=Delivery.MUST),
    Event(
        "notification.new",
        NotificationNew,
        "Something new in your inbox.",
        delivery=Delivery.MUST,
        scopes=("notifications:read",),
    ),
    Event(
        "notifications.read",
        NotificationsRead,
        "Some of your inbox was read.",
        delivery=Delivery.MUST,
        scopes=("notifications:read",),
    ),
    Event(
        "stream.taken",
        StreamTaken,
        "Another connection took this stream.",
        delivery=Delivery.MUST,
        scopes=("live:stream",),
    ),
    Event(
        "trainer.target",
        TrainerTarget,
        "The coach drives your trainer.",
        delivery=Delivery.MUST,
        scopes=("live:stream", "classes:join"),
    ),
    Event(
        "token.expiring",
        TokenLife,
        "Your access token is about to expire: get a new one and send `token.renew`.",
        delivery=Delivery.MUST,
        scopes=EVERY_APP,
    ),
    Event(
        "problem",
        ProblemEvent,
        "A problem with an unacknowledged event.",
        delivery=Delivery.DROPPABLE,
        scopes=EVERY_APP,
    ),
    Event(
        "bye",
        Bye,
        "The server is about to close this connection.",
        delivery=Delivery.MUST,
        scopes=EVERY_APP,
    ),
)

BY_NAME: Final = {event.name: event for event in EVENTS}
CLIENT_EVENTS: Final = tuple(event for event in EVENTS if event.from_client)
SERVER_EVENTS: Final = tuple(event for event in EVENTS if not event.from_client)


@cache
def heard_with(scopes: frozenset[Scope]) -> frozenset[str]:
    """The server events that a connection with these scopes hears."""
    return frozenset(event.name for event in SERVER_EVENTS if not scopes.isdisjoint(event.scopes))
