"""The timer wheel against the plainest thing that does the same: looking at every deadline."""

import gc
import weakref
from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.sockets.engine.wheel import TimerWheel


@dataclass(eq=False)
class Item:
    name: int = 0
    wheel_due: float = field(default=inf)


def wheel(now: float = 0.0, tick_s: float = 1.0, slots: int = 8) -> TimerWheel[Item]:
    return TimerWheel(now, tick_s, slots)


def test_an_item_comes_when_it_is_due_and_not_before() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 3.5)
    assert timers.advance(3.4) == []
    assert timers.advance(3.5) == [item]
    assert timers.advance(100.0) == []
    assert item.wheel_due == inf


def test_the_length_is_what_is_due_at_some_time() -> None:
    timers, items = wheel(), [Item(number) for number in range(5)]
    for item in items:
        timers.put(item, 2.0)
        timers.put(item, 1.0)
        timers.put(item, 3.0)
    assert len(timers) == 5
    timers.drop(items[0])
    timers.drop(items[0])
    assert len(timers) == 4
    timers.advance(3.0)
    assert len(timers) == 0


def test_a_deadline_put_off_counts_alone() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 2.0)
    timers.put(item, 6.0)
    assert timers.advance(5.9) == []
    assert timers.advance(6.0) == [item]


def test_a_deadline_brought_forward_counts_alone() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 6.0)
    timers.put(item, 2.0)
    assert timers.advance(2.0) == [item]
    assert timers.advance(20.0) == []


def test_a_dropped_item_does_not_come() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 2.0)
    timers.drop(item)
    assert timers.advance(10.0) == []


def test_a_dropped_item_may_be_put_again() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 2.0)
    timers.drop(item)
    timers.put(item, 3.0)
    assert timers.advance(2.5) == []
    assert timers.advance(3.0) == [item]


def test_due_at_infinity_is_due_at_no_time() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 2.0)
    timers.put(item, inf)
    assert len(timers) == 0
    assert timers.advance(10.0) == []


def test_a_deadline_in_the_past_comes_with_the_next_look() -> None:
    timers, item = wheel(now=50.0), Item()
    timers.put(item, 12.0)
    assert timers.advance(50.0) == [item]


def test_a_deadline_beyond_the_turn_of_the_ring_waits_for_its_own_turn() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 8 * 5 + 0.5)
    for second in range(41):
        assert timers.advance(float(second)) == []
    assert timers.advance(40.5) == [item]


def test_items_come_slot_by_slot() -> None:
    timers = wheel()
    for due in (5.0, 1.0, 3.0, 7.0):
        timers.put(Item(int(due)), due)
    assert [item.name for item in timers.advance(7.0)] == [1, 3, 5, 7]


def test_a_clock_that_jumps_a_year_brings_everything_once() -> None:
    timers, items = wheel(), [Item(number) for number in range(100)]
    for item in items:
        timers.put(item, item.name * 0.7)
    assert sorted(item.name for item in timers.advance(3e7)) == list(range(100))
    assert timers.references == 0


def test_a_jump_leaves_what_is_due_later_in_its_place() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 1000.0)
    assert timers.advance(999.0) == []
    assert timers.advance(1000.0) == [item]


def test_a_clock_gone_back_is_waited_for() -> None:
    timers, item = wheel(now=20.0), Item()
    timers.put(item, 21.0)
    assert timers.advance(3.0) == []
    assert timers.advance(20.9) == []
    assert timers.advance(21.0) == [item]


def test_an_item_that_came_may_be_put_again_for_ever() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 0.0)
    for second in range(100):
        assert timers.advance(float(second)) == [item]
        timers.put(item, second + 1.0)
    assert timers.references == 1


def test_putting_a_deadline_off_costs_no_place() -> None:
    timers, item = wheel(), Item()
    for message in range(10_000):
        timers.put(item, 20.0 + message / 1000)
    assert timers.references == 1


def test_stale_references_are_gone_after_a_turn() -> None:
    timers, item = wheel(), Item()
    for _ in range(100):
        timers.put(item, 7.0)
        timers.put(item, 5.0)
    for second in range(1, 8):
        for late in timers.advance(float(second)):
            timers.put(late, second + 20.0)
    timers.advance(8.0)
    assert timers.references <= 2
    assert len(timers) == 1


def test_two_references_that_meet_become_one() -> None:
    timers, item = wheel(), Item()
    timers.put(item, 5.0)
    timers.put(item, 2.0)
    timers.put(item, 30.0)
    for second in range(1, 30):
        assert timers.advance(float(second)) == []
    assert timers.references == 1


def test_a_dropped_item_is_let_go_when_its_slot_has_passed() -> None:
    timers, item = wheel(), Item()
    gone = weakref.ref(item)
    timers.put(item, 3.0)
    timers.drop(item)
    del item
    timers.advance(4.0)
    gc.collect()
    assert gone() is None


class Watched:
    """Counts how often its deadline is looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self._due = inf

    @property
    def wheel_due(self) -> float:
        self.looks += 1
        return self._due

    @wheel_due.setter
    def wheel_due(self, due: float) -> None:
        self._due = due


def test_what_is_due_later_is_not_looked_at_meanwhile() -> None:
    timers: TimerWheel[Watched] = TimerWheel(100.0, 1.0, 64)
    item = Watched()
    timers.put(item, 150.0)
    item.looks = 0
    for second in range(100, 150):
        timers.advance(float(second))
    assert item.looks == 0
    assert timers.advance(150.0) == [item]


def test_a_far_deadline_is_looked_at_only_when_the_ring_comes_round() -> None:
    timers: TimerWheel[Watched] = TimerWheel(0.0, 1.0, 10)
    item = Watched()
    timers.put(item, 105.0)
    item.looks = 0
    looked_at = []
    for second in range(105):
        timers.advance(float(second))
        if item.looks:
            looked_at.append(second)
            item.looks = 0
    # While its slot is the present one, and once more when that has passed.
    assert looked_at == [second for second in range(105) if second % 10 in (5, 6)]


def test_an_empty_wheel_has_no_lists() -> None:
    timers = wheel(slots=512)
    timers.put(Item(), 3.0)
    timers.advance(600.0)
    assert not any(isinstance(held, list) for held in gc.get_referents(*gc.get_referents(timers)))


@pytest.mark.parametrize(("tick_s", "slots"), [(0.0, 8), (-1.0, 8), (inf, 8), (float("nan"), 8), (1.0, 0)])
def test_a_wheel_that_could_not_turn_is_refused(tick_s: float, slots: int) -> None:
    with pytest.raises(ValueError, match="tick above zero"):
        TimerWheel[Item](0.0, tick_s, slots)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(0, 1e6), st.floats(0.001, 50))
def test_one_look_brings_exactly_what_is_due(dues: list[float], now: float, tick_s: float) -> None:
    timers = wheel(tick_s=tick_s, slots=16)
    items = [Item(number) for number in range(len(dues))]
    for item, due in zip(items, dues, strict=True):
        timers.put(item, due)
    assert {item.name for item in timers.advance(now)} == {number for number, due in enumerate(dues) if due <= now}
    assert {item.name for item in timers.advance(1e6)} == {number for number, due in enumerate(dues) if due > now}


class WheelAgainstList(RuleBasedStateMachine):
    """Any sequence of puts, drops and looks, beside a dictionary of deadlines."""

    @initialize(tick_s=st.sampled_from([0.1, 0.3, 1.0, 7.0]), slots=st.integers(1, 9), now=st.floats(0, 1000))
    def begin(self, tick_s: float, slots: int, now: float) -> None:
        self.now = now
        self.timers = wheel(now, tick_s, slots)
        self.items = [Item(number) for number in range(4)]
        self.due: dict[int, float] = {}

    @rule(which=st.integers(0, 3), ahead=st.floats(-2, 40))
    def put(self, which: int, ahead: float) -> None:
        self.timers.put(self.items[which], self.now + ahead)
        self.due[which] = self.now + ahead

    @rule(which=st.integers(0, 3))
    def drop(self, which: int) -> None:
        self.timers.drop(self.items[which])
        self.due.pop(which, None)

    @rule(step=st.one_of(st.floats(0, 3), st.floats(0, 200)))
    def look(self, step: float) -> None:
        self.now += step
        came = [item.name for item in self.timers.advance(self.now)]
        assert len(came) == len(set(came))
        assert set(came) == {which for which, due in self.due.items() if due <= self.now}
        for which in came:
            del self.due[which]

    @invariant()
    def counts_what_is_due(self) -> None:
        assert len(self.timers) == len(self.due)
        assert [item.wheel_due for item in self.items] == [self.due.get(item.name, inf) for item in self.items]


TestWheelAgainstList = WheelAgainstList.TestCase
TestWheelAgainstList.settings = settings(deadline=None)
