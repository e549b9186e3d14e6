"""What every test may ask for, and what the whole suite watches: no task left running, no warning, nothing that hangs.

Warnings are errors (pyproject.toml), which also catches coroutines nobody awaited and exceptions the loop swallowed.
"""

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling

# The tests, and all that they start, run what stands in the sources; tests/compiled/ runs many of them on what is compiled of it.
os.environ.setdefault("PACELINE_COMPILED", "off")

settings.register_profile("paceline", deadline=None)  # no test measures time: a busy machine is no finding
settings.load_profile("paceline")

pytest_plugins = ["tests.support.postgres", "tests.support.rabbitmq", "tests.support.fact_logs"]


WITH_RABBITMQ: Final = (
    "tests/workers/",
    "tests/contracts/test_task_bus",
    "tests/contracts/test_fact_log",
    "tests/paceline/test_tasks_command",
)
LONGEST_FIRST: Final = ("faults", "rabbitmq", "tests/torture/test_leftovers.py", "tests/compiled/", "tests/journeys/")
"""What takes longest is begun first, so that nobody waits for it at the end."""


def group_of(nodeid: str) -> str:
    """What stays in one process when several run the tests: a file, whose servers are started once; all that needs RabbitMQ,
    because two brokers starting at once on two cores have failed each other; and the tests that break whole installations: each of
    them wants a machine's patience for itself."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/faults/"):
        return "faults"
    return "rabbitmq" if file.startswith(WITH_RABBITMQ) else file


class InGroups(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out groups. pytest-xdist's own `loadgroup` writes the group into a test's id, which pytest 9 does not let it: it then
    hands out every test by itself, and says nothing."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Several processes always share the tests by group."""
    config.option.loadscopereorder = False
    return InGroups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; and every coroutine test is watched, from before its first fixture to after its last."""
    items.sort(key=lambda item: [not group_of(item.nodeid).startswith(long) for long in LONGEST_FIRST])
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "nothing_left_running")


@pytest.fixture(autouse=True)
def nothing_still_handled() -> Iterator[None]:
    """Fails the test behind which an exception stays the one that is being handled, as what is compiled could leave it."""
    yield
    assert sys.exc_info()[1] is None


@pytest.fixture
async def nothing_left_running() -> AsyncIterator[None]:
    """Fails the test that leaves a task behind: every task has a parent that waits for it."""
    ours = asyncio.current_task()
    yield
    for _ in range(5):  # what was cancelled in the last moment may still take its turn
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task not in {ours, asyncio.current_task()}]
    assert not left, f"tasks left running: {[task.get_name() + ' ' + repr(task.get_coro()) for task in left]}"
