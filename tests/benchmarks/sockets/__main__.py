"""Run the peers in turn and compare: `python -m tests.benchmarks.sockets`, or `make bench ARGS='--only sockets'`.

All peers take their turn within a round, so that a slow minute of the machine meets all of them; ratios are taken within a round.
The whole takes about 45 minutes; `--scenarios` measures some and keeps the others, each of them below seven minutes. `--quick`
shows in a few minutes that the measuring works, and writes nothing.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from tests.benchmarks.machine import machine, spanning, stamp
from tests.benchmarks.proc import wait_for_quiet
from tests.benchmarks.sockets.build import CannotMeasure, tools
from tests.benchmarks.sockets.peers import BY_NAME as PEERS_BY_NAME
from tests.benchmarks.sockets.peers import PEERS, Peer
from tests.benchmarks.sockets.render import asked, page, section
from tests.benchmarks.sockets.results import COMMAND, FILE, AnotherMachine, Measured, Results, Run, joined, load, save
from tests.benchmarks.sockets.scenarios import BY_NAME, SCENARIOS, Scenario
from tests.benchmarks.sockets.turns import Bench, bench, turn

PAGE: Final = FILE.parent / "sockets.md"
PATIENCE_S: Final = 15.0
"""For a quiet machine, before each scenario. No longer: what a busy minute does to a ratio, the rounds take out."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.sockets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--scenarios", nargs="+", metavar="NAME", choices=BY_NAME, help=f"some of: {', '.join(BY_NAME)}"
    )
    command.add_argument(
        "--peers", nargs="+", metavar="NAME", choices=PEERS_BY_NAME, help="some of them; prints, writes nothing"
    )
    command.add_argument("--rounds", type=int, help="instead of each scenario's own number; prints, writes nothing")
    command.add_argument("--quick", action="store_true", help="small and once; prints, writes nothing")
    command.add_argument("--page", action="store_true", help="measure nothing, write the page anew from sockets.json")
    return command


def main(argv: list[str] | None = None) -> int:
    """Measure. 1 when a peer lost, doubled or misrouted events, 2 when nothing can be measured or kept."""
    args = parser().parse_args(argv)
    if args.page:
        return _page_anew()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    writes = not (args.quick or args.peers or args.rounds)
    peers = [PEERS_BY_NAME[name] for name in args.peers] if args.peers else list(PEERS)
    try:
        with tempfile.TemporaryDirectory(prefix="paceline-sockets-") as folder:
            made = tools(Path(folder))
            results = Results(COMMAND, machine(Path(folder)), made.versions, {})
            kept = joined(load() if args.scenarios and writes else None, results)
            here = bench(made, Path(folder))
            return _measure_all(here, _chosen(args), peers, results, kept, writes=writes)
    except (AnotherMachine, CannotMeasure, msgspec.DecodeError) as problem:
        print(problem, file=sys.stderr)
        return 2


def _chosen(args: argparse.Namespace) -> list[Scenario]:
    chosen = [BY_NAME[name] for name in args.scenarios] if args.scenarios else list(SCENARIOS)
    if args.quick:
        chosen = [scenario.quick() for scenario in chosen]
    if args.rounds:
        chosen = [replace(scenario, rounds=args.rounds) for scenario in chosen]
    return chosen


def _measure_all(
    here: Bench, chosen: Sequence[Scenario], peers: Sequence[Peer], results: Results, kept: Results, *, writes: bool
) -> int:
    faults = 0
    for scenario in chosen:
        measured = measure(here, scenario, peers)
        faults += len(measured.faults())
        results = msgspec.structs.replace(results, scenarios=results.scenarios | {scenario.name: measured})
        print(section(scenario, measured) + "\n", flush=True)
        if writes:
            _write(_in_order(joined(kept, results)))
    print(asked(results), flush=True)
    return 1 if faults else 0


def measure(here: Bench, scenario: Scenario, peers: Sequence[Peer]) -> Measured:
    """All rounds of one scenario."""
    wait_for_quiet(PATIENCE_S)
    began, started = stamp(), time.monotonic()
    taking_part = [peer for peer in peers if peer.takes_part(scenario)]
    lacking = {peer.name: why for peer in taking_part if (why := peer.lacking(here.tools, scenario))}
    runs: list[Run] = []
    for number in range(scenario.rounds):
        for peer in taking_part:
            if peer.name in lacking:
                continue
            run = turn(here, scenario, peer, number)
            runs.append(run)
            print(f"{scenario.name} {number + 1}/{scenario.rounds} {_told(run, scenario)}", file=sys.stderr, flush=True)
    return Measured(spanning(began, stamp()), round(time.monotonic() - started, 1), tuple(runs), lacking)


def _told(run: Run, scenario: Scenario) -> str:
    if run.result is None:
        return f"{run.peer}: {run.fault}"
    if scenario.load == "idle" and run.first is not None:
        return f"{run.peer}: {run.first.kib_each:.2f} KiB, {run.result.us_each:.1f} µs per ping"
    if scenario.load == "connect":
        return f"{run.peer}: {run.result.us_each:.0f} µs"
    return f"{run.peer}: {run.result.per_cpu_s:,.0f} per CPU s"


def _page_anew() -> int:
    kept = load()
    if kept is None:
        print(
            "there are no results to write a page from; measure first: python -m tests.benchmarks.sockets",
            file=sys.stderr,
        )
        return 2
    _write(kept)
    return 0


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _in_order(results: Results) -> Results:
    return msgspec.structs.replace(
        results, scenarios={name: results.scenarios[name] for name in BY_NAME if name in results.scenarios}
    )


def _write(results: Results) -> None:
    text = page(PAGE.read_text("utf-8"), results)
    save(results)
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
