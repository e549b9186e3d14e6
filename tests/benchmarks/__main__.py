"""`make bench`: run the scenarios on this machine, print the tables, write docs/performance/.

Everything runs on two cores, also on a machine that has more, since that is what is promised. `--only` measures some scenarios
again and keeps the others; `--quick` shows in a few minutes that the measurements work, and writes nothing; `--page` only
writes the page. Last come the comparisons with peers, of the task path (tests/benchmarks/tasks/) and of the socket engine
(tests/benchmarks/sockets/); each keeps a file of its own.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from tests.benchmarks import starts
from tests.benchmarks.announcing import announce_run
from tests.benchmarks.machine import machine, spanning, stamp
from tests.benchmarks.nodes import back_run, nodes_run
from tests.benchmarks.proc import wait_for_quiet
from tests.benchmarks.render import page, render
from tests.benchmarks.replay import CLASSES, measure
from tests.benchmarks.results import COMMAND, FILE, Results, Scenario, joined, load, save
from tests.benchmarks.scenarios import class_run, durable_run, fan_out_round, idle_pair
from tests.benchmarks.sockets.__main__ import main as compare_sockets
from tests.benchmarks.tasks.__main__ import main as compare_tasks

PAGE: Final = FILE.parent / "README.md"
CORES: Final = 2
CLASS_FRAME_BYTES: Final = 5_000
"""What a board frame of a class of 500 weighs, about, where that was not measured."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    starts: int
    repeats: int
    class_repeats: int
    seconds: int
    flood: int
    idle: int
    room: int
    window: int
    back: int
    told: int


FULL: Final = Size(
    starts=5,
    repeats=3,
    class_repeats=2,
    seconds=30,
    flood=100_000,
    idle=1_000,
    room=1_000,
    window=15,
    back=2_000,
    told=10_000,
)
QUICK: Final = Size(
    starts=1, repeats=1, class_repeats=1, seconds=10, flood=20_000, idle=200, room=100, window=5, back=200, told=500
)

Measure = Callable[[Size, Results], Scenario]
"""Measures one scenario; gets what was measured before."""


def _class(athletes: int, *, led: bool = False) -> Measure:
    def run(size: Size, _: Results) -> Scenario:
        runs = tuple(class_run(athletes, size.seconds, led=led) for _ in range(size.class_repeats))
        return Scenario(stamp(), classes=runs)

    return run


def _start(size: Size, _: Results) -> Scenario:
    return Scenario(stamp(), starts=starts.measure(size.starts))


def _durable(size: Size, _: Results) -> Scenario:
    return Scenario(stamp(), durables=tuple(durable_run(4, size.flood) for _ in range(size.repeats)))


def _idle(size: Size, _: Results) -> Scenario:
    pairs = [idle_pair(size.idle, size.window) for _ in range(size.repeats)]
    return Scenario(stamp(), idles=tuple(run for pair in pairs for run in pair))


def _fan_out(size: Size, before: Results) -> Scenario:
    class_500 = before.scenarios.get("class-500")
    large = class_500.classes[0].frame_bytes if class_500 else CLASS_FRAME_BYTES
    rounds = [fan_out_round(size.room, size.window, large) for _ in range(size.repeats)]
    return Scenario(stamp(), fan_outs=tuple(run for runs in rounds for run in runs))


def _two_nodes(athletes: int, *, led: bool = False) -> Measure:
    def run(size: Size, _: Results) -> Scenario:
        runs = []
        for _repeat in range(size.repeats):
            wait_for_quiet()
            runs.append(nodes_run(athletes, size.seconds, led=led))
        return Scenario(stamp(), nodes=tuple(runs))

    return run


def _back(size: Size, _: Results) -> Scenario:
    runs = []
    for _repeat in range(size.repeats):
        wait_for_quiet()
        runs.append(back_run(size.back))
    return Scenario(stamp(), backs=tuple(runs))


def _announcement(size: Size, _: Results) -> Scenario:
    runs = []
    for _repeat in range(size.repeats):
        wait_for_quiet()
        runs.append(announce_run(size.told))
    return Scenario(stamp(), announces=tuple(runs))


def _replay(size: Size, _: Results) -> Scenario:
    # Once: it is processor time that counts here, and a minute of class has hundreds of beats.
    return Scenario(stamp(), replays=tuple(measure(athletes, 2 * size.seconds) for athletes in CLASSES))


SCENARIOS: Final[Mapping[str, Measure]] = {
    "start": _start,
    "class-50": _class(50),
    "class-500": _class(500),
    "class-1000-led": _class(1_000, led=True),
    "class-500-two-nodes": _two_nodes(500),
    "class-2000-two-nodes-led": _two_nodes(2_000, led=True),
    "back": _back,
    "durable": _durable,
    "idle": _idle,
    "fan-out": _fan_out,
    "announcement": _announcement,
    "replay": _replay,
}


COMPARISONS: Final[Mapping[str, Callable[[list[str]], int]]] = {"tasks": compare_tasks, "sockets": compare_sockets}
"""Paceline beside its peers: benchmarks of their own, each with a file and a page of its own."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = (*SCENARIOS, *COMPARISONS)
    command.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"some of: {', '.join(names)}")
    command.add_argument("--quick", action="store_true", help="small and once; prints, writes nothing")
    command.add_argument("--page", action="store_true", help="measure nothing, write the page anew from results.json")
    return command


def main(argv: list[str] | None = None) -> int:
    """Measure. 1 when samples or clients were lost, 2 when those kept cannot be read."""
    args = parser().parse_args(argv)
    if args.page:
        return _page_anew()
    # Servers and drivers are ended by the blocks that started them, so they must be left also when somebody ends this program.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    here = machine(Path(tempfile.gettempdir()))
    size = QUICK if args.quick else FULL
    only = args.only or [*SCENARIOS, *COMPARISONS]
    chosen = [name for name in only if name in SCENARIOS]
    comparisons = [name for name in COMPARISONS if name in only]
    if not chosen:
        return _compared(comparisons, quick=args.quick)
    results = Results(COMMAND, here, {})
    try:
        kept = joined(load() if args.only and not args.quick else None, results)
    except msgspec.DecodeError as problem:
        print(problem, file=sys.stderr)
        return 2
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        began = stamp()
        scenario = SCENARIOS[name](size, joined(kept, results))
        scenario = msgspec.structs.replace(scenario, stamp=spanning(began, scenario.stamp))
        results = msgspec.structs.replace(results, scenarios=results.scenarios | {name: scenario})
        print(render(msgspec.structs.replace(results, scenarios={name: scenario})), flush=True)
        if not args.quick:
            # After each: an hour of measuring shall not be lost to a fault in the last minute.
            _write(_in_order(joined(kept, results)))
    faults = list(faults_of(results))
    for fault in faults:
        print(f"{fault}: that is a fault, not a figure", file=sys.stderr)
    compared = _compared(comparisons, quick=args.quick)
    return 1 if faults else compared


def _compared(names: Sequence[str], *, quick: bool) -> int:
    return max((COMPARISONS[name](["--quick"] if quick else []) for name in names), default=0)


def faults_of(results: Results) -> Iterator[str]:
    """What must never happen, however slow the machine is."""
    scenarios = results.scenarios.values()
    rooms = [run for scenario in scenarios for run in (*scenario.classes, *(nodes.room for nodes in scenario.nodes))]
    backs = [run for scenario in scenarios for run in scenario.backs]
    wrong = sum(run.lost + run.wrong for run in rooms)
    wrong += sum(run.wrong for scenario in scenarios for run in scenario.durables)
    if unheard := sum(run.led.unheard + run.led.shown for run in rooms if run.led is not None):
        yield f"{unheard} cues never came to a screen, or members who hid stayed on it"
    if wrong:
        yield f"{wrong} samples were lost or stored wrong"
    if missing := sum(run.missing for run in backs):
        yield f"{missing} phones did not come back"
    if mails := sum(run.wrong for scenario in scenarios for run in scenario.announces):
        yield f"{mails} mails were lost or sent twice"
    if differing := sum(run.differ for scenario in scenarios for run in scenario.replays):
        yield f"{differing} frames of a class were others when they were made again"
    if disturbed := sum(run.disturbed for run in backs):
        yield f"{disturbed} phones lost a gateway that nobody had killed"


def _page_anew() -> int:
    kept = load()
    if kept is None:
        print("there are no results to write a page from; measure first: make bench", file=sys.stderr)
        return 2
    _write(kept)
    return 0


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _in_order(results: Results) -> Results:
    return msgspec.structs.replace(
        results, scenarios={name: results.scenarios[name] for name in SCENARIOS if name in results.scenarios}
    )


def _write(results: Results) -> None:
    text = page(PAGE.read_text("utf-8"), results)
    save(results)
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
