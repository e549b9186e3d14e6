"""Who stands where, under both rules for ties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.challenges.ranking import MOST_N, MOST_TIE, MOST_VALUE, Line, ranked, ranks, team_lines, tie_of
from services.challenges.scoring import Score

LINES = st.lists(
    st.builds(Line, n=st.integers(1, 50), value=st.integers(0, 3), tie=st.integers(0, 3)), unique_by=lambda line: line.n
)


def test_who_was_there_first_stands_first_or_equals_share_as_the_rules_say() -> None:
    scores = {1: Score(5, 900), 2: Score(5, 800), 3: Score(7, 999), 4: Score(5, 900), 5: Score(1, 1)}
    for ties, expected in (
        ("first", [(1, 3), (2, 2), (3, 1), (3, 4), (5, 5)]),
        ("shared", [(1, 3), (2, 1), (2, 2), (2, 4), (5, 5)]),
    ):
        lines = [Line(n, score.value, tie_of(ties, score)) for n, score in scores.items()]  # type: ignore[arg-type]
        assert [(each.rank, each.line.n) for each in ranked(lines)] == expected


@given(LINES, st.integers(0, 50))
def test_a_page_has_the_ranks_that_it_has_in_the_whole(lines: list[Line], start: int) -> None:
    whole = list(ranked(lines))
    page = whole[start:]
    if page:
        assert list(ranks([each.line for each in page], start, page[0].rank)) == page


@given(LINES)
def test_a_rank_is_one_more_than_how_many_are_strictly_better(lines: list[Line]) -> None:
    for each in ranked(lines):
        better = sum((line.value, -line.tie) > (each.line.value, -each.line.tie) for line in lines)
        assert each.rank == better + 1


def test_a_team_is_the_sum_of_its_members_reached_with_the_last_of_them() -> None:
    members = [Line(1, 5, 100, 0), Line(2, 3, 200, 0), Line(3, 8, 150, 1), Line(4, 0, 0, 1), Line(5, 0, 0, 2)]
    teams = team_lines(members, "first", ("Red", "Blue", "Idle"))
    assert [(team.n, team.value, team.tie) for team in teams] == [(0, 8, 200), (1, 8, 150), (2, 0, 0)]
    assert [(each.rank, each.line.n) for each in ranked(teams)] == [(1, 1), (2, 0), (3, 2)]


@pytest.mark.parametrize(
    ("n", "value", "tie"), [(-1, 0, 0), (MOST_N, 0, 0), (1, -1, 0), (1, MOST_VALUE, 0), (1, 0, -1), (1, 0, MOST_TIE)]
)
def test_what_no_table_holds_exactly_is_no_line(n: int, value: int, tie: int) -> None:
    with pytest.raises(ValueError):
        Line(n, value, tie)
    Line(MOST_N - 1, MOST_VALUE - 1, MOST_TIE - 1)
