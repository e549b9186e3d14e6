"""The final table of a class, from what each member's streams have earned. Pure.

Ranks are decided as on the live board (`ranking.py`), in what the class is ranked by at its end (`metric.py`), so that the last
board and the table agree. A figure that tells of the body is in it, with a rank, only of those who show it. A team's line is made
of the lines that stand in the table, and of nothing else (`team.py`), as on the board.

`ClassSummary` is also the shape of the event `class.summary`: what is stored is what is sent.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from services.classes.live_class import LiveClass, Membership
from services.classes.metric import MEASURES, UNKNOWN, Basis, Metric, figure_of, is_personal, score_of, shown
from services.classes.ranking import ranked, weight
from services.classes.showing import body_shown, on_board, public_name
from services.classes.team import TeamRule, team_rows
from services.kernel.ids import AccountId, ClassId
from services.training.load import MS_PER_MINUTE
from services.training.zones import ZONES

_NOTHING: Final = (0,) * ZONES
NOTHING_ELSE: Final[Mapping[AccountId, Basis]] = MappingProxyType({})


class ClassStanding(msgspec.Struct, frozen=True):
    """One athlete's line. `n` member number, `rank` null without a figure, `effort` points with one decimal, `zone_ms` ms in zone
    0 to 5; `flagged` while fair play has a doubt about some of it; `figure` in what the class was ranked by, null where that is
    effort, or where there is none; `team` an index into the teams of the class."""

    n: int
    rank: int | None
    name: str
    effort: float
    zone_ms: tuple[int, ...]
    flagged: bool = False
    figure: float | None = None
    team: int | None = None


class TeamStanding(msgspec.Struct, frozen=True):
    """A team's line: `team` its place among those of the class, from 0 on; `rank` and `figure` null where fewer than two of it have
    a figure in the table; `athletes` how many have one."""

    team: int
    rank: int | None
    name: str
    figure: float | None
    athletes: int


class ClassSummary(msgspec.Struct, frozen=True):
    """How a class ended. `duration_ms` from creation to end, `athletes` how many took part; ranked by `metric`, figures in
    `unit`. `teams` by rank, those of whom somebody stands in the table; a team's figure is the `mean` or the `sum` of its athletes'
    (`team_rule`)."""

    class_id: ClassId
    title: str
    duration_ms: int
    athletes: int
    standings: tuple[ClassStanding, ...]
    metric: Metric = "effort"
    unit: str = "points"
    teams: tuple[TeamStanding, ...] = ()
    team_rule: TeamRule = "mean"


def final_table(
    live: LiveClass,
    members: Iterable[Membership],
    earned: Mapping[AccountId, tuple[int, ...]],
    flagged: Container[AccountId] = (),
    bases: Mapping[AccountId, Basis] = NOTHING_ELSE,
) -> ClassSummary:
    """The table of a class that is over. `earned` is ms in zone 0 to 5 per member; who is missing earned nothing. `flagged` are
    those whose line is marked; `bases` what figures are made of besides, but for the baselines, which the members have.

    Coaches and spectators are not ranked, nor is whoever the room does not see; but `athletes` counts them. Raises ValueError while
    the class is live.
    """
    if live.ended_ms is None:
        raise ValueError(f"class {live.id} is still live: end it first")
    athletes = [member for member in members if member.role == "athlete"]
    unranked: list[ClassStanding] = []
    scored: list[tuple[int, int, ClassStanding]] = []
    scores: dict[int, int | None] = {}
    for member in athletes:
        if not on_board(member.showing):
            continue
        score, standing = _standing(live.metric, member, earned, bases)
        scores[member.n] = score
        standing = msgspec.structs.replace(standing, flagged=member.account_id in flagged)
        if score is None:
            unranked.append(standing)
        else:
            scored.append((score, member.n, standing))
    standings = [msgspec.structs.replace(standing, rank=rank) for rank, _, standing in ranked(scored)]
    return ClassSummary(
        class_id=live.id,
        title=live.title,
        duration_ms=max(live.ended_ms - live.created_ms, 0),
        athletes=len(athletes),
        standings=(*standings, *sorted(unranked, key=lambda standing: standing.n)),
        metric=live.metric,
        unit=MEASURES[live.metric].unit,
        teams=tuple(_teams(live, athletes, scores)),
        team_rule=live.team_rule,
    )


def _teams(live: LiveClass, athletes: Iterable[Membership], scores: Mapping[int, int | None]) -> Iterator[TeamStanding]:
    """The teams of those who stand in the table."""
    in_teams = {each.n: each.team for each in athletes if each.n in scores and each.team is not None}
    for row in team_rows(live.metric, live.team_rule, in_teams, scores):
        yield TeamStanding(row.team, row.rank, live.teams[row.team], row.figure, row.athletes)


def _standing(
    metric: Metric, member: Membership, earned: Mapping[AccountId, tuple[int, ...]], bases: Mapping[AccountId, Basis]
) -> tuple[int | None, ClassStanding]:
    """A line without its rank, and what that is decided by."""
    zone_ms = earned.get(member.account_id, _NOTHING)
    figure = figure_of(metric, zone_ms, bases.get(member.account_id, UNKNOWN)._replace(baseline=member.baseline))
    if is_personal(figure) and not body_shown(member.showing):
        figure = None
    score = score_of(metric, zone_ms, figure)
    return score, ClassStanding(
        n=member.n,
        rank=None,
        name=public_name(member.showing, member.n, member.name),
        effort=round(weight(zone_ms) / MS_PER_MINUTE, 1),
        zone_ms=zone_ms,
        figure=None if metric == "effort" else shown(metric, score),
        team=member.team,
    )
