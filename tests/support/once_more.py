"""What failed beside others, once more and alone: `make test` runs `python -m tests.support.once_more` when tests have failed.

Most tests here start whole installations, several of them at a time on two cores, and wait for them in real time: for a heartbeat
that is missed, a process that is killed, a page in a browser. One that fails may have been starved by its neighbours. Its name is
printed and stays in the log, and it gets one more try with the machine to itself; failing there, it has failed. A few may be
starved in one run; more than `MOST` are a defect. What only computes cannot be starved and gets no second try. See
docs/decisions/0015-once-more-alone.md.
"""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Final

import pytest

MOST: Final = 5
COMPUTES: Final = ("tests/services/", "tests/rooms/", "tests/laws/", "tests/support/")
"""Tests that wait for nothing but themselves and, at most, their own database."""
FAILED: Final = Path(".pytest_cache/v/cache/lastfailed")


def why_not(failed: Collection[str]) -> str | None:
    """Why these tests get no second try, in a sentence; None when they do."""
    if not failed:
        return "No test has failed, and yet the run has: see above."
    if len(failed) > MOST:
        return f"{len(failed)} tests have failed. More than {MOST} were not starved by each other: no second try."
    if final := sorted(test for test in failed if test.startswith(COMPUTES)):
        return f"What only computes gets no second try: {', '.join(final)}"
    return None


def main() -> int:
    """Try them again; pytest's exit code, 1 where there is no second try."""
    failed = sorted(json.loads(FAILED.read_text("utf-8"))) if FAILED.exists() else []
    if (reason := why_not(failed)) is not None:
        sys.stdout.write(f"{reason}\n")
        return 1
    sys.stdout.write("These failed beside others; once more, alone:\n" + "".join(f"  {test}\n" for test in failed))
    sys.stdout.flush()
    return int(pytest.main(["-rA", *failed]))


if __name__ == "__main__":
    sys.exit(main())
