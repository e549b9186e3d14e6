"""A stand for the tests of one file, and the rows of the faults that were run on it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from tests.faults.bench import Row, plan_of, run_together
from tests.faults.cases import CASES, TOGETHER
from tests.faults.cases.tasks import NODES
from tests.faults.outside import open_outside
from tests.faults.stand import open_stand
from tests.faults.swarm import open_swarm
from tests.faults.works import BRISK, open_works
from tests.support.rabbitmq import RabbitMQ

PING_S: Final = 3.0
SEED: Final = 1


class Session:
    """A stand and a swarm, with a `broker` also the works, that live for as long as there are tests to run on them.

    Both belong to one task on a loop of their own, which turns while a test waits for its row and rests otherwise.
    """

    def __init__(self, runner: asyncio.Runner, broker: RabbitMQ | None = None) -> None:
        self._runner = runner
        self._broker = broker
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
        async with AsyncExitStack() as resources:
            outside = await resources.enter_async_context(open_outside()) if self._broker is not None else None
            environ = BRISK.environ() | (outside.environ() if outside is not None else {})
            stand = await resources.enter_async_context(open_stand(ping_s=PING_S, broker=self._broker, **environ))
            swarm = await resources.enter_async_context(
                open_swarm(stand, plan_of("short", broker=self._broker is not None), SEED)
            )
            works = None
            if self._broker is not None:
                works = await resources.enter_async_context(open_works(stand, BRISK, nodes=NODES, outside=outside))
            while (number := await self._asked.get()) is not None:
                together = next((group for group in TOGETHER if number in group), (number,))
                cases = [CASES[one] for one in together]
                rows = await run_together(cases, stand, swarm, seed=SEED, form="short", works=works)
                self._rows.put_nowait({row.id: row for row in rows})

    async def _end(self) -> None:
        if self._host is not None:
            self._asked.put_nowait(None)
            await asyncio.gather(self._host, return_exceptions=True)
