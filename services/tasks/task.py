"""A long task: something a person asked for that takes seconds to hours, told about while it goes on.

It waits, runs, and ends in one of three ways. While it runs, one worker has it under an epoch; what that worker has committed is
in the checkpoint, and whoever follows goes on from there. A worker that dies loses nothing but the step it was at.

A new kind of work: a class below, its steps in workers/, a row in `workers.long_tasks.kinds`.
"""

from datetime import date
from typing import Annotated, Final, Literal

import msgspec

from services.kernel.ids import AccountId, TaskId

MOST_OPEN: Final = 10
"""Tasks of one account that wait or run; one more is refused (`too_many_tasks`)."""
MOST_ATTEMPTS: Final = 5
"""Workers that may take a task without getting one step further, before it has failed."""
RETRY_S: Final = (5.0, 30.0, 120.0, 600.0)
"""Seconds before attempt 2, 3, … after a failure. A worker that died or was stopped is followed at once."""

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled"})

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$", description="unique key")]


class Work(msgspec.Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    """What is to be done."""


class RecomputeWorkouts(Work, frozen=True, tag="recompute_workouts"):
    """Make the summaries of your finished workouts anew, by your profile as it is now: zones, load and energy change with your
    maximum and resting heart rate, mass and age. `since`: only those of that day (UTC) or later."""

    since: date | None = None


class ExportAccount(Work, frozen=True, tag="export_account"):
    """Everything we have about you as one ZIP file: profile, logins, memberships, workouts with all their samples, and every row
    that is about you. It needs a login that has proven itself just now (POST /v1/me/step-up)."""


AnyWork = RecomputeWorkouts | ExportAccount


class TaskFile(msgspec.Struct, frozen=True):
    """A file that a task has made, at /v1/tasks/{id}/result until `until_ms` (ms since 1970). `sha256` in hex."""

    name: str
    bytes: int
    sha256: str
    until_ms: int


class TaskResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of it: `changed`, how many workouts have another summary than before; `file`, what was made."""

    changed: int | None = None
    file: TaskFile | None = None


class Task(msgspec.Struct, frozen=True):
    """A task as stored. Instants in ms since 1970. `checkpoint` is the work's own business, JSON; `traceparent` the trace in
    which somebody asked for it."""

    id: TaskId
    account_id: AccountId
    work: AnyWork
    state: State
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    done: int = 0
    total: int | None = None
    note: str = ""
    checkpoint: str | None = None
    attempt: int = 0
    epoch: int = 0
    cancel_asked: bool = False
    result: TaskResult | None = None
    problem: str | None = None
    traceparent: str = ""

    @property
    def kind(self) -> str:
        return kind_of(type(self.work))


class TaskView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as its owner sees it. Times are ms since 1970.

    `done` of `total` (absent: not known yet) in whatever the work counts, `note` what it is at; `cancelling`: you have cancelled it
    and it has not ended yet; `problem` why it failed; `result` what came of it.
    """

    task: TaskId
    kind: str
    state: State
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    done: int = 0
    total: int | None = None
    note: str = ""
    cancelling: bool = False
    problem: str | None = None
    result: TaskResult | None = None


class Step(msgspec.Struct, frozen=True):
    """What one step has done: where to go on, how far it is, and, after the last one, what came of all of it."""

    checkpoint: str
    done: int
    total: int | None = None
    note: str = ""
    result: TaskResult | None = None


def kind_of(work: type[AnyWork]) -> str:
    """The name of a class of work, as in its JSON."""
    tag = work.__struct_config__.tag
    if not isinstance(tag, str):
        raise TypeError(f"{work.__name__} has no tag")
    return tag


def view_of(task: Task) -> TaskView:
    """A task as its owner sees it."""
    return TaskView(
        task=task.id,
        kind=task.kind,
        state=task.state,
        created_ms=task.created_ms,
        started_ms=task.started_ms,
        ended_ms=task.ended_ms,
        done=task.done,
        total=task.total,
        note=task.note,
        cancelling=task.cancel_asked and task.state not in ENDED,
        problem=task.problem,
        result=task.result,
    )


class Again(msgspec.Struct, frozen=True):
    """Let another worker try, in so many seconds."""

    delay_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """It has failed; `problem` is for its owner."""

    problem: str


def after_failure(task: Task, *, final: bool) -> Again | GiveUp:
    """What becomes of a task whose attempt failed; `final`: trying again cannot help."""
    if final or task.attempt >= MOST_ATTEMPTS:
        return GiveUp(
            "it cannot be done"
            if final
            else f"it was tried {task.attempt} times and failed each time; it has been logged"
        )
    return Again(RETRY_S[min(task.attempt, len(RETRY_S)) - 1])
