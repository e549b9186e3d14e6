"""One class of many athletes at 1 Hz: how long from the wrist to the board, and was anything lost?

A watcher (a spectator with a socket of its own, in a process of its own) receives the boards that everybody
receives, and notes when it first saw each reading. The athletes live in another process (`swarm.py`) and note
when they sent it. Latency is the difference: sending, socket, board, beat, socket, receiving. A reading that a
newer one replaced before a board went out has no latency; those are counted as passed over.

The class may be spread over several gateways: athlete after athlete takes the next of them, and the watcher stays on the first.
What it sees of athletes on the others has travelled between nodes, and is counted apart as well.

With `--led` somebody leads it meanwhile (`lead.py`): an open cockpit, cues, and a member who hides and shows themselves again.

After the run every stream is finished, which the server only grants when everything is stored, and a few
workouts are read back sample by sample.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from loadtest.api import Api
from loadtest.client import display_tokens, open_client
from loadtest.scenarios.crew import (
    Person,
    Spread,
    add_target,
    cpu_seconds,
    make_class,
    open_api,
    refuse_remote,
    register,
    run,
    spread_of,
    tell,
    tell_result,
)
from loadtest.scenarios.lead import Leading, Led, open_leading
from loadtest.scenarios.marked import Sightings, marked_sample
from loadtest.scenarios.swarm import AthleteReport, Orders, Report, gateway_of
from realtime.wire import BoardChanges, BoardSnapshot

STREAM_LIMIT: Final = 256 * 1024 * 1024
"""The longest line a swarm may print: its whole report."""
SETTLE_S: Final = 3.0
"""After everybody has joined, before the clock starts: sockets, caches and the interpreter come to rest."""


class ClassLoad(msgspec.Struct, frozen=True):
    """The result. Latencies in ms; `lost` samples were sent and not stored; `late_ms` is the sender's own lateness.

    `board_ms` sent to seen by the watcher, `far_ms` the same of the athletes on other gateways alone, `own_row_ms` sent to seen by
    the athlete itself, `ack_ms` sent to acknowledged as stored. `not_live` counts rows that said stale or lost while their athlete
    was streaming.
    """

    athletes: int
    seconds: int
    sent: int
    stored: int
    lost: int
    board_ms: Spread
    far_ms: Spread
    passed_over: int
    own_row_ms: Spread
    ack_ms: Spread
    late_ms: Spread
    watcher_frames: int
    athlete_frames: int
    mean_frame_bytes: int
    reconnects: int
    not_live: int
    checked_workouts: int
    checked_samples: int
    wrong_samples: int
    swarm_cpu_seconds: float
    watcher_cpu_seconds: float
    led: Led | None = None


class Watcher:
    """A spectator that notes when each row changed. `seen` is per member number a row of (bpm, monotonic ns)."""

    def __init__(self) -> None:
        self.seen: dict[int, list[tuple[int, int]]] = {}
        self.frames = 0
        self.not_live = 0
        self.watching = False

    def on_board(self, board: BoardChanges | BoardSnapshot) -> None:
        """A frame came."""
        now = time.monotonic_ns()
        if not self.watching:
            return
        self.frames += 1
        for row in board.rows:
            if row.bpm is not None:
                self.seen.setdefault(row.n, []).append((row.bpm, now))
            else:
                self.not_live += row.freshness in ("stale", "lost")


class Swarm:
    """The other process, as seen from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the swarm is spoken to by pipes")
        self._process, self._in, self._out = process, process.stdin, process.stdout

    async def _line(self) -> bytes:
        line = await self._out.readline()
        if not line:
            raise SystemExit(f"the swarm ended early with code {await self._process.wait()}; its words are above")
        return line

    async def _write(self, line: bytes) -> None:
        self._in.write(line + b"\n")
        await self._in.drain()

    async def ready(self, orders: Orders) -> None:
        """Give the orders, wait until everybody is connected."""
        await self._write(msgspec.json.encode(orders))
        await self._line()

    async def stream(self) -> Report:
        """Let them stream, until everything is stored."""
        await self._write(b"")
        return msgspec.json.decode(await self._line(), type=Report)


@asynccontextmanager
async def open_swarm() -> AsyncIterator[Swarm]:
    """Start the other process; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtest.scenarios.swarm",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=STREAM_LIMIT,
    )
    try:
        yield Swarm(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def measure(
    url: str,
    *,
    athletes: int,
    seconds: int,
    more_urls: Sequence[str] = (),
    own_rows: int = 20,
    check: int = 5,
    settle_s: float = SETTLE_S,
    led: bool = False,
) -> ClassLoad:
    """Run it. `check` workouts are read back; raises what the client raises when the server refuses."""
    urls = (url, *more_urls)
    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(open_api(one)) for one in urls]
        api = apis[0]
        tell("registering", athletes=athletes)
        coach, room = await make_class(api, f"Load: {athletes} athletes")
        people = await register(api, athletes)
        watcher = Watcher()
        display = await display_tokens(api, room.code)
        leading = await stack.enter_async_context(open_leading(apis, coach, room, display)) if led else None
        async with open_client(api, display) as screen, open_swarm() as swarm:
            screen.link.on("board.changes", watcher.on_board)
            screen.link.on("board.snapshot", watcher.on_board)
            await screen.join(room.code, "spectator")
            tell("connecting", athletes=athletes)
            await swarm.ready(Orders(urls, room.code, seconds, tuple(people), own_rows))
            tell("connected", athletes=athletes)
            await asyncio.sleep(settle_s)
            tell("streaming", seconds=seconds)
            cpu_before = cpu_seconds()
            watcher.watching = True
            report, lead = await asyncio.gather(swarm.stream(), _led(leading, seconds))
            watcher.watching = False
            cpu = cpu_seconds() - cpu_before
            tell("stored")
        checked, wrong = await _read_back(api, people, report.athletes[:check])
        await api.end_class(await coach.current(), room.id)
    return _result(
        athletes,
        seconds,
        watcher,
        report,
        gateways=len(urls),
        check=min(check, athletes),
        checked=checked,
        wrong=wrong,
        cpu=cpu,
        led=lead,
    )


async def _led(leading: Leading | None, seconds: int) -> Led | None:
    return None if leading is None else await leading.lead(seconds)


async def _read_back(api: Api, people: Sequence[Person], reports: Sequence[AthleteReport]) -> tuple[int, int]:
    """How many stored samples were compared with those sent, and how many differ or are missing."""
    checked = wrong = 0
    for number, (person, report) in enumerate(zip(people, reports, strict=False)):
        stored = await api.samples(await person.tokens(api).current(), report.workout)
        sent = [marked_sample(number, k) for k in range(len(report.sent_ns))]
        checked += len(sent)
        wrong += abs(len(sent) - len(stored)) + sum(a != b for a, b in zip(sent, stored, strict=False))
    return checked, wrong


def _result(
    athletes: int,
    seconds: int,
    watcher: Watcher,
    report: Report,
    *,
    gateways: int,
    check: int,
    checked: int,
    wrong: int,
    cpu: float,
    led: Led | None,
) -> ClassLoad:
    latencies: list[float] = []
    far: list[float] = []
    passed_over = 0
    for number, one in enumerate(report.athletes):
        sightings = Sightings(number, one.sent_ns)
        for bpm, at_ns in watcher.seen.get(one.n, ()):
            sightings.seen(bpm, at_ns)
        latencies += sightings.latencies_ms
        if gateway_of(number, gateways):
            far += sightings.latencies_ms
        passed_over += sightings.passed_over
    sent = sum(len(one.sent_ns) for one in report.athletes)
    stored = sum(one.stored for one in report.athletes)
    return ClassLoad(
        athletes=athletes,
        seconds=seconds,
        sent=sent,
        stored=stored,
        lost=sent - stored,
        board_ms=spread_of(latencies),
        far_ms=spread_of(far),
        passed_over=passed_over,
        own_row_ms=spread_of([ms for one in report.athletes for ms in one.own_row_ms]),
        ack_ms=spread_of([ms for one in report.athletes for ms in one.ack_ms]),
        late_ms=spread_of(report.late_ms),
        watcher_frames=watcher.frames,
        athlete_frames=report.frames,
        mean_frame_bytes=report.frame_bytes // max(report.frames, 1),
        reconnects=report.connections - athletes,
        not_live=watcher.not_live,
        checked_workouts=check,
        checked_samples=checked,
        wrong_samples=wrong,
        swarm_cpu_seconds=report.cpu_seconds,
        watcher_cpu_seconds=round(cpu, 2),
        led=led,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="python -m loadtest.scenarios.class_load", description=__doc__)
    command.add_argument("--athletes", type=int, default=50, help="connections with a stream each (default: 50)")
    command.add_argument("--seconds", type=int, default=30, help="samples per athlete, one a second (default: 30)")
    command.add_argument("--own-rows", type=int, default=20, help="athletes that look for their own row (default: 20)")
    command.add_argument("--check", type=int, default=5, help="workouts read back sample by sample (default: 5)")
    command.add_argument("--led", action="store_true", help="with a coach who speaks and a member who hides")
    add_target(command)
    command.add_argument(
        "--more-urls", nargs="+", default=[], metavar="URL", help="further gateways: the athletes are spread over all"
    )
    return command


async def _main(args: argparse.Namespace) -> int:
    result = await measure(
        args.url,
        more_urls=args.more_urls,
        athletes=args.athletes,
        seconds=args.seconds,
        own_rows=args.own_rows,
        check=args.check,
        led=args.led,
    )
    tell_result(result)
    return 1 if result.lost or result.wrong_samples else 0


if __name__ == "__main__":
    arguments = parser().parse_args()
    for target in (arguments.url, *arguments.more_urls):
        refuse_remote(target, allowed=arguments.allow_remote)
    sys.exit(run(_main(arguments)))
