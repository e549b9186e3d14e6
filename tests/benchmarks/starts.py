"""How long it takes from the command to a program that answers, with an empty data folder and with one that was used.

The demo class is off, as everywhere in these measurements; a third kind has it on, since that is what `make run` does. The
page cache is warm in all of them.
"""

import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.benchmarks.proc import look, wait_for_quiet
from tests.benchmarks.results import StartKind, StartRun
from tests.support.server import Server, free_port

_READY: Final = re.compile(r"run\.ready .*\bseconds=([0-9.]+)")


def measure(repeats: int) -> tuple[StartRun, ...]:
    """Each repeat: one start of each kind on a data folder of its own."""
    runs = []
    for _ in range(repeats):
        wait_for_quiet()
        folder = Path(tempfile.mkdtemp(prefix="paceline-bench-"))
        folder.chmod(0o711)
        try:
            port = free_port()
            plain, demo = (Server(folder / "data", port, {"PACELINE_DEMO": demo}) for demo in ("off", "on"))
            runs += [_start(plain, "cold"), _start(plain, "warm")]
            # The first start with the demo makes the accounts of its athletes, which no later one does.
            demo.start()
            demo.stop()
            runs.append(_start(demo, "warm, with the demo class"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return tuple(runs)


def _start(server: Server, kind: StartKind) -> StartRun:
    began = time.monotonic()
    server.start()
    seconds = time.monotonic() - began
    try:
        ready = next(found for line in server.output if (found := _READY.search(line)))
        inside = float(ready.group(1))
        processes = look()
        redis = next(one for one in processes.values() if one.parent == server.pid and one.name == "redis-server")
        servers_up = redis.started_s - processes[server.pid].started_s
    finally:
        began = time.monotonic()
        server.stop()
        stop = time.monotonic() - began
    return StartRun(
        kind=kind,
        seconds=round(seconds, 2),
        load_s=round(seconds - inside, 2),
        servers_s=round(max(0.0, servers_up - (seconds - inside)), 2),
        rest_s=round(min(inside, seconds - servers_up), 2),
        stop_s=round(stop, 2),
    )
