"""`python -m tests.faults` (`make faults`): break the stand in every way there is, print the table, keep it.

    make faults                                         every fault in its full form, about half an hour
    make faults ARGS='--only F-10 F-12 --seed 7'        some of them; the other rows stay
    make faults ARGS='--short --dry'                    the forms that the tests run, in three minutes; nothing is kept

Histories go to .data/faults/ as JSON lines. The exit code is 0 when everything held.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from loadtest.scenarios.crew import allow_many_sockets
from tests.benchmarks.machine import ROOT, stamp
from tests.faults.bench import Form, Row, plan_of, run_case
from tests.faults.cases import CASES
from tests.faults.page import Kept, joined, load, save, table
from tests.faults.stand import open_stand
from tests.faults.swarm import open_swarm

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
        "--short", action="store_true", help="as in the tests: a fraction of the load, three minutes in all"
    )
    parser.add_argument("--dry", action="store_true", help="print the table and keep nothing")
    parser.add_argument("--page", action="store_true", help="break nothing; write the page anew from the rows kept")
    parser.add_argument("--keep", type=Path, default=HISTORIES, help="folder for the histories")
    return parser.parse_args(argv)


async def run(numbers: list[str], *, seed: int, form: Form, keep: Path) -> list[Row]:
    """These faults on one stand, each told as it ends."""
    rows = []
    ping_s = BRISK_PING_S if form == "short" else None
    async with open_stand(ping_s=ping_s) as stand, open_swarm(stand, plan_of(form), seed) as swarm:
        for number in numbers:
            row = await run_case(CASES[number], stand, swarm, seed=seed, form=form, keep=keep)
            print(f"{row.id} {row.title}: {row.verdict} ({row.seconds:.0f} s)", flush=True)
            for finding in row.findings[:8]:
                print(f"    {finding}", flush=True)
            rows.append(row)
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
    rows = uvloop.run(run(numbers, seed=options.seed, form=form, keep=options.keep))
    print(f"\n{table(rows)}\n\n{time.monotonic() - began:.0f} s, seed {options.seed}, commit {when.commit}")
    if not options.dry:
        save(joined(load(), (Kept(when, row) for row in rows)))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
