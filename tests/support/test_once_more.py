"""Which failures get a second try, and that a second failure is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import once_more
from tests.support.server import ROOT

WAITS = [f"tests/faults/test_task_cases.py::test_it[F-{number}]" for number in range(20, 40)]


def test_a_few_that_wait_for_installations_get_a_second_try() -> None:
    assert once_more.why_not(WAITS[: once_more.MOST]) is None


@pytest.mark.parametrize(
    ("failed", "because"),
    [
        (WAITS[: once_more.MOST + 1], "More than 5"),
        ([WAITS[0], "tests/services/training/test_zones.py::test_it"], "only computes"),
        (["tests/laws/test_relay.py::test_it"], "only computes"),
        ([], "yet the run has"),
    ],
    ids=["many", "one that computes", "a law", "none"],
)
def test_others_do_not(failed: list[str], because: str) -> None:
    assert because in (once_more.why_not(failed) or "")


@pytest.mark.parametrize(("body", "code"), [("assert True", 0), ("assert False", 1)])
def test_what_fails_alone_too_has_failed(tmp_path: Path, body: str, code: int) -> None:
    (tmp_path / "test_starved.py").write_text(f"def test_it():\n    {body}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / once_more.FAILED).parent.mkdir(parents=True)
    (tmp_path / once_more.FAILED).write_text(json.dumps({"test_starved.py::test_it": True}))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.once_more"],
        cwd=tmp_path,
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "once more, alone:\n  test_starved.py::test_it\n" in done.stdout
