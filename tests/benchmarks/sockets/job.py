"""What every peer in Python has in common: what it is told to be, the sample it is sent, and how it ends.

A peer serves one scenario of the little protocol and nothing else:

* CONNECT to `/live` with `{"token": …}`; a peer that speaks Socket.IO by a library checks the token as Paceline does
* `room.join {"code": "ROOM0007", "role": "athlete"}` joins a room; acknowledged
* `stream.samples {"stream": …, "seq": n, "samples": [[t, bpm]]}` is checked and then, by scenario: acknowledged (ingest), told to
  the room as `stream.taken` (fan-out), or shown to the room as a row of `board.changes` (board)

A stream's id names the room (last 12 digits, the first four) and the member in it (the last eight). A row bears the sample's
number in place of the rank, so that every receiver knows whether it has missed one.
"""

import argparse
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from realtime.wire import NAMESPACE
from services.accounts.accounts import identifier
from services.accounts.keyring import load_key
from services.accounts.tokens import Tokens
from services.kernel.clock import SystemClock

ROOM_DIGITS: Final = slice(-12, -8)
MEMBER_DIGITS: Final = slice(-8, None)


@dataclass(frozen=True, slots=True)
class Job:
    """`scenario` as the load names it; `ping_s` the ping interval; `redis` a URL or empty; `tuned` whether the peer is set up
    as somebody would who has read all of its documentation; `beat_s` between two boards of a peer that batches;
    `usual_gc` whether Paceline's settings of the garbage collector are left out; `log` whether events go through the room's
    log."""

    port: int
    scenario: str
    key: Path
    ping_s: float
    redis: str
    tuned: bool
    beat_s: float
    usual_gc: bool = False
    log: bool = False

    @property
    def is_board(self) -> bool:
        return self.scenario == "board"

    @property
    def is_ingest(self) -> bool:
        return self.scenario == "ingest"

    def identify(self) -> Any:
        """Who a token belongs to: the check that Paceline makes, for every peer that checks."""
        return identifier(Tokens(load_key(self.key.read_bytes())), SystemClock())


def job() -> Job:
    """The job on the command line. The program ends when its standard input does, so none is left over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument(
        "--key", type=Path, required=True, help="PEM file of the Ed25519 key that tokens are signed with"
    )
    parser.add_argument("--ping-s", type=float, default=25.0)
    parser.add_argument("--redis", default="")
    parser.add_argument("--tuned", action="store_true")
    parser.add_argument("--beat-s", type=float, default=0.25)
    parser.add_argument("--usual-gc", action="store_true", help="leave the garbage collector as Python has it")
    parser.add_argument("--log", action="store_true", help="say events through the room's log")
    args = parser.parse_args()
    threading.Thread(target=_end_with_input, daemon=True).start()
    return Job(
        args.port, args.scenario, args.key, args.ping_s, args.redis, args.tuned, args.beat_s, args.usual_gc, args.log
    )


def ready() -> None:
    """Tell the harness that the port answers."""
    print("ready", flush=True)


def _end_with_input() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


# -- the work, for peers that have no wire catalogue ---------------------------------------------------------------------------


class Wrong(Exception):  # noqa: N818 - a client of the benchmark never is
    """A sample that does not fit."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A checked sample."""

    stream: str
    seq: int
    bpm: int


def checked(payload: Any) -> Taken:
    """The checks somebody writes by hand: shape, types and ranges. Raises Wrong."""
    if not isinstance(payload, dict) or len(payload) != 3:
        raise Wrong("an object of three fields")
    stream, seq, samples = payload.get("stream"), payload.get("seq"), payload.get("samples")
    if not isinstance(stream, str) or len(stream) != 36 or not isinstance(seq, int) or not 0 <= seq < 2**53:
        raise Wrong("stream and seq")
    if not isinstance(samples, list) or not 1 <= len(samples) <= 1000:
        raise Wrong("samples")
    for sample in samples:
        if not isinstance(sample, list) or not 2 <= len(sample) <= 3:
            raise Wrong("a sample")
        t, bpm = sample[0], sample[1]
        if not isinstance(t, int) or not 0 <= t <= 604_800_000 or not isinstance(bpm, int) or not 20 <= bpm <= 250:
            raise Wrong("t and bpm")
    return Taken(stream, seq, samples[0][1])


def stored(taken: Taken) -> dict[str, Any]:
    """The acknowledgement of a sample."""
    return {"ok": {"stream": taken.stream, "next_seq": taken.seq + 1}}


def told(taken: Taken) -> dict[str, Any]:
    """The event that tells a room of a sample."""
    return {"stream": taken.stream, "epoch": taken.seq}


def zone_of(bpm: int) -> tuple[int, int]:
    """Percent of a maximum of 190, and the zone."""
    percent = bpm * 100 // 190
    return percent, 0 if percent < 50 else 5 if percent >= 90 else (percent - 40) // 10


def row(taken: Taken) -> list[Any]:
    """The row of a sample on the board."""
    percent, zone = zone_of(taken.bpm)
    return [int(taken.stream[MEMBER_DIGITS], 16), taken.seq, taken.bpm, percent, zone, taken.seq / 10, "live"]


def room_of(code: str) -> str:
    """The id of the room that a join code names."""
    return f"00000000-0000-4000-8000-{int(code[4:]):04x}00000000"


class Board:
    """The board of one room: its id, its version, and the rows of this beat."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.rows: list[list[Any]] = []
        self._version = 0

    def changes(self, rows: list[list[Any]]) -> dict[str, Any]:
        """The next change, with these rows."""
        self._version += 1
        at_ms = SystemClock().wall_ms()
        return {"class_id": self.room, "epoch": "e", "v": self._version, "at_ms": at_ms, "rows": rows}

    def beat(self) -> dict[str, Any] | None:
        """What came since the last beat."""
        rows, self.rows = self.rows, []
        return self.changes(rows) if rows else None


# -- the protocol by hand, for peers that are bare WebSocket libraries ---------------------------------------------------------

_LIVE: Final = NAMESPACE
OPENED: Final = '0{{"sid":"{sid}","upgrades":[],"pingInterval":{ms},"pingTimeout":20000,"maxPayload":262144}}'
WELCOME: Final = f'40{_LIVE},{{"sid":"x"}}'
_arguments: Final = msgspec.json.Decoder(list[Any])


def event_of(message: str) -> tuple[str, str, Any]:
    """Acknowledgement id (or nothing), name and payload of an event. Raises Wrong."""
    begin = message.find("[")
    head = f"42{_LIVE},"
    if not message.startswith(head) or begin < 0:
        raise Wrong(message)
    name, payload = _arguments.decode(message[begin:])
    return message[len(head) : begin], name, payload


def event_text(name: str, payload: Any) -> str:
    """An event as the text that a WebSocket carries."""
    return f'42{_LIVE},["{name}",{msgspec.json.encode(payload).decode()}]'


def ack_text(ack_id: str, answer: Any) -> str:
    """An acknowledgement as the text that a WebSocket carries."""
    return f"43{_LIVE},{ack_id}[{msgspec.json.encode(answer).decode()}]"
