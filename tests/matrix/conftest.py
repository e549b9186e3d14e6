"""One gateway for all evenings of a file, on a loop that these tests turn themselves."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import uvloop

from tests.matrix.roles import Who
from tests.matrix.scene import Evening, Stage, open_evening, open_stage
from tests.support.postgres import PostgresServer

T = TypeVar("T")


class Evenings:
    """The gateway, and a loop that turns while a test wants something of it."""

    def __init__(self, runner: asyncio.Runner, stage: Stage) -> None:
        self.stage: Final = stage
        self._runner: Final = runner

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """Let the loop turn until this is done."""
        return self._runner.run(what)

    def spend(self, what: Callable[[Evening], Awaitable[T]]) -> T:
        """Do something on an evening of its own."""

        async def whole() -> T:
            async with open_evening(self.stage) as evening:
                return await what(evening)

        return self._runner.run(whole())

    def everybody(self, attempts: Callable[[Evening, Who], Awaitable[T]]) -> dict[Who, T]:
        """What comes of it for each of the columns, each on an evening of its own."""

        async def all_of_them() -> dict[Who, T]:
            found = {}
            for who in Who:
                async with open_evening(self.stage) as evening:
                    found[who] = await attempts(evening, who)
            return found

        return self._runner.run(all_of_them())


@pytest.fixture(scope="module")
def evenings(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evenings]:
    """A gateway of the real parts on a fresh database."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        dsn = runner.run(postgres.fresh())
        resources = AsyncExitStack()
        yield Evenings(runner, runner.run(resources.enter_async_context(open_stage(dsn, folder))))
        runner.run(resources.aclose())
        runner.run(postgres.drop(dsn))
