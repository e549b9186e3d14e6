"""The chain of entries, and the table that it comes to: the laws."""

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.challenges.score_log import BrokenLogError, Closed, Entry, Joined, Left, Link, Opened, hash_of
from services.challenges.scoring import Contribution
from tests.services.challenges.build import ID, WEEK, beginning, chain, ledger_of, scores, standing, workout

BROUGHT = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.builds(
            lambda number, value, day, revision: workout(number, value, day=day % 7, hour=number, revision=revision),
            st.integers(1, 8),
            st.integers(0, 5),
            st.integers(0, 6),
            st.integers(1, 4),
        ),
    ),
    max_size=20,
    # A revision of a workout says one thing, and a workout is one person's.
    unique_by=(lambda each: (each[1].workout, each[1].revision),),
).map(lambda brought: [(one.workout.int % 3 + 1, one) for _, one in brought])

A_WEEK = [*beginning(), *scores((1, workout(1, 5)), (2, workout(2, 3)), (1, workout(1, 2, revision=2))), Closed(9)]


@given(BROUGHT, st.randoms())
def test_the_order_in_which_workouts_and_revisions_arrive_does_not_change_the_table(
    brought: list[tuple[int, Contribution]], chance: random.Random
) -> None:
    again = list(brought) * 2
    chance.shuffle(again)
    once = ledger_of(chain([*beginning(), *scores(*brought), Closed(9)]))
    other = ledger_of(chain([*beginning(), *scores(*again), Closed(9)]))
    assert once.table() == other.table()


def test_the_latest_revision_of_a_workout_counts_once() -> None:
    assert standing(ledger_of(chain(A_WEEK))) == [(1, 2, 3), (2, 1, 2), (3, 3, 0)]


@given(st.data())
def test_a_change_of_any_byte_is_found(data: st.DataObject) -> None:
    links = chain(A_WEEK)
    at = data.draw(st.integers(0, len(links) - 1))
    part = data.draw(st.sampled_from(["body", "hash"]))
    changed = bytearray(getattr(links[at], part))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    links[at] = msgspec.structs.replace(links[at], **{part: bytes(changed)})
    with pytest.raises(BrokenLogError) as broken:
        ledger_of(links)
    assert broken.value.seq == at + 1


@pytest.mark.parametrize(
    "tamper",
    [
        lambda links: links[1:],
        lambda links: links[:3] + links[4:],
        lambda links: [*links[:2], links[3], links[2], *links[4:]],
        lambda links: [*links[:4], links[3], *links[4:]],
    ],
)
def test_what_is_left_out_moved_or_doubled_is_found(tamper: Callable[[list[Link]], list[Link]]) -> None:
    with pytest.raises(BrokenLogError):
        ledger_of(tamper(chain(A_WEEK)))


def test_what_was_cut_off_the_end_does_not_come_to_the_head() -> None:
    links = chain(A_WEEK)
    cut = ledger_of(links[:-1])
    assert (cut.head, cut.seq, cut.closed) != (links[-1].hash, len(links), True)


def test_two_different_stories_never_have_one_head() -> None:
    other = [*A_WEEK[:-1], Closed(10)]
    assert chain(A_WEEK)[-1].hash != chain(other)[-1].hash


@pytest.mark.parametrize(
    "story",
    [
        scores((1, workout(1))),
        [*beginning(), Opened(ID, WEEK)],
        [*beginning(), *scores((9, workout(1)))],
        [*beginning(), *scores((1, workout(1, day=7)))],
        [*beginning(), Left(1, 5), *scores((1, workout(1)))],
        [*beginning(), Left(1, 5), Left(1, 6)],
        [*beginning(), Joined(1, "Europe/Vienna", None, 5)],
        [*beginning(), Left(1, 5), Joined(1, "Pacific/Kiritimati", None, 6)],
        [*beginning(), Joined(4, "UTC", 0, 5)],
        [*beginning(), Closed(5), *scores((1, workout(1)))],
    ],
)
def test_a_log_that_says_what_cannot_be_is_refused(story: list[Entry]) -> None:
    with pytest.raises(BrokenLogError) as broken:
        ledger_of(chain(story))
    assert broken.value.seq == len(story)


def test_who_left_is_not_on_the_table_and_has_their_score_again_when_they_come_back() -> None:
    story = [*beginning(), *scores((1, workout(1, 5))), Left(1, 5)]
    assert standing(ledger_of(chain(story))) == [(1, 2, 0), (1, 3, 0)]
    back = [*story, Joined(1, "Europe/Vienna", None, 6)]
    assert standing(ledger_of(chain(back)))[0] == (1, 1, 5)


def test_teams_are_ranked_by_what_their_members_brought() -> None:
    rules = msgspec.structs.replace(WEEK, teams=("Red", "Blue"))
    ledger = ledger_of(chain([*beginning(rules), *scores((1, workout(1, 5)), (3, workout(3, 2)), (2, workout(2, 6)))]))
    assert [(each.rank, each.line.n, each.line.value) for each in ledger.teams()] == [(1, 0, 7), (2, 1, 6)]


def test_an_entry_of_a_newer_program_is_not_half_read() -> None:
    opened, joined, *_ = chain(beginning())
    body = joined.body[:-1] + b',"mood":"good"}'
    with pytest.raises(BrokenLogError, match="more than this program can read"):
        ledger_of([opened, Link(2, body, hash_of(opened.hash, body))])


def test_a_mark_is_in_the_log_and_what_has_none_is_written_as_before_there_were_marks() -> None:
    flagged = msgspec.structs.replace(workout(1, 7), mark="flagged")
    rejected = msgspec.structs.replace(workout(1, 0, revision=2), mark="rejected")
    plain = msgspec.structs.replace(workout(1, 7, revision=3), mark=None)
    links = chain([*beginning(), *scores((1, flagged), (1, rejected), (1, plain))])
    told = [link.body for link in links[-3:]]
    assert [b'"mark":"flagged"' in told[0], b'"mark":"rejected"' in told[1], b"mark" in told[2]] == [True, True, False]
    values = []
    for end in (-2, -1, None):
        values.append(next(line.value for line in ledger_of(links[:end]).lines() if line.n == 1))
    assert values == [7, 0, 7]
