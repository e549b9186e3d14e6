"""Long tasks over HTTP: start one, see how far it is, cancel it, fetch what it made."""

from typing import Annotated

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, File, Nothing, Route
from services.access import permission as may
from services.kernel.ids import TaskId
from services.kernel.problems import Forbidden, KeyReused, NotFound, StepUpNeeded, TooManyTasks
from services.tasks.task import AnyWork, Key, TaskView
from services.tasks.tasks import MAX_PAGE


class TaskStart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. `key`, made by you, new for each task: the same request again with it finds the task that it started."""

    key: Key
    work: AnyWork


class TaskPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which task."""

    id: TaskId


class TasksQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page. `before`: only tasks older than this one."""

    before: TaskId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class TaskList(msgspec.Struct, frozen=True):
    """Tasks, newest first. `next_before` is what to give as `before` for the next page, null on the last."""

    tasks: tuple[TaskView, ...]
    next_before: TaskId | None


async def start_task(deps: GatewayDeps, call: Call[TaskStart, Nothing, Nothing]) -> TaskView:
    return await deps.tasks.start(call.caller, call.body.work, call.body.key)


async def own_tasks(deps: GatewayDeps, call: Call[Nothing, TasksQuery, Nothing]) -> TaskList:
    limit = call.query.limit
    found = await deps.tasks.of_account(call.caller, call.query.before, limit)
    return TaskList(tuple(found), found[-1].task if len(found) == limit else None)


async def task_by_id(deps: GatewayDeps, call: Call[Nothing, Nothing, TaskPath]) -> TaskView:
    return await deps.tasks.by_id(call.caller, call.path.id)


async def cancel_task(deps: GatewayDeps, call: Call[Nothing, Nothing, TaskPath]) -> TaskView:
    return await deps.tasks.cancel(call.caller, call.path.id)


async def task_file(deps: GatewayDeps, call: Call[Nothing, Nothing, TaskPath]) -> File:
    found = await deps.tasks.file(call.caller, call.path.id)
    return File(found.path, found.name)


START_TASK = Route(
    "POST",
    "/v1/tasks",
    name="start_task",
    permission=may.USE_TASKS,
    tag="tasks",
    does="Have something done that takes long; how far it is comes over the socket as `task.progress`.",
    more=(
        "`export_account` makes a ZIP file of everything we have about you, for a login that has proven itself just now; "
        "`recompute_workouts` makes the summaries of your workouts anew by what your body was on their day. One of a kind runs at"
        " a time, further ones wait."
    ),
    handler=start_task,
    body=TaskStart,
    query=Nothing,
    path=Nothing,
    reply=TaskView,
    status=202,
    problems=(Forbidden, StepUpNeeded, KeyReused, NotFound, TooManyTasks),
)
OWN_TASKS = Route(
    "GET",
    "/v1/tasks",
    name="own_tasks",
    permission=may.USE_TASKS,
    tag="tasks",
    does="Your tasks of the last thirty days, newest first.",
    handler=own_tasks,
    body=Nothing,
    query=TasksQuery,
    path=Nothing,
    reply=TaskList,
    problems=(Forbidden,),
)
TASK_BY_ID = Route(
    "GET",
    "/v1/tasks/{id}",
    name="task_by_id",
    permission=may.USE_TASKS,
    tag="tasks",
    does="One task: how far it is, or how it ended.",
    handler=task_by_id,
    body=Nothing,
    query=Nothing,
    path=TaskPath,
    reply=TaskView,
    problems=(NotFound, Forbidden),
)
CANCEL_TASK = Route(
    "DELETE",
    "/v1/tasks/{id}",
    name="cancel_task",
    permission=may.USE_TASKS,
    tag="tasks",
    does="Cancel a task: at once while it waits, within a second or so while it runs.",
    more="What it has done until then stays. One that has ended stays as it is, and so does the answer when you ask again.",
    handler=cancel_task,
    body=Nothing,
    query=Nothing,
    path=TaskPath,
    reply=TaskView,
    problems=(NotFound, Forbidden),
)
TASK_FILE = Route(
    "GET",
    "/v1/tasks/{id}/result",
    name="task_file",
    permission=may.USE_TASKS,
    tag="tasks",
    does="The file that a task has made, until the time that its result names.",
    handler=task_file,
    body=Nothing,
    query=Nothing,
    path=TaskPath,
    reply=None,
    more="A copy of everything that we have about you is given to a login that has just proven itself, as when it was asked for.",
    media_type="application/zip",
    problems=(NotFound, Forbidden, StepUpNeeded),
)
