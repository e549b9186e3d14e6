"""What a board shows, and that all nodes come to show the same."""

import itertools
import random
import uuid

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from realtime.peer import ShareEntry
from rooms.board import Board
from rooms.room import Room
from services.classes.live_class import LiveClass, Membership
from services.kernel.ids import AccountId, ClassId

NOW = 1_000_000


def entry(n: int, **changes: object) -> ShareEntry:
    basis = ShareEntry(
        n=n,
        account_id=AccountId(uuid.UUID(int=n)),
        name=f"Athlete {n}",
        role="athlete",
        present=True,
        feed_epoch=1,
        rev=1,
        bpm=140,
        zone=3,
        at_ms=NOW,
        max_hr=190,
        zone_ms=(0, 0, 0, 60_000, 0, 0),
        finished=False,
    )
    return msgspec.structs.replace(basis, **changes)


def board(*entries: ShareEntry, node: str = "a") -> Board:
    made = Board()
    for one in entries:
        made.put(node, one)
    made.refresh(NOW)
    return made


def test_a_live_athlete_shows_heart_rate_percent_zone_and_points() -> None:
    (row,) = board(entry(1)).rows()
    assert (row.bpm, row.percent, row.zone, row.effort, row.freshness) == (140, 73, 3, 3.0, "live")


def test_a_number_vanishes_when_the_sensor_is_silent_and_the_score_stays() -> None:
    quiet = board(entry(1))
    for after_ms, word in ((3_000, "stale"), (10_000, "lost")):
        quiet.refresh(NOW + after_ms)
        (row,) = quiet.rows()
        assert (row.bpm, row.percent, row.zone, row.freshness, row.effort) == (None, None, None, word, 3.0)


def test_a_strap_that_says_it_has_no_contact_is_not_shown_as_live() -> None:
    (row,) = board(entry(1, bpm=None, zone=None)).rows()
    assert (row.bpm, row.freshness) == (None, "stale")


def test_a_finished_stream_shows_no_number() -> None:
    (row,) = board(entry(1, finished=True)).rows()
    assert (row.bpm, row.freshness, row.effort) == (None, "none", 3.0)


def test_equal_effort_shares_a_rank_and_the_next_is_skipped() -> None:
    rows = board(
        entry(1, zone_ms=(0, 0, 0, 0, 0, 1_000)),
        entry(2, zone_ms=(0, 5_000, 0, 0, 0, 0)),
        entry(3, zone_ms=(0, 4_999, 0, 0, 0, 0)),
        entry(4, zone_ms=(0, 0, 0, 0, 0, 2_000)),
    ).rows()
    assert [(row.n, row.rank) for row in rows] == [(4, 1), (1, 2), (2, 2), (3, 4)]


def test_ranks_are_decided_before_rounding() -> None:
    rows = board(entry(1, zone_ms=(0, 1, 0, 0, 0, 0)), entry(2, zone_ms=(0, 2, 0, 0, 0, 0))).rows()
    assert [(row.n, row.rank, row.effort) for row in rows] == [(2, 1, 0.0), (1, 2, 0.0)]


def test_coaches_and_spectators_are_members_without_a_row() -> None:
    made = board(entry(1, role="coach"), entry(2, role="spectator"), entry(3))
    assert [row.n for row in made.rows()] == [3]
    assert [member.n for member in made.members()] == [1, 2, 3]


def test_only_what_changed_is_told() -> None:
    made = board(entry(1), entry(2))
    made.put("a", entry(2, rev=2, bpm=141))
    changes = made.refresh(NOW)
    assert [row.n for row in changes.rows] == [2]
    assert changes.members == ()
    assert not made.refresh(NOW)


def test_an_older_revision_changes_nothing() -> None:
    made = board(entry(1, rev=5, bpm=150))
    assert not made.put("a", entry(1, rev=4, bpm=90))
    assert not made.put("a", entry(1, rev=5, bpm=90))
    assert made.rows()[0].bpm == 150


def test_somebody_connected_to_one_node_and_streaming_to_another_is_one_member() -> None:
    made = Board()
    made.put("phone", entry(1, feed_epoch=0, bpm=None, zone=None, at_ms=None, zone_ms=(0,) * 6))
    made.put("watch", entry(1, present=False))
    made.refresh(NOW)
    assert (made.rows()[0].bpm, made.members()[0].present) == (140, True)


def test_the_stream_opened_last_feeds_the_board() -> None:
    made = Board()
    made.put("old", entry(1, feed_epoch=1, rev=90, zone_ms=(0, 0, 0, 0, 0, 90_000)))
    made.put("new", entry(1, feed_epoch=2, rev=1, bpm=120, zone=2))
    made.refresh(NOW)
    assert (made.rows()[0].bpm, made.rows()[0].effort) == (120, 3.0)


def test_a_node_that_only_remembers_does_not_override_the_one_that_receives() -> None:
    made = Board()
    made.put("z-remembers", entry(1, bpm=None, zone=None, at_ms=None, present=False))
    made.put("a-receives", entry(1))
    made.refresh(NOW)
    assert made.rows()[0].bpm == 140


def test_a_node_that_is_gone_makes_nobody_present_but_its_scores_stay() -> None:
    made = board(entry(1))
    made.drop_node("a")
    made.refresh(NOW)
    assert not made.members()[0].present
    assert made.rows()[0].effort == 3.0


def test_a_node_that_was_silent_and_speaks_again_makes_its_people_present_again() -> None:
    made = board(entry(1))
    made.drop_node("a")
    made.put("a", entry(1))
    made.refresh(NOW)
    assert made.members()[0].present


entries = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.builds(
            lambda n, rev, feed, bpm, ms, present: entry(
                n,
                rev=rev,
                feed_epoch=feed,
                bpm=bpm,
                # One node never says two different things under one revision.
                zone_ms=(0, 0, 0, ms, 0, 0),
                present=present,
            ),
            st.integers(1, 3),
            st.integers(1, 6),
            st.integers(0, 2),
            st.one_of(st.none(), st.integers(60, 190)),
            st.integers(0, 9),
            st.booleans(),
        ),
    ),
    max_size=12,
    unique_by=lambda told: (told[0], told[1].n, told[1].rev),
)


@given(told=entries, order=st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_of_shares_gives_the_same_board(
    told: list[tuple[str, ShareEntry]], order: random.Random
) -> None:
    straight, shuffled = Board(), Board()
    for node, one in told:
        straight.put(node, one)
    again = told + told
    order.shuffle(again)
    for node, one in again:
        shuffled.put(node, one)
    straight.refresh(NOW)
    shuffled.refresh(NOW)
    assert straight.rows() == shuffled.rows()
    assert straight.members() == shuffled.members()


@given(told=entries, lost=st.sets(st.integers(0, 11)))
def test_whatever_was_lost_is_healed_by_the_next_whole_share(
    told: list[tuple[str, ShareEntry]], lost: set[int]
) -> None:
    complete, gappy = Board(), Board()
    for place, (node, one) in enumerate(told):
        complete.put(node, one)
        if place not in lost:
            gappy.put(node, one)
    for node, one in itertools.chain.from_iterable(
        ((node, one) for one in complete.entries_of(node)) for node in complete.nodes()
    ):
        gappy.put(node, one)
    complete.refresh(NOW)
    gappy.refresh(NOW)
    assert complete.rows() == gappy.rows()
    assert complete.members() == gappy.members()


@given(told=entries)
def test_a_snapshot_plus_its_changes_is_a_fresh_snapshot(told: list[tuple[str, ShareEntry]]) -> None:
    made = Board()
    client: dict[int, object] = {}
    for place, (node, one) in enumerate(told):
        made.put(node, one)
        changes = made.refresh(NOW + place * 1_500)
        client.update({row.n: row for row in changes.rows})
    made.refresh(NOW + len(told) * 1_500)
    client.update({row.n: row for row in made.rows()})
    assert client == {row.n: row for row in made.rows()}


def test_a_node_that_was_started_again_under_its_old_name_is_believed_at_once() -> None:
    live = LiveClass(
        id=ClassId(uuid.UUID(int=1)),
        code="C",
        title="T",
        coach_id=AccountId(uuid.UUID(int=9)),
        coach_name="K",
        created_ms=0,
    )
    ada = Membership(account_id=AccountId(uuid.UUID(int=1)), name="Ada", role="athlete", n=1, feed_epoch=1)
    watching = Room(live, "b", NOW)

    def told(now_ms: int, bpm: int, times: int) -> None:
        speaking = Room(live, "a", now_ms)
        speaking.seat(ada)
        for _ in range(times):
            speaking.feed(ada.account_id, feed_epoch=1, bpm=bpm, zone=3, at_ms=now_ms, max_hr=190, zone_ms=(0,) * 6)
        share = speaking.share(whole=True)
        assert share is not None
        watching.merge(share)
        watching.beat(now_ms)

    told(NOW, 140, times=50)
    told(NOW + 1_000, 150, times=1)
    assert watching.board.rows()[0].bpm == 150
