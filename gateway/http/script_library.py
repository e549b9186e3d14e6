"""The library of scripts: those that a coach or author keeps apart from classes, and those that others share."""

from typing import Annotated, Final

import msgspec

from gateway.http.ports import GatewayDeps
from gateway.http.router import Call, Nothing, Route
from services.access import permission as may
from services.classes.kept_script import (
    MOST_SCRIPTS,
    LibraryEntry,
    LibraryQuery,
    LibraryScriptView,
    ScriptLabel,
    Whose,
)
from services.classes.script import Script
from services.classes.script_library import MAX_PAGE
from services.kernel.ids import ScriptId
from services.kernel.problems import (
    ChangedMeanwhile,
    Forbidden,
    KeyReused,
    NotFound,
    ScriptAwaited,
    TooManyScripts,
)
from services.tasks.task import Key

_NO_CONTROLS: Final = r"^[^\x00-\x1f]*$"


class KeepRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script to be kept. `key`, made by you, new for each: the same request again with it finds the one that it made."""

    key: Key
    label: ScriptLabel
    script: Script


class CopyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A copy, please. `key`, made by you, new for each: the same request again with it finds the one that it made."""

    key: Key


class LibraryChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script as it is to be from now on, with the `revision` that it was made from."""

    label: ScriptLabel
    script: Script
    revision: int


class CheckRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script that is being written."""

    script: Script


class Checked(msgspec.Struct, frozen=True):
    """It does not contradict itself, and lasts so long in class time."""

    duration_ms: int


class ScriptPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which script."""

    id: ScriptId


class ScriptsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of which scripts: your `own`, those that are `shared` with all coaches, or `any` of them; with these letters in
    the name, great or small; with this tag. `after`: the last one of the page before."""

    whose: Whose = "own"
    name: Annotated[str, msgspec.Meta(max_length=80, pattern=_NO_CONTROLS)] | None = None
    tag: Annotated[str, msgspec.Meta(max_length=30, pattern=_NO_CONTROLS)] | None = None
    after: ScriptId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = 20


class ScriptList(msgspec.Struct, frozen=True):
    """Scripts, the newest first. `next_after` is what to give as `after` for the next page, null on the last."""

    scripts: tuple[LibraryEntry, ...]
    next_after: ScriptId | None


async def keep_script(deps: GatewayDeps, call: Call[KeepRequest, Nothing, Nothing]) -> LibraryScriptView:
    return await deps.script_library.keep(call.caller, call.body.label, call.body.script, call.body.key)


async def library(deps: GatewayDeps, call: Call[Nothing, ScriptsQuery, Nothing]) -> ScriptList:
    asked = call.query
    query = LibraryQuery(whose=asked.whose, name=asked.name, tag=asked.tag, after=asked.after, limit=asked.limit)
    found = await deps.script_library.page(call.caller, query)
    return ScriptList(found, found[-1].id if len(found) == asked.limit else None)


async def library_script(deps: GatewayDeps, call: Call[Nothing, Nothing, ScriptPath]) -> LibraryScriptView:
    return await deps.script_library.by_id(call.caller, call.path.id)


async def change_script(deps: GatewayDeps, call: Call[LibraryChange, Nothing, ScriptPath]) -> LibraryScriptView:
    asked = call.body
    return await deps.script_library.change(call.caller, call.path.id, asked.label, asked.script, asked.revision)


async def delete_script(deps: GatewayDeps, call: Call[Nothing, Nothing, ScriptPath]) -> None:
    await deps.script_library.delete(call.caller, call.path.id)


async def copy_script(deps: GatewayDeps, call: Call[CopyRequest, Nothing, ScriptPath]) -> LibraryScriptView:
    return await deps.script_library.copy(call.caller, call.path.id, call.body.key)


async def check_library_script(deps: GatewayDeps, call: Call[CheckRequest, Nothing, Nothing]) -> Checked:
    return Checked(deps.script_library.check(call.caller, call.body.script))


KEEP_SCRIPT = Route(
    "POST",
    "/v1/scripts",
    name="keep_script",
    permission=may.KEEP_SCRIPTS,
    tag="scripts",
    does="Keep a script in your library (role coach or author).",
    more=(
        "What contradicts itself is refused with its place as `path`. A label whose `shared` is `coaches` lets all coaches and"
        " authors of this installation read it, take it into their classes and copy it."
        f" An account keeps {MOST_SCRIPTS} scripts at most."
    ),
    handler=keep_script,
    body=KeepRequest,
    query=Nothing,
    path=Nothing,
    reply=LibraryScriptView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden, KeyReused, TooManyScripts),
)
LIBRARY = Route(
    "GET",
    "/v1/scripts",
    name="library",
    permission=may.READ_LIBRARY,
    tag="scripts",
    does="Scripts in the library, the newest first: your own, and those that others share.",
    handler=library,
    body=Nothing,
    query=ScriptsQuery,
    path=Nothing,
    reply=ScriptList,
    scope="classes:read",
    problems=(Forbidden,),
)
LIBRARY_SCRIPT = Route(
    "GET",
    "/v1/scripts/{id}",
    name="library_script",
    permission=may.READ_LIBRARY,
    tag="scripts",
    does="A script in the library, whole: one of your own, or one that is shared.",
    handler=library_script,
    body=Nothing,
    query=Nothing,
    path=ScriptPath,
    reply=LibraryScriptView,
    scope="classes:read",
    problems=(Forbidden, NotFound),
)
CHANGE_SCRIPT = Route(
    "PUT",
    "/v1/scripts/{id}",
    name="change_script",
    permission=may.CHANGE_LIBRARY_SCRIPT,
    tag="scripts",
    does="Write on a script of your own.",
    more=(
        "Give the `revision` that yours was made from. Classes that have taken it keep what they took; classes on offer that"
        " name it get it as it is when their doors open."
    ),
    handler=change_script,
    body=LibraryChange,
    query=Nothing,
    path=ScriptPath,
    reply=LibraryScriptView,
    scope="classes:manage",
    problems=(ChangedMeanwhile, Forbidden, NotFound),
)
DELETE_SCRIPT = Route(
    "DELETE",
    "/v1/scripts/{id}",
    name="delete_script",
    permission=may.CHANGE_LIBRARY_SCRIPT,
    tag="scripts",
    does="Take a script of your own out of the library; copies stay.",
    handler=delete_script,
    body=Nothing,
    query=Nothing,
    path=ScriptPath,
    reply=None,
    scope="classes:manage",
    status=204,
    problems=(Forbidden, NotFound, ScriptAwaited),
)
COPY_SCRIPT = Route(
    "POST",
    "/v1/scripts/{id}/copies",
    name="copy_script",
    permission=may.KEEP_SCRIPTS,
    tag="scripts",
    does="Make a script of your own out of this one; it says what it was made of, and is private.",
    handler=copy_script,
    body=CopyRequest,
    query=Nothing,
    path=ScriptPath,
    reply=LibraryScriptView,
    scope="classes:manage",
    status=201,
    problems=(Forbidden, KeyReused, NotFound, TooManyScripts),
)
CHECK_LIBRARY_SCRIPT = Route(
    "POST",
    "/v1/scripts/check",
    name="check_library_script",
    permission=may.KEEP_SCRIPTS,
    tag="scripts",
    does="Whether a script could be kept, while it is being written.",
    more="Nothing is stored.",
    handler=check_library_script,
    body=CheckRequest,
    query=Nothing,
    path=Nothing,
    reply=Checked,
    scope="classes:manage",
    problems=(Forbidden,),
)
