"""Who stands where in a challenge: one order for Postgres, Redis, the score log and the page. Pure.

Lines are ordered by value, then by the tie of the rules, then by the number with which somebody came in, and that last one decides
only in which line somebody is written: who is equal in value and tie shares the rank, and the next one is skipped (1, 2, 2, 4:
standard competition ranking).

The tie is a number, so that whoever sorts need not know the rules: the instant in ms at which the score was reached where the first
one there wins, and 0 where equals share.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from services.challenges.challenge import Ties
from services.challenges.scoring import Score

MOST_VALUE: Final = 2**53
"""Values are below it, because Redis keeps them as doubles, which are exact up to here. The largest there can be, five points a
millisecond for a leap year, is a fifty-thousandth of it."""
MOST_TIE: Final = 2**48
"""Ties are below it: six bytes, enough for instants until the year 10889."""
MOST_N: Final = 2**32


class Line(msgspec.Struct, frozen=True):
    """A member, or a team, on its way to a rank. `tie` decides between equal values, the lower one first. Raises ValueError for
    what no table can hold exactly."""

    n: int
    value: int
    tie: int
    team: int | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.value < MOST_VALUE and 0 <= self.tie < MOST_TIE and 0 <= self.n < MOST_N):
            raise ValueError(f"no table can hold the line {self.n}: value {self.value}, tie {self.tie}")

    @property
    def place(self) -> tuple[int, int, int]:
        """What lines are sorted by."""
        return (-self.value, self.tie, self.n)


class Ranked(msgspec.Struct, frozen=True):
    """A line with its rank, 1 being the best."""

    rank: int
    line: Line


def tie_of(ties: Ties, score: Score) -> int:
    """What decides between equal values under these rules."""
    return score.reached_ms if ties == "first" else 0


def ranked(lines: Iterable[Line]) -> Iterator[Ranked]:
    """All lines of a table with their ranks, best first."""
    return ranks(sorted(lines, key=lambda line: line.place))


def ranks(lines: Iterable[Line], start: int = 0, first_rank: int = 1) -> Iterator[Ranked]:
    """Ranks for lines in order, the first of which stands in position `start` (from 0) and has the rank `first_rank`."""
    rank, before = first_rank, None
    for position, line in enumerate(lines, start + 1):
        standing = (line.value, line.tie)
        if before is not None and standing != before:
            rank = position
        before = standing
        yield Ranked(rank, line)


def ranked_teams(kept: Iterable[Line], teams: Sequence[str]) -> list[Ranked]:
    """The table of teams, best first, from the lines of those that have something."""
    lines = {n: Line(n, 0, 0, team=n) for n in range(len(teams))} | {line.n: line for line in kept}
    return list(ranked(lines.values()))


def team_lines(members: Iterable[Line], ties: Ties, teams: Sequence[str]) -> list[Line]:
    """A line for each team, its number in `teams` as `n`: the sum of its members, reached when the last of those who brought
    something had reached theirs."""
    values, reached = [0] * len(teams), [0] * len(teams)
    for line in members:
        if line.team is not None and line.value:
            values[line.team] += line.value
            reached[line.team] = max(reached[line.team], line.tie)
    return [Line(n, values[n], tie_of(ties, Score(values[n], reached[n])), team=n) for n in range(len(teams))]
