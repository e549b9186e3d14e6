"""The board of a room for whoever wants to see a part of it: those who are here, an age group, or both.

Everybody in a room gets the same bytes, and a filter does not change that: beside the board whoever asked is told the numbers that
pass, with their places among each other, whole each time and only when it is another answer than the last one. Who passes is
decided here, on the board as the room sees it: nobody passes whom the room does not see, and nobody has an age group who does not
show it (services/classes/showing.py). A consent that is withdrawn is gone from it with the same beat as from the board.

Places are ranks by the rule of the board (services/classes/ranking.py). Answers are made once per beat and filter, however many
ask.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from realtime.wire import Place
from rooms.board import Line
from services.classes.age_group import AgeGroup
from services.classes.metric import Metric, score_of
from services.classes.ranking import ranked
from services.classes.showing import age_shown

Places = tuple[Place, ...]


class Filter(NamedTuple):
    """Who is wanted: only those `here`, only those of an `age_group`, None for everybody."""

    here: bool = False
    age_group: AgeGroup | None = None


EVERYBODY: Final = Filter()


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

    def news(self, lines: Iterable[Line], metric: Metric) -> Iterator[tuple[str, Filter, Places]]:
        """Who is to be told what, of the lines of a board as it is now."""
        if not self._wanted:
            return
        lines = tuple(lines)
        found = {wanted: places_of(lines, metric, wanted) for wanted in set(self._wanted.values())}
        for connection_id, wanted in self._wanted.items():
            if self._told[connection_id] != found[wanted]:
                self._told[connection_id] = found[wanted]
                yield connection_id, wanted, found[wanted]


def places_of(lines: Iterable[Line], metric: Metric, wanted: Filter) -> Places:
    """The athletes that pass, by rank among each other; behind them those without a figure, by number."""
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
