"""The board of a room for whoever wants to see a part of it: those who are here, an age group, their friends, or several at once.

Everybody in a room gets the same bytes, and a filter does not change that: beside the board whoever asked is told the numbers that
pass, with their places among each other, whole each time and only when it is another answer than the last one. Who passes is
decided here, on the board as the room sees it: nobody passes whom the room does not see, and nobody has an age group who does not
show it (services/classes/showing.py). A consent that is withdrawn is gone from it with the same beat as from the board.

A friend passes who is shown by name, in the modes full and zone. In alias mode the room may not know who somebody is, and a list of
one's friends with a stranger's name in it would say it. Whoever filters by friends passes themselves, however the room sees them:
they know who they are.

Places are ranks by the rule of the board (services/classes/ranking.py). Answers are made once per beat and filter, however many
ask; by friends there is a filter for each who asks, so those look only at the lines of their friends.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from realtime.wire import Place
from rooms.board import Line
from rooms.friendships import Friendships
from services.classes.age_group import AgeGroup
from services.classes.metric import Metric, score_of
from services.classes.ranking import ranked
from services.classes.showing import age_shown, is_named
from services.kernel.ids import AccountId

Places = tuple[Place, ...]


class Filter(NamedTuple):
    """Who is wanted: only those `here`, only those of an `age_group`, only an account and its friends; None for everybody."""

    here: bool = False
    age_group: AgeGroup | None = None
    friends_of: AccountId | None = None


EVERYBODY: Final = Filter()


class Parts:
    """What passes which filter, of the lines of a board as it is now."""

    def __init__(self, lines: Iterable[Line], metric: Metric, friendships: Friendships) -> None:
        self._lines: Final = tuple(lines)
        self._metric: Final[Metric] = metric
        self._friendships: Final = friendships
        self._found: dict[Filter, Places] = {}

    @cached_property
    def _by_account(self) -> dict[AccountId, Line]:
        return {line.feed.account_id: line for line in self._lines}

    def of(self, wanted: Filter) -> Places:
        """The athletes that pass, by rank among each other; behind them those without a figure, by number."""
        if wanted not in self._found:
            lines = self._lines if wanted.friends_of is None else self._friends_and(wanted.friends_of)
            self._found[wanted] = _placed(lines, self._metric, wanted)
        return self._found[wanted]

    def _friends_and(self, account_id: AccountId) -> Iterator[Line]:
        for friend in self._by_account.keys() & self._friendships.of(account_id):
            line = self._by_account[friend]
            if is_named(line.feed.showing):
                yield line
        if account_id in self._by_account:
            yield self._by_account[account_id]


class Filters:
    """What each connection to a room wants to see of it, one filter each, and was told last."""

    def __init__(self) -> None:
        self._wanted: dict[str, Filter] = {}
        self._told: dict[str, Places] = {}

    def want(self, connection_id: str, wanted: Filter, places: Places) -> None:
        """From now on a connection wants this, and was told these places; of everybody it is told nothing."""
        self.forget(connection_id)
        if wanted != EVERYBODY:
            self._wanted[connection_id], self._told[connection_id] = wanted, places

    def forget(self, connection_id: str) -> None:
        """A connection has left the room."""
        self._wanted.pop(connection_id, None)
        self._told.pop(connection_id, None)

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def news(self, parts: Parts) -> Iterator[tuple[str, Filter, Places]]:
        """Who is to be told what, of a board as it is now."""
        for connection_id, wanted in self._wanted.items():
            places = parts.of(wanted)
            if self._told[connection_id] != places:
                self._told[connection_id] = places
                yield connection_id, wanted, places


def _placed(lines: Iterable[Line], metric: Metric, wanted: Filter) -> Places:
    scored: list[tuple[int, int, int]] = []
    unranked: list[int] = []
    for line in lines:
        feed = line.feed
        if feed.role != "athlete" or not _passes(line, wanted):
            continue
        score = score_of(metric, feed.zone_ms, feed.figure)
        if score is None:
            unranked.append(feed.n)
        else:
            scored.append((score, feed.n, feed.n))
    in_front = tuple(Place(n, rank) for rank, _, n in ranked(scored))
    return (*in_front, *(Place(n, None) for n in sorted(unranked)))


def _passes(line: Line, wanted: Filter) -> bool:
    if wanted.here and not line.present:
        return False
    if wanted.age_group is None:
        return True
    showing = line.feed.showing
    return showing is not None and age_shown(showing) and showing.age_group == wanted.age_group
