"""The side door of a program on the stand: a unix socket where it can be asked, one JSON line each, for faults that cannot be made
from outside. The product knows nothing of it.

The door is a thread: it has to work while the loop does not. What it is asked it does on the loop's own thread, in a signal
handler, which Python runs between two steps of whatever the loop is doing.
"""

import json
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

from tests.support.census import tasks_here

Asked = dict[str, Any]
Deed = Callable[[Asked, Callable[[Any], None]], None]
"""Does what it is asked, on the loop's thread, and answers once."""


def open_door(path: str, more: Mapping[str, Deed] | None = None) -> None:
    """Listen at `path`, for {"do": NAME, …}: "block" and "tasks", and the deeds of this program."""
    deeds = {"block": _block, "tasks": _tasks, **(more or {})}
    asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def on_the_loop(_number: int, _frame: FrameType | None) -> None:
        wanted = asked.get_nowait()
        deeds[wanted["do"]](wanted, answers.put)

    def serve(door: socket.socket) -> None:
        while True:
            line, _ = door.accept()
            with line, line.makefile("rw") as words:
                asked.put(json.loads(words.readline()))
                os.kill(os.getpid(), signal.SIGUSR1)
                words.write(json.dumps(answers.get()) + "\n")
                words.flush()

    if os.path.exists(path):
        os.unlink(path)  # of a process that was killed
    door: Final = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen()
    signal.signal(signal.SIGUSR1, on_the_loop)
    threading.Thread(target=serve, args=(door,), daemon=True).start()


def _block(asked: Asked, answer: Callable[[Any], None]) -> None:
    """Hold up the loop as a handler does that computes or waits where it must not."""
    answer({"blocks": asked["seconds"]})
    time.sleep(asked["seconds"])


def _tasks(_: Asked, answer: Callable[[Any], None]) -> None:
    """What tasks there are, by what they run."""
    try:
        answer(tasks_here(asked_by_a_task=False))
    except RuntimeError:  # there is no loop yet, or no more
        answer({})
