"""A client process that tells its phases, line by line, and waits to be told to go on.

The drivers (loadtest/scenarios/, audience.py) print a JSON line when a phase begins. Whoever measures reads them here and looks at
the server in the right moment. What the server costs is never measured in the process that puts the load on it.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec

from tests.support.server import ROOT

T = TypeVar("T")

GIVE_UP_S: Final = 600.0
"""A driver that takes longer hangs; registering 500 accounts on a slow machine takes two minutes."""


class DriverError(Exception):
    """A driver ended before it had told its result. The text holds its last words."""


class _Line(msgspec.Struct, frozen=True):
    phase: str
    result: msgspec.Raw = msgspec.Raw()


_line: Final = msgspec.json.Decoder(_Line)


class Driver:
    """A running driver, made by `open_driver`."""

    def __init__(self, process: "subprocess.Popen[bytes]", words: IO[bytes]) -> None:
        self._process = process
        self._words = words

    def reach(self, phase: str) -> None:
        """Return when this phase begins. Raises DriverError when the driver ends before."""
        self._until(phase)

    def result(self, phase: str, shape: type[T]) -> T:
        """The result told with this phase. Raises DriverError when the driver ends before."""
        return msgspec.json.decode(self._until(phase).result, type=shape)

    def go(self, words: str = "") -> None:
        """Tell it to go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(words.encode() + b"\n")
        self._process.stdin.flush()

    def _until(self, phase: str) -> _Line:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = _line.decode(text)
            if line.phase == phase:
                return line
        code = self._process.wait()
        self._words.seek(0)
        said = self._words.read().decode(errors="replace")[-2_000:]
        raise DriverError(f"{' '.join(self._command)} ended with {code} before “{phase}”:\n{said}")

    @property
    def _command(self) -> list[str]:
        return [str(part) for part in self._process.args] if isinstance(self._process.args, list) else []


@contextmanager
def open_driver(module: str, *args: str) -> Iterator[Driver]:
    """Start `python -m MODULE ARGS`; it is gone after the block."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=Path(ROOT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
        )
        watchdog = threading.Timer(GIVE_UP_S, process.kill)
        watchdog.start()
        try:
            yield Driver(process, words)
        finally:
            watchdog.cancel()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
