"""What processes cost, read from /proc (Linux): processor seconds by part of the system, and resident memory.

A server is three kinds of process: the gateway itself, PostgreSQL and Redis below it. An installation of many nodes has as many
parts as it is said to have, each with its process id. Everything else below the benchmark is a client (and the benchmark). What the
machine's processors did beyond all of these, somebody else did: `others`, the figure that says how far a run on a shared machine
can be trusted.

Processor time counts in ticks of 10 ms. That of ended children is added to whoever waited for them, so a PostgreSQL backend that
ends in the middle of a measurement is not lost.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
PROC: Final = Path("/proc")
PATIENCE_S: Final = 45.0
LOOK_S: Final = 2.0
QUIET: Final = 0.1
"""A machine whose processors are busier than this before a run is worth waiting for. Chosen by feeling."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat: `cpu_s` used itself, `reaped_s` used by children it has waited for, `started_s` after boot."""

    pid: int
    name: str
    parent: int
    cpu_s: float
    reaped_s: float
    started_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor seconds so far, by part, at `at_s` (monotonic); `busy_s` is what all of them and everybody else used."""

    at_s: float
    gateway_s: float
    postgres_s: float
    redis_s: float
    clients_s: float
    busy_s: float


@dataclass(frozen=True, slots=True)
class Used:
    """Between two readings: processor seconds by part, and `others`, the share of all processors that other programs took
    (0 to 1)."""

    seconds: float
    gateway_s: float
    postgres_s: float
    redis_s: float
    clients_s: float
    others: float


@dataclass(frozen=True, slots=True)
class PartsReading:
    """Processor seconds so far of the parts of an installation, by name, and the rest as in `Reading`."""

    at_s: float
    parts: Mapping[str, float]
    clients_s: float
    busy_s: float


@dataclass(frozen=True, slots=True)
class PartsUsed:
    """Between two such readings; see `Used`."""

    seconds: float
    parts: Mapping[str, float]
    clients_s: float
    others: float


def parse_stat(line: str) -> Process:
    """A line of /proc/PID/stat. The name stands in brackets and may itself hold spaces and brackets."""
    name_begin, name_end = line.index("("), line.rindex(")")
    rest = line[name_end + 2 :].split()
    ticks = [int(field) for field in rest[11:15]]
    return Process(
        pid=int(line[:name_begin]),
        name=line[name_begin + 1 : name_end],
        parent=int(rest[1]),
        cpu_s=(ticks[0] + ticks[1]) * TICK_S,
        reaped_s=(ticks[2] + ticks[3]) * TICK_S,
        started_s=int(rest[19]) * TICK_S,
    )


def parse_busy(stat: str, cores: frozenset[int]) -> float:
    """Seconds that these processors were not idle since boot, from the text of /proc/stat."""
    busy = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
            busy += user + nice + system + irq + softirq + steal
    return busy * TICK_S


def parse_rss_mib(status: str) -> float:
    """Resident memory in MiB, from the text of /proc/PID/status."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS in this status: the process has ended or is a kernel thread")


def below(processes: dict[int, Process], root: int) -> list[Process]:
    """`root` and all its descendants, parents first."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found = [processes[root]] if root in processes else []
    for process in found:
        found.extend(children.get(process.pid, ()))
    return found


def split(processes: dict[int, Process], server: int, top: int) -> tuple[float, float, float, float]:
    """Processor seconds of gateway, PostgreSQL, Redis and clients; `server` is the gateway's pid, `top` the benchmark's.

    Raises KeyError when the server is not running.
    """
    gateway = processes[server]
    parts = {"postgres": 0.0, "redis-server": 0.0}
    for child in processes.values():
        if child.parent == server and child.name in parts:
            tree = below(processes, child.pid)
            parts[child.name] += sum(process.cpu_s + process.reaped_s for process in tree)
    of_server = {process.pid for process in below(processes, server)}
    clients = sum(process.cpu_s + process.reaped_s for process in below(processes, top) if process.pid not in of_server)
    return gateway.cpu_s, parts["postgres"], parts["redis-server"], clients


def used(before: Reading, after: Reading, cores: int) -> Used:
    """The difference of two readings, on a machine (or part of it) with so many cores."""
    seconds = after.at_s - before.at_s
    gateway = after.gateway_s - before.gateway_s
    postgres = after.postgres_s - before.postgres_s
    redis = after.redis_s - before.redis_s
    clients = after.clients_s - before.clients_s
    others = after.busy_s - before.busy_s - gateway - postgres - redis - clients
    return Used(seconds, gateway, postgres, redis, clients, max(0.0, others / (seconds * cores)))


def split_parts(processes: dict[int, Process], parts: Mapping[str, int], top: int) -> tuple[dict[str, float], float]:
    """Processor seconds of each part (the process with this pid and all below it) and of the clients; `top` is the benchmark's pid.

    What the benchmark itself has reaped is not counted: a gateway that it killed was no client.
    """
    trees = {name: below(processes, pid) for name, pid in parts.items()}
    ours = {process.pid for tree in trees.values() for process in tree}
    spent = {name: sum(process.cpu_s + process.reaped_s for process in tree) for name, tree in trees.items()}
    others = [process for process in below(processes, top) if process.pid not in ours]
    clients = sum(process.cpu_s + (process.reaped_s if process.pid != top else 0) for process in others)
    return spent, clients


def used_parts(before: PartsReading, after: PartsReading, cores: int) -> PartsUsed:
    """The difference of two readings, on a machine (or part of it) with so many cores."""
    seconds = after.at_s - before.at_s
    parts = {name: after.parts[name] - spent for name, spent in before.parts.items()}
    clients = after.clients_s - before.clients_s
    others = after.busy_s - before.busy_s - sum(parts.values()) - clients
    return PartsUsed(seconds, parts, clients, max(0.0, others / (seconds * cores)))


def look() -> dict[int, Process]:
    """Every process there is, by pid."""
    processes = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                process = parse_stat((entry / "stat").read_text("utf-8", errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            processes[process.pid] = process
    return processes


def read(server: int) -> Reading:
    """Where the processor time of this machine has gone until now, seen from the server with this pid."""
    at_s = time.monotonic()
    gateway, postgres, redis, clients = split(look(), server, os.getpid())
    busy = parse_busy((PROC / "stat").read_text("ascii"), cores())
    return Reading(at_s, gateway, postgres, redis, clients, busy)


def read_parts(parts: Mapping[str, int]) -> PartsReading:
    """The same for an installation, whose parts have these process ids."""
    at_s = time.monotonic()
    spent, clients = split_parts(look(), parts, os.getpid())
    return PartsReading(at_s, spent, clients, parse_busy((PROC / "stat").read_text("ascii"), cores()))


def watch(server: int, seconds: float) -> Used:
    """Wait so long, and say what was used meanwhile."""
    before = read(server)
    time.sleep(seconds)
    return used(before, read(server), len(cores()))


def wait_for_quiet(patience_s: float = PATIENCE_S) -> bool:
    """Wait until other programs leave the processors alone, as long as patience lasts; whether they do.

    Choosing a quiet moment is fair; choosing among results would not be.
    """
    until = time.monotonic() + patience_s
    while True:
        before, busy = time.monotonic(), parse_busy((PROC / "stat").read_text("ascii"), cores())
        time.sleep(LOOK_S)
        busy = parse_busy((PROC / "stat").read_text("ascii"), cores()) - busy
        if busy / (time.monotonic() - before) / len(cores()) < QUIET:
            return True
        if time.monotonic() > until:
            return False


def rss_mib(pid: int) -> float:
    """Resident memory of a process now, MiB."""
    return parse_rss_mib((PROC / str(pid) / "status").read_text("utf-8", errors="replace"))


def cores() -> frozenset[int]:
    """The processors this program may run on; its children inherit them."""
    return frozenset(os.sched_getaffinity(0))
