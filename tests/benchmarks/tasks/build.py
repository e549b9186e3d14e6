"""The environment of the peers, made under build/ from requirements.txt when that has changed, and what this machine lacks."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks.machine import ROOT
from tests.support.system_parts import rabbitmq

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "requirements.txt"
KEPT: Final = ROOT / "build" / "task-bench"
PATIENCE_S: Final = 600


@dataclass(frozen=True)
class Tools:
    """The peers' interpreter, if it could be made, and the versions of what it has; `lacking` says what is missing, and how to get
    it: "peers", "rabbitmq"."""

    python: Path
    versions: dict[str, str]
    lacking: dict[str, str] = field(default_factory=dict)


def tools(kept: Path = KEPT) -> Tools:
    """Make what has to be made, and look."""
    lacking = {}
    if rabbitmq() is None:
        lacking["rabbitmq"] = "no RabbitMQ here: sudo apt-get install rabbitmq-server"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = kept / wanted
    python, mark = folder / "bin" / "python", folder / "finished"
    if not mark.exists():
        problem = _run("-m", "uv", "venv", "--quiet", "--no-config", "--clear", "--python", sys.executable, str(folder))
        problem = problem or _run(
            *("-m", "uv", "pip", "install", "--quiet", "--python", str(python)),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)),
        )
        if problem:
            lacking["peers"] = f"the environment of the peers could not be made: {problem}"
            return Tools(python, {}, lacking)
        mark.touch()
    return Tools(python, versions(REQUIREMENTS.read_text("utf-8")), lacking)


def versions(requirements: str) -> dict[str, str]:
    """The versions of the peers and their drivers, from the text of the requirements."""
    wanted = ("celery", "kombu", "procrastinate", "psycopg")
    pinned = dict(
        line.split(" ")[0].split("==", 1) for line in requirements.splitlines() if "==" in line and line[0].isalpha()
    )
    return {name: pinned[name] for name in wanted}


def _run(*words: str) -> str:
    """Run our interpreter; nothing when it went well, else the last line it said."""
    try:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with {done.returncode}"
