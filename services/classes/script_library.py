"""The library of scripts: keep one, find it, write on it, copy that of another, take it out.

Whoever keeps scripts does it one after the other (`lock_owner`), so that the limit holds and a key makes one script. Two who write
on the same one wait for its row; the second is told that it has changed.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol

from msgspec.structs import replace

from services.access import permission as may
from services.access.policy import require_held
from services.classes import script as scripts
from services.classes.kept_script import (
    MOST_SCRIPTS,
    NOT_THERE,
    LibraryEntry,
    LibraryQuery,
    LibraryScript,
    LibraryScriptView,
    Origin,
    ScriptLabel,
    changed,
    entry_of,
    labelled,
    may_change,
    may_read,
    origin_of,
    view_of,
)
from services.classes.script import Script
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.ids import AccountId, Ids, ScriptId
from services.kernel.problems import ChangedMeanwhile, KeyReused, NotFound, ScriptAwaited, TooManyScripts

MAX_PAGE: Final = 50


class TakingStore(Protocol):
    """What those need who take scripts out of the library (persistence/script_library.py)."""

    async def by_id(self, script_id: ScriptId) -> LibraryScript | None: ...
    async def script(self, script_id: ScriptId) -> Script | None: ...
    async def hold(self, script_id: ScriptId, owner_id: AccountId) -> bool: ...


class LibraryStore(TakingStore, Protocol):
    """And who keep them there."""

    async def lock_owner(self, owner_id: AccountId) -> None: ...
    async def add(self, kept: LibraryScript, script: Script, key: str) -> None: ...
    async def by_key(self, owner_id: AccountId, key: str) -> LibraryScript | None: ...
    async def lock(self, script_id: ScriptId) -> LibraryScript | None: ...
    async def save(self, kept: LibraryScript, script: Script) -> None: ...
    async def count(self, owner_id: AccountId) -> int: ...
    async def page(self, query: LibraryQuery, viewer: AccountId) -> list[LibraryScript]: ...
    async def awaited(self, script_id: ScriptId, owner_id: AccountId, now: datetime) -> bool: ...
    async def delete(self, script_id: ScriptId) -> None: ...


class TakingStores(Protocol):
    """The stores of one transaction in which a script is taken."""

    @property
    def script_library(self) -> TakingStore: ...


class LibraryStores(Protocol):
    """The stores of one transaction."""

    @property
    def script_library(self) -> LibraryStore: ...


class Library:
    """The use cases."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[LibraryStores]], clock: Clock, ids: Ids
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids

    async def keep(self, caller: Caller, label: ScriptLabel, script: Script, key: str) -> LibraryScriptView:
        """Keep a script; the same request again with its `key` finds the one it made, as that is by then. Raises `Forbidden`,
        `BadShape` with the place of a contradiction, `KeyReused`, `TooManyScripts`."""
        require_held(caller, may.KEEP_SCRIPTS)
        label, checked = labelled(label), scripts.checked(script, "$.script")
        async with self._transactions() as stores:
            return await self._keep(stores, caller, label, checked, key)

    async def copy(self, caller: Caller, script_id: ScriptId, key: str) -> LibraryScriptView:
        """A script of one's own out of one that the caller may read; it says where it comes from and is private. Raises
        `Forbidden`, `NotFound`, `KeyReused`, `TooManyScripts`."""
        require_held(caller, may.KEEP_SCRIPTS)
        async with self._transactions() as stores:
            kept, script = await taken(stores, caller, script_id)
            label = replace(kept.label, shared="private")
            return await self._keep(stores, caller, label, script, key, origin_of(kept))

    def check(self, caller: Caller, script: Script) -> int:
        """How long a script would last in class time, in ms, without keeping it: for whoever writes one. Raises `Forbidden`, and
        `BadShape` with the place of a contradiction."""
        require_held(caller, may.KEEP_SCRIPTS)
        return scripts.duration_ms(scripts.checked(script, "$.script"))

    async def page(self, caller: Caller, query: LibraryQuery) -> tuple[LibraryEntry, ...]:
        """Scripts that the caller may read, the newest first, at most `MAX_PAGE`. Raises `Forbidden`."""
        require_held(caller, may.READ_LIBRARY)
        bounded = replace(query, limit=min(max(query.limit, 1), MAX_PAGE))
        async with self._transactions() as stores:
            found = await stores.script_library.page(bounded, caller.account_id)
        return tuple(map(entry_of, found))

    async def by_id(self, caller: Caller, script_id: ScriptId) -> LibraryScriptView:
        """One of them, whole. Raises `Forbidden`, `NotFound`."""
        require_held(caller, may.READ_LIBRARY)
        async with self._transactions() as stores:
            return view_of(*await taken(stores, caller, script_id))

    async def change(
        self, caller: Caller, script_id: ScriptId, label: ScriptLabel, script: Script, revision: int
    ) -> LibraryScriptView:
        """Put other words in the place of one's own that have this `revision`. Raises `Forbidden`, `NotFound`, `ChangedMeanwhile`,
        `BadShape` with the place of a contradiction."""
        label, checked = labelled(label), scripts.checked(script, "$.script")
        async with self._transactions() as stores:
            kept = may_change(await stores.script_library.lock(script_id), caller)
            if kept.revision != revision:
                raise ChangedMeanwhile(path="$.revision", revision=kept.revision)
            kept = changed(kept, label, checked, self._clock.wall_ms())
            await stores.script_library.save(kept, checked)
        return view_of(kept, checked)

    async def delete(self, caller: Caller, script_id: ScriptId) -> None:
        """Take one's own out of the library. Copies stay, of classes and of others. Raises `Forbidden`, `NotFound`,
        `ScriptAwaited`."""
        async with self._transactions() as stores:
            kept = may_change(await stores.script_library.lock(script_id), caller)
            if await stores.script_library.awaited(script_id, kept.owner_id, utc(self._clock.wall_ms())):
                raise ScriptAwaited
            await stores.script_library.delete(script_id)

    async def _keep(
        self,
        stores: LibraryStores,
        caller: Caller,
        label: ScriptLabel,
        script: Script,
        key: str,
        origin: Origin | None = None,
    ) -> LibraryScriptView:
        await stores.script_library.lock_owner(caller.account_id)
        known = await stores.script_library.by_key(caller.account_id, key)
        if known is not None:
            return await self._known(stores, known, label, script, origin)
        if await stores.script_library.count(caller.account_id) >= MOST_SCRIPTS:
            raise TooManyScripts(limit=MOST_SCRIPTS)
        now_ms = self._clock.wall_ms()
        kept = LibraryScript(
            id=ScriptId(self._ids.next()),
            owner_id=caller.account_id,
            owner_name=caller.name,
            label=label,
            duration_ms=scripts.duration_ms(script),
            revision=1,
            created_ms=now_ms,
            changed_ms=now_ms,
            origin=origin,
        )
        await stores.script_library.add(kept, script, key)
        return view_of(kept, script)

    @staticmethod
    async def _known(
        stores: LibraryStores, known: LibraryScript, label: ScriptLabel, script: Script, origin: Origin | None
    ) -> LibraryScriptView:
        there = await stores.script_library.script(known.id)
        if there is None:
            raise NotFound(NOT_THERE)
        copied = None if known.origin is None else known.origin.id
        if copied != (None if origin is None else origin.id):
            raise KeyReused
        if origin is None and known.revision == 1 and (known.label, there) != (label, script):
            raise KeyReused
        return view_of(known, there)


async def taken(stores: TakingStores, caller: Caller, script_id: ScriptId) -> tuple[LibraryScript, Script]:
    """A script that the caller may read, to be copied. Raises `Forbidden`, `NotFound`."""
    require_held(caller, may.READ_LIBRARY)
    kept = may_read(await stores.script_library.by_id(script_id), caller)
    script = await stores.script_library.script(script_id)
    if script is None:
        raise NotFound(NOT_THERE)
    return kept, script


async def require_own(stores: TakingStores, owner_id: AccountId, script_id: ScriptId | None) -> None:
    """Raise `NotFound` unless a script is this account's own, or none is named; it stays in the library until the transaction
    ends."""
    if script_id is not None and not await stores.script_library.hold(script_id, owner_id):
        raise NotFound(
            "you keep no script with this id: make a copy of it in your own library first", path="$.terms.script"
        )
