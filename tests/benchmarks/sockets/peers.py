"""The peers: how each is started, and for which scenarios.

Default is what a reader of the manual gets; tuned is what the options of that server allow, and a board that the application
batches itself. The issue's ratios are against the defaults, except where it says otherwise.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from paceline.compiled import SETTING
from tests.benchmarks.sockets.build import JS, Tools
from tests.benchmarks.sockets.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Task:
    """What a peer is to serve."""

    scenario: str
    port: int
    key: Path
    ping_s: float
    redis: str = ""

    def words(self) -> tuple[str, ...]:
        redis = ("--redis", self.redis) if self.redis else ()
        return (
            *("--port", str(self.port), "--scenario", self.scenario),
            *("--key", str(self.key), "--ping-s", str(self.ping_s), *redis),
        )


@dataclass(frozen=True, slots=True)
class Started:
    """A command, and what is added to its environment."""

    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """`needs` are the tools without which it cannot run, `does` its kinds of load, and by name the
    scenarios that have several servers."""

    name: str
    label: str
    start: Callable[[Tools, Task], Started]
    needs: tuple[str, ...] = ()
    does: frozenset[str] = frozenset()

    def takes_part(self, scenario: Scenario) -> bool:
        """Whether this scenario is for it."""
        return (scenario.name if scenario.servers > 1 else scenario.load) in self.does

    def lacking(self, tools: Tools, scenario: Scenario) -> str:
        """Why it cannot run here, or nothing."""
        needs = (*self.needs, "redis") if scenario.redis else self.needs
        if scenario.redis and self.name == "node-tuned":
            needs = (*needs, "sharded")
        return next((tools.lacking[need] for need in needs if need in tools.lacking), "")


def _python(module: str, *more: str, compiled: str = "auto") -> Callable[[Tools, Task], Started]:
    def start(tools: Tools, task: Task) -> Started:
        env = (("PYTHONPATH", str(tools.found["picows"])),) if module == "picows_peer" else ((SETTING, compiled),)
        return Started((sys.executable, "-m", f"tests.benchmarks.sockets.{module}", *task.words(), *more), env)

    return start


def _node(*more: str) -> Callable[[Tools, Task], Started]:
    def start(tools: Tools, task: Task) -> Started:
        # ws takes the compiled package when it finds it; who has not read about it does not have it.
        env = () if "--tuned" in more else (("WS_NO_BUFFER_UTIL", "1"),)
        return Started((str(tools.found["node"]), str(JS / "node_peer.mjs"), *task.words(), *more), env)

    return start


def _bun(*more: str) -> Callable[[Tools, Task], Started]:
    def start(tools: Tools, task: Task) -> Started:
        return Started((str(tools.found["bun"]), str(JS / "bun_peer.mjs"), *task.words(), *more))

    return start


def _floor(merge: int) -> Callable[[Tools, Task], Started]:
    def start(tools: Tools, task: Task) -> Started:
        words = (
            f"port={task.port}",
            f"scenario={task.scenario}",
            f"merge={merge}",
            f"ping_ms={task.ping_s * 1000:.0f}",
        )
        return Started((str(tools.floor), *words))

    return start


_FAN: Final = frozenset({"busy", "spaced"})
_ALL: Final = _FAN | {"ingest", "board", "connect", "idle"}
_REDIS: Final = frozenset({"redis", "redis-busy"})

PEERS: Final[Sequence[Peer]] = (
    Peer("paceline", "Paceline", _python("paceline_peer"), (), _ALL | _REDIS | {"idle-50k"}),
    Peer(
        "paceline-usual-gc",
        "Paceline, garbage collector as it comes",
        _python("paceline_peer", "--usual-gc"),
        (),
        frozenset({"busy", "ingest", "connect", "idle"}),
    ),
    Peer(
        "paceline-as-is",
        "Paceline, not compiled",
        _python("paceline_peer", compiled="off"),
        (),
        _FAN | {"ingest", "board", "connect", "idle"},
    ),
    Peer("paceline-log", "Paceline, through the room's log", _python("paceline_peer", "--log"), (), _REDIS),
    Peer("pysio", "python-socketio", _python("pysio_peer"), (), _ALL | _REDIS),
    Peer("pysio-tuned", "python-socketio, tuned", _python("pysio_peer", "--tuned"), (), _ALL | _REDIS | {"idle-50k"}),
    Peer("node", "Node socket.io", _node(), ("node",), _ALL | _REDIS | {"idle-50k"}),
    Peer("node-tuned", "Node socket.io, tuned", _node("--tuned"), ("node",), _ALL | _REDIS),
    Peer("bun", "Bun socket.io", _bun(), ("bun",), _ALL),
    Peer("bun-tuned", "Bun socket.io, board batched", _bun("--tuned"), ("bun",), frozenset({"board"})),
    Peer("aiohttp", "plain aiohttp", _python("aiohttp_peer"), (), _ALL),
    Peer("picows", "picows", _python("picows_peer"), ("picows",), _ALL),
    Peer("floor", "C, each event sent at once", _floor(0), (), _ALL | {"idle-50k"}),
    Peer("floor-merging", "C, merging", _floor(1), (), frozenset({"busy", "board"})),
)
BY_NAME: Final = {peer.name: peer for peer in PEERS}
