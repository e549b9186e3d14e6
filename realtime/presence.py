"""Who is in the rooms of this node, told to the register that all nodes share, and what it answers told to the rooms.

Handlers say `enter` and `leave` and go on: both only touch memory. One task reports, ten times a second what has changed and
every two seconds that this node lives, all rooms in a few batches. What comes back is how many people are in each room, and now
and then that it is this node's turn to announce who came and who left (`on_news`).

What waits to be reported is the last word about each person, so flapping does not pile up. Full (`MAX_WAITING` people over all
rooms) means: the room that would go over it forgets its changes and is reported whole instead. That costs one walk over its
people and says the same.

Register away: what is known here goes on being told (`count`), changes wait, and when it answers again they are reported. Reports
that may or may not have arrived are sent again; a repeated one changes nothing. If the answer that was lost gave this node the
word, names are lost with it, but never the number: the next report asks for it to be announced again. Rooms may live on several
servers, of which one is away: rooms that were not answered are tried apart from the others, who go on in time.

`stop` is the quiet hand-over. People leave as their connections are closed, the node says goodbye to the register, and who
connects elsewhere within the grace has never been away.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from realtime.register import UNSURE, Answer, News, Register, Report
from services.kernel.clock import Clock
from services.kernel.ids import AccountId
from services.kernel.problems import Problem

ROUND_EVERY_S: Final = 0.1
"""How long a change waits before it is reported."""
REFRESH_EVERY_S: Final = 2.0
"""How often a node says of each room that it lives. A loop that stops for 12 s right before is forgiven: see `Terms.lease_ms`."""
WHOLE_EVERY_S: Final = 30.0
"""How often a node names everybody of a room, though nobody has asked: a register may have lost what it had answered, after a
failover to a copy that lagged."""
LONGEST_PAUSE_S: Final = 2.0
"""Between tries of a room that is not answered; the first pause is two rounds, and each is twice the one before."""
BATCH_ROOMS: Final = 64
BATCH_PEOPLE: Final = 2_000
"""What one batch names at most, beyond its last room. Redis takes some 10 ms for so many, and may take 250."""
MAX_WAITING: Final = 20_000
"""Changes that wait to be reported. By feeling: a node's worth of people, all of them on the move."""

OnNews = Callable[[str, News], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PresenceStatistics:
    """Now: `rooms` reported, `people` in them through this node, changes `waiting`, and for how many rooms the register is
    `away`. Since start: `reports` answered, `failures` of reports, `announcements` made by this node, `overflows` of what waits."""

    rooms: int
    people: int
    waiting: int
    away: int
    reports: int
    failures: int
    announcements: int
    overflows: int


@dataclass(slots=True)
class _Room:
    """What this node knows of one room. `changed` is the last word about whoever moved since the last answer: True came. `lowest`
    and `highest` are the numbers that somebody here goes by: the one announced last, and those that were told since; `missed`: an
    announcement may have been lost after them."""

    here: dict[AccountId, None] = field(default_factory=dict)
    changed: dict[AccountId, bool] = field(default_factory=dict)
    count: int = 0
    told: int | None = None
    lowest: int | None = None
    highest: int | None = None
    missed: bool = False
    unsure: bool = False
    whole: bool = True
    whole_due: float = 0.0
    before: bool = False
    closing: bool = False
    due: float = 0.0
    tries: int = 0
    not_before: float = 0.0


class Presence:
    """See the module. `node` names this process to the register; `on_news` is set by whoever announces."""

    def __init__(self, node: str, register: Register, clock: Clock) -> None:
        self.on_news: OnNews = _announced_by_nobody
        self._node: Final = node
        self._register: Final = register
        self._clock: Final = clock
        self._rooms: dict[str, _Room] = {}
        self._waiting = 0
        self._stopping = False
        self._away = 0
        self._reports = 0
        self._failures = 0
        self._announcements = 0
        self._overflows = 0

    # -- what rooms say -------------------------------------------------------------------------------------------

    def follow(self, room: str) -> None:
        """Begin to report a room, with whoever enters it; soon its count is known."""
        known = self._rooms.setdefault(room, _Room())
        known.closing = False

    def unfollow(self, room: str) -> None:
        """Nobody here needs the room any more. Who is still in it leaves."""
        known = self._rooms.get(room)
        if known is not None:
            known.closing, known.due = True, 0.0

    def enter(self, room: str, account: AccountId) -> None:
        """Somebody is in a followed room through this node. Again is harmless."""
        known = self._rooms[room]
        if account not in known.here:
            known.here[account] = None
            self._change(known, account, came=True)

    def leave(self, room: str, account: AccountId) -> None:
        """The last connection of somebody here has left a room. Again is harmless."""
        known = self._rooms.get(room)
        if known is not None and account in known.here:
            del known.here[account]
            self._change(known, account, came=False)

    def count(self, room: str) -> int:
        """How many people are in a followed room, as far as this node can know."""
        known = self._rooms.get(room)
        if known is None:
            return 0
        coming = sum(known.changed.values()) if known.before else 0
        return max(known.count + coming, len(known.here))

    def tell_count(self, room: str) -> int:
        """`count`, for somebody who will go on from it: if it turns out to be another one, an announcement puts it right."""
        told = self.count(room)
        if (known := self._rooms.get(room)) is not None:
            known.told, known.due = told, 0.0
            known.lowest = told if known.lowest is None else min(known.lowest, told)
            known.highest = told if known.highest is None else max(known.highest, told)
        return told

    def heard(self, room: str, count: int) -> None:
        """Everybody here has heard an announcement."""
        if (known := self._rooms.get(room)) is not None:
            known.lowest = known.highest = count
            known.missed = False

    def may_have_missed(self, room: str) -> None:
        """An announcement may have been heard by nobody here: if anybody goes by another number than the true one, it is announced
        again."""
        if (known := self._rooms.get(room)) is not None:
            known.missed, known.due = True, 0.0

    def _change(self, known: _Room, account: AccountId, *, came: bool) -> None:
        known.due = 0.0
        if account not in known.changed:
            if self._waiting >= MAX_WAITING:
                self._overflows += 1
                self._waiting -= len(known.changed)
                known.changed.clear()
                known.whole = True
                return
            self._waiting += 1
        known.changed[account] = came

    # -- life -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask `run` to say goodbye and return. May be called again."""
        self._stopping = True

    async def run(self) -> None:
        """Report until stopped, whatever becomes of the register."""
        while not self._stopping:
            await self._round()
            await self._clock.sleep(ROUND_EVERY_S)
        for known in self._rooms.values():
            known.closing, known.due, known.not_before = True, 0.0, 0.0
        await self._round()

    def statistics(self) -> PresenceStatistics:
        """Counters for the probes."""
        return PresenceStatistics(
            rooms=len(self._rooms),
            people=sum(len(known.here) for known in self._rooms.values()),
            waiting=self._waiting,
            away=self._away,
            reports=self._reports,
            failures=self._failures,
            announcements=self._announcements,
            overflows=self._overflows,
        )

    async def _round(self) -> None:
        """Report every room that is due. Of those that were not answered last time, go on only while some are answered now."""
        now = self._clock.monotonic()
        due = [room for room, known in self._rooms.items() if known.due <= now and known.not_before <= now]
        for room in due:
            self._rooms[room].whole |= self._rooms[room].whole_due <= now
        well = [room for room in due if not self._rooms[room].tries]
        again = [room for room in due if self._rooms[room].tries]
        for batch in self._batches(well):
            await self._report(batch)
        random.shuffle(again)  # so that those of a server that is away stand before nobody else for long
        for batch in self._batches(again):
            if not await self._report(batch):
                return

    def _batches(self, due: list[str]) -> list[list[str]]:
        batches: list[list[str]] = []
        names_left = 0
        for room in due:
            known = self._rooms[room]
            if not batches or len(batches[-1]) == BATCH_ROOMS or names_left <= 0:
                batches.append([])
                names_left = BATCH_PEOPLE
            batches[-1].append(room)
            names_left -= len(known.here) if known.whole else len(known.changed)
        return batches

    async def _report(self, rooms: list[str]) -> bool:
        """One batch; whether any of it was answered."""
        reports = [self._report_of(room, self._rooms[room]) for room in rooms]
        answers = await self._register.exchange(reports)
        away_before, answered, trouble = self._away, 0, ""
        told: list[tuple[str, News]] = []
        for report, answer in zip(reports, answers, strict=True):
            known = self._rooms[report.room]
            if isinstance(answer, Answer):
                answered += 1
                self._away -= known.tries > 0
                known.tries = 0
                self._answered(report, known, answer)
                if answer.news is not None:
                    told.append((report.room, answer.news))
            else:
                self._not_answered(report, known)
                trouble = str(answer)
        self._reports += answered
        self._failures += len(reports) - answered
        if self._away and not away_before:
            log.warning("presence.register_away", rooms=self._away, trouble=trouble)
        elif away_before and not self._away:
            log.info("presence.register_back", failures=self._failures)
        if told:
            async with asyncio.TaskGroup() as group:
                for room, news in told:
                    group.create_task(self._announce(room, news), name=f"presence.announce {room}")
        return answered > 0

    def _not_answered(self, report: Report, known: _Room) -> None:
        self._away += not known.tries
        known.tries += 1
        known.whole, known.unsure, known.due = known.whole or report.whole, known.before, 0.0
        pause = min(ROUND_EVERY_S * 2 ** min(known.tries, 10), LONGEST_PAUSE_S)
        known.not_before = self._clock.monotonic() + pause

    def _report_of(self, room: str, known: _Room) -> Report:
        changed = known.changed
        if known.missed:
            known.missed = False
            known.told = known.lowest
            known.unsure |= known.lowest != known.highest
        report = Report(
            room,
            self._node,
            came=tuple(account for account, came in changed.items() if came),
            left=tuple(account for account, came in changed.items() if not came),
            here=tuple(account for account in known.here if account not in changed) if known.whole else (),
            whole=known.whole,
            before=known.before,
            told=UNSURE if known.unsure else known.told,
            bye=known.closing,
        )
        now = self._clock.monotonic()
        if known.whole:
            known.whole_due = now + WHOLE_EVERY_S
        # What changes from now on belongs to the next report.
        known.whole, known.due = False, now + REFRESH_EVERY_S
        return report

    def _answered(self, report: Report, known: _Room, answer: Answer) -> None:
        if answer.again:
            known.whole, known.due = True, 0.0
            return
        for came, accounts in ((True, report.came), (False, report.left)):
            for account in accounts:
                # Somebody who has moved on meanwhile is reported again.
                if known.changed.get(account) is came:
                    del known.changed[account]
                    self._waiting -= 1
        known.before, known.count = True, answer.count
        if known.told == report.told:
            known.told = None
        known.unsure = False
        if answer.due_ms is not None:
            known.due = min(known.due, self._clock.monotonic() + answer.due_ms / 1000)
        if report.bye and known.closing:
            self._waiting -= len(known.changed)
            del self._rooms[report.room]

    async def _announce(self, room: str, news: News) -> None:
        self._announcements += 1
        try:
            await self.on_news(room, news)
        except Problem as problem:
            # The names are lost; the number is announced by whoever has the word next, because we ask for it.
            log.warning("presence.not_announced", room=room, problem=problem.message)
            if (known := self._rooms.get(room)) is not None:
                known.unsure, known.due = True, 0.0
        except Exception:
            log.exception("presence.announcement_failed", room=room)


async def _announced_by_nobody(room: str, news: News) -> None:
    """Nobody asked for news."""
