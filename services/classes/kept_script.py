"""A script in the library: kept by who writes it, apart from classes, with a name to find it by. Pure.

A class never points into the library: what it takes is a copy. So a script can be written on at any time, and no class that is
being given changes under its coach. Another coach's script that is shared is read, taken and copied by all who write; only who
keeps it changes it. A copy is one's own from then on, and says what it was made of.

A private script of somebody else does not exist for others. One that is shared may be made private again: copies stay what they
are.
"""

from typing import Annotated, Final, Literal

import msgspec

from services.access import permission as may
from services.access.policy import owned, require
from services.classes.plain_text import one_line
from services.classes.script import Script, duration_ms
from services.kernel.caller import Caller
from services.kernel.ids import AccountId, ScriptId
from services.kernel.problems import NotFound

MOST_SCRIPTS: Final = 300
"""Of one account. By feeling: a class a day for a year has fewer scripts than days."""
NOT_THERE: Final = "there is no script with this id, or it is not shared with you"

Sharing = Literal["private", "coaches"]
Whose = Literal["own", "shared", "any"]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=30, description="one line")]


class ScriptLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a script in the library is called and what it is for. `shared` with nobody, or with all coaches and authors here."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80, description="one line")]
    description: Annotated[str, msgspec.Meta(max_length=400, description="one line; it may be empty")] = ""
    tags: Annotated[tuple[Tag, ...], msgspec.Meta(max_length=10)] = ()
    shared: Sharing = "private"


class Origin(msgspec.Struct, frozen=True):
    """What a copy was made of: the `revision` of a script of `owner_name`. `id` is null when that is in the library no more."""

    id: ScriptId | None
    owner_id: AccountId
    owner_name: str
    revision: int


class LibraryScript(msgspec.Struct, frozen=True):
    """A script in the library as stored; the script itself lies beside it. `duration_ms` of class time; instants in ms since
    1970."""

    id: ScriptId
    owner_id: AccountId
    owner_name: str
    label: ScriptLabel
    duration_ms: int
    revision: int
    created_ms: int
    changed_ms: int
    origin: Origin | None = None


class LibraryQuery(msgspec.Struct, frozen=True):
    """Which scripts: one's own, those that are shared, or both; with these letters in their name, with this tag. `after`: only
    those behind this one."""

    whose: Whose = "own"
    name: str | None = None
    tag: str | None = None
    after: ScriptId | None = None
    limit: int = 20


class LibraryEntry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A script in the library without the script itself. `revision` grows whenever it is changed; `duration_ms` of class time."""

    id: ScriptId
    owner_id: AccountId
    owner_name: str
    label: ScriptLabel
    duration_ms: int
    revision: int
    created_at_ms: int
    changed_at_ms: int
    origin: Origin | None = None


class LibraryScriptView(LibraryEntry, frozen=True, omit_defaults=True, kw_only=True):
    """A script in the library. `revision` grows whenever it is changed; `duration_ms` of class time."""

    script: Script


def labelled(label: ScriptLabel, path: str = "$.label") -> ScriptLabel:
    """The label with its texts fit to be shown: tags in small letters, each once. Raises `BadShape` with the place."""
    tags = (one_line(tag, path=f"{path}.tags[{number}]") for number, tag in enumerate(label.tags))
    description = label.description.strip()
    return ScriptLabel(
        name=one_line(label.name, path=f"{path}.name"),
        description=one_line(description, path=f"{path}.description") if description else "",
        tags=tuple(dict.fromkeys(tag.lower() for tag in tags)),
        shared=label.shared,
    )


def may_read(kept: LibraryScript | None, caller: Caller) -> LibraryScript:
    """The script, if the caller may know of it. Raises `NotFound`."""
    if kept is None or (kept.owner_id != caller.account_id and kept.label.shared == "private"):
        raise NotFound(NOT_THERE)
    return kept


def may_change(kept: LibraryScript | None, caller: Caller) -> LibraryScript:
    """The script, if it is the caller's. Raises `NotFound`, `Forbidden`."""
    kept = may_read(kept, caller)
    require(caller, may.CHANGE_LIBRARY_SCRIPT, owned(kept.owner_id))
    return kept


def changed(kept: LibraryScript, label: ScriptLabel, script: Script, now_ms: int) -> LibraryScript:
    """The script as it is with other words, one revision further."""
    return msgspec.structs.replace(
        kept, label=label, duration_ms=duration_ms(script), revision=kept.revision + 1, changed_ms=now_ms
    )


def origin_of(kept: LibraryScript) -> Origin:
    """What a copy of it says about where it comes from."""
    return Origin(kept.id, kept.owner_id, kept.owner_name, kept.revision)


def entry_of(kept: LibraryScript) -> LibraryEntry:
    """A script in the library as it stands in a list."""
    return LibraryEntry(
        id=kept.id,
        owner_id=kept.owner_id,
        owner_name=kept.owner_name,
        label=kept.label,
        duration_ms=kept.duration_ms,
        revision=kept.revision,
        created_at_ms=kept.created_ms,
        changed_at_ms=kept.changed_ms,
        origin=kept.origin,
    )


def view_of(kept: LibraryScript, script: Script) -> LibraryScriptView:
    """A script in the library, whole."""
    entry = entry_of(kept)
    return LibraryScriptView(**{name: getattr(entry, name) for name in LibraryEntry.__struct_fields__}, script=script)
