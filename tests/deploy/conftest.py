"""The secrets of an installation, made by the script that makes them, and two instruments where gateways would stand."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY
from tests.deploy.instrument import Instrument, listening


@pytest.fixture(scope="session")
def secret_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as deploy/make-secrets leaves it."""
    folder = tmp_path_factory.mktemp("made") / "secrets"
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[Instrument, Instrument]]:
    """Two instruments in the place of gateways."""
    async with listening(Instrument("g1")) as one, listening(Instrument("g2")) as two:
        yield one, two
