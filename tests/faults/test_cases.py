"""Every fault of the bench in its short form, one after another on one stand: what is promised is kept. Those of the broker and the
workers are in test_task_cases.py, on a stand of their own.

`make faults` runs the full forms. A case that needs an event which the wire catalogue does not have yet is an expected failure that
names it; the day the event is there, it has to hold.
"""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from realtime.wire import BY_NAME
from tests.faults.cases import CASES, WITH_BROKER
from tests.faults.session import Session
from tests.support.system_parts import require

pytestmark = pytest.mark.timeout(600)  # the first test starts a stand, and a fault may take a minute to heal


class NotThereYet(Exception):  # noqa: N818 - what it says
    """Part of what a case has to see does not exist."""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """The stand of this file, started by the first test that needs it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        session = Session(runner)
        try:
            yield session
        finally:
            session.close()


def numbers() -> Iterator[object]:
    """Every fault, marked with what it lacks."""
    for number, case in CASES.items():
        if number in WITH_BROKER:
            continue
        lacks = [name for name in case.needs if name not in BY_NAME]
        reason = f"the wire catalogue has no {', '.join(lacks)}"
        yield pytest.param(number, marks=pytest.mark.xfail(bool(lacks), reason=reason, raises=NotThereYet, strict=True))


@pytest.mark.parametrize("number", list(numbers()))
def test_what_is_promised_is_kept_through(session: Session, number: str) -> None:
    for part in CASES[number].parts:
        require(part)
    row = session.row(number)
    assert row.findings == ()
    if row.missing:
        raise NotThereYet(", ".join(row.missing))
    assert row.counts.acknowledged > 0, "nothing was sent: nothing was tested"
