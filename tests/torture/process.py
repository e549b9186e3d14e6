"""A target in a process of its own, from the side of the test: its census, its memory, and every line of its log.

Questions are answered in a millisecond or two, so `ask` simply blocks. The log is read by a thread and kept with nothing
left out: `tracebacks` and `lines` are what the tests look at.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support import census
from tests.support.census import Census
from tests.torture.target import Kind

ROOT: Final = Path(__file__).parents[2]
RSS_TOLERANCE_KB: Final = 8 * 1024
"""What a process may keep of the pages it once needed. A leak of every connection's 6 KB shows after some 1,300 of them;
smaller leaks are found by counting objects and by the soak."""


class Process:
    """A running target; made by `open_process`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.target", "--options", json.dumps(options)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        began = self._answer()
        self.port: Final[int] = began["port"]
        self.pid: Final[int] = began["pid"]

    def ask(self, do: str, **more: Any) -> Any:
        """Ask the target something. Raises AssertionError with its log when it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def census(self) -> Census:
        """What it holds."""
        return msgspec.convert(self.ask("census"), Census)

    def publish(self, channel: str, kind: Kind, *, size: int, times: int = 1) -> int:
        """Have it push frames to a channel; how many hear it."""
        members: int = self.ask("publish", channel=channel, kind=kind, size=size, times=times)
        return members

    def statistics(self) -> dict[str, Any]:
        """`LiveServer.statistics()`."""
        counted: dict[str, Any] = self.ask("statistics")
        return counted

    async def settled(
        self, baseline: Census, *, within_s: float = 10.0, rss_tolerance_kb: int = RSS_TOLERANCE_KB
    ) -> Census:
        """Wait until it holds what it held before. Raises AssertionError naming what is left over."""

        async def read() -> Census:
            return self.census()

        return await census.settled(read, baseline, within_s=within_s, rss_tolerance_kb=rss_tolerance_kb)

    def forget_peak(self) -> int:
        """Count the peak of memory from now on; what it is now, kB."""
        census.forget_peak(self.pid)
        return census.peak_kb(self.pid)

    def peak_kb(self) -> int:
        """The most memory it has held since `forget_peak`, kB."""
        return census.peak_kb(self.pid)

    def lines(self, since: int = 0) -> list[str]:
        """Its log from line `since` on."""
        return self.log[since:]

    def tracebacks(self) -> list[str]:
        """The last line of every traceback in its log."""
        found = []
        for at, line in enumerate(self.log):
            if "Traceback" in line:
                found.append(" … ".join(self.log[at : at + 40]))
        return found

    def end(self) -> int:
        """Let it stop in order; its exit code. Raises AssertionError when it does not."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself: the code will tell
            self._process.stdin.close()
        try:
            code = self._process.wait(15)
        except subprocess.TimeoutExpired as late:
            self._process.kill()
            self._process.wait()
            raise AssertionError("the target does not stop:\n" + "".join(self.log[-50:])) from late
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._reader.join(5)
        return code

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._reader.join(5)
            raise AssertionError("the target is gone:\n" + "".join(self.log[-50:]))
        return json.loads(line)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for line in log:
                self.log.append(line)


@contextlib.contextmanager
def open_process(**options: Any) -> Iterator[Process]:
    """A running target with these options of `LiveServer`, stopped in order afterwards."""
    process = Process(options)
    try:
        yield process
    except BaseException:
        with contextlib.suppress(AssertionError):  # the test has failed already
            process.end()
        raise
    code = process.end()
    assert code == 0, f"the target ended with {code}:\n" + "".join(process.log[-50:])
