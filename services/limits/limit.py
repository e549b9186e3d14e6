"""A limit, and what one more attempt comes to: arithmetic on whole milliseconds.

A token bucket, kept as one number: the instant at which it will be full again (the generic cell rate algorithm, ITU-T I.371). An
attempt of cost 1 moves that instant by `every_ms`; it is refused when the instant would lie more than a whole bucket ahead. One
number is all that has to be read, changed and forgotten in one step, and it may be forgotten once it has passed.
"""

from typing import Literal

import msgspec

Away = Literal["here", "refuse"]
"""What holds while the place where all nodes count does not answer.

- `here`: each node counts by itself, so with n nodes n times as much passes. For what must go on.
- `refuse`: it waits until the counting goes on. For what costs money or a person's work, and can wait.
"""


class Limit(msgspec.Struct, frozen=True):
    """`burst` at once, then one every `every_ms`. `name` is what the client sees; `by` says in words what is counted for."""

    name: str
    burst: int
    every_ms: int
    by: str
    away: Away = "here"

    def __post_init__(self) -> None:
        if self.burst < 1 or self.every_ms < 1:
            raise ValueError(f"the limit {self.name} lets nothing pass: burst {self.burst}, one in {self.every_ms} ms")

    @property
    def full_ms(self) -> int:
        """How long an empty bucket takes to fill, ms."""
        return self.burst * self.every_ms

    @property
    def window_s(self) -> int:
        """The same in seconds, at least one: the window in which `burst` may be done again and again."""
        return max(1, self.full_ms // 1_000)


class Standing(msgspec.Struct, frozen=True):
    """What is left of a limit after an attempt. `wait_ms` until the attempt would pass, 0 when it has; `full_in_ms` until
    everything has come back."""

    limit: Limit
    left: int
    wait_ms: int
    full_in_ms: int

    @property
    def passed(self) -> bool:
        return self.wait_ms == 0


def standing(limit: Limit, full_at_ms: int, now_ms: int, *, lacking_ms: int = 0) -> Standing:
    """What is left when the bucket is full at `full_at_ms`, and `lacking_ms` were missing for what was asked."""
    in_use_ms = max(full_at_ms - now_ms, 0)
    return Standing(limit, max(limit.full_ms - in_use_ms, 0) // limit.every_ms, lacking_ms, in_use_ms)


def tried(limit: Limit, full_at_ms: int, now_ms: int, cost: int = 1) -> tuple[int, Standing]:
    """An attempt: when the bucket is full afterwards, and how it stands.

    A refused attempt takes nothing. A cost of 0 asks whether one more would pass; one below zero gives back. An instant further
    ahead than a whole bucket is that of a limit which was larger before, and counts as an empty one.
    """
    before = max(min(full_at_ms, now_ms + limit.full_ms), now_ms)
    lacking_ms = before + max(cost, 1) * limit.every_ms - now_ms - limit.full_ms
    if cost >= 0 and lacking_ms > 0:
        return before, standing(limit, before, now_ms, lacking_ms=lacking_ms)
    after = max(before + cost * limit.every_ms, now_ms)
    return after, standing(limit, after, now_ms)
