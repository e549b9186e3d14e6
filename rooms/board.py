"""The board of a room: merging what every node knows first-hand, ranking it, and telling what changed.

Approach. Each node speaks only of what it sees itself: the members connected to it, the streams it receives. For each of
them it publishes an entry (`ShareEntry`) with a revision that only it raises. A board keeps, per member, the newest entry
of every node and derives one line from them: somebody is present if any node sees them, and their score comes from the
entry with the highest feed epoch, the one whose stream was opened last.

Invariants. Putting an entry twice, or in any order, gives the same board: an entry replaces only an older revision of
the same node, and a later life of a node begins above all it said before (`Room`). A lost share is healed by the next
whole one. There is no owner of a room, so nothing has to be handed over when a node dies; nobody counts as present through
it once its shares stop (`drop_node`), until it is heard again.

How each member is shown (`services/classes/showing.py`) is cut by whoever speaks, and here again by the newest decision known, in
case the speaker had not heard of it. Whom the board's `Eyes` do not see has no line, no name and no rank on it.

Ranks are decided by `services/classes/ranking.py`, as in the final table, from scores in the metric of the class
(`services/classes/metric.py`). Effort and time in zones every node makes of the zones; any other figure comes with the entry,
says of which metric it is, and counts while the board is ranked by that: nodes that hear of another metric one after the other
are short of figures for a moment, and never mix two.

Between two beats most of a class has said nothing new, so the merged line of a member is kept until something is said of them, and
what the last beat made of it as long as it is the same line. It is never seen from outside: tests/laws/test_boards.py holds it
against a board that was just made of the same entries.

Extending: a new column is a field of `ShareEntry`, of `Row` in realtime/wire.py, a line in `row_of`, and what becomes of it in
rooms/redaction.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Final, NamedTuple

import msgspec

from realtime.peer import ShareEntry
from realtime.wire import Figured, Freshness, Member, Row
from rooms.reading import freshness_of
from rooms.redaction import ROOM, Eyes
from services.classes.course import Doing
from services.classes.metric import Metric, score_of, shown
from services.classes.ranking import ranked, weight
from services.classes.receipts import Receipt
from services.classes.showing import Showing, is_named
from services.classes.team import TeamRow, TeamRule, team_rows
from services.kernel.ids import AccountId
from services.training.zones import percent_of_max


class Line(msgspec.Struct, frozen=True):
    """What all nodes together say of one member."""

    feed: ShareEntry
    present: bool


class _Made(NamedTuple):
    """What the last beat has made of a line; `score` in `metric`."""

    line: Line
    member: Member
    metric: Metric
    score: int | None


class Changes(msgspec.Struct, frozen=True):
    """Rows and members that differ from what the board last said, and the numbers of those who are no longer on it; figures that
    differ, all of them where `metric` is another one than before; all `teams` where one of them differs, None where none does."""

    rows: tuple[Row, ...]
    members: tuple[Member, ...]
    gone: tuple[int, ...] = ()
    figures: tuple[Figured, ...] = ()
    metric: Metric = "effort"
    turned: bool = False
    teams: tuple[TeamRow, ...] | None = None

    def __bool__(self) -> bool:
        differ = self.rows or self.members or self.gone or self.figures or self.turned
        return bool(differ) or self.teams is not None


class Board:
    """The merged entries of one room. No clock, no I/O: time comes in as `now_ms` (wall, ms since 1970)."""

    def __init__(self, eyes: Eyes = ROOM) -> None:
        self._eyes: Final = eyes
        self._showings: dict[AccountId, Showing] = {}
        self._entries: dict[AccountId, dict[str, ShareEntry]] = {}
        self._silent: set[str] = set()
        self._merged: dict[AccountId, Line] = {}
        self._made: dict[int, _Made] = {}
        self._lines: list[Line] = []
        self._rows: dict[int, Row] = {}
        self._members: dict[int, Member] = {}
        self._figures: dict[int, Figured] = {}
        self._metric: Metric = "effort"
        self._told_metric: Metric = "effort"
        self._teams: tuple[TeamRow, ...] = ()
        self._team_rule: TeamRule = "mean"
        self._has_teams = False

    @property
    def metric(self) -> Metric:
        """What this board is ranked by."""
        return self._metric

    def rank_by(self, metric: Metric) -> None:
        """Rank by this from the next `refresh` on."""
        self._metric = metric

    @property
    def team_rule(self) -> TeamRule:
        """What a team's figure is on this board."""
        return self._team_rule

    def team_by(self, rule: TeamRule) -> None:
        """A team's figure is this from the next `refresh` on."""
        self._team_rule = rule

    # -- merging ------------------------------------------------------------------------------------------------

    def put(self, node: str, entry: ShareEntry) -> bool:
        """Take an entry of `node`; True when it was news, False for a repeat or an older one. Either way the node is heard."""
        if node in self._silent:
            self._silent.remove(node)
            self._merged.clear()
        if entry.showing is not None:
            self.show(entry.account_id, entry.showing)
        of_member = self._entries.setdefault(entry.account_id, {})
        known = of_member.get(node)
        if known is not None and known.rev >= entry.rev:
            return False
        showing = self._showings.get(entry.account_id)
        of_member[node] = entry if showing is entry.showing else self._eyes.cut(entry, showing)
        self._has_teams = self._has_teams or entry.team is not None
        self._merged.pop(entry.account_id, None)
        return True

    def show(self, account_id: AccountId, showing: Showing) -> bool:
        """Take a decision how a member is shown: all that was said of them is cut by it. False when one as new was known."""
        known = self._showings.get(account_id)
        if known is not None and known.revision >= showing.revision:
            return False
        self._showings[account_id] = showing
        of_member = self._entries.get(account_id, {})
        for node, entry in of_member.items():
            of_member[node] = self._eyes.cut(entry, showing)
        self._merged.pop(account_id, None)
        return True

    def told_of(self, account_id: AccountId) -> Iterable[tuple[str, ShareEntry]]:
        """What each node has said of a member, as far as these eyes may know of it."""
        return self._entries.get(account_id, {}).items()

    def entry(self, node: str, account_id: AccountId) -> ShareEntry:
        """What a node has said of a member that it has spoken of."""
        return self._entries[account_id][node]

    def showing(self, account_id: AccountId) -> Showing | None:
        """How a member is shown, None where nothing was decided."""
        return self._showings.get(account_id)

    @property
    def decided(self) -> bool:
        """Whether any member has ever decided how they are shown."""
        return bool(self._showings)

    def showings(self) -> dict[int, Showing | None]:
        """How everybody is shown who is known here, by number."""
        return {
            next(iter(of_member.values())).n: self._showings.get(account_id)
            for account_id, of_member in self._entries.items()
        }

    def drop_node(self, node: str) -> None:
        """`node` is silent: nobody is present through it until it is heard again. Scores it has told stay."""
        self._silent.add(node)
        self._merged.clear()

    def hear_only_but(self, silent: Iterable[str]) -> None:
        """These nodes are silent, and no others."""
        silent = set(silent)
        if silent != self._silent:
            self._silent = silent
            self._merged.clear()

    @property
    def silent(self) -> Set[str]:
        """The nodes that make nobody present."""
        return self._silent

    def standing(self) -> Iterator[tuple[str, ShareEntry]]:
        """All entries, with the node that says each."""
        return ((node, entry) for of_member in self._entries.values() for node, entry in of_member.items())

    def nodes(self) -> set[str]:
        """Every node that has told of a member."""
        return {node for of_member in self._entries.values() for node in of_member}

    def doing(self, account_id: AccountId) -> Doing | None:
        """Where a member is in the steps of the class: the furthest that any node has told. Nobody goes back in them."""
        return furthest(entry.doing for entry in self._entries.get(account_id, {}).values())

    def in_steps(self) -> Iterator[tuple[AccountId, int, Doing]]:
        """Everybody who is in the steps of the class, with their number."""
        for account_id, of_member in self._entries.items():
            doing = furthest(entry.doing for entry in of_member.values())
            if doing is not None:
                yield account_id, next(iter(of_member.values())).n, doing

    def line(self, account_id: AccountId) -> Line | None:
        """The merged line of one member, None for a stranger."""
        return self._line(account_id) if self._entries.get(account_id) else None

    def entries_of(self, node: str) -> Iterator[ShareEntry]:
        """All entries of one node: its whole share."""
        return (of_member[node] for of_member in self._entries.values() if node in of_member)

    def receipts(self) -> Iterator[tuple[int, Receipt]]:
        """The receipts of cues that any node tells, with the number of their member."""
        for of_member in self._entries.values():
            for entry in of_member.values():
                for receipt in entry.receipts:
                    yield entry.n, receipt

    def __len__(self) -> int:
        return len(self._entries)

    # -- telling ------------------------------------------------------------------------------------------------

    def refresh(self, now_ms: int) -> Changes:
        """Bring rows and members up to `now_ms`; return those that differ from the last time."""
        lines = self._lines = self.seen()
        metric = self._metric
        made = {line.feed.n: self._make(line) for line in lines}
        members = {n: each.member for n, each in made.items()}
        scores = {n: each.score for n, each in made.items() if _competes(each.line)}
        rows = {row.n: row for row in self._rank((line for line in lines if _competes(line)), scores, now_ms)}
        figures = {} if metric == "effort" else {n: Figured(n, shown(metric, score)) for n, score in scores.items()}
        teams = self._teams_of(lines, scores) if self._has_teams else ()
        turned = metric != self._told_metric
        told = {} if turned else self._figures
        changes = Changes(
            rows=tuple(row for n, row in rows.items() if self._rows.get(n) != row),
            members=tuple(member for n, member in members.items() if self._members.get(n) != member),
            gone=tuple(sorted(self._members.keys() - members.keys())),
            figures=tuple(figured for n, figured in figures.items() if told.get(n) != figured),
            metric=metric,
            turned=turned,
            teams=teams if teams != self._teams else None,
        )
        self._rows, self._members, self._figures, self._told_metric = rows, members, figures, metric
        self._teams, self._made = teams, made
        return changes

    def _make(self, line: Line) -> _Made:
        """What a beat makes of a line, unless the last one has."""
        feed, metric = line.feed, self._metric
        made = self._made.get(feed.n)
        if made is not None and made.line is line and made.metric == metric:
            return made
        return _Made(line, member_of(line), metric, score_of(metric, feed.zone_ms, feed.figure))

    def _rank(self, lines: Iterable[Line], scores: Mapping[int, int | None], now_ms: int) -> Iterator[Row]:
        """The rows by rank; behind them those without a score, by number."""
        unranked: list[Line] = []
        scored: list[tuple[int, int, Line]] = []
        for line in lines:
            n = line.feed.n
            score = scores[n]
            if score is None:
                unranked.append(line)
            else:
                scored.append((score, n, line))
        for rank, _, line in ranked(scored):
            yield self._row(line, rank, now_ms)
        for line in sorted(unranked, key=lambda line: line.feed.n):
            yield self._row(line, None, now_ms)

    def _row(self, line: Line, rank: int | None, now_ms: int) -> Row:
        """A row: the last beat's where nothing has changed, made of it where only the rank has."""
        feed = line.feed
        row, made = self._rows.get(feed.n), self._made.get(feed.n)
        if row is None or made is None or made.line is not line or row.freshness != _freshness(feed, now_ms):
            return row_of(feed, rank, now_ms)
        if row.rank == rank:
            return row
        return Row(row.n, rank, row.bpm, row.percent, row.zone, row.effort, row.freshness)

    def _teams_of(self, lines: Iterable[Line], scores: Mapping[int, int | None]) -> tuple[TeamRow, ...]:
        in_teams = {line.feed.n: line.feed.team for line in lines if line.feed.team is not None and _competes(line)}
        return team_rows(self._metric, self._team_rule, in_teams, scores) if in_teams else ()

    def lines(self) -> tuple[Line, ...]:
        """What is known of everybody whom these eyes see, as of the last `refresh`."""
        return tuple(self._lines)

    def seen(self) -> list[Line]:
        """Everybody whom these eyes see, as merged right now."""
        merged = self._merged
        lines = [merged.get(account_id) or self._line(account_id) for account_id in self._entries]
        if not self._showings and self._eyes is ROOM:
            return lines
        return [line for line in lines if self._sees(line.feed)]

    def _sees(self, feed: ShareEntry) -> bool:
        figure = feed.figure if feed.figure is not None and feed.figure.metric == self._metric else None
        return self._eyes.sees(self._showings.get(feed.account_id), figure)

    def knows(self, account_id: AccountId) -> bool:
        """Whether anything was said of an account."""
        return account_id in self._entries

    def accounts(self) -> Iterable[AccountId]:
        """Everybody of whom anything is known."""
        return self._entries.keys()

    def here(self) -> Iterator[ShareEntry]:
        """Everybody who is present, whoever sees them."""
        for account_id in self._entries:
            line = self._line(account_id)
            if line.present:
                yield line.feed

    def rank_of(self, n: int) -> int | None:
        """The rank that the last `refresh` gave to a number."""
        row = self._rows.get(n)
        return None if row is None else row.rank

    def rows(self) -> tuple[Row, ...]:
        """Rows as of the last `refresh`, by rank."""
        return tuple(self._rows.values())

    def figures(self) -> tuple[Figured, ...]:
        """Figures as of the last `refresh`, none where effort is what ranks."""
        return tuple(self._figures.values())

    def teams(self) -> tuple[TeamRow, ...]:
        """Teams as of the last `refresh`, by rank."""
        return self._teams

    def members(self) -> tuple[Member, ...]:
        """Members as of the last `refresh`, by number."""
        return tuple(self._members[n] for n in sorted(self._members))

    def member(self, account_id: AccountId) -> Member | None:
        """One member, as merged right now and called as these eyes may call them, whether or not they see a line of them."""
        line = self.line(account_id)
        return None if line is None else member_of(line)

    def _line(self, account_id: AccountId) -> Line:
        line = self._merged.get(account_id)
        if line is None:
            line = self._merged[account_id] = self._merge(self._entries[account_id])
        return line

    def _merge(self, of_member: dict[str, ShareEntry]) -> Line:
        feed = max(of_member.items(), key=_precedence)[1]
        if self._has_teams and feed.team is None:
            # It may have spoken last of when they were in none yet; nobody changes from one to another.
            team = next((entry.team for entry in of_member.values() if entry.team is not None), None)
            feed = feed if team is None else msgspec.structs.replace(feed, team=team)
        present = any(entry.present and node not in self._silent for node, entry in of_member.items())
        return Line(feed=feed, present=present)


def furthest(told: Iterable[Doing | None]) -> Doing | None:
    """Where somebody is of whom this was told: nobody goes back in the steps."""
    known = (doing for doing in told if doing is not None)
    return max(known, key=lambda doing: (doing.interval, doing.progress.seen_ms, doing.progress.began_ms), default=None)


def _precedence(of_node: tuple[str, ShareEntry]) -> tuple[int, int, int, int, int, str]:
    """The stream opened last counts. Within one feed epoch only one node receives; the others remember what was stored,
    which is never more and never newer. The node's name makes every node choose alike where nothing else differs."""
    node, entry = of_node
    read_ms = -1 if entry.at_ms is None else entry.at_ms
    of_ms, value = (0, 0) if entry.figure is None else (entry.figure.of_ms, entry.figure.value)
    return entry.feed_epoch, weight(entry.zone_ms), read_ms, of_ms, value, node


def _tells_zone_only(feed: ShareEntry) -> bool:
    return feed.zone is not None and feed.showing is not None and feed.showing.mode == "zone"


def _competes(line: Line) -> bool:
    return line.feed.role == "athlete"


def member_of(line: Line) -> Member:
    """Somebody as the board calls them: their account goes with their own name alone."""
    feed = line.feed
    account_id = feed.account_id if is_named(feed.showing) else None
    return Member(n=feed.n, account_id=account_id, name=feed.name, role=feed.role, present=line.present, team=feed.team)


def row_of(feed: ShareEntry, rank: int | None, now_ms: int) -> Row:
    """The row that an entry makes. Who shows only their zone has contact as long as there is one."""
    freshness = _freshness(feed, now_ms)
    live = freshness == "live"
    return Row(
        n=feed.n,
        rank=rank,
        bpm=feed.bpm if live else None,
        percent=percent_of_max(feed.bpm, feed.max_hr) if live and feed.bpm else None,
        zone=feed.zone if live else None,
        effort=round(weight(feed.zone_ms) / 60_000, 1),
        freshness=freshness,
    )


def _freshness(feed: ShareEntry, now_ms: int) -> Freshness:
    freshness = freshness_of(None if feed.at_ms is None or feed.finished else max(now_ms - feed.at_ms, 0))
    if freshness == "live" and feed.bpm is None and not _tells_zone_only(feed):
        # The strap itself says that it has no contact: no need to wait three seconds to believe it.
        return "stale"
    return freshness
