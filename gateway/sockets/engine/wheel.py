"""One timer wheel for everything that every connection waits for.

A timer of the event loop per connection costs an object, a place in a heap and a wake-up each. Heartbeats need none
of that: they come late by a fraction of a second without harm, and most deadlines are put off again before they come.
So time is a ring of slots; an item lies in the slot of its deadline, and one loop looks at the slots that have
passed.

An item is due at one time, its `wheel_due`, which the wheel alone writes; infinity means not at all. The slots hold
nothing but references, eight bytes each, and are corrected late:

* Putting a deadline *off* writes one attribute. The item stays where it lies, and moves when its slot comes. A
  connection that puts off its deadline with every message therefore costs the wheel nothing.
* Bringing a deadline *forward* adds a second reference. The older one is stale, and is left out when its slot comes.
* Dropping writes infinity. The reference, and with it the item, stays until its slot comes: at the latest when it
  would have been due, or after one turn of the ring if that is sooner. An item that is dropped should let go of what
  it holds.

The invariant: an item that is due lies in a slot which is looked at no later than its deadline. Pure: the caller says
what time it is.
"""

from math import inf
from typing import Final, Generic, Protocol, TypeVar


class Timed(Protocol):
    """What a wheel can hold. `wheel_due` begins as infinity."""

    wheel_due: float


T = TypeVar("T", bound=Timed)


class TimerWheel(Generic[T]):
    """`tick_s`: width of a slot, seconds. `slots` times `tick_s` is one turn; a later deadline costs a look per turn.

    Exact: the slot that `now` lies in is looked at item by item, so `advance` is best called about once a tick.
    """

    __slots__ = ("_live", "_per_s", "_slots", "_tick")

    def __init__(self, now: float, tick_s: float, slots: int = 512) -> None:
        if not 0 < tick_s < inf or slots < 1:
            raise ValueError(f"tick_s={tick_s}, slots={slots}: a wheel needs a tick above zero and at least one slot")
        self._per_s: Final = 1 / tick_s
        self._slots: Final[list[list[T] | None]] = [None] * slots
        self._tick = int(now * self._per_s)
        self._live = 0

    def __len__(self) -> int:
        """Items that are due at some time."""
        return self._live

    def __bool__(self) -> bool:
        return self._live > 0

    @property
    def references(self) -> int:
        """References in the slots, the stale ones too: what the wheel costs. Walks the slots."""
        return sum(len(slot) for slot in self._slots if slot)

    def put(self, item: T, due: float) -> None:
        """Make `item` due at `due`, and at no other time. A time that has passed means with the next `advance`."""
        if due == inf:
            self.drop(item)
            return
        before = item.wheel_due
        if before > due:
            self._file(item, due)
            if before == inf:
                self._live += 1
        item.wheel_due = due

    def drop(self, item: T) -> None:
        """`item` is due at no time. Dropping twice is no fault."""
        if item.wheel_due != inf:
            item.wheel_due = inf
            self._live -= 1

    def advance(self, now: float) -> list[T]:
        """Take out every item whose deadline is `now` or earlier, slot by slot.

        Each once. A clock gone back is waited for.
        """
        first, slots = self._tick, self._slots
        self._tick = last = max(first, int(now * self._per_s))
        due: list[T] = []
        later: dict[int, T] = {}  # by identity: two references to one item become one
        for tick in range(first, min(last, first + len(slots) - 1) + 1):
            slot = slots[tick % len(slots)]
            if slot is None:
                continue
            slots[tick % len(slots)] = None
            for item in slot:
                if item.wheel_due <= now:
                    item.wheel_due = inf
                    due.append(item)
                elif item.wheel_due != inf:
                    later[id(item)] = item
        for item in later.values():
            self._file(item, item.wheel_due)
        self._live -= len(due)
        return due

    def _file(self, item: T, due: float) -> None:
        at = max(int(due * self._per_s), self._tick) % len(self._slots)
        slot = self._slots[at]
        if slot is None:
            self._slots[at] = [item]
        else:
            slot.append(item)
