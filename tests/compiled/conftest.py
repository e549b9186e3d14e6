"""What these tests share."""

import pytest

from tests.support.compiling import CANNOT, compile_sources


@pytest.fixture(scope="session")
def made() -> None:
    """They are compiled."""
    if CANNOT:
        pytest.skip(CANNOT)
    compile_sources()
