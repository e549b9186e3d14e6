"""One turn: start a peer on its core, put the load on it from the other, end both.

Every turn has fresh processes. A peer is never measured after another scenario: what that left on its heap would be charged to
this one.
"""

import os
import secrets
import selectors
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec

from services.accounts.account import Account
from services.accounts.keyring import SigningKey, load_key, make_key
from services.accounts.tokens import Tokens
from services.kernel.clock import SystemClock
from services.kernel.ids import AccountId, LoginId
from tests.benchmarks.machine import ROOT
from tests.benchmarks.sockets.build import CannotMeasure, Tools
from tests.benchmarks.sockets.peers import Peer, Task
from tests.benchmarks.sockets.results import Run, Window, sum_of
from tests.benchmarks.sockets.scenarios import Scenario
from tests.benchmarks.sockets.targets import OURS
from tests.support.server import free_port

START_S: Final = 30.0
STOP_S: Final = 5.0
TURN_S: Final = 240.0
"""A turn that takes longer hangs. Fifty thousand connections of the slowest peer take a minute and a half."""
TOKENS_LIVE_S: Final = 24 * 3600
MAX_TOKENS: Final = 17_000


class _Failed(Exception):  # noqa: N818 - the run is, not the program
    """A turn without a figure; the text says why."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all turns share: programs, the key and the tokens, `server` and `client` cores."""

    tools: Tools
    folder: Path
    key: Path
    tokens: Path
    server_core: int
    client_core: int


def bench(tools: Tools, folder: Path, tokens: int = MAX_TOKENS) -> Bench:
    """Make the key and so many tokens. Raises CannotMeasure on a machine with one core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise CannotMeasure("the server needs one core and the load another; this program may use only one")
    key, signed = folder / "key.pem", folder / "tokens"
    key.write_bytes(make_key())
    _write_tokens(load_key(key.read_bytes()), signed, tokens)
    return Bench(tools, folder, key, signed, cores[0], cores[1])


def _write_tokens(key: SigningKey, path: Path, count: int) -> None:
    """One access token per connection, each of another account: nothing about them can be remembered."""
    sign, now_ms = Tokens(key, access_ttl_s=TOKENS_LIVE_S), SystemClock().wall_ms()
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            account = Account(
                id=AccountId(uuid.UUID(int=secrets.randbits(128), version=4)),
                email=f"athlete{number}@example.org",
                name=f"Athlete {number}",
                roles=frozenset({"member"}),
                created_at_ms=now_ms,
            )
            login = LoginId(uuid.UUID(int=secrets.randbits(128), version=4))
            file.write(sign.for_account(account, login, now_ms).token + "\n")


def turn(here: Bench, scenario: Scenario, peer: Peer, number: int) -> Run:
    """Measure one peer once. A fault of the peer is a result too: there is no figure for a server that loses events."""
    try:
        with ExitStack() as stack:
            redis = stack.enter_context(_redis(here)) if scenario.redis else None
            url = f"redis://127.0.0.1:{redis[0]}/0" if redis else ""
            ports = [free_port() for _ in range(scenario.servers)]
            pids = []
            for port in ports:
                task = Task(scenario.load, port, here.key, scenario.ping_s, url)
                pids.append(stack.enter_context(_server(here, peer, task)))
            if redis:
                return _measured(here, scenario, peer, number, [(ports, [*pids, redis[1]])], stack)
            alone = [([port], [pid]) for port, pid in zip(ports, pids, strict=True)]
            return _measured(here, scenario, peer, number, alone, stack)
    except _Failed as fault:
        return Run(peer.name, number, fault=str(fault))


def _measured(
    here: Bench,
    scenario: Scenario,
    peer: Peer,
    number: int,
    targets: Sequence[tuple[list[int], list[int]]],
    stack: ExitStack,
) -> Run:
    loads = [stack.enter_context(_load(here, scenario, ports, pids)) for ports, pids in targets]
    first = None
    if scenario.load == "spaced":
        first = sum_of(tuple(load.window("peak") for load in loads))
    if scenario.load == "idle":
        first = sum_of(tuple(load.window("connected") for load in loads))
        for load in loads:
            load.go()
    result = sum_of(tuple(load.window("result") for load in loads))
    half = sum_of(tuple(load.window("half") for load in loads)) if scenario.half_s else None
    for load in loads:
        load.ended()
    overtaken = (half or result).overtaken
    if overtaken and peer.name == OURS:
        raise _Failed(f"{overtaken} events overtook an earlier one")
    return Run(peer.name, number, result, first, half)


# -- processes -----------------------------------------------------------------------------------------------------------------


def _pinned(core: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {core})


@contextmanager
def _server(here: Bench, peer: Peer, task: Task) -> Iterator[int]:
    started = peer.start(here.tools, task)
    with tempfile.TemporaryFile(dir=here.folder) as words:
        process = subprocess.Popen(
            started.words,
            cwd=ROOT,
            env={**os.environ, **dict(started.env)},
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            preexec_fn=_pinned(here.server_core),
        )
        try:
            _await_ready(process, peer)
            yield process.pid
        except _Failed as fault:
            said = _last_words(words)
            raise _Failed(f"{fault}; {peer.name} said: {said}" if said else str(fault)) from fault
        finally:
            _end(process)


def _await_ready(process: "subprocess.Popen[bytes]", peer: Peer) -> None:
    assert process.stdout is not None
    if _line(process.stdout, START_S) != b"ready":
        process.kill()
        process.wait()
        raise _Failed(f"{peer.name} did not start")


@contextmanager
def _redis(here: Bench) -> Iterator[tuple[int, int]]:
    """A Redis of this turn alone: its port and its pid."""
    port = free_port()
    words = (
        str(here.tools.found["redis"]),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    )
    process = subprocess.Popen(
        words,
        cwd=here.folder,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=_pinned(here.server_core),
    )
    try:
        assert process.stdout is not None
        end = time.monotonic() + START_S
        while b"eady to accept connections" not in (line := _line(process.stdout, START_S)):
            if time.monotonic() > end or (not line and process.poll() is not None):
                raise _Failed("redis-server did not start")
        yield port, process.pid
    finally:
        process.terminate()
        _end(process)


class _Load:
    """A running load generator."""

    def __init__(self, process: "subprocess.Popen[bytes]", words: IO[bytes]) -> None:
        self._process = process
        self._words = words

    def window(self, phase: str) -> Window:
        """The window of this phase; steps of a ladder are passed over. Raises _Failed when it ends before."""
        assert self._process.stdout is not None
        while line := _line(self._process.stdout, TURN_S):
            window = msgspec.json.decode(line, type=Window)
            if window.phase == phase:
                return window
        self._process.kill()
        self._process.wait()
        raise _Failed(_last_words(self._words) or "the load gave up without a word")

    def go(self) -> None:
        """All the others are ready too."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def ended(self) -> None:
        """Wait for its end: events that are lost are found after the window. Raises _Failed."""
        try:
            code = self._process.wait(STOP_S * 3)
        except subprocess.TimeoutExpired:
            raise _Failed("the load did not come to an end") from None
        if code != 0:
            raise _Failed(_last_words(self._words) or f"the load ended with {code}")


@contextmanager
def _load(here: Bench, scenario: Scenario, ports: list[int], pids: list[int]) -> Iterator[_Load]:
    options = {
        "ports": ",".join(map(str, ports)),
        "pids": ",".join(map(str, pids)),
        "tokens": str(here.tokens),
        "cores": f"{here.server_core},{here.client_core}",
        "rooms": scenario.rooms,
        "size": scenario.size,
        "window": scenario.window,
        "warm": scenario.warm_s,
        "seconds": scenario.seconds,
        "half": scenario.half_s,
        "interval": scenario.ping_s,
    }
    with tempfile.TemporaryFile(dir=here.folder) as words:
        process = subprocess.Popen(
            [str(here.tools.load), scenario.load, *(f"{name}={value}" for name, value in options.items())],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            preexec_fn=_pinned(here.client_core),
        )
        try:
            yield _Load(process, words)
        finally:
            process.kill()
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _line(pipe: IO[bytes], patience_s: float) -> bytes:
    """The next line without its end; empty at the end of the stream, or when it does not come."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        # The pipes are not buffered, so the selector knows of everything that has not been read.
        if not selector.select(patience_s):
            return b""
    return pipe.readline().strip()


def _last_words(words: IO[bytes]) -> str:
    words.seek(0)
    return " ".join(words.read().decode(errors="replace").split())[-400:]
