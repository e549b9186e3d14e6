"""What the board of a class is ranked by, as it changes while the class is on.

It is stored before anybody hears of it, under the lock of the class, and counted: of two coaches who press at once the later one
holds, on every node.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

import msgspec

from services.classes.live_class import LiveClass, may_control
from services.classes.metric import Metric
from services.kernel.caller import Caller
from services.kernel.facts import AnyFact, ClassRankingChanged
from services.kernel.ids import ClassId, FactId
from services.kernel.problems import ClassNotFound


class ClassStore(Protocol):
    """What this needs of the classes' store (persistence/classes.py)."""

    async def lock(self, class_id: ClassId) -> LiveClass | None: ...
    async def rank_by(self, live: LiveClass) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class RankingStores(Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Boards(Protocol):
    """The board of the class, on every node. Raises nothing: it is stored, and a worker says it again."""

    async def ranking_changed(self, live: LiveClass) -> None:
        """Rank it by what this says."""
        ...


class Rankings:
    """The use case."""

    def __init__(self, transactions: Callable[[], AbstractAsyncContextManager[RankingStores]], boards: Boards) -> None:
        self._transactions = transactions
        self._boards = boards

    async def rank_by(self, caller: Caller, class_id: ClassId, metric: Metric) -> LiveClass:
        """Rank the board by this (who leads the class); the class as it is then. By what it is ranked by already: nothing more
        happens. Raises `ClassNotFound`, `ClassOver`, `Forbidden`."""
        async with self._transactions() as stores:
            live = await stores.classes.lock(class_id)
            if live is None:
                raise ClassNotFound
            may_control(live, caller)
            if metric == live.metric:
                return live
            changed = msgspec.structs.replace(live, metric=metric, ranking_n=live.ranking_n + 1)
            await stores.classes.rank_by(changed)
            await stores.outbox.add(ClassRankingChanged(class_id=class_id), class_id)
        await self._boards.ranking_changed(changed)
        return changed
