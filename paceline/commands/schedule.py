"""`paceline schedule`: what a running installation does by the clock, how the last time went, and doing a job now.

It asks over HTTP with the admin token (paceline/operating.py), any gateway of the installation.
"""

import argparse
import asyncio
import sys
from datetime import timedelta
from typing import Final

import aiohttp
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from paceline.operating import ASK_TIMEOUT, CannotAsk, NoAnswer, Operated, Refused, operated
from services.kernel.clock import utc
from services.schedule.jobs import JobView, ScheduleNow, TickView

LOOK_S: Final = 0.5
FILE_WIDTH: Final = 200
"""Characters of a line that goes into a file or another program."""
PATH: Final = "/v1/operations/schedule"

DESCRIPTION: Final = """
Shows the jobs: when each is due, when it was done last and what came of it, and which node does them. With `run JOB` it asks for a
job now, also before its time, waits until it is done, and says how it went.
"""

EPILOG: Final = """
exit codes:
  0  shown, or done
  1  the gateway refused, or the job failed
  2  the call or the settings are wrong, or there is no token to show
  3  no gateway answers there, or nobody did the job in time
  130  interrupted
"""


class NotDone(Exception):  # noqa: N818 - said to people as it is
    """The job was asked for and has failed; the message says with what."""


class NobodyDid(Exception):  # noqa: N818 - said to people as it is
    """The job was asked for, and nobody has done it in time; it will be done all the same."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "schedule",
        help="show what a running installation does by the clock, or have a job done now",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--url", help="address of a gateway (default: PACELINE_URL, else this machine's PACELINE_PORT)"
    )
    command.add_argument("--json", action="store_true", help="the answer as JSON, on one line")
    acts = command.add_subparsers(dest="act", metavar="ACT")
    act = acts.add_parser("run", help="have a job done now")
    act.add_argument("job", help="its name, as the list has it")
    act.add_argument(
        "--wait", type=float, default=60.0, metavar="SECONDS", help="how long to wait for its end (default: 60)"
    )


def run(args: argparse.Namespace) -> int:
    """Show it or have it done; see EPILOG for the exit codes."""
    try:
        asyncio.run(_act(operated(args.url), args))
    except CannotAsk as wrong:
        return _say(str(wrong), 2)
    except (Refused, NotDone) as refused:
        return _say(str(refused), 1)
    except (NoAnswer, NobodyDid) as away:
        return _say(str(away), 3)
    return 0


async def _act(gateway: Operated, args: argparse.Namespace) -> None:
    async with aiohttp.ClientSession(timeout=ASK_TIMEOUT) as client:
        if args.act is None:
            seen = await gateway.ask(client, PATH, ScheduleNow)
            if args.json:
                print(msgspec.json.encode(seen).decode())
            else:
                _show(seen)
            return
        done = await _run(client, gateway, args.job, args.wait)
    if args.json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"{args.job} is done: {done.did}")


async def _run(client: aiohttp.ClientSession, gateway: Operated, job: str, wait_s: float) -> TickView:
    """Have a job done, and what came of it. Raises `NotDone`, `NobodyDid`, and what asking raises."""
    asked_at = (await gateway.ask(client, PATH, ScheduleNow)).at_ms
    await gateway.tell(client, f"{PATH}/{job}/run")
    deadline = asyncio.get_running_loop().time() + wait_s
    while asyncio.get_running_loop().time() < deadline:
        seen = await gateway.ask(client, PATH, ScheduleNow)
        (found,) = [each for each in seen.jobs if each.job == job]
        last = found.last
        if not found.asked and last is not None and last.taken_ms >= asked_at:
            if last.problem is not None:
                raise NotDone(f"{job} has failed: {last.problem}")
            if last.ended_ms is not None:
                return last
        await asyncio.sleep(LOOK_S)
    leads = seen.leader is not None and seen.leader.leads
    raise NobodyDid(
        f"{job} was asked for and has not ended after {wait_s:g} s. "
        + ("It goes on; look again." if leads else "No scheduler leads: is a process with the role scheduler running?")
    )


def _show(seen: ScheduleNow) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    leader = seen.leader
    if leader is None:
        console.print("Nobody has led the schedule yet: no process with the role scheduler has run.", style="yellow")
    elif leader.leads:
        console.print(f"{escape(leader.node)} leads since {_at(leader.since_ms)} (leader number {leader.epoch}).")
    else:
        console.print(f"Nobody leads. {escape(leader.node)} led until it died or stopped.", style="bold red")
    console.print(f"{seen.waiting} facts wait to be told later.")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("job", "due", "missed", "next", "last", "did", "failures", "problem"):
        table.add_column(name, justify="right" if name in {"did", "failures"} else "left", overflow="fold")
    for job in seen.jobs:
        table.add_row(*map(escape, _row(job, seen.at_ms)), style=_style(job))
    console.print(table)


def _row(job: JobView, now_ms: int) -> tuple[str, ...]:
    last = job.last
    return (
        job.job,
        job.due,
        job.missed,
        "now" if job.asked else _from_now(job.next_due_ms, now_ms),
        "never" if last is None else f"{_at(last.due_ms)}{'' if last.ended_ms else ', not ended'}",
        "" if last is None else str(last.did),
        str(job.failures),
        "" if last is None else last.problem or "",
    )


def _style(job: JobView) -> str:
    if not job.known:
        return "dim"
    return "yellow" if job.last is not None and job.last.problem is not None else ""


def _from_now(instant_ms: int | None, now_ms: int) -> str:
    if instant_ms is None:
        return ""
    if instant_ms <= now_ms:
        return "now"
    return f"in {timedelta(seconds=(instant_ms - now_ms) // 1_000)}"


def _at(instant_ms: int) -> str:
    return f"{utc(instant_ms):%Y-%m-%d %H:%M:%SZ}"


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
