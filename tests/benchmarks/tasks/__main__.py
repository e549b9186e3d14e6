"""Run the peers in turn and compare: `python -m tests.benchmarks.tasks`, or `make bench ARGS='--only tasks'`.

All peers take their turn within a round, so that a slow minute of the machine meets all of them; ratios are taken within a round.
The whole takes about five minutes. `--quick` shows in one that the measuring works, and writes nothing; `--page` writes the page
anew from tasks.json.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

from tests.benchmarks.machine import machine, spanning, stamp
from tests.benchmarks.proc import wait_for_quiet
from tests.benchmarks.tasks.build import Tools, tools
from tests.benchmarks.tasks.render import page, render
from tests.benchmarks.tasks.results import COMMAND, FILE, Results, Run, load, save
from tests.benchmarks.tasks.servers import open_servers
from tests.benchmarks.tasks.turns import FULL, QUICK, Peer, Size, peers, turn

PAGE: Final = FILE.with_suffix(".md")
CORES: Final = 2
ROUNDS: Final = 2
PATIENCE_S: Final = 15.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.tasks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [peer.name for peer in peers(Path())]
    command.add_argument("--peers", nargs="+", metavar="NAME", choices=names, help="some of them; writes nothing")
    command.add_argument("--quick", action="store_true", help="small and once; prints, writes nothing")
    command.add_argument("--page", action="store_true", help="measure nothing, write the page anew from tasks.json")
    return command


def main(argv: list[str] | None = None) -> int:
    """Measure. 1 when a peer lost or doubled tasks or could not be measured, 2 when there is nothing to write a page from."""
    args = parser().parse_args(argv)
    if args.page:
        return _page_anew()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    made = tools()
    chosen = [peer for peer in peers(made.python) if not args.peers or peer.name in args.peers]
    results = measure(made, chosen, QUICK if args.quick else FULL, 1 if args.quick else ROUNDS)
    print(render(results), flush=True)
    if not (args.quick or args.peers):
        _write(results)
    return 1 if any(run.fault or run.wrong for run in results.runs) else 0


def measure(made: Tools, chosen: list[Peer], size: Size, rounds: int) -> Results:
    """All rounds."""
    lacking = {
        peer.name: made.lacking[need] for peer in chosen for need in reversed(peer.needs) if need in made.lacking
    }
    taking_part = [peer for peer in chosen if peer.name not in lacking]
    began, started = stamp(), time.monotonic()
    runs: list[Run] = []
    wait_for_quiet(PATIENCE_S)
    with open_servers(broker="rabbitmq" not in made.lacking) as servers:
        for number in range(rounds):
            for peer in taking_part:
                run = turn(servers, peer, number, size)
                runs.append(run)
                told = run.fault or f"{run.per_s:,.0f} per s, {run.per_cpu_s:,.0f} per CPU s"
                print(f"{number + 1}/{rounds} {peer.label}: {told}", file=sys.stderr, flush=True)
    return Results(
        COMMAND,
        spanning(began, stamp()),
        machine(Path(tempfile.gettempdir())),
        made.versions,
        round(time.monotonic() - started, 1),
        tuple(runs),
        lacking,
    )


def _page_anew() -> int:
    kept = load()
    if kept is None:
        print(f"there are no results to write a page from; measure first: {COMMAND}", file=sys.stderr)
        return 2
    _write(kept)
    return 0


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _write(results: Results) -> None:
    text = page(PAGE.read_text("utf-8"), results)
    save(results)
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
