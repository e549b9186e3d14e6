"""`paceline run` with a side door, for faults that cannot be made from outside.

    python -m tests.faults.gateway PATH

runs the same program with the same settings; at the unix socket PATH it can be asked, one JSON line each, to block its event loop
({"do": "block", "seconds": 12}) as a handler does that computes or waits where it must not, and what tasks it has ({"do":
"tasks"}). The product knows nothing of it. With BENCH_PING_S in the environment its pings are that many seconds apart instead of
25, so that a short test need not wait as long as a phone does.

The door is a thread: it has to work while the loop does not. What it is asked it does on the loop's own thread, in a signal
handler, which Python runs between two steps of whatever the loop is doing.
"""

import functools
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

from gateway.sockets.server import attach
from paceline import wiring
from paceline.__main__ import main
from tests.support.census import tasks_here

_asked: "queue.SimpleQueue[dict[str, Any]]" = queue.SimpleQueue()
_answers: "queue.SimpleQueue[Any]" = queue.SimpleQueue()


def _on_the_loop(_number: int, _frame: FrameType | None) -> None:
    asked = _asked.get_nowait()
    if asked["do"] == "block":
        _answers.put({"blocks": asked["seconds"]})
        time.sleep(asked["seconds"])
    else:
        try:
            _answers.put(tasks_here(asked_by_a_task=False))
        except RuntimeError:  # there is no loop yet, or no more
            _answers.put({})


def _serve(door: socket.socket) -> None:
    while True:
        line, _ = door.accept()
        with line, line.makefile("rw") as words:
            _asked.put(json.loads(words.readline()))
            os.kill(os.getpid(), signal.SIGUSR1)
            words.write(json.dumps(_answers.get()) + "\n")
            words.flush()


def _open_door(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)  # of a process that was killed
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen()
    signal.signal(signal.SIGUSR1, _on_the_loop)
    threading.Thread(target=_serve, args=(door,), daemon=True).start()


if __name__ == "__main__":
    _open_door(sys.argv[1])
    if seconds := os.environ.get("BENCH_PING_S"):
        brisk = functools.partial(attach, ping_interval_s=float(seconds), ping_timeout_s=float(seconds))
        setattr(wiring, "attach", brisk)  # noqa: B010 - not a name that the module offers
    sys.exit(main(["run"]))
