"""Counting what a process holds, before and after somebody misbehaves.

A gateway that was abused must look, once the abuse is over, as if it had never happened: the same tasks, descriptors,
Engine.IO connections, members of the hub, and (within a tolerance that the test states) the same memory. What differs is
named one by one: "3 tasks too many" says little, "read:3 more Task-17 _line" says where to look.

Memory of a process never returns exactly: allocators keep pages. Hence a tolerance, and `peak`, the most that the process
has ever held since `forget_peak`, which catches a spike that is over when one looks.
"""

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

_PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
LOOK_EVERY_S: Final = 0.02


class Census(msgspec.Struct, frozen=True):
    """Counts at one instant. `tasks` and `objects` by name, `faults` the exceptions that reached the event loop,
    `descriptors` open files of the process, `rss_kb` resident memory, `queued_bytes` what waits to be sent."""

    tasks: dict[str, int]
    descriptors: int
    rss_kb: int
    links: int = 0
    connections: int = 0
    channels: int = 0
    queued_bytes: int = 0
    faults: tuple[str, ...] = ()
    objects: dict[str, int] = {}

    def differs_from(self, baseline: "Census", *, rss_tolerance_kb: int) -> list[str]:
        """What is not as it was, one line each; empty when the baseline is reached again. Less memory and fewer objects are no
        difference; fewer tasks are: something has died."""
        found = []
        for name in ("descriptors", "links", "connections", "channels", "queued_bytes"):
            now, then = getattr(self, name), getattr(baseline, name)
            if now != then:
                found.append(f"{name}: {now}, was {then}")
        for kind in ("tasks", "objects"):
            now_of, then_of = Counter(getattr(self, kind)), Counter(getattr(baseline, kind))
            found += [f"{kind}: {count} more {name}" for name, count in (now_of - then_of).items()]
            if kind == "tasks":
                found += [f"{kind}: {count} fewer {name}" for name, count in (then_of - now_of).items()]
        if self.faults != baseline.faults:
            found.append(f"exceptions that reached the loop: {self.faults[len(baseline.faults) :]}")
        if self.rss_kb - baseline.rss_kb > rss_tolerance_kb:
            found.append(f"memory: {self.rss_kb - baseline.rss_kb} kB more, {rss_tolerance_kb} are tolerated")
        return found


async def settled(
    read: Callable[[], Awaitable[Census]], baseline: Census, *, within_s: float = 30.0, rss_tolerance_kb: int = 1 << 30
) -> Census:
    """Wait until the census is the baseline's again. Raises AssertionError naming what is left over."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        now = await read()
        differences = now.differs_from(baseline, rss_tolerance_kb=rss_tolerance_kb)
        if not differences:
            return now
        if asyncio.get_running_loop().time() >= deadline:
            raise AssertionError("left over: " + "; ".join(differences))
        await asyncio.sleep(LOOK_EVERY_S)


def tasks_here(*, asked_by_a_task: bool = True) -> dict[str, int]:
    """The running loop's tasks by what they run, without the one that asks; asked by a signal, the current task is whichever it has
    interrupted, and counts. Raises `RuntimeError` outside a loop."""
    ours = asyncio.current_task() if asked_by_a_task else None
    return dict(Counter(_what(task) for task in asyncio.all_tasks() if task is not ours))


def _what(task: "asyncio.Task[object]") -> str:
    """A compiled coroutine has no name, but a class of its own. Never `repr(task)`: it tells what the task waits for, and whether
    that is just done."""
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", type(coroutine).__qualname__)


def objects_of(*packages: str) -> dict[str, int]:
    """Live objects whose class belongs to one of these packages, by class. Collects garbage first."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        module = kind.__module__
        if isinstance(module, str) and module.startswith(packages):  # a metaclass may put something else there
            found[f"{module}.{kind.__qualname__}"] += 1
    return dict(found)


def descriptors(pid: int | None = None) -> int:
    """Open descriptors of a process, one's own by default (without the one that looks)."""
    return len(os.listdir(f"/proc/{pid or 'self'}/fd")) - (pid is None)


def rss_kb(pid: int | None = None) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1]) * _PAGE_KB


def peak_kb(pid: int) -> int:
    """The most resident memory since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise LookupError(f"/proc/{pid}/status names no VmHWM")


def forget_peak(pid: int) -> None:
    """Count the peak from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
