"""Every fault of the broker and of the workers in its short form, one after another on one stand: what was told is done, once."""

import asyncio
from collections.abc import Iterator

import pytest
import uvloop

from tests.faults.cases import CASES, WITH_BROKER
from tests.faults.session import Session
from tests.support.rabbitmq import RabbitMQ

pytestmark = pytest.mark.timeout(600)  # the first test starts a stand, and a fault may take a minute to heal


@pytest.fixture(scope="module")
def session(rabbitmq: RabbitMQ) -> Iterator[Session]:
    """The stand of this file, started by the first test."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        session = Session(runner, rabbitmq)
        try:
            yield session
        finally:
            session.close()


@pytest.mark.parametrize("number", [number for number in CASES if number in WITH_BROKER])
def test_what_was_told_is_done_once_through(session: Session, number: str) -> None:
    row = session.row(number)
    assert row.findings == ()
    assert row.counts.facts > 0, "nothing was told: nothing was tested"
    assert row.counts.acknowledged > 0, "nobody was on the sockets"
