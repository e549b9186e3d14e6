"""The benchmark of log-ins in its small form: that it does what it says. Nothing here is timed."""

import random

import pytest

from persistence.database import Database
from tests.benchmarks.logins import ACTS, mann_whitney, throughput, timings
from tests.support.doors import CHEAP


async def test_everybody_of_a_flood_is_let_in_or_told_to_come_again(database: Database) -> None:
    figures = await throughput(database, CHEAP, log_ins=4, crowd=60)
    assert figures.let_in + figures.busy == 60
    assert figures.per_s > 0
    assert figures.most_mib >= figures.before_mib > 0


async def test_each_act_is_timed_with_and_without_an_account(database: Database) -> None:
    figures = await throughput(database, CHEAP, log_ins=1, crowd=1)
    await timings(database, figures, CHEAP, samples=3)
    assert {what: (len(known), len(unknown)) for what, (known, unknown) in figures.ms.items()} == dict.fromkeys(
        ACTS, (3, 3)
    )


def test_the_test_of_mann_and_whitney_tells_what_differs_from_what_does_not() -> None:
    drawn = random.Random(1)
    one, other = ([drawn.gauss(100, 10) for _ in range(200)] for _ in range(2))
    assert mann_whitney(one, other) > 0.05
    assert mann_whitney(one, [value + 5 for value in other]) < 0.001
    # Worked by hand: ranks 1, 2, 4 of six, U = 1, z = (|1 - 4.5| - 0.5) / sqrt(5.25).
    assert mann_whitney([1, 2, 4], [3, 5, 6]) == pytest.approx(0.190, abs=0.001)
