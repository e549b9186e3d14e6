"""The targets, and the census around every test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.torture.process import Process, open_process

SETTLE_S = 15.0
"""The longest of the server's own patience: the goodbye of a poller that does not come for it."""


@pytest.fixture(scope="session")
def usual_target() -> Iterator[Process]:
    """A target with everything as it is shipped."""
    with open_process() as process:
        yield process


@pytest.fixture(scope="session")
def brisk_target() -> Iterator[Process]:
    """A target whose patience is measured in fractions of a second, for tests that wait for its end."""
    with open_process(ping_interval_s=1, ping_timeout_s=1, auth_deadline_s=1.0) as process:
        yield process


@pytest.fixture
async def usual(usual_target: Process) -> AsyncIterator[Process]:
    """The usual target, which after the test must hold what it held before and have logged no traceback."""
    async for process in _watched(usual_target):
        yield process


@pytest.fixture
async def brisk(brisk_target: Process) -> AsyncIterator[Process]:
    """The brisk target, watched in the same way."""
    async for process in _watched(brisk_target):
        yield process


async def _watched(process: Process) -> AsyncIterator[Process]:
    baseline, logged = process.census(), len(process.tracebacks())
    yield process
    await process.settled(baseline, within_s=SETTLE_S)
    assert process.tracebacks()[logged:] == []
