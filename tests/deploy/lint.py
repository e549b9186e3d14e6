"""A linter of Dockerfiles: the npm package dockerfile-utils, of the version and hash in js/package-lock.json."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from tests.support.system_parts import in_ci, require

JS: Final = Path(__file__).parent / "js"
_PROGRAM: Final = JS / "node_modules" / "dockerfile-utils" / "bin" / "dockerfile-utils"
_INSTALLED: Final = JS / "node_modules" / "installed-lock.json"
_INSTALL_S: Final = 120


def lint(path: Path) -> str:
    """What the linter has to say about a Dockerfile; nothing when all is well."""
    node = require("node")
    _provide()
    said = subprocess.run(
        [node, _PROGRAM, "lint", path], capture_output=True, text=True, check=False, timeout=_INSTALL_S
    )
    assert said.returncode in (0, 1), said.stderr
    return said.stdout.strip()


def _provide() -> None:
    """Fetch the linter if it is not there; without npm or a network the test is skipped, or fails in continuous integration."""
    lock = JS / "package-lock.json"
    if _INSTALLED.is_file() and _INSTALLED.read_bytes() == lock.read_bytes():
        return
    with tempfile.TemporaryDirectory(prefix="paceline-npm-") as cache:  # the home folder may be read-only
        words = ["npm", "ci", "--ignore-scripts", "--loglevel=error", "--cache", cache]
        done = subprocess.run(words, cwd=JS, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    if done.returncode != 0:
        reason = f"the linter could not be fetched (npm ci in tests/deploy/js): {done.stderr[-500:]}"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)
    shutil.copy(lock, _INSTALLED)
