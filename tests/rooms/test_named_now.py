"""A final table that is told again from the log: as people are shown now, and nothing that tells of the others."""

import uuid

import msgspec

from realtime.codec import event_frame, payload_of
from realtime.position import NOWHERE
from realtime.wire import ClassSummaryView
from rooms.board import Board
from rooms.named_now import retold
from services.classes.metric import Metric
from services.classes.showing import Showing
from services.classes.summary import ClassStanding, TeamStanding
from services.kernel.ids import ClassId
from tests.rooms.test_board import entry

RED = TeamStanding(team=0, rank=1, name="Red", figure=2.5, athletes=2)
ANN, BOB, CLEO = 1, 2, 3
"""Ann and Bob ride for Red, Cleo for nobody."""


def table(metric: Metric) -> ClassSummaryView:
    lines = [
        ClassStanding(
            n,
            rank,
            f"Athlete {n}",
            1.0,
            (0, 0, 0, 20_000, 0, 0),
            figure=None if metric == "effort" else 1.0 * n,
            team=0 if n != CLEO else None,
        )
        for rank, n in enumerate((CLEO, BOB, ANN), start=1)
    ]
    return ClassSummaryView(
        ClassId(uuid.UUID(int=7)), "Hills", 60_000, 3, tuple(lines), metric, teams=(RED,), position=NOWHERE
    )


def told_again(metric: Metric, n: int, now: Showing) -> ClassSummaryView:
    """The table as it is told after somebody has decided anew; the others show everything."""
    board = Board()
    for each in (ANN, BOB, CLEO):
        board.put("a", entry(each, showing=now if each == n else Showing("full", "", 1, body=True)))
    (frame,) = retold((event_frame("class.summary", table(metric)),), board)
    return msgspec.json.decode(payload_of(frame), type=ClassSummaryView)


def test_who_is_hidden_now_has_no_line_and_leaves_no_team_to_be_worked_out_from() -> None:
    again = told_again("effort", BOB, Showing("hidden", "", 2))
    assert [line.n for line in again.standings] == [CLEO, ANN]
    assert again.teams == ()


def test_another_name_changes_nothing_of_a_team_nor_does_who_is_in_none() -> None:
    again = told_again("effort", BOB, Showing("alias", "Fox", 2))
    assert ([line.name for line in again.standings], again.teams) == (["Athlete 3", "Fox", "Athlete 1"], (RED,))
    again = told_again("effort", CLEO, Showing("hidden", "", 2))
    assert ([line.n for line in again.standings], again.teams) == ([BOB, ANN], (RED,))


def test_who_keeps_the_figure_of_their_body_now_has_neither_that_nor_a_rank_and_counts_in_no_team() -> None:
    again = told_again("calories", BOB, Showing("full", "", 2))
    assert [(line.n, line.rank, line.figure) for line in again.standings] == [(3, 1, 3.0), (2, None, None), (1, 3, 1.0)]
    assert again.teams == ()
    assert told_again("calories", BOB, Showing("full", "", 2, body=True)).teams == (RED,)
    assert told_again("effort", BOB, Showing("full", "", 2)).teams == (RED,), "effort is no figure of a body"
