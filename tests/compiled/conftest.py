"""They are compiled once, and kept beside the sources for the next time."""

import shutil
import subprocess
import sys
import sysconfig
from typing import Final

import pytest

from tests.support.server import ROOT

COMPILER: Final = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.fixture(scope="session")
def made() -> None:
    """They are there."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"nothing can be compiled here: there is no C compiler ({COMPILER})")
    words = [sys.executable, "-m", "paceline.compiling"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
