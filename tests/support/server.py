"""The whole program as a process of its own, for stories that enter only by socket and HTTP.

`open_server` starts `paceline run` on a free port and a data folder of its own and returns when it says that it is ready.
The process can be killed, stopped and started again on the same folder and port, which is what the fault tests do. Only
processes started here are ever ended, by their pid; they end with whoever has started them (keeper.py). Everything waits in the
calling thread: in a coroutine use `asyncio.to_thread`.

All of them seal with the same key, as the nodes of one installation must: several on one database read what each has sealed.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.accounts.keyring import make_key as make_token_key
from tests.support.keeper import keep
from tests.support.world import SEALING_KEYS

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 60.0
STOP_S: Final = 30.0
PROGRAM: Final = (sys.executable, "-m", "paceline", "run")
_LAST_LINE: Final = "Stop with Ctrl-C."
_PORTS: Final = range(12_000, 32_000)
"""Of which a server is given one: below those that Linux deals out to outgoing connections (from 32,768 on)."""


class Server:
    """A running Paceline. `base_url` stays the same over restarts; `output` is what it has printed since the last start."""

    def __init__(self, data_dir: Path, port: int, environ: dict[str, str], program: tuple[str, ...] = PROGRAM) -> None:
        self.program = program
        self.data_dir = data_dir
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}"
        self.output: list[str] = []
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and return when it is ready. Raises AssertionError with its output when it does not get there."""
        self.output = []
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE_")}
        settings = {
            "PACELINE_PORT": str(self.port),
            "PACELINE_DATA_DIR": str(self.data_dir),
            "PACELINE_SEALING_KEYS": SEALING_KEYS,
            "PACELINE_DEMO": "off",
            "PACELINE_LOG_FORMAT": "text",
        }
        self._process = subprocess.Popen(
            self.program,
            cwd=ROOT,
            env=environ | settings | self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        keep(self._process.pid)
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_S) or not self.said(_LAST_LINE):
            self.kill()
            raise AssertionError("Paceline did not start:\n" + "".join(self.output))

    def said(self, text: str) -> bool:
        """Whether this text is somewhere in its output."""
        return any(text in line for line in self.output)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Signal it, and wait for nothing."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it ends by itself; its exit code. Raises `subprocess.TimeoutExpired`."""
        return self._ended()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        return self._end(number)

    def restart(self) -> None:
        """Kill it and start it again on the same folder and port."""
        self.kill()
        self.start()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._reader is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait(STOP_S)
        self._reader.join(STOP_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def _read(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line)
            if line.startswith(_LAST_LINE):
                ready.set()
        ready.set()  # it ended


@contextlib.contextmanager
def open_server(**environ: str) -> Iterator[Server]:
    """A running Paceline with these settings; gone afterwards, data and all."""
    with open_program(PROGRAM, **environ) as server:
        yield server


@contextlib.contextmanager
def open_program(program: tuple[str, ...], /, **environ: str) -> Iterator[Server]:
    """The same, started by another command."""
    folder = Path(tempfile.mkdtemp(prefix="paceline-server-"))
    folder.chmod(0o711)
    server = Server(folder / "data", free_port(), environ, program)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def shared_keys(token_key: str | None = None) -> dict[str, str]:
    """The setting that all processes of one installation must share, beside the key that seals: the one that signs tokens
    (docs/howto/run-several-nodes.md)."""
    return {"PACELINE_TOKEN_KEY": make_token_key().decode() if token_key is None else token_key}


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on right now, and that no outgoing connection is given meanwhile: it
    lies below those that the system deals out."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(count: int) -> list[int]:
    """So many of them, all different."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
