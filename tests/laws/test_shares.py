"""What nodes tell each other of a room may be lost, repeated and mixed up: the next whole share heals it, everywhere alike."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from realtime import peer
from realtime.connection import Connection
from realtime.parcel import header_of
from realtime.peer import Share
from realtime.wire import Member, Row
from rooms.room import Room
from services.classes.live_class import LiveClass, Membership
from services.kernel.ids import AccountId, ClassId
from tests.realtime import build

NOW_MS = 1_790_000_000_000
LIVE = LiveClass(ClassId(uuid.UUID(int=77)), "ABCD", "Spin", AccountId(uuid.UUID(int=1)), "Kim", NOW_MS)
MEMBERS = tuple(Membership(AccountId(uuid.UUID(int=n)), f"Athlete {n}", n, "athlete") for n in (1, 2, 3))
NODES = ("a", "b")

Standing = tuple[tuple[Row, ...], tuple[Member, ...]]


@dataclass
class Teller:
    """A node with the room, and everything it has told."""

    node: str
    lives: int = 0
    told: list[Share] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        """Its process ends, or forgets the room, and opens it anew under the same name."""
        self.lives += 1
        self.room = Room(LIVE, self.node, NOW_MS + self.lives)
        self.connections: dict[int, Connection] = {}
        for membership in MEMBERS:
            self.room.seat(membership)

    def enter(self, n: int) -> None:
        if n not in self.connections:
            self.connections[n] = build.connection(f"{self.node}{n}", n)
            self.room.enter(self.connections[n], MEMBERS[n - 1])

    def leave(self, n: int) -> None:
        if n in self.connections:
            self.room.leave(self.connections.pop(n))

    def feed(self, n: int, feed_epoch: int, bpm: int) -> None:
        self.room.feed(
            MEMBERS[n - 1].account_id,
            feed_epoch=feed_epoch,
            bpm=bpm,
            zone=3,
            at_ms=NOW_MS + bpm,
            max_hr=190,
            zone_ms=(0, 0, 0, bpm * 1_000, 0, 0),
        )

    def tell(self, *, whole: bool) -> None:
        share = self.room.share(whole=whole)
        if share is not None:
            parcel = peer.encode(self.node, share)
            heard = peer.decode(header_of(parcel), parcel)
            assert isinstance(heard, Share)
            self.told.append(heard)


MEMBER = st.integers(1, len(MEMBERS))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(NODES),
        st.one_of(
            st.tuples(st.just("enter"), MEMBER),
            st.tuples(st.just("leave"), MEMBER),
            st.tuples(st.just("feed"), MEMBER, st.integers(1, 3), st.integers(90, 180)),
            st.tuples(st.just("share")),
            st.tuples(st.just("whole")),
            st.tuples(st.just("start_again")),
        ),
    ),
    max_size=30,
)


def played(steps: list[tuple[str, tuple[object, ...]]]) -> tuple[Teller, ...]:
    """Nodes to which all this has happened. Each tells the whole at the end, as it does every few seconds."""
    tellers = {node: Teller(node) for node in NODES}
    for node, (what, *values) in steps:
        if what in {"share", "whole"}:
            tellers[node].tell(whole=what == "whole")
        else:
            getattr(tellers[node], str(what))(*values)
    for teller in tellers.values():
        teller.tell(whole=True)
    return tuple(tellers.values())


def listener() -> Room:
    return Room(LIVE, "c", NOW_MS)


def standing(room: Room) -> Standing:
    room.board.refresh(NOW_MS + 1_000)
    return room.board.rows(), room.board.members()


def heard(shares: Iterator[Share] | list[Share], room: Room | None = None) -> Room:
    room = listener() if room is None else room
    for share in shares:
        room.merge(share)
    return room


def last_words(tellers: tuple[Teller, ...]) -> list[Share]:
    return [teller.told[-1] for teller in tellers]


@given(STEPS, st.data())
def test_any_subset_in_any_order_with_any_repetition_is_healed_by_the_next_whole_share(
    steps: list[tuple[str, tuple[object, ...]]], data: st.DataObject
) -> None:
    tellers = played(steps)
    everything = [share for teller in tellers for share in teller.told]
    some = data.draw(st.lists(st.sampled_from(everything), max_size=2 * len(everything)))
    late = data.draw(st.lists(st.sampled_from(everything), max_size=5))
    last = data.draw(st.permutations(last_words(tellers)))
    assert standing(heard([*some, *last, *late])) == standing(heard(last_words(tellers)))


@given(STEPS, st.randoms())
def test_whoever_heard_everything_in_whatever_order_has_the_same_board(
    steps: list[tuple[str, tuple[object, ...]]],
    random: "st.randoms",  # type: ignore[valid-type]
) -> None:
    tellers = played(steps)
    everything = [share for teller in tellers for share in teller.told]
    mixed = sorted(everything, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert standing(heard(everything)) == standing(heard(mixed))


@given(STEPS)
def test_the_nodes_that_tell_have_the_same_board_as_one_that_only_listens(
    steps: list[tuple[str, tuple[object, ...]]],
) -> None:
    tellers = played(steps)
    last = last_words(tellers)
    boards = [
        standing(heard([share for share in last if share.node != teller.node], teller.room)) for teller in tellers
    ]
    assert [*boards] == [standing(heard(last))] * len(boards)


@given(STEPS, st.sampled_from(NODES))
def test_a_node_that_was_silent_for_long_counts_again_once_it_is_heard(
    steps: list[tuple[str, tuple[object, ...]]], silent: str
) -> None:
    tellers = played(steps)
    last = last_words(tellers)
    room = heard(last)
    room.forget_silent_nodes(lambda _: True)
    assert not any(member.present for member in standing(room)[1])
    assert standing(heard(last, room)) == standing(heard(last))
