"""Whatever nodes see, lose and merge: a tape gives back the frames that were told, each of them, from wherever one enters it."""

import dataclasses
import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.tapes import Piece
from realtime.frame import Frame
from realtime.wire import BoardChanges, BoardSnapshot, Figured
from rooms import tape as tapes
from rooms.retelling import Retelling, Retold, Telling
from rooms.room import Room
from rooms.tape import Beat, Said, Tape, notes_of
from services.classes.live_class import LiveClass, Membership
from services.classes.metric import MEASURES, Basis, Metric
from services.classes.showing import DisplayMode, Showing
from services.classes.summary import final_table
from services.kernel.ids import AccountId, ClassId
from services.training.motion import Moved
from tests.realtime import build

NOW_MS = 1_790_000_000_000
LIVE = LiveClass(
    ClassId(uuid.UUID(int=77)), "ABCD", "Spin", AccountId(uuid.UUID(int=1)), "Kim", NOW_MS, teams=("Red", "Blue")
)
MEMBERS = tuple(
    Membership(AccountId(uuid.UUID(int=n << 64)), f"Athlete {n}", n, "athlete", baseline=2_000, team=n // 3)
    for n in (1, 2, 3)
)

MEMBER = st.integers(1, len(MEMBERS))
NODE = st.sampled_from(("a", "b"))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), NODE, MEMBER),
        st.tuples(st.just("leave"), NODE, MEMBER),
        st.tuples(st.just("feed"), NODE, MEMBER, st.integers(1, 3), st.integers(90, 180)),
        st.tuples(st.just("share"), NODE, st.booleans()),
        st.tuples(st.just("silent"), NODE),
        st.tuples(st.just("rank"), NODE, st.sampled_from(tuple(MEASURES))),
        st.tuples(st.just("shows_body"), NODE, MEMBER, st.booleans()),
        st.tuples(st.just("beat"), st.integers(1, 6_000)),
        st.tuples(st.just("cut")),
    ),
    max_size=60,
)


@dataclasses.dataclass
class Recorded:
    """Two nodes with a room, the tape of the first of them, and what its members were told."""

    rooms: dict[str, Room] = dataclasses.field(default_factory=dict)
    pieces: list[Piece] = dataclasses.field(default_factory=list)
    told: list[BoardChanges] = dataclasses.field(default_factory=list)
    now_ms: int = NOW_MS
    decided: int = 0
    members: Sequence[Membership] = MEMBERS

    def __post_init__(self) -> None:
        for number, node in enumerate(("a", "b")):
            self.rooms[node] = Room(LIVE, node, NOW_MS + number)
        self.room = self.rooms["a"]
        self.tape = self.room.tape = Tape(LIVE.id, self.room.epoch, "a", self.pieces.append)
        self.connections = {
            (node, n): build.connection(f"{node}{n}", n << 64) for node in self.rooms for n in range(1, 4)
        }
        for room in self.rooms.values():
            for membership in self.members:
                room.seat(membership)

    def play(self, steps: list[tuple[Any, ...]]) -> "Recorded":
        for what, *values in steps:
            getattr(self, what)(*values)
        self.beat(20)
        self.cut()
        return self

    def enter(self, node: str, n: int) -> None:
        self.rooms[node].enter(self.connections[node, n], self.members[n - 1])

    def leave(self, node: str, n: int) -> None:
        self.rooms[node].leave(self.connections[node, n])

    def feed(self, node: str, n: int, feed_epoch: int, bpm: int) -> None:
        self.rooms[node].feed(
            MEMBERS[n - 1].account_id,
            feed_epoch=feed_epoch,
            bpm=bpm,
            zone=3,
            at_ms=self.now_ms,
            max_hr=190,
            zone_ms=(0, 0, 0, bpm * 10_000, 0, 0),
            basis=Basis(bpm * 1_000_000_000, moved=Moved(distance_m=bpm)),
        )

    def rank(self, node: str, metric: Metric) -> None:
        self.decided += 1
        self.rooms[node].take_ranking(metric, self.decided)

    def shows_body(self, node: str, n: int, shows: bool) -> None:
        self.decided += 1
        self.rooms[node].show(MEMBERS[n - 1].account_id, Showing("full", "", self.decided, shows))

    def share(self, node: str, arrives: bool) -> None:
        share = self.rooms[node].share(whole=False)
        if share is not None and arrives:
            self.rooms["b" if node == "a" else "a"].merge(share)

    def silent(self, node: str) -> None:
        self.room.forget_silent_nodes(lambda peer: peer == node)

    def beat(self, later_ms: int) -> None:
        self.now_ms += later_ms
        frame = self.room.beat(self.now_ms)
        if frame is not None:
            self.told.append(changes_of(frame))

    def cut(self) -> None:
        self.tape.cut()


def changes_of(frame: Frame) -> BoardChanges:
    return msgspec.json.decode(frame.text[frame.text.index("[") :], type=tuple[str, BoardChanges])[1]


def retold(recorded: Recorded, pieces: list[Piece]) -> list[tuple[Retold, BoardSnapshot | BoardChanges]]:
    shown = [msgspec.structs.replace(member, showing=Showing("full", body=True)) for member in MEMBERS]
    retelling, telling = Retelling(), Telling(LIVE.id, shown)
    found = []
    for piece in pieces:
        for note in retelling.play(piece.n, notes_of(piece.notes)):
            if not isinstance(note, Said) and note[1] is not None:
                found.append((note[1], telling.tell(piece.tape, retelling, note[1])))
    return found


@given(STEPS)
def test_every_frame_that_was_told_comes_again(steps: list[tuple[Any, ...]]) -> None:
    recorded = Recorded().play(steps)
    again = retold(recorded, recorded.pieces)
    assert all(frame.same for frame, _ in again)
    assert len(again) == len(recorded.told)
    for (frame, event), was in zip(again[1:], recorded.told[1:], strict=True):
        assert isinstance(event, BoardChanges)
        assert (frame.v, event.at_ms, event.rows, event.figures) == (was.v, was.at_ms, was.rows, was.figures)
        assert event.teams == was.teams
        assert sorted(event.members, key=lambda member: member.n) == sorted(was.members, key=lambda member: member.n)


@given(STEPS, st.integers(0, 100))
def test_who_enters_at_a_whole_piece_sees_the_same_from_there(steps: list[tuple[Any, ...]], draw: int) -> None:
    recorded = Recorded().play([*steps, ("cut",), *steps])
    whole = [number for number, piece in enumerate(recorded.pieces) if piece.whole]
    begin = whole[draw % len(whole)]
    by_v = {frame.v: event for frame, event in retold(recorded, recorded.pieces)}
    (first, _), *entered = retold(recorded, recorded.pieces[begin:])
    assert all(frame.same for frame, _ in entered)
    assert [event for _, event in entered] == [event for v, event in by_v.items() if v > first.v]


@given(
    st.sampled_from(tuple(MEASURES)),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.none() | st.integers(90, 180),
            st.sampled_from(("full", "zone", "alias", "coach", "hidden")),
            st.booleans(),
        ),
        min_size=1,
        max_size=9,
    ),
)
def test_the_final_table_has_the_teams_that_the_last_frame_of_its_tape_has(
    metric: Metric, drawn: list[tuple[int, int | None, DisplayMode, bool]]
) -> None:
    """By one function, from what was stored and from what was told."""
    live = msgspec.structs.replace(LIVE, teams=("Red", "Blue", "Green"), metric=metric)
    members = [
        Membership(
            AccountId(uuid.UUID(int=n << 64)),
            f"Athlete {n}",
            n,
            "athlete",
            baseline=2_000,
            team=team,
            showing=Showing(mode, "", 1, shows_body),
        )
        for n, (team, _, mode, shows_body) in enumerate(drawn, start=1)
    ]
    pieces: list[Piece] = []
    room = Room(live, "a", NOW_MS)
    room.tape = Tape(live.id, room.epoch, "a", pieces.append)
    earned, bases = {}, {}
    for membership, (_, bpm, _, _) in zip(members, drawn, strict=True):
        room.seat(membership)
        if bpm is None:
            continue
        zone_ms = (0, 0, 0, bpm * 10_000, 0, 0)
        basis = Basis(bpm * 1_000_000_000, moved=Moved(distance_m=bpm))
        earned[membership.account_id], bases[membership.account_id] = zone_ms, basis
        room.feed(
            membership.account_id,
            feed_epoch=1,
            bpm=bpm,
            zone=3,
            at_ms=NOW_MS,
            max_hr=190,
            zone_ms=zone_ms,
            basis=basis,
        )
    room.beat(NOW_MS + 1)
    room.tape.cut()
    retelling = Retelling()
    for piece in pieces:
        list(retelling.play(piece.n, notes_of(piece.notes)))
    over = msgspec.structs.replace(live, ended_ms=NOW_MS + 2)
    table = final_table(over, members, earned, bases=bases)
    assert [(each.team, each.rank, each.figure, each.athletes) for each in table.teams] == [
        (each.team, each.rank, each.figure, each.athletes) for each in retelling.board.teams()
    ]


@pytest.mark.parametrize("now", [None, "coach", "hidden"])
def test_teams_are_retold_only_while_everybody_is_shown_who_counted_in_them(now: DisplayMode | None) -> None:
    steps = [("feed", "a", 1, 1, 90), ("feed", "a", 2, 1, 150), ("beat", 1), ("feed", "a", 1, 1, 170), ("beat", 1)]
    recorded = Recorded().play(steps)
    members = list(MEMBERS)
    if now is None:
        del members[1]
    else:
        members[1] = msgspec.structs.replace(members[1], showing=Showing(now, "", 1))
    for people, tells in ((MEMBERS, True), (members, False)):
        retelling, telling, told = Retelling(), Telling(LIVE.id, people), []
        for note in retelling.play(1, notes_of(recorded.pieces[0].notes)):
            if not isinstance(note, Said) and note[1] is not None:
                told.append(telling.tell("tape", retelling, note[1]))
        assert len(told) >= 2
        assert [bool(frame.teams) for frame in told[:2]] == [tells] * 2


def test_who_shows_their_figure_no_longer_has_none_when_the_tape_plays() -> None:
    steps = [("rank", "a", "calories"), ("shows_body", "a", 1, True), ("beat", 1), ("feed", "a", 1, 1, 90), ("beat", 1)]
    recorded = Recorded().play(steps)
    retelling, telling = Retelling(), Telling(LIVE.id, MEMBERS)
    (notes,) = [notes_of(piece.notes) for piece in recorded.pieces]
    frames = [note[1] for note in retelling.play(1, notes) if not isinstance(note, Said) and note[1] is not None]
    told = [telling.tell("tape", retelling, frame) for frame in frames]
    assert recorded.told[-1].figures == (Figured(1, 90.0),)
    assert {figured.figure for event in told for figured in event.figures} == {None}
    assert {row.rank for event in told for row in event.rows} == {None}


def test_a_tape_from_before_there_were_metrics_plays_again() -> None:
    """Notes without the fields that say what ranks and what teams have, with the sums of frames as they were then."""
    nobody = [msgspec.structs.replace(member, team=None) for member in MEMBERS]
    recorded = Recorded(members=nobody).play(
        [("enter", "a", 1), ("feed", "a", 1, 1, 150), ("beat", 100), ("enter", "b", 2)]
    )
    beats = [note for note in notes_of(recorded.pieces[0].notes) if isinstance(note, Beat)]
    old = msgspec.convert([msgspec.to_builtins(beat)[:-2] for beat in beats], list[Beat])
    told = [note[1] for note in Retelling().play(1, old) if not isinstance(note, Said) and note[1] is not None]
    for frame in told:
        members = sorted((member.n, member.role, member.present) for member in frame.changes.members)
        before = msgspec.msgpack.encode((frame.changes.rows, members, frame.changes.gone))
        assert tapes.sum_of(frame.changes) == hashlib.blake2b(before, digest_size=tapes.SUM_BYTES).digest()
    assert [frame.same for frame in told] == [True] * len(recorded.told)


def test_a_tape_names_nobody() -> None:
    recorded = Recorded().play([("enter", "a", 1), ("feed", "a", 1, 1, 150), ("beat", 100)])
    said = tapes.without_name(b'{"class_id":"x","n":1,"name":"Athlete 1","text":"hello"}')
    recorded.tape.said(NOW_MS, "chat.said", said)
    recorded.cut()
    for piece in recorded.pieces:
        for note in notes_of(piece.notes):
            kept = msgspec.json.encode(note)
            assert b"Athlete" not in kept
            assert str(MEMBERS[0].account_id).encode() not in kept


def test_whoever_is_no_member_any_more_is_left_out() -> None:
    recorded = Recorded().play([("enter", "a", 1), ("enter", "a", 2), ("feed", "a", 1, 1, 150), ("beat", 100)])
    recorded.tape.said(NOW_MS, "chat.said", b'{"n":1,"text":"hello","position":"p"}')
    recorded.tape.said(NOW_MS, "chat.said", b'{"n":2,"text":"hello","position":"p"}')
    recorded.cut()
    retelling, telling = Retelling(), Telling(LIVE.id, MEMBERS[1:])
    events, said = [], []
    for piece in recorded.pieces:
        for note in retelling.play(piece.n, notes_of(piece.notes)):
            if isinstance(note, Said):
                said.append(telling.said(note))
            elif note[1] is not None:
                events.append(telling.tell(piece.tape, retelling, note[1]))
    assert {row.n for event in events for row in event.rows} == {2, 3}
    assert {member.n for event in events for member in event.members} == {2, 3}
    assert said == [None, b'{"n":2,"text":"hello","position":"p","name":"Athlete 2"}']


def test_a_cue_for_some_is_told_to_them_and_to_the_coach_alone() -> None:
    note = Said(NOW_MS, "cue", b'{"text":"Push","to":[2]}')
    coach = Membership(AccountId(uuid.UUID(int=9 << 64)), "Mia", 9, "coach")
    heard = [Telling(LIVE.id, MEMBERS, viewer).said(note) for viewer in (None, *MEMBERS, coach)]
    assert heard == [None, None, b'{"text":"Push","personal":true}', None, b'{"text":"Push","to":[2]}']


def test_a_frame_that_was_another_is_found() -> None:
    recorded = Recorded().play([("enter", "a", 1), ("beat", 100), ("feed", "a", 1, 1, 150), ("beat", 100)])
    (piece,) = recorded.pieces
    notes = list(notes_of(piece.notes))
    changed = [
        msgspec.structs.replace(note, puts=()) if number == 1 else note
        for number, note in enumerate(notes)
        if isinstance(note, Beat)
    ]
    found = [
        note[1].same for note in Retelling().play(1, changed) if not isinstance(note, Said) and note[1] is not None
    ]
    assert found[0] is True
    assert False in found


def test_what_needs_a_missing_piece_is_skipped_and_counted() -> None:
    steps: list[tuple[Any, ...]] = []
    for second in range(30):
        steps += [("feed", "a", 1, 1, 100 + second), ("beat", 1_000), ("cut",)]
    recorded = Recorded().play(steps)
    without = [piece for piece in recorded.pieces if piece.n != 3]
    retelling = Retelling()
    for piece in without:
        for note in retelling.play(piece.n, notes_of(piece.notes)):
            assert isinstance(note, Said) or note[1] is None or note[1].same is not False
    assert retelling.skipped == 9
    assert [piece.n for piece in recorded.pieces if piece.whole] == [1, 13, 25]
