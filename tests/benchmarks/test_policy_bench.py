"""The benchmark of policy in its small form: that it decides what it says. Nothing here is timed."""

from tests.benchmarks.policy import CASES, measure


def test_every_case_is_decided_as_it_says_and_measured() -> None:
    found = measure(decisions=10, rounds=1)
    assert found.keys() == CASES.keys()
    assert all(micros > 0 for micros in found.values())
