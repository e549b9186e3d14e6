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
from services.classes.ranking import ranks
from services.classes.showing import age_shown, is_named
from services.kernel.ids import AccountId

Places = tuple[Place, ...]


class Filter(NamedTuple):
    """Who is wanted: only those `here`, only those of an `age_group`, only an account and its friends; None for everybody."""

    here: bool = False
    age_group: AgeGroup | None = None
    friends_of: AccountId | None = None


EVERYBODY: Final = Filter()


class _Athlete(NamedTuple):
    n: int
    score: int | None
    line: Line


class Parts:
    """What passes which filter, of the lines of a board as it is now. All athletes are put in order once; whoever passes a filter
    keeps it."""

    def __init__(self, lines: Iterable[Line], metric: Metric, friendships: Friendships) -> None:
        self._lines: Final = tuple(lines)
        self._metric: Final[Metric] = metric
        self._friendships: Final = friendships
        self._found: dict[Filter, Places] = {}

    def of(self, wanted: Filter) -> Places:
        """The athletes that pass, by rank among each other; behind them those without a figure, by number."""
        if wanted not in self._found:
            here = self._in_order if wanted.friends_of is None else self._friends_and(wanted.friends_of)
            if wanted.here or wanted.age_group is not None:
                here = [athlete for athlete in here if _passes(athlete.line, wanted)]
            scores = [athlete.score for athlete in here if athlete.score is not None]
            in_front, behind = here[: len(scores)], here[len(scores) :]
            self._found[wanted] = (
                *map(Place, (athlete.n for athlete in in_front), ranks(scores)),
                *(Place(athlete.n, None) for athlete in behind),
            )
        return self._found[wanted]

    @cached_property
    def _in_order(self) -> list[_Athlete]:
        feeds = [line.feed for line in self._lines]
        scores = [score_of(self._metric, feed.zone_ms, feed.figure) for feed in feeds]
        athletes = [
            _Athlete(line.feed.n, score, line)
            for line, score in zip(self._lines, scores, strict=True)
            if line.feed.role == "athlete"
        ]
        return sorted(athletes, key=lambda athlete: (athlete.score is None, -(athlete.score or 0), athlete.n))

    @cached_property
    def _where(self) -> dict[int, int]:
        return {athlete.line.feed.account_id.int: at for at, athlete in enumerate(self._in_order)}

    @cached_property
    def _where_named(self) -> dict[int, int]:
        return {one: at for one, at in self._where.items() if is_named(self._in_order[at].line.feed.showing)}

    def _friends_and(self, account_id: AccountId) -> list[_Athlete]:
        named = self._where_named
        places = {named[friend] for friend in named.keys() & self._friendships.numbers(account_id)}
        if account_id.int in self._where:
            places.add(self._where[account_id.int])
        return [self._in_order[at] for at in sorted(places)]


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


def _passes(line: Line, wanted: Filter) -> bool:
    if wanted.here and not line.present:
        return False
    if wanted.age_group is None:
        return True
    showing = line.feed.showing
    return showing is not None and age_shown(showing) and showing.age_group == wanted.age_group
