"""Teams on the board of a class: who is in which, and what a team has. Pure.

Teams are named with the class and stay. An athlete is in one of them from the moment they come in, and stays in it: the one
that they name, or the one with the fewest members. Nobody changes sides, so nodes need not agree on who was heard last.

**A team's figure** is made of what the room sees, and of nothing else: of its athletes who stand on the board and have a figure
there. Whoever is shown to the coach alone, or to nobody, does not count in it, so nothing of theirs can be worked out from it;
neither does whoever keeps a figure of the body. A team of whom the room sees fewer than `FEWEST` has no figure and no rank, and
stands last.

| rule | a team's figure | where |
|---|---|---|
| mean | the mean of those figures, so that it neither costs nor helps a team when somebody does not show theirs | classes |
| sum | their sum, as the table of a challenge with teams counts | heats |

**Equals share a rank** and the next one is skipped, as athletes do. They are compared `exact`: a mean as the fraction that it
is. Of equals the team that was named first stands first.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import lcm
from typing import Annotated, Final, Literal

import msgspec

from services.classes.metric import Metric, shown
from services.classes.ranking import ranked
from services.kernel.problems import BadShape

TeamRule = Literal["mean", "sum"]

MOST_TEAMS: Final = 20
FEWEST: Final = 2
"""Of a team of one the figure would be that person's."""

TeamName = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=40,
        pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$",
        description="one line, not only spaces",
    ),
]
TeamNames = Annotated[
    tuple[TeamName, ...], msgspec.Meta(max_length=MOST_TEAMS, description="names of teams, two or more; none: no teams")
]


class TeamRow(msgspec.Struct, frozen=True, array_like=True):
    """A team on a board, on the wire an array `[team, rank, figure, athletes]`: its place among the names of the class, from 0
    on; rank and figure, null while fewer than two of it have a figure on the board; how many of its athletes have one."""

    team: int
    rank: int | None
    figure: float | None
    athletes: int


def team_names(names: Sequence[str], path: str = "$.teams") -> tuple[str, ...]:
    """The names as they are kept. Raises `BadShape` at `path` unless there are none, or two and more that differ."""
    kept = tuple(name.strip() for name in names)
    if len(kept) == 1 or "" in kept or len({name.casefold() for name in kept}) < len(kept):
        raise BadShape("teams are two or more, each with a name of its own", path=path)
    return kept


def team_named(teams: Sequence[str], name: str | None) -> int | None:
    """The team that somebody wants to be in, None when they named none. Raises `BadShape` where there is none of that name."""
    if name is None:
        return None
    if name not in teams:
        cure = f"name one of {', '.join(teams)}" if teams else "there are no teams in this class"
        raise BadShape(f"there is no such team: {cure}", path="$.team")
    return teams.index(name)


def team_rows(
    metric: Metric, rule: TeamRule, members: Mapping[int, int], scores: Mapping[int, int | None]
) -> tuple[TeamRow, ...]:
    """The teams of a board by rank, behind them those without one. `members` are the teams of the athletes who stand on it, by
    number, and `scores` what those are ranked by."""
    of_team: dict[int, list[int]] = {team: [] for team in members.values()}
    for n, team in members.items():
        score = scores.get(n)
        if score is not None:
            of_team[team].append(score)
    counted = {team: found for team, found in of_team.items() if len(found) >= FEWEST}
    common = lcm(*(len(found) for found in counted.values())) if rule == "mean" else 1
    weights = [
        (sum(found) * (common // len(found) if rule == "mean" else 1), team, team) for team, found in counted.items()
    ]
    in_front = [
        TeamRow(team, rank, _figure(metric, rule, counted[team]), len(counted[team]))
        for rank, _, team in ranked(weights)
    ]
    behind = [TeamRow(team, None, None, len(of_team[team])) for team in sorted(of_team.keys() - counted.keys())]
    return (*in_front, *behind)


def _figure(metric: Metric, rule: TeamRule, scores: Iterable[int]) -> float | None:
    found = tuple(scores)
    if rule == "sum":
        return shown(metric, sum(found))
    return shown(metric, (2 * sum(found) + len(found)) // (2 * len(found)))
