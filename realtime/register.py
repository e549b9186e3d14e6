"""Who is in which room, as all nodes together know it: the register that every node reports to.

Approach. An *entry* says that somebody is in a room through one node. A person is present while at least one entry of theirs
stands; entries are counted per person, so the number of people in a room is a number and not a walk. A node reports what
changed in a room, and every few seconds that it lives; the answer says how many are there, and sometimes that it is this
node's turn to announce who came and who left. Everything is decided in one step that nothing can come between, so exactly one
node announces each coming and each going.

Three times rule it:

* A *lease* is how long a node may be silent before nobody is present through it any more. It is longer than any stop of a
  loop that we forgive (12 s), and short enough that the dead are gone within 15 s.
* The *grace* is how long an entry stands after its person has left. Whoever is back by then, on whichever node, has never
  been away as far as anybody is told. This is what makes a drained node, and a tunnel, pass unnoticed.
* *News* waits a moment, so that a hundred who come at once are one announcement. Who comes and goes within it is none.

That a lease has run out looks the same whether the node is gone or the register was. Before anybody is judged, two things are ruled
out, and each gives everybody the *settling time* (5 s), in which every node that lives reports at least once.

* The register was away and kept everything (a freeze, a partition, a slow failover). Nodes report every two seconds; when not one
  was heard for the settling time, it was not they. No lease and no grace ends now before that time has passed once more: who
  really died meanwhile is gone some seconds later, and nobody else is. Who came meanwhile is announced as ever.
* It lost everything (Redis starts again, empty). Then it answers `again`, and nodes report whole. The proof is a node that was
  answered before, whom the register does not know and has not parted from, whoever reported first. Its people merely stand there
  again and are not announced as having come, and nothing at all is said until most nodes have had their turn.

Invariants. A report may arrive twice: the second time it changes nothing. A whole report replaces all that its node said
before. The count that was announced last is kept with the room; when the true one differs, for whatever reason, an
announcement without names puts it right.

`MemoryRegister` is the real thing for one process and for tests with several nodes in one; `realtime/redis_presence.py` is the
same step as a Redis script. `tests/contracts/test_presence.py` holds both to one behaviour.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.kernel.ids import AccountId

NAMED_AT_ONCE: Final = 100
"""People whom one announcement names; of more only the number is told."""
PARTED_KEPT: Final = 64
"""Nodes of which a room remembers that it has parted from them, the latest. More than an installation loses during a class."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The times, in ms, and how many names an announcement may carry; above it only the count is told. `settle_ms`: in it every
    node that lives reports. `kept_ms`: a room on which nobody has reported for so long is forgotten."""

    lease_ms: int = 14_500
    grace_ms: int = 10_000
    news_ms: int = 300
    settle_ms: int = 5_000
    names: int = NAMED_AT_ONCE
    kept_ms: int = 300_000


UNSURE: Final = -1
"""No count at all: whatever it is, it is to be announced again."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one node says of one room.

    `came` and `left` since the last report that was answered. `whole`: `here` are all the others who are in the room through
    this node, and nobody else is. `before`: this node has been answered about this room earlier in its life. `told`: how many
    it has told somebody are there, None when it has told nobody; `UNSURE` when an answer was lost, and with it perhaps an
    announcement. `bye`: it leaves the room, and its people stand in grace.
    """

    room: str
    node: str
    came: tuple[AccountId, ...] = ()
    left: tuple[AccountId, ...] = ()
    here: tuple[AccountId, ...] = ()
    whole: bool = False
    before: bool = False
    told: int | None = None
    bye: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the register says to a report. `again`: it does not know this node; nothing was taken, report whole. Otherwise
    `count` people are there, and in `due_ms` there is something to decide. `news`: what to announce, if it is this node's turn."""

    again: bool
    count: int = 0
    due_ms: int | None = None
    news: "News | None" = None


@dataclass(frozen=True, slots=True)
class News:
    """An announcement: how many are there now, who came and who left since the last one (nobody named: too many, or only the
    number was put right)."""

    count: int
    joined: tuple[AccountId, ...]
    left: tuple[AccountId, ...]


class RegisterAway(Exception):  # noqa: N818 - a state of the register, not an error of a caller
    """The register did not answer: a report was taken or not, nobody knows. Report it again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the register knows of one room: how many people are in it, and through which nodes each of them is (not asked for:
    empty). Who has left counts until their grace is over, through no node."""

    count: int
    people: Mapping[AccountId, tuple[str, ...]]


class Onlooker(Protocol):
    """The register, for whoever only looks."""

    async def look(self, rooms: Sequence[str], *, names: bool = False) -> list[Seen | RegisterAway]:
        """Who is in these rooms, in the same order; with `names` also who. Changes nothing, and raises nothing."""
        ...


class Register(Protocol):
    """See the module."""

    async def exchange(self, reports: Sequence[Report]) -> list[Answer | RegisterAway]:
        """Give reports, one per room, and get their answers in the same order. Raises nothing."""
        ...


@dataclass(slots=True)
class _Room:
    """The state of one room. An entry is (account, node): True while it is held, False while it is leaving. `parted` are the nodes
    that were given up or said goodbye, the latest last."""

    nodes: dict[str, int] = field(default_factory=dict)
    parted: dict[str, None] = field(default_factory=dict)
    entries: dict[tuple[AccountId, str], bool] = field(default_factory=dict)
    leaving: dict[tuple[AccountId, str], int] = field(default_factory=dict)
    people: dict[AccountId, int] = field(default_factory=dict)
    news: dict[AccountId, bool] = field(default_factory=dict)
    settles_at: int = 0
    announced: int = 0
    put_right: bool = False
    news_at: int | None = None

    def take(self, report: Report, now: int, terms: Terms) -> Answer:
        """The one step. Mirrored line by line in the script of realtime/redis_presence.py."""
        known = report.node in self.nodes
        if not known and not report.whole:
            return Answer(again=True)
        forgotten = report.before and not known and report.node not in self.parted
        if forgotten and now >= self.settles_at:
            self.settles_at = now + terms.settle_ms
        if self.nodes and now - (max(self.nodes.values()) - terms.lease_ms) > terms.settle_ms:
            self._was_away(now + terms.settle_ms)
        self.nodes[report.node] = now + terms.lease_ms
        self.parted.pop(report.node, None)
        if report.whole:
            self._leave_unless({*report.came, *report.here}, report.node, now + terms.grace_ms)
        for account in report.came:
            self._come(account, report.node, quiet=False)
        for account in report.here:
            self._come(account, report.node, quiet=forgotten)
        for account in report.left:
            self._leave((account, report.node), now + terms.grace_ms)
        if report.bye:
            self._leave_unless(set(), report.node, now + terms.grace_ms)
            self._part(report.node)
        self._sweep(now)
        if report.told is not None and report.told != len(self.people):
            self.put_right = True
        news = self._news(now, terms, may_announce=not report.bye)
        dues = [*self.nodes.values(), *self.leaving.values(), *([] if self.news_at is None else [self.news_at])]
        return Answer(False, len(self.people), max(min(dues) - now, 0) if dues else None, news)

    def seen(self, now: int) -> Seen:
        """Who is here. With no node alive there is nobody, whoever was not swept away yet."""
        alive = {node for node, until in self.nodes.items() if until > now}
        if not alive:
            return Seen(0, {})
        through: dict[AccountId, tuple[str, ...]] = dict.fromkeys(self.people, ())
        for (account, node), held in sorted(self.entries.items(), key=lambda entry: entry[0][1]):
            if held and node in alive:
                through[account] += (node,)
        return Seen(len(self.people), through)

    def _was_away(self, until: int) -> None:
        """Nobody could report: nothing ends before they have had the time for it."""
        for node, ends in self.nodes.items():
            self.nodes[node] = max(ends, until)
        for entry, ends in self.leaving.items():
            self.leaving[entry] = max(ends, until)

    def _part(self, node: str) -> None:
        del self.nodes[node]
        self.parted[node] = None
        if len(self.parted) > PARTED_KEPT:
            del self.parted[next(iter(self.parted))]

    def _come(self, account: AccountId, node: str, *, quiet: bool) -> None:
        entry = (account, node)
        held = self.entries.get(entry)
        if held:
            return
        self.entries[entry] = True
        if held is False:
            del self.leaving[entry]
            return
        self.people[account] = self.people.get(account, 0) + 1
        if self.people[account] == 1 and not quiet:
            self._note(account, came=True)

    def _leave(self, entry: tuple[AccountId, str], until: int) -> None:
        if self.entries.get(entry):
            self.entries[entry] = False
            self.leaving[entry] = until

    def _leave_unless(self, here: set[AccountId], node: str, until: int) -> None:
        for entry in list(self.entries):
            if entry[1] == node and entry[0] not in here:
                self._leave(entry, until)

    def _sweep(self, now: int) -> None:
        dead = {node for node, until in self.nodes.items() if until <= now}
        for node in dead:
            self._part(node)
        gone = [entry for entry, held in self.entries.items() if held and entry[1] in dead] if dead else []
        for entry in [*gone, *(entry for entry, until in self.leaving.items() if until <= now)]:
            del self.entries[entry]
            self.leaving.pop(entry, None)
            self.people[entry[0]] -= 1
            if not self.people[entry[0]]:
                del self.people[entry[0]]
                self._note(entry[0], came=False)

    def _note(self, account: AccountId, *, came: bool) -> None:
        if self.news.get(account) is (not came):
            del self.news[account]
        else:
            self.news[account] = came

    def _news(self, now: int, terms: Terms, *, may_announce: bool) -> News | None:
        if not (self.news or self.put_right or len(self.people) != self.announced):
            self.news_at = None
            return None
        self.news_at = max(now + terms.news_ms if self.news_at is None else self.news_at, self.settles_at)
        if now < self.news_at or not may_announce:
            return None
        named = self.news.items() if len(self.news) <= terms.names else ()
        news = News(
            len(self.people),
            joined=tuple(account for account, came in named if came),
            left=tuple(account for account, came in named if not came),
        )
        self.news.clear()
        self.news_at, self.put_right, self.announced = None, False, len(self.people)
        return news


class MemoryRegister:
    """A register for the nodes of one process. `now_ms` tells ms that never step back."""

    def __init__(self, now_ms: Callable[[], int], terms: Terms | None = None) -> None:
        self._now_ms: Final = now_ms
        self._terms: Final = terms or Terms()
        # The room that was reported on longest ago comes first.
        self._rooms: dict[str, tuple[int, _Room]] = {}

    async def exchange(self, reports: Sequence[Report]) -> list[Answer | RegisterAway]:
        """See `Register.exchange`."""
        return [self._take(report) for report in reports]

    async def look(self, rooms: Sequence[str], *, names: bool = False) -> list[Seen | RegisterAway]:
        """See `Onlooker.look`."""
        now = self._now_ms()
        seen = [self._rooms[room][1].seen(now) if room in self._rooms else Seen(0, {}) for room in rooms]
        return [each if names else Seen(each.count, {}) for each in seen]

    def _take(self, report: Report) -> Answer:
        now = self._now_ms()
        _, room = self._rooms.pop(report.room, (now, _Room()))
        self._rooms[report.room] = now, room
        self._forget(now - self._terms.kept_ms)
        return room.take(report, now, self._terms)

    def _forget(self, before: int) -> None:
        while self._rooms:
            first = next(iter(self._rooms))
            if self._rooms[first][0] >= before:
                return
            del self._rooms[first]

    def __len__(self) -> int:
        """How many rooms are kept."""
        return len(self._rooms)
