"""`python -m tests.faults` (`make faults`): break the stand in every way there is, print the table, keep it.

    make faults                                         every fault in its full form, three quarters of an hour
    make faults ARGS='--only F-10 F-12 --seed 7'        some of them; the other rows stay
    make faults ARGS='--short --dry'                    the forms that the tests run, in six minutes; nothing is kept

Histories go to .data/faults/ as JSON lines. The exit code is 0 when everything held.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import uvloop

from loadtest.scenarios.crew import allow_many_sockets
from tests.benchmarks.machine import ROOT, stamp
from tests.faults.bench import Form, Row, plan_of, run_case
from tests.faults.cases import CASES, WITH_BROKER
from tests.faults.cases.tasks import NODES
from tests.faults.outside import open_outside
from tests.faults.page import Kept, joined, load, said, save, table, tasks_table
from tests.faults.stand import open_stand
from tests.faults.swarm import open_swarm
from tests.faults.works import BRISK, FULL, open_works
from tests.support.rabbitmq import RabbitMQ, open_rabbitmq

HISTORIES: Final = ROOT / ".data" / "faults"
BRISK_PING_S: Final = 3.0
SOCKETS: Final = 10_000


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=CASES, metavar="F-NN", help="these faults, and keep the other rows"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--short", action="store_true", help="as in the tests: a fraction of the load, six minutes in all"
    )
    parser.add_argument("--dry", action="store_true", help="print the table and keep nothing")
    parser.add_argument("--page", action="store_true", help="break nothing; write the page anew from the rows kept")
    parser.add_argument("--keep", type=Path, default=HISTORIES, help="folder for the histories")
    return parser.parse_args(argv)


async def run(
    numbers: Sequence[str], *, seed: int, form: Form, keep: Path, broker: RabbitMQ | None = None
) -> list[Row]:
    """These faults on one stand, each told as it ends."""
    rows = []
    tempo = BRISK if form == "short" else FULL
    async with AsyncExitStack() as resources:
        ping_s = BRISK_PING_S if form == "short" else None
        outside = await resources.enter_async_context(open_outside()) if broker is not None else None
        environ = tempo.environ() | (outside.environ() if outside is not None else {})
        stand = await resources.enter_async_context(open_stand(ping_s=ping_s, broker=broker, **environ))
        swarm = await resources.enter_async_context(open_swarm(stand, plan_of(form, broker=broker is not None), seed))
        works = None
        if broker is not None:
            nodes = NODES if "F-28" in numbers else 0
            works = await resources.enter_async_context(open_works(stand, tempo, nodes=nodes, outside=outside))
        for number in numbers:
            row = await run_case(CASES[number], stand, swarm, seed=seed, form=form, keep=keep, works=works)
            print(f"{row.id} {row.title}: {row.verdict} ({row.seconds:.0f} s)", flush=True)
            print(f"    {said(row)}", flush=True)
            for finding in row.findings[:8]:
                print(f"    {finding}", flush=True)
            rows.append(row)
    return rows


def run_all(numbers: Sequence[str], *, seed: int, form: Form, keep: Path) -> list[Row]:
    """These faults, on a stand without a broker and on one with it."""
    rows = []
    if plain := [number for number in numbers if number not in WITH_BROKER]:
        rows += uvloop.run(run(plain, seed=seed, form=form, keep=keep))
    if later := [number for number in numbers if number in WITH_BROKER]:
        with open_rabbitmq() as broker:
            rows += uvloop.run(run(later, seed=seed, form=form, keep=keep, broker=broker))
    return rows


def main() -> int:
    """Run, print, keep."""
    options = arguments()
    if options.page:
        save(load())
        return 0
    allow_many_sockets(SOCKETS)
    began, when = time.monotonic(), stamp()
    form: Form = "short" if options.short else "full"
    numbers = list(CASES) if options.only is None else [number for number in CASES if number in options.only]
    rows = run_all(numbers, seed=options.seed, form=form, keep=options.keep)
    later = [row for row in rows if row.counts.facts]
    print(
        f"\n{table(rows)}\n\n{tasks_table(later)}\n\n{time.monotonic() - began:.0f} s, seed {options.seed}, commit {when.commit}"
    )
    if not options.dry:
        save(joined(load(), (Kept(when, row) for row in rows)))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
