"""What the benchmark needs besides Python, made or found; and what this machine lacks, by name.

The load and the floor are compiled here, at every run, into a temporary folder. The JavaScript peers are installed by npm from
their own lock file, Bun among them, since it is a package too. picows is installed beside the environment, not into it: Paceline
does not use it. A Redis of version 7 is taken where there is one; the wheel's 6 has no sharded pub/sub.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paceline.embedded.errors import EmbeddedError
from paceline.embedded.redis import program as redis_of_wheel
from tests.benchmarks.machine import ROOT

HERE: Final = Path(__file__).parent
JS: Final = HERE / "js"
KEPT: Final = ROOT / "build" / "socket-bench"
PICOWS: Final = "2.3.1"
FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
PATIENCE_S: Final = 600


class CannotMeasure(Exception):  # noqa: N818 - what it says
    """Something is missing without which there is no benchmark at all. The text names the cure."""


@dataclass(frozen=True)
class Tools:
    """Programs by name; `lacking` says of each missing one why, and how to get it."""

    load: Path
    floor: Path
    found: dict[str, Path]
    versions: dict[str, str]
    lacking: dict[str, str] = field(default_factory=dict)


def compiled(name: str, into: Path) -> Path:
    """The program of the C sources in the folder `name`. Raises CannotMeasure."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotMeasure(
            "the load generator is in C and there is no C compiler (cc): sudo apt-get install gcc libc6-dev"
        )
    target = into / name
    sources = sorted(str(path) for path in (HERE / name).glob("*.c"))
    done = subprocess.run([compiler, *FLAGS, "-o", str(target), *sources], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMeasure(f"{compiler} could not compile {name}:\n{done.stderr[-2_000:]}")
    return target


def tools(into: Path) -> Tools:
    """Everything there is on this machine. Raises CannotMeasure when the load cannot be made."""
    made = Tools(compiled("load", into), compiled("floor", into), {}, {})
    for look in (_node, _bun, _picows, _redis):
        look(made)
    return made


def _node(made: Tools) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        made.lacking["node"] = "no Node.js with npm here: sudo apt-get install nodejs npm"
        return
    lock, mark = JS / "package-lock.json", JS / "node_modules" / "installed-lock.json"
    if not mark.is_file() or mark.read_bytes() != lock.read_bytes():
        problem = _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], JS)
        if problem:
            made.lacking["node"] = f"npm ci failed in {JS.relative_to(ROOT)}: {problem}"
            return
        shutil.copy(lock, mark)
    made.found["node"] = Path(node)
    made.versions["node"] = _said([node, "--version"]).lstrip("v")
    for package in ("socket.io", "ws", "bufferutil", "@socket.io/redis-adapter", "@socket.io/bun-engine"):
        told = json.loads((JS / "node_modules" / package / "package.json").read_text("utf-8"))
        made.versions[package] = str(told["version"])


def _bun(made: Tools) -> None:
    bun = JS / "node_modules" / "bun" / "bin" / "bun.exe"
    if "node" in made.lacking:
        made.lacking["bun"] = "Bun comes by npm, which is missing"
    elif not (version := _said([str(bun), "--version"])):
        made.lacking["bun"] = "the npm package bun brought no program for this machine"
    else:
        made.found["bun"] = bun
        made.versions["bun"] = version


def _picows(made: Tools) -> None:
    folder = KEPT / f"picows-{PICOWS}"
    if not (folder / "picows").is_dir():
        words = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)]
        problem = _run([*words, f"picows=={PICOWS}"], ROOT)
        if problem:
            made.lacking["picows"] = f"picows {PICOWS} could not be installed: {problem}"
            return
    made.found["picows"] = folder
    made.versions["picows"] = PICOWS


def _redis(made: Tools) -> None:
    candidates = [Path(found)] if (found := shutil.which("redis-server")) else []
    try:
        candidates.append(redis_of_wheel())
    except EmbeddedError as problem:
        made.lacking["redis"] = str(problem)
    known = [(version, path) for path in candidates if (version := redis_version(_said([str(path), "--version"])))]
    if not known:
        made.lacking.setdefault("redis", "no redis-server here: sudo apt-get install redis-server")
        return
    made.lacking.pop("redis", None)
    version, path = max(known)
    made.found["redis"] = path
    made.versions["redis"] = ".".join(map(str, version))
    if version < (7,):
        made.lacking["sharded"] = (
            f"Redis {made.versions['redis']} has no sharded pub/sub, it came with 7: sudo apt-get install redis-server"
        )


def redis_version(said: str) -> tuple[int, ...] | None:
    """The numbers in what `redis-server --version` says."""
    found = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else None


def _said(words: list[str]) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
    except OSError:
        return ""


def _run(words: list[str], cwd: Path) -> str:
    """Run a command; nothing when it went well, else the last line it said."""
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    if done.returncode == 0:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with {done.returncode}"
