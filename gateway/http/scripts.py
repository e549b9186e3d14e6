"""The script of a class over HTTP: written before the class, read at any time. The clock is controlled on the socket."""

from gateway.http.classes import ClassPath
from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.timelines import ScriptDraft, ScriptView
from services.kernel.problems import (
    ChangedMeanwhile,
    ClassNotFound,
    ClassOver,
    ClassStarted,
    Forbidden,
    NotFound,
    RemovedFromClass,
)


async def class_script(deps: GatewayDeps, call: Call[Nothing, Nothing, ClassPath]) -> ScriptView:
    return await deps.timelines.script(call.caller, call.path.id)


async def save_script(deps: GatewayDeps, call: Call[ScriptDraft, Nothing, ClassPath]) -> ScriptView:
    return await deps.timelines.save_script(call.caller, call.path.id, call.body)


async def check_script(deps: GatewayDeps, call: Call[ScriptDraft, Nothing, ClassPath]) -> ScriptView:
    return await deps.timelines.check_script(call.caller, call.path.id, call.body)


CLASS_SCRIPT = Route(
    "GET",
    "/v1/classes/{id}/script",
    name="class_script",
    permission=may.READ_CLASS,
    tag="classes",
    does="The script of a class: blocks, intervals, targets, steps and cues.",
    handler=class_script,
    body=Nothing,
    query=Nothing,
    path=ClassPath,
    reply=ScriptView,
    scope="classes:read",
    problems=(ClassNotFound, NotFound, RemovedFromClass),
)
SAVE_SCRIPT = Route(
    "PUT",
    "/v1/classes/{id}/script",
    name="save_script",
    permission=may.SCRIPT_CLASS,
    tag="classes",
    does="Store the script of a class, in place of the one it has (its coach).",
    more=(
        "Give the `revision` that yours was made from, 0 for the first. Cues are in the order of their times; an interval has at"
        " most one target of each kind, and zone or reserve, not both. What contradicts itself is refused with its place as `path`."
        " With `library` the class gets a copy of that script of your library, or of one that is shared."
        " Once the clock of the class has begun the script stays as it is: skip or extend with `class.control` on the socket."
    ),
    handler=save_script,
    body=ScriptDraft,
    query=Nothing,
    path=ClassPath,
    reply=ScriptView,
    scope="classes:manage",
    problems=(ChangedMeanwhile, ClassNotFound, ClassOver, ClassStarted, Forbidden, NotFound, RemovedFromClass),
)
CHECK_SCRIPT = Route(
    "POST",
    "/v1/classes/{id}/script/check",
    name="check_script",
    permission=may.SCRIPT_CLASS,
    tag="classes",
    does="Whether a script could be stored, while it is being written (its coach).",
    more="Nothing is stored. The answer has the `revision` of the script that the class has, and how long this one would last.",
    handler=check_script,
    body=ScriptDraft,
    query=Nothing,
    path=ClassPath,
    reply=ScriptView,
    scope="classes:manage",
    problems=(ClassNotFound, ClassOver, ClassStarted, Forbidden, NotFound, RemovedFromClass),
)
