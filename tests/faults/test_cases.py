"""Every fault of the bench in its short form, one after another on one stand: what is promised is kept.

`make faults` runs the full forms. A case that needs an event which the wire catalogue does not have yet is an expected failure that
names it; the day the event is there, it has to hold.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest
import uvloop

from realtime.wire import BY_NAME
from tests.faults.bench import Row, plan_of, run_together
from tests.faults.cases import CASES, TOGETHER
from tests.faults.stand import open_stand
from tests.faults.swarm import open_swarm
from tests.support.system_parts import require

PING_S: Final = 3.0
SEED: Final = 1

pytestmark = pytest.mark.timeout(600)  # the first test starts a stand, and a fault may take a minute to heal


class NotThereYet(Exception):  # noqa: N818 - what it says
    """Part of what a case has to see does not exist."""


class Session:
    """A stand and a swarm that live for as long as there are tests to run on them.

    Both belong to one task on a loop of their own, which turns while a test waits for its row and rests otherwise.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._asked: asyncio.Queue[str | None] = asyncio.Queue()
        self._rows: asyncio.Queue[dict[str, Row]] = asyncio.Queue()
        self._known: dict[str, Row] = {}
        self._host: asyncio.Task[None] | None = None

    def row(self, number: str) -> Row:
        """Run this fault, and those that are run together with it."""
        if number not in self._known:
            self._known |= self._runner.run(self._ask(number))
        return self._known[number]

    def close(self) -> None:
        """Take everything down."""
        self._runner.run(self._end())

    async def _ask(self, number: str) -> dict[str, Row]:
        if self._host is None:
            self._host = asyncio.create_task(self._run(), name="the stand")
        self._asked.put_nowait(number)
        answer = asyncio.create_task(self._rows.get())
        await asyncio.wait({answer, self._host}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self._host  # raises what it died of
            raise AssertionError("the stand has ended though tests are left")
        return answer.result()

    async def _run(self) -> None:
        async with open_stand(ping_s=PING_S) as stand, open_swarm(stand, plan_of("short"), SEED) as swarm:
            while (number := await self._asked.get()) is not None:
                together = next((group for group in TOGETHER if number in group), (number,))
                cases = [CASES[one] for one in together]
                rows = await run_together(cases, stand, swarm, seed=SEED, form="short")
                self._rows.put_nowait({row.id: row for row in rows})

    async def _end(self) -> None:
        if self._host is not None:
            self._asked.put_nowait(None)
            await asyncio.gather(self._host, return_exceptions=True)


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
