"""Asking for one more while the place where all nodes count answers, and while it does not."""

from pathlib import Path

import pytest

from services.kernel.clock import ManualClock
from services.kernel.problems import RateLimited, TooManyAttempts, Unavailable
from services.limits.buckets import Buckets, BucketsAwayError, MemoryBuckets, name_of
from services.limits.limit import Limit, Standing
from services.limits.limits import AGAIN_S, Limits
from services.limits.table import LIMITS

HERE = Limit("here", 2, 1_000, "account", "here")
REFUSE = Limit("refuse", 2, 1_000, "account", "refuse")


class Fickle:
    """Buckets that can be taken away; `asked` counts who came."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self.away = False
        self.asked = 0

    async def take(self, limit: Limit, who: str, cost: int = 1) -> Standing:
        self._knock()
        return await self._buckets.take(limit, who, cost)

    async def mark(self, what: str, keep_ms: int) -> None:
        self._knock()
        await self._buckets.mark(what, keep_ms)

    async def marked(self, what: str) -> bool:
        self._knock()
        return await self._buckets.marked(what)

    def _knock(self) -> None:
        self.asked += 1
        if self.away:
            raise BucketsAwayError("gone")


async def test_two_nodes_count_together() -> None:
    clock = ManualClock()
    shared = MemoryBuckets(clock)
    here, there = Limits(clock, shared), Limits(clock, shared)
    assert (await here.take(HERE, "anna")).left == 1
    assert (await there.take(HERE, "anna")).left == 0
    with pytest.raises(RateLimited) as refused:
        await here.spend(HERE, "anna")
    assert refused.value.retry_after_ms == 1_000
    assert refused.value.data == {"policy": "here"}
    assert here.refused == {"here": 1}
    assert (await there.take(HERE, "ben")).left == 1


async def test_a_problem_of_another_name_says_the_same() -> None:
    limits = Limits(ManualClock())
    for _ in range(2):
        await limits.spend(HERE, "anna")
    with pytest.raises(TooManyAttempts, match="slowly"):
        await limits.spend(HERE, "anna", problem=TooManyAttempts, message="slowly")


async def test_while_nobody_counts_for_all_a_node_counts_by_itself_and_asks_once_a_second() -> None:
    clock = ManualClock()
    limits = Limits(clock, shared := Fickle(MemoryBuckets(clock)))
    shared.away = True
    assert (await limits.take(HERE, "anna")).left == 1
    assert limits.away
    assert (await limits.take(HERE, "anna")).left == 0
    assert not (await limits.take(HERE, "anna")).passed
    assert shared.asked == 1
    await clock.advance(AGAIN_S)
    shared.away = False
    assert (await limits.take(HERE, "anna")).left == 1, "the shared bucket has never been asked before"
    assert not limits.away


async def test_a_limit_of_what_can_wait_refuses_while_nobody_counts() -> None:
    clock = ManualClock()
    limits = Limits(clock, shared := Fickle(MemoryBuckets(clock)))
    shared.away = True
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            await limits.take(REFUSE, "anna")
        assert refused.value.retry_after_ms == 1_000
    await clock.advance(AGAIN_S)
    shared.away = False
    assert (await limits.take(REFUSE, "anna")).passed


async def test_a_node_that_is_alone_refuses_nothing_for_want_of_others() -> None:
    assert (await Limits(ManualClock()).take(REFUSE, "anna")).passed


async def test_a_mark_outlives_an_outage_on_the_node_that_made_it() -> None:
    clock = ManualClock()
    limits = Limits(clock, shared := Fickle(MemoryBuckets(clock)))
    other = Limits(clock, shared)
    await limits.mark("known", "anna", keep_ms=5_000)
    assert await other.marked("known", "anna")
    shared.away = True
    assert await limits.marked("known", "anna")
    assert not await other.marked("known", "anna")
    await clock.advance(5.0)
    assert not await limits.marked("known", "anna")


async def test_memory_is_bounded_whoever_comes() -> None:
    clock = ManualClock()
    buckets = MemoryBuckets(clock, most=100)
    for n in range(1_000):
        await buckets.take(HERE, str(n))
        await buckets.mark(str(n), 1_000)
    assert len(buckets) == 100
    assert [await buckets.marked(str(n)) for n in (0, 899, 900, 999)] == [False, False, True, True]


def test_nobody_is_called_as_somebody_else() -> None:
    assert name_of("a", "b") != name_of("ab") != name_of("b", "a")
    assert len(name_of("anna@x.org")) == 32


def test_a_limit_of_the_table_is_found_by_its_name_and_says_what_it_is_for() -> None:
    assert all(limit.name == name and limit.by for name, limit in LIMITS.items())


def test_the_page_about_limits_shows_those_of_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs/systems/limits.md").read_text()
    rows = [
        f"| `{limit.name}` | {limit.by} | {limit.burst} | {limit.every_ms} ms | {limit.away} |"
        for limit in LIMITS.values()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
