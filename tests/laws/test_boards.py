"""A board keeps what it made of people who have said nothing new: nobody can tell it from one that was just made."""

import uuid
from collections.abc import Callable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.peer import ShareEntry
from rooms.board import Board
from rooms.redaction import COACH, ROOM, Eyes
from services.classes.metric import Figure, Metric
from services.classes.showing import Showing
from services.classes.team import TeamRule
from services.kernel.ids import AccountId

NOW_MS = 1_790_000_000_000

METRICS: tuple[Metric, ...] = ("effort", "distance", "calories", "zone_minutes")
RULES: tuple[TeamRule, ...] = ("mean", "sum")

Act = Callable[[Board, int], object]
"""What happens to a board, and as the how manieth: whoever speaks has newer things to say each time."""

numbers = st.integers(1, 3)
nodes = st.sampled_from(("a", "b"))
showings = st.builds(
    Showing,
    revision=st.integers(1, 9),
    mode=st.sampled_from(("full", "zone", "alias", "coach", "hidden")),
    alias=st.just("Otter"),
    body=st.booleans(),
)


def account_of(n: int) -> AccountId:
    return AccountId(uuid.UUID(int=n))


@st.composite
def puts(draw: st.DrawFn) -> Act:
    n = draw(numbers)
    bpm = draw(st.none() | st.sampled_from((120, 150)))
    entry = ShareEntry(
        n=n,
        account_id=account_of(n),
        name=f"Athlete {n}",
        role="coach" if n == 3 else "athlete",
        present=draw(st.booleans()),
        feed_epoch=draw(st.integers(0, 2)),
        rev=0,
        bpm=bpm,
        zone=None if bpm is None else 3,
        at_ms=draw(st.none() | st.integers(0, 12).map(lambda seconds: NOW_MS + 1_000 * seconds)),
        max_hr=190,
        zone_ms=(0, 0, 0, draw(st.sampled_from((0, 1_000, 60_000))), 0, 0),
        finished=draw(st.booleans()),
        showing=draw(st.none() | showings),
        figure=draw(st.none() | st.builds(Figure, st.sampled_from(("distance", "calories")), st.integers(0, 3))),
        team=draw(st.none() | st.just(n % 2)),
    )
    node = draw(nodes)
    return lambda board, k: board.put(node, msgspec.structs.replace(entry, rev=k))


@st.composite
def shows(draw: st.DrawFn) -> Act:
    n, showing = draw(numbers), draw(showings)
    return lambda board, _: board.show(account_of(n), showing)


@st.composite
def others(draw: st.DrawFn) -> Act:
    node, silent = draw(nodes), draw(st.sets(nodes))
    metric = draw(st.sampled_from(METRICS))
    rule = draw(st.sampled_from(RULES))
    acts: tuple[Act, ...] = (
        lambda board, _: board.drop_node(node),
        lambda board, _: board.hear_only_but(silent),
        lambda board, _: board.rank_by(metric),
        lambda board, _: board.team_by(rule),
    )
    return draw(st.sampled_from(acts))


steps_ms = st.sampled_from((0, 200, 4_000))


@given(st.lists(st.tuples(st.one_of(puts(), shows(), others()), steps_ms), max_size=20), st.sampled_from((ROOM, COACH)))
@settings(max_examples=300)
def test_a_board_that_kept_something_is_the_board_made_anew(story: list[tuple[Act, int]], eyes: Eyes) -> None:
    board, now_ms = Board(eyes), NOW_MS
    for told, (act, step_ms) in enumerate(story, start=1):
        rows, members = {row.n: row for row in board.rows()}, {member.n: member for member in board.members()}
        now_ms += step_ms
        act(board, told)
        changes = board.refresh(now_ms)
        anew = Board(eyes)
        for k, (before, _) in enumerate(story[:told], start=1):
            before(anew, k)
        anew.refresh(now_ms)
        assert board.rows() == anew.rows()
        assert board.members() == anew.members()
        assert board.figures() == anew.figures()
        assert board.teams() == anew.teams()
        assert board.lines() == anew.lines()
        assert changes.rows == tuple(row for row in anew.rows() if rows.get(row.n) != row)
        assert {each.n for each in changes.members} == {
            each.n for each in anew.members() if members.get(each.n) != each
        }
        assert set(changes.gone) == members.keys() - {each.n for each in anew.members()}
