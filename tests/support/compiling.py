"""What is compiled of the sources, for tests that run it: made once, and kept beside the sources for the next time."""

import shutil
import subprocess
import sys
import sysconfig
from typing import Final

from tests.support.server import ROOT

COMPILER: Final = (sysconfig.get_config_var("CC") or "cc").split()[0]
CANNOT: Final = "" if shutil.which(COMPILER) else f"nothing can be compiled here: there is no C compiler ({COMPILER})"
"""Why it cannot be made on this machine, or nothing."""


def compile_sources() -> None:
    """Make it, unless it is there."""
    words = [sys.executable, "-m", "paceline.compiling"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
