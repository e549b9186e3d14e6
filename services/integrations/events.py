"""The closed table of webhook events: what third-party programs can be told, in which shape.

A body is `{"type", "version", "timestamp", "data"}`, the envelope of Standard Webhooks with a version: within a version
fields are only ever added, so a receiver must bear fields it does not know. The shapes are the documentation; the section
`webhooks` of the OpenAPI document is made from them.

Who is told: a workout's owner about the workout; a class's coach about the class, which is what the coach's page shows.
The names of others travel only where the endpoint has the scope `names`, samples only with `samples`.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from services.classes.live_class import LiveClass
from services.classes.metric import Metric
from services.classes.summary import ClassSummary, TeamStanding
from services.classes.team import TeamRule
from services.integrations.endpoint import Scope
from services.kernel.caller import AccountRole
from services.kernel.clock import utc
from services.kernel.ids import AccountId, ClassId, WebhookEndpointId
from services.training.sample import Sample
from services.training.workouts import Workout, WorkoutView, view_of

MAX_SAMPLES: Final = 10_000
"""Samples that travel inside a body: almost three hours at 1 Hz, 150 to 300 KB. More are behind a link."""

EventName = Literal["workout.summarised", "class.ended", "class.summarised"]
"""What an endpoint can ask for. `test.ping` comes when it is asked for."""


class WorkoutTold(msgspec.Struct, frozen=True):
    """A workout with its summary. With the scope `samples` either `samples` holds all of them, or, when there are more than
    10,000, `samples_path` is where they can be fetched in pages, on the host of this API and without a token."""

    account_id: AccountId
    workout: WorkoutView
    samples: tuple[Sample, ...] | None = None
    samples_path: str | None = None


class ClassTold(msgspec.Struct, frozen=True):
    """A class that is over. `ended_at_ms` ms since 1970 UTC."""

    class_id: ClassId
    title: str
    ended_at_ms: int


class StandingTold(msgspec.Struct, frozen=True):
    """One athlete's line. `name` is null without the scope `names`; `n` is the member's number in the class. `figure` is
    what they have of what the class was ranked by, null where that is effort; who has none, or does not show it, has no rank.
    `team` is that of `teams` they were in, by its number."""

    n: int
    rank: int | None
    name: str | None
    effort: float
    zone_ms: tuple[int, ...]
    figure: float | None = None
    team: int | None = None


class TableTold(msgspec.Struct, frozen=True):
    """The final table of a class: `effort` in points, `zone_ms` ms in zone 0 to 5; ranked by `metric`, figures in `unit`. `teams`
    are made of these lines alone: a team's figure is the `mean` or the `sum` of its athletes' (`team_rule`)."""

    class_id: ClassId
    title: str
    duration_ms: int
    athletes: int
    standings: tuple[StandingTold, ...]
    metric: Metric = "effort"
    unit: str = "points"
    teams: tuple[TeamStanding, ...] = ()
    team_rule: TeamRule = "mean"


class PingTold(msgspec.Struct, frozen=True):
    """Nothing has happened; somebody wanted to see whether this arrives."""

    endpoint_id: WebhookEndpointId


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all bodies. `timestamp` is when the body was made (ISO 8601, UTC)."""

    version: Literal[1] = 1
    timestamp: str


class WorkoutSummarisedEvent(WebhookEvent, frozen=True, kw_only=True, tag="workout.summarised"):
    """A workout's summary is ready, or was made again because late samples arrived: `revision` has grown then."""

    data: WorkoutTold


class ClassEndedEvent(WebhookEvent, frozen=True, kw_only=True, tag="class.ended"):
    """A class of yours is over."""

    data: ClassTold


class ClassSummarisedEvent(WebhookEvent, frozen=True, kw_only=True, tag="class.summarised"):
    """The final table of a class of yours is ready. Late samples may still correct it; that is not told again."""

    data: TableTold


class PingEvent(WebhookEvent, frozen=True, kw_only=True, tag="test.ping"):
    """What `POST /v1/webhook-endpoints/{id}/test` sends."""

    data: PingTold


AnyEvent = WorkoutSummarisedEvent | ClassEndedEvent | ClassSummarisedEvent | PingEvent


@dataclass(frozen=True)
class EventKind:
    """One row: the event's name and shape, the role its owner needs (None: nobody asks for it), the scopes that add to it."""

    shape: type[WebhookEvent]
    role: AccountRole | None
    scopes: tuple[Scope, ...] = ()

    @property
    def name(self) -> str:
        """As in `type`, and in an endpoint's `events`."""
        return str(self.shape.__struct_config__.tag)


EVENTS: Final = (
    EventKind(WorkoutSummarisedEvent, "member", ("samples",)),
    EventKind(ClassEndedEvent, "coach"),
    EventKind(ClassSummarisedEvent, "coach", ("names",)),
    EventKind(PingEvent, None),
)


def encode(event: AnyEvent) -> bytes:
    """The body, byte for byte as it is signed and sent."""
    return msgspec.json.encode(event)


def workout_summarised(
    workout: Workout, now_ms: int, *, samples: tuple[Sample, ...] | None = None, samples_path: str | None = None
) -> WorkoutSummarisedEvent:
    """What is told about a workout."""
    return WorkoutSummarisedEvent(
        timestamp=iso(now_ms),
        data=WorkoutTold(workout.account_id, view_of(workout), samples, samples_path),
    )


def class_ended(live: LiveClass, now_ms: int) -> ClassEndedEvent:
    """What is told about a class that is over. Raises ValueError while it is live."""
    if live.ended_ms is None:
        raise ValueError(f"class {live.id} is still live")
    return ClassEndedEvent(timestamp=iso(now_ms), data=ClassTold(live.id, live.title, live.ended_ms))


def class_summarised(table: ClassSummary, now_ms: int, *, names: bool) -> ClassSummarisedEvent:
    """What is told about the final table of a class, with or without people's names."""
    return ClassSummarisedEvent(
        timestamp=iso(now_ms),
        data=TableTold(
            table.class_id,
            table.title,
            table.duration_ms,
            table.athletes,
            tuple(
                StandingTold(
                    line.n, line.rank, line.name if names else None, line.effort, line.zone_ms, line.figure, line.team
                )
                for line in table.standings
            ),
            table.metric,
            table.unit,
            table.teams,
            table.team_rule,
        ),
    )


def ping(endpoint_id: WebhookEndpointId, now_ms: int) -> PingEvent:
    """What a test sends."""
    return PingEvent(timestamp=iso(now_ms), data=PingTold(endpoint_id))


def iso(now_ms: int) -> str:
    """Wall ms as ISO 8601 in UTC: "2026-11-28T18:45:00.000Z"."""
    return utc(now_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
