"""Reports: a message that somebody does not want to stand, and what the coach of the class decides about it.

A report carries the text as it was said, read from the room's log and not from whoever reports it: nobody can be accused of what
they have not said. Each member reports a message once. Whoever has said it is not told who reported it; nor is the coach, who
decides about the message and not about the two.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from services.access import permission as may
from services.access.policy import require_held
from services.classes.live_class import LiveClass, Membership, may_know
from services.kernel.caller import Caller
from services.kernel.clock import Clock, utc
from services.kernel.facts import AnyFact, ClassMessageRemoved
from services.kernel.ids import AccountId, ClassId, DecisionId, FactId, Ids, ReportId
from services.kernel.problems import ChangedMeanwhile, ClassNotFound, NotFound
from services.social.moderation import Decision, may_moderate

ReportReason = Literal["insult", "harassment", "sexual", "hate", "spam", "personal_data", "other"]
"""Why a message is reported."""
Verdict = Literal["remove", "keep"]
MAX_REPORTS: Final = 200
"""Reports in one answer. Full means: decide about these, and ask again."""


class ReportView(msgspec.Struct, frozen=True):
    """A report as the coach sees it: member `n` has said `text`; `message` is its position in the room's log. `verdict` is missing
    while nobody has decided."""

    id: ReportId
    message: str
    n: int
    text: str
    reason: ReportReason
    reported_at_ms: int
    verdict: Verdict | None = None
    decided_by: str | None = None
    decided_at_ms: int | None = None


class WaitingReport(msgspec.Struct, frozen=True):
    """A report that nobody has decided about, and the class that it is from."""

    class_id: ClassId
    title: str
    report: ReportView


class Reported(msgspec.Struct, frozen=True):
    """What a decision needs to know of a report, its row locked."""

    id: ReportId
    position: str
    about: AccountId | None
    text: str
    verdict: Verdict | None


class ClassStore(Protocol):
    """What this needs of the classes' store."""

    async def by_id(self, class_id: ClassId) -> LiveClass | None: ...
    async def membership(self, class_id: ClassId, account_id: AccountId) -> Membership | None: ...


class ReportStore(Protocol):
    """See persistence/reports.py."""

    async def views(self, class_id: ClassId, *, undecided: bool, limit: int) -> Sequence[ReportView]: ...
    async def waiting_for(self, account_id: AccountId, limit: int) -> Sequence[WaitingReport]: ...
    async def lock(self, class_id: ClassId, report_id: ReportId) -> Reported | None: ...
    async def decide(self, class_id: ClassId, position: str, verdict: Verdict, by: AccountId, at: datetime) -> None: ...


class ModerationStore(Protocol):
    """See persistence/moderation.py."""

    async def remove(
        self, class_id: ClassId, position: str, author: AccountId | None, text: str, by: AccountId, at: datetime
    ) -> bool: ...
    async def note(self, id: DecisionId, class_id: ClassId, decision: Decision, at: datetime) -> None: ...


class OutboxStore(Protocol):
    """Where facts are told."""

    async def add(self, fact: AnyFact, aggregate_id: UUID) -> FactId: ...


class ReportStores(Protocol):
    """The stores of one transaction."""

    @property
    def classes(self) -> ClassStore: ...
    @property
    def reports(self) -> ReportStore: ...
    @property
    def moderation(self) -> ModerationStore: ...
    @property
    def outbox(self) -> OutboxStore: ...


class Room(Protocol):
    """The room of the class, on every node."""

    async def removed(self, class_id: ClassId, position: str) -> None:
        """Tell everybody there that a message was taken down. Raises nothing: it is stored, and a worker says it again."""
        ...


class Reports:
    """The queue of a class, for its coach; also when it is over. Raises `ClassNotFound`, `Forbidden`."""

    def __init__(
        self, transactions: Callable[[], AbstractAsyncContextManager[ReportStores]], clock: Clock, ids: Ids, room: Room
    ) -> None:
        self._transactions: Final = transactions
        self._clock: Final = clock
        self._ids: Final = ids
        self._room: Final = room

    async def of_class(self, caller: Caller, class_id: ClassId, *, undecided: bool) -> Sequence[ReportView]:
        """The reports of a class, those that wait longest first."""
        async with self._transactions() as stores:
            await self._moderated(stores, caller, class_id)
            return await stores.reports.views(class_id, undecided=undecided, limit=MAX_REPORTS)

    async def waiting(self, caller: Caller) -> Sequence[WaitingReport]:
        """What waits for the caller in all classes that they lead, what has waited longest first; nothing for anybody else. Raises
        `Forbidden` for a display."""
        require_held(caller, may.REPORTS_OWN)
        async with self._transactions() as stores:
            return await stores.reports.waiting_for(caller.account_id, MAX_REPORTS)

    async def decide(self, caller: Caller, class_id: ClassId, report_id: ReportId, verdict: Verdict) -> None:
        """Decide about a message, for all who have reported it. The same again changes nothing. Raises `NotFound`, and
        `ChangedMeanwhile` when somebody has decided otherwise."""
        now = utc(self._clock.wall_ms())
        async with self._transactions() as stores:
            await self._moderated(stores, caller, class_id)
            report = await stores.reports.lock(class_id, report_id)
            if report is None:
                raise NotFound("there is no such report in this class")
            if report.verdict == verdict:
                return
            if report.verdict is not None:
                raise ChangedMeanwhile(f'it was decided already: "{report.verdict}"', path="$.verdict")
            await stores.reports.decide(class_id, report.position, verdict, caller.account_id, now)
            decision = Decision(caller.account_id, report.about, verdict, position=report.position)
            await stores.moderation.note(DecisionId(self._ids.next()), class_id, decision, now)
            if verdict == "remove" and await stores.moderation.remove(
                class_id, report.position, report.about, report.text, caller.account_id, now
            ):
                await stores.outbox.add(ClassMessageRemoved(class_id=class_id, position=report.position), class_id)
        if verdict == "remove":
            await self._room.removed(class_id, report.position)

    @staticmethod
    async def _moderated(stores: ReportStores, caller: Caller, class_id: ClassId) -> None:
        live = await stores.classes.by_id(class_id)
        membership = await stores.classes.membership(class_id, caller.account_id)
        if live is None:
            raise ClassNotFound
        may_know(live, caller, membership)
        may_moderate(live, caller, over=True)
