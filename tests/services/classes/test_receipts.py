"""What becomes of a cue: the same whatever is told twice, and in whatever order."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.classes.receipts import Receipt, Tally, collected, percentile, tally_of, with_receipt

Told = Sequence[tuple[int, Receipt]]

receipts = st.builds(
    Receipt,
    cue=st.sampled_from(("one", "two")),
    delivered_ms=st.integers(0, 500),
    noted_ms=st.integers(0, 500),
    seen_ms=st.one_of(st.none(), st.integers(0, 500)),
)
told = st.lists(st.tuples(st.integers(1, 5), receipts), max_size=20)


@given(told.flatmap(lambda all_: st.tuples(st.just(all_), st.permutations([*all_, *all_]))))
def test_telling_twice_and_in_another_order_adds_up_to_the_same(both: tuple[Told, Told]) -> None:
    once, shuffled = both
    assert collected(once) == collected(shuffled)


def test_a_tally_counts_people_and_what_half_and_nearly_all_of_them_took() -> None:
    got = {n: Receipt("one", n * 10, 0, n * 10 if n <= 3 else None) for n in range(1, 21)}
    assert tally_of(got) == Tally(delivered=20, seen=3, p50_ms=100, p95_ms=190)
    assert tally_of({}) == Tally(0, 0, None, None)


@pytest.mark.parametrize(("percent", "value"), [(1, 10), (25, 10), (26, 20), (50, 20), (75, 30), (76, 40), (100, 40)])
def test_a_percentile_is_a_value_that_was_measured(percent: int, value: int) -> None:
    assert percentile((10, 20, 30, 40), percent) == value


def test_a_member_keeps_the_newest_receipts_and_what_is_seen_later_is_added() -> None:
    mine: tuple[Receipt, ...] = ()
    for cue in "abc":
        mine = with_receipt(mine, Receipt(cue, 5, 0), most=2)
    assert [receipt.cue for receipt in mine] == ["b", "c"]
    mine = with_receipt(mine, Receipt("b", 900, 900, seen_ms=900), most=2)
    assert mine == (Receipt("c", 5, 0), Receipt("b", 5, 0, seen_ms=900))
