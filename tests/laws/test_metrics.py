"""Whatever a class is ranked by, and whatever of the shares is lost: all nodes come to the same board."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from realtime import peer
from realtime.parcel import header_of
from realtime.peer import Share
from rooms.filtering import Filter
from rooms.friendships import Friendships
from rooms.room import Room
from services.classes.age_group import AgeGroup
from services.classes.live_class import LiveClass, Membership
from services.classes.metric import MEASURES, UNKNOWN, Basis, Metric, is_personal, score_of
from services.classes.showing import DisplayMode, Showing, body_shown, is_named, on_board
from services.classes.team import team_rows
from services.kernel.ids import AccountId, ClassId
from services.training.motion import Moved

NOW_MS = 1_790_000_000_000
LIVE = LiveClass(
    ClassId(uuid.UUID(int=77)), "ABCD", "Spin", AccountId(uuid.UUID(int=1)), "Kim", NOW_MS, teams=("Red", "Blue")
)
MEMBERS = tuple(
    Membership(AccountId(uuid.UUID(int=n)), f"Athlete {n}", n, "athlete", baseline=1_000 * n, team=n // 4)
    for n in (2, 3, 4)
)
NODES = ("a", "b")
KCAL = 1_000_000_000
METRICS: tuple[Metric, ...] = tuple(MEASURES)
AGE_GROUPS: tuple[AgeGroup, ...] = ("20_29", "40_49")
ME, FRIEND = MEMBERS[0].account_id, MEMBERS[1].account_id
FILTERS = (
    Filter(here=True),
    Filter(friends_of=ME),
    *(Filter(here, group) for here in (False, True) for group in AGE_GROUPS),
)
MODES: tuple[DisplayMode, ...] = ("full", "zone", "alias", "coach", "hidden")


@dataclass
class Installation:
    """Two nodes with the room, and what they have said to each other that was not lost, on the room's and the coaches' channel."""

    rooms: dict[str, Room] = field(default_factory=lambda: {node: Room(LIVE, node, NOW_MS) for node in NODES})
    said: list[Share] = field(default_factory=list)
    rankings: list[Metric] = field(default_factory=list)
    decisions: dict[int, Showing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for room in self.rooms.values():
            for membership in MEMBERS:
                room.seat(membership)

    def feed(self, node: str, n: int, feed_epoch: int, minutes: int, kcal: int | None) -> None:
        self.rooms[node].feed(
            MEMBERS[n].account_id,
            feed_epoch=feed_epoch,
            bpm=140,
            zone=3,
            at_ms=NOW_MS + minutes,
            max_hr=190,
            zone_ms=(0, 0, 0, minutes * 60_000, 0, 0),
            basis=UNKNOWN if kcal is None else body_of(minutes, kcal),
        )

    def rank(self, metric: Metric, hears: str) -> None:
        """It is decided, and at first only one node hears of it."""
        self.rankings.append(metric)
        self.rooms[hears].take_ranking(metric, len(self.rankings))

    def shows(self, node: str, n: int, mode: DisplayMode, body: bool, age_group: AgeGroup | None = None) -> None:
        before = self.decisions.get(n, Showing())
        age = age_group is not None
        shown = age_group if mode not in ("coach", "hidden") else None
        self.decisions[n] = Showing(mode, "Fox", before.revision + 1, body, age, shown)
        self.rooms[node].show(MEMBERS[n].account_id, self.decisions[n])

    def tell(self, node: str, whole: bool, arrives: bool) -> None:
        room, other = self.rooms[node], self.rooms["b" if node == "a" else "a"]
        for share, take in (
            (room.share(whole=whole), other.merge),
            (room.private_share(whole=whole), other.merge_private),
        ):
            if share is not None:
                parcel = peer.encode(node, share)
                heard = peer.decode(header_of(parcel), parcel)
                assert isinstance(heard, Share)
                if take == other.merge:
                    self.said.append(heard)
                if arrives:
                    take(heard)

    def settle(self) -> None:
        """Everybody hears what is decided, and then everything, as it is told every few seconds."""
        for room in self.rooms.values():
            if self.rankings:
                room.take_ranking(self.rankings[-1], len(self.rankings))
        for _ in range(2):  # a decision that a node only hears with a share is part of its next one
            for node in NODES:
                self.tell(node, whole=True, arrives=True)

    def play(self, steps: list[tuple[Any, ...]]) -> "Installation":
        for what, *values in steps:
            getattr(self, what)(*values)
        self.settle()
        return self


def body_of(minutes: int, kcal: int) -> Basis:
    """A mean power that may fall while time goes on."""
    moved = Moved(100 * minutes, work_mj=kcal * minutes * 60_000, power_ms=minutes * 60_000)
    return Basis(kcal * KCAL, moved=moved, mass_kg=70.0)


NODE = st.sampled_from(NODES)
MEMBER = st.integers(0, len(MEMBERS) - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("feed"), NODE, MEMBER, st.integers(1, 3), st.integers(1, 40), st.none() | st.integers(0, 900)
        ),
        st.tuples(st.just("rank"), st.sampled_from(METRICS), NODE),
        st.tuples(
            st.just("shows"),
            NODE,
            MEMBER,
            st.sampled_from(MODES),
            st.booleans(),
            st.none() | st.sampled_from(AGE_GROUPS),
        ),
        st.tuples(st.just("tell"), NODE, st.booleans(), st.booleans()),
    ),
    max_size=30,
)


@given(STEPS)
def test_all_nodes_come_to_the_same_ranks_and_figures(steps: list[tuple[Any, ...]]) -> None:
    made = Installation().play(steps)
    boards = []
    for room in made.rooms.values():
        room.board.refresh(NOW_MS + 1_000)
        boards.append((room.board.metric, room.board.rows(), room.board.figures(), room.board.teams()))
    assert boards[0] == boards[1]


@given(STEPS)
@example([("feed", "a", 1, 1, 2, None), ("rank", "calories", "a"), ("feed", "b", 1, 1, 1, 0)])
def test_coaches_see_the_same_figures_on_any_node(steps: list[tuple[Any, ...]]) -> None:
    made = Installation().play(steps)
    views = []
    for room in made.rooms.values():
        room.board.refresh(NOW_MS + 1_000)
        view = room.private.of_coach(LIVE.id, room.board, NOW_MS)
        views.append(sorted(view.figures, key=lambda figured: figured.n))
    assert views[0] == views[1]


@given(STEPS)
def test_no_figure_of_a_body_travels_to_the_room_unless_its_owner_shows_it(steps: list[tuple[Any, ...]]) -> None:
    made = Installation()
    for what, *values in steps:
        getattr(made, what)(*values)
        for room in made.rooms.values():
            for _, entry in room.board.standing():
                assert body_shown(room.board.showing(entry.account_id)) or not is_personal(entry.figure)
    made.settle()
    for share in made.said:
        for entry in share.entries:
            assert body_shown(entry.showing) or not is_personal(entry.figure)


@given(STEPS)
def test_a_team_has_what_its_lines_on_the_board_make_and_no_word_to_the_room_says_whose_line_is_not_there(
    steps: list[tuple[Any, ...]],
) -> None:
    made = Installation().play(steps)
    for room in made.rooms.values():
        room.board.refresh(NOW_MS + 1_000)
        lines = {line.feed.n: line.feed for line in room.board.lines()}
        scores = {n: score_of(room.board.metric, feed.zone_ms, feed.figure) for n, feed in lines.items()}
        teams = {member.n: member.team for member in MEMBERS if member.n in lines and member.team is not None}
        assert room.board.teams() == team_rows(room.board.metric, "mean", teams, scores)
        assert {member.n: member.team for member in room.board.members()} == teams
    for share in made.said:
        for entry in share.entries:
            assert on_board(entry.showing) or entry.team is None


@given(STEPS)
def test_a_filter_lets_the_same_people_pass_on_any_node_and_nobody_who_does_not_show_that(
    steps: list[tuple[Any, ...]],
) -> None:
    made = Installation().play(steps)
    numbers = {membership.n: at for at, membership in enumerate(MEMBERS)}
    friendships = Friendships()
    friendships.know(ME, frozenset({FRIEND}), friendships.mark())
    for wanted in FILTERS:
        answers = []
        for room in made.rooms.values():
            room.board.refresh(NOW_MS + 1_000)
            places = room.filter("phone", wanted, friendships, NOW_MS).places
            answers.append(places)
            on_board = [row.n for row in room.board.rows()]
            assert [place.n for place in places] == [n for n in on_board if n in {place.n for place in places}], (
                "in order"
            )
            for place in places:
                decision = made.decisions.get(numbers[place.n], Showing())
                assert wanted.age_group in (None, decision.age_group)
                if wanted.friends_of is not None:
                    account_id = MEMBERS[numbers[place.n]].account_id
                    assert account_id == ME or (account_id == FRIEND and is_named(decision))
        assert answers[0] == answers[1]


@given(STEPS)
def test_whoever_has_no_figure_on_the_board_has_no_rank_and_stands_last(steps: list[tuple[Any, ...]]) -> None:
    made = Installation().play(steps)
    for room in made.rooms.values():
        room.board.refresh(NOW_MS + 1_000)
        figures = {figured.n: figured.figure for figured in room.board.figures()}
        ranks = [row.rank for row in room.board.rows()]
        if room.board.metric != "effort":
            assert [row.rank is None for row in room.board.rows()] == [
                figures[row.n] is None for row in room.board.rows()
            ]
        assert ranks == sorted(rank for rank in ranks if rank is not None) + [None] * ranks.count(None)
