"""What the owner of long tasks can do: start one, see them, cancel one, get its file.

Starting takes a key of the caller's: the same request again finds the task that it started before. Only the owner sees a task;
for everybody else it does not exist. Other code starts one with `start`, in the transaction that makes it necessary.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.accounts.account import Account
from services.accounts.step_up import require_fresh
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, TaskAsked, TaskEnded
from services.kernel.ids import AccountId, FactId, Ids, TaskId
from services.kernel.problems import KeyReused, NotFound, TooManyTasks
from services.tasks.task import ENDED, MOST_OPEN, AnyWork, ExportAccount, Task, TaskView, kind_of, view_of

MAX_PAGE: Final = 100


class FileAt(msgspec.Struct, frozen=True):
    """A finished file: where it lies, and what a browser should call it."""

    path: Path
    name: str


class TaskStore(Protocol):
    """What this needs of the tasks' store (persistence/long_tasks.py)."""

    async def add(self, task: Task, key: str) -> bool: ...
    async def by_id(self, task_id: TaskId) -> Task | None: ...
    async def lock(self, task_id: TaskId) -> Task | None: ...
    async def by_key(self, account_id: AccountId, key: str) -> Task | None: ...
    async def of_account(self, account_id: AccountId, *, before: TaskId | None, limit: int) -> list[Task]: ...
    async def open(self, account_id: AccountId) -> int: ...
    async def cancel(self, task_id: TaskId, at: datetime) -> Task: ...


class AccountStore(Protocol):
    """Accounts, to be locked."""

    async def locked(self, account_id: AccountId) -> Account | None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class TaskStores(Protocol):
    """The stores of one transaction."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def long_tasks(self) -> TaskStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Tasks:
    """The use cases. `files` is the folder where tasks leave what they made."""

    def __init__(
        self,
        transactions: Callable[[], AbstractAsyncContextManager[TaskStores]],
        clock: Clock,
        ids: Ids,
        files: Path,
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._files: Final = files

    async def start(self, caller: Caller, work: AnyWork, key: str) -> TaskView:
        """Have something done. Raises `KeyReused`, `TooManyTasks`, and `StepUpNeeded` for a copy of everything that we have about
        somebody."""
        require_held(caller, may.USE_TASKS)
        if isinstance(work, ExportAccount):
            require_fresh(caller, self._clock.wall_ms())
        async with self._transactions() as stores:
            task_id, now_ms = TaskId(self._ids.next()), self._clock.wall_ms()
            return view_of(await start(stores, task_id, caller.account_id, work, key, now_ms))

    async def of_account(
        self, caller: Caller, before: TaskId | None = None, limit: int = MAX_PAGE
    ) -> tuple[TaskView, ...]:
        """The caller's tasks, newest first, at most `MAX_PAGE`; `before` is the last one already seen."""
        require_held(caller, may.USE_TASKS)
        limit = min(max(limit, 1), MAX_PAGE)
        async with self._transactions() as stores:
            found = await stores.long_tasks.of_account(caller.account_id, before=before, limit=limit)
        return tuple(map(view_of, found))

    async def by_id(self, caller: Caller, task_id: TaskId) -> TaskView:
        """One of the caller's tasks. Raises `NotFound` for any other."""
        async with self._transactions() as stores:
            return view_of(await _own(stores, caller, task_id))

    async def cancel(self, caller: Caller, task_id: TaskId) -> TaskView:
        """Cancel a task: at once while it waits; one that runs stops within a second or so, and what it has committed stays. One
        that has ended stays as it is. Raises `NotFound`."""
        async with self._transactions() as stores:
            before = await _own(stores, caller, task_id, lock=True)
            task = await stores.long_tasks.cancel(task_id, utc(self._clock.wall_ms()))
            if task.state in ENDED and before.state not in ENDED:
                fact = TaskEnded(task_id=task.id, account_id=task.account_id, kind=task.kind)
                await stores.outbox.add(fact, task.id)
        return view_of(task)

    async def file(self, caller: Caller, task_id: TaskId) -> FileAt:
        """The file that a task has made. Raises `NotFound` when there is none, not yet, or no more, and `StepUpNeeded` for a copy
        of everything: whoever finds a login open must not find one that its owner has asked for."""
        async with self._transactions() as stores:
            task = await _own(stores, caller, task_id)
        if isinstance(task.work, ExportAccount):
            require_fresh(caller, self._clock.wall_ms())
        made = task.result.file if task.result is not None else None
        if made is None:
            raise NotFound("this task has made no file, or not yet: see its state")
        if made.until_ms <= self._clock.wall_ms():
            raise NotFound("this file has been removed: start the task again for a new one")
        return FileAt(self._files / made.name, f"paceline-{utc(task.created_ms):%Y-%m-%d}.zip")


async def start(
    stores: TaskStores, task_id: TaskId, account_id: AccountId, work: AnyWork, key: str, now_ms: int
) -> Task:
    """Have something done for an account, in the caller's transaction; the task that `key` has started before, if it has.

    Raises `KeyReused` when that was for something else, `TooManyTasks` when `MOST_OPEN` wait or run, `NotFound` for an account
    that is gone. The account is locked, so that two at once are counted one after the other.
    """
    if await stores.accounts.locked(account_id) is None:
        raise NotFound("this account does not exist any more")
    known = await stores.long_tasks.by_key(account_id, key)
    if known is not None:
        if known.work != work:
            raise KeyReused
        return known
    if await stores.long_tasks.open(account_id) >= MOST_OPEN:
        raise TooManyTasks(limit=MOST_OPEN)
    task = Task(id=task_id, account_id=account_id, work=work, state="waiting", created_ms=now_ms)
    await stores.long_tasks.add(task, key)
    await stores.outbox.add(TaskAsked(task_id=task_id, account_id=account_id, kind=kind_of(type(work))), task_id)
    return task


async def _own(stores: TaskStores, caller: Caller, task_id: TaskId, *, lock: bool = False) -> Task:
    require_held(caller, may.USE_TASKS)
    task = await (stores.long_tasks.lock(task_id) if lock else stores.long_tasks.by_id(task_id))
    if task is None or task.account_id != caller.account_id:
        raise NotFound("you have no task with this id")
    return task
