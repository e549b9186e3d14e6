"""Teams of a class: their names, and what a team has on a board."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.team import FEWEST, TeamRow, TeamRule, team_named, team_names, team_rows
from services.kernel.problems import BadShape

MINUTE = 60_000


def test_a_mean_neither_costs_nor_helps_a_larger_team_and_a_sum_adds_up() -> None:
    teams = {1: 0, 2: 0, 3: 1, 4: 1, 5: 1}
    scores = {1: 4 * MINUTE, 2: 2 * MINUTE, 3: 3 * MINUTE, 4: 3 * MINUTE, 5: 2 * MINUTE}
    assert team_rows("effort", "mean", teams, scores) == (TeamRow(0, 1, 3.0, 2), TeamRow(1, 2, 2.7, 3))
    assert team_rows("effort", "sum", teams, scores) == (TeamRow(1, 1, 8.0, 3), TeamRow(0, 2, 6.0, 2))


def test_equal_means_share_a_rank_whatever_their_teams_are_in_size_and_a_hair_more_does_not() -> None:
    teams = {1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2}
    equal = {1: 4, 2: 3, 3: 3, 4: 4, 5: 3, 6: 1, 7: 0}
    assert [(row.team, row.rank) for row in team_rows("effort", "mean", teams, equal)] == [(0, 1), (1, 2), (2, 3)]
    equal[5] = 4
    equal[3] = 2
    assert [(row.team, row.rank) for row in team_rows("effort", "mean", teams, equal)] == [(0, 1), (1, 2), (2, 3)]
    equal[2] = 4
    equal[3] = 4
    assert [(row.team, row.rank) for row in team_rows("effort", "mean", teams, equal)] == [(0, 1), (1, 1), (2, 3)]


def test_a_team_of_whom_one_has_a_figure_has_none_and_stands_last() -> None:
    rows = team_rows("calories", "mean", {1: 0, 2: 0, 3: 1, 4: 1}, {1: 900, 2: None, 3: 100, 4: 101})
    assert rows == (TeamRow(1, 1, 101.0, 2), TeamRow(0, None, None, 1))


@given(
    st.dictionaries(
        st.integers(1, 40), st.tuples(st.integers(0, 5), st.none() | st.integers(-100, 10**9)), min_size=1, max_size=30
    ),
    st.sampled_from(["mean", "sum"]),
)
def test_teams_are_ranked_by_what_they_have_and_whoever_has_no_figure_changes_nothing(
    drawn: dict[int, tuple[int, int | None]], rule: TeamRule
) -> None:
    teams = {n: team for n, (team, _) in drawn.items()}
    scores = {n: score for n, (_, score) in drawn.items()}
    rows = team_rows("distance", rule, teams, scores)
    assert {row.team for row in rows} == set(teams.values())
    assert [row.rank is None for row in rows] == [row.athletes < FEWEST for row in rows]
    ranks = [row.rank for row in rows if row.rank is not None]
    figures = [row.figure for row in rows if row.figure is not None]
    assert ranks == sorted(ranks)
    assert figures == sorted(figures, reverse=True)
    known = {n: team for n, team in teams.items() if scores[n] is not None}
    told = {row.team: row for row in rows if row.rank is not None}
    assert {row.team: row for row in team_rows("distance", rule, known, scores) if row.rank is not None} == told


@pytest.mark.parametrize("names", [("Red",), ("Red", " red "), ("Red", " ")])
def test_teams_that_cannot_be_told_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadShape) as refused:
        team_names(names)
    assert refused.value.path == "$.teams"


def test_a_team_is_found_by_its_name_and_another_is_refused() -> None:
    assert team_names([" Red", "Blue "]) == ("Red", "Blue")
    assert [team_named(("Red", "Blue"), name) for name in ("Blue", None)] == [1, None]
    for teams in (("Red", "Blue"), ()):
        with pytest.raises(BadShape) as refused:
            team_named(teams, "Green")
        assert refused.value.path == "$.team"
