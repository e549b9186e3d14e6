"""What every test may ask for, and what the whole suite watches: no task left running, no warning, nothing that hangs.

Warnings are errors (pyproject.toml), which also catches coroutines nobody awaited and exceptions the loop swallowed.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

settings.register_profile("paceline", deadline=None)  # no test measures time: a busy machine is no finding
settings.load_profile("paceline")

pytest_plugins = ["tests.support.postgres", "tests.support.rabbitmq", "tests.support.fact_logs"]


WITH_RABBITMQ = (
    "tests/workers/",
    "tests/contracts/test_task_bus",
    "tests/contracts/test_fact_log",
    "tests/paceline/test_tasks_command",
)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in this hook too: given later, they would mean nothing
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every coroutine test is watched, from before its first fixture to after its last.

    Run in several processes (`make test` takes one per core), a file stays in one of them, and all that needs RabbitMQ in
    the same one: two brokers starting at once on two cores have failed each other. So have the tests that break whole
    installations: each of them wants a machine's patience for itself.
    """
    for item in items:
        file = item.nodeid.partition("::")[0]
        together = "rabbitmq" if file.startswith(WITH_RABBITMQ) else file
        together = "faults" if file.startswith("tests/faults/") else together
        item.add_marker(pytest.mark.xdist_group(together))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.insert(0, "nothing_left_running")


@pytest.fixture
async def nothing_left_running() -> AsyncIterator[None]:
    """Fails the test that leaves a task behind: every task has a parent that waits for it."""
    ours = asyncio.current_task()
    yield
    for _ in range(5):  # what was cancelled in the last moment may still take its turn
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task not in {ours, asyncio.current_task()}]
    assert not left, f"tasks left running: {[task.get_name() + ' ' + repr(task.get_coro()) for task in left]}"
