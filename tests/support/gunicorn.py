"""Gunicorn with several gateways, as a process of its own: the master, its workers, and what they print.

Everything waits in the calling thread: in a coroutine use `asyncio.to_thread`. Only processes started here are ever ended.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.keeper import keep
from tests.support.server import ROOT, free_port

START_S: Final = 60.0
STOP_S: Final = 60.0
LOOK_EVERY_S: Final = 0.05


class Gunicorn:
    """A running master. `metrics_port` + n is where worker n shows its windows."""

    def __init__(self, folder: Path, environ: dict[str, str], workers: int, application: str) -> None:
        self.port: Final = free_port()
        self.metrics_port: Final = free_ports(2 * workers, but=self.port)
        self.base_url: Final = f"http://127.0.0.1:{self.port}"
        self.output: list[str] = []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
        settings = {
            "PACELINE_PORT": str(self.port),
            "PACELINE_METRICS_PORT": str(self.metrics_port),
            "PACELINE_DATA_DIR": str(folder / "data"),
            "PACELINE_LOG_FORMAT": "json",
            "WEB_CONCURRENCY": str(workers),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", application],
            cwd=ROOT,
            env=clean | settings | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        keep(self._process.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The master's."""
        return self._process.pid

    def workers(self) -> set[int]:
        """The processes below the master."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return {int(pid) for pid in children.read_text().split()} if children.exists() else set()

    def said(self, text: str) -> int:
        """In how many lines of the output this is."""
        return sum(text in line for line in tuple(self.output))

    def wait_until_said(self, text: str, times: int = 1, within_s: float = START_S) -> None:
        """Raises AssertionError with the output when it is not said, or the master is gone."""
        until = time.monotonic() + within_s
        while self.said(text) < times:
            assert self._process.poll() is None, f"gunicorn is gone:\n{''.join(self.output)}"
            assert time.monotonic() < until, f"{text!r} was not said {times} times:\n{''.join(self.output)}"
            time.sleep(LOOK_EVERY_S)

    def metrics(self, number: int) -> dict[str, float] | None:
        """What worker `number` counts, by name and labels; None while its windows are shut."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port + number}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def send(self, number: signal.Signals) -> None:
        """Signal the master."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The master's exit code. Raises `subprocess.TimeoutExpired`."""
        code = self._process.wait(STOP_S)
        self._reader.join(STOP_S)
        return code

    def end(self) -> None:
        """Whatever still runs of it is killed."""
        left = self.workers()
        if self._process.poll() is None:
            self._process.kill()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)


def free_ports(count: int, *, but: int) -> int:
    """A port with `count` free ones behind it, none of them `but`, which is free as well for now."""
    while True:
        first = free_port()
        if first <= but <= first + count or first + count >= 65_000:
            continue
        if all(_is_free(first + number) for number in range(1, count + 1)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def open_gunicorn(
    environ: dict[str, str], *, workers: int = 2, application: str = "paceline.gunicorn_app:application"
) -> Iterator[Gunicorn]:
    """A master with these settings whose workers are all ready."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-gunicorn-"))
    gunicorn = Gunicorn(folder, environ, workers, application)
    try:
        gunicorn.wait_until_said("gunicorn.ready", workers)
        yield gunicorn
    finally:
        gunicorn.end()
        shutil.rmtree(folder, ignore_errors=True)
