"""One running Paceline for all journeys."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, open_server


@pytest.fixture(scope="session")
def paceline_server() -> Iterator[Server]:
    """A Paceline with a database of its own, without the demo class."""
    with open_server(PACELINE_BOARD_HZ="4", PACELINE_COMMIT_INTERVAL_MS="50") as server:
        yield server
