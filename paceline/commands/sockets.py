"""`paceline sockets`: the sockets of a running gateway, counted, and the slowest connections in a table.

It asks over HTTP with the admin token (paceline/operating.py).
"""

import argparse
import asyncio
import math
import sys
from typing import Final, get_args

import aiohttp
import msgspec
from rich.console import Console

from gateway.http.operations import MOST_LINES, SocketsNow
from gateway.sockets.statistics import Order
from paceline.operating import ASK_TIMEOUT, CannotAsk, NoAnswer, Operated, Refused, operated
from paceline.sockets_view import show

WATCH_S: Final = 2.0
FILE_WIDTH: Final = 240
"""Characters of a line that goes into a file or another program: every column has room."""
DESCRIPTION: Final = """
Shows how many sockets a gateway has, in what state, how much waits in them, and the slowest of them. The admin token comes
from PACELINE_ADMIN_TOKEN (or PACELINE_ADMIN_TOKEN_FILE), else from the data folder (PACELINE_DATA_DIR).
"""

EPILOG: Final = """
orders:
  queued   most bytes waiting in the mailbox      waiting  longest without a byte moving
  rtt      slowest to answer a ping               age      open longest

exit codes:
  0  shown
  1  the gateway refused: wrong token, or operations are closed there
  2  the call or the settings are wrong, or there is no token to show
  3  no gateway answers there
  130  interrupted
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "sockets",
        help="show the sockets of a running gateway and the slowest connections",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--url", help="address of the gateway (default: PACELINE_URL, else this machine's PACELINE_PORT)"
    )
    command.add_argument("--order", choices=get_args(Order), default="queued", help='what "slowest" means')
    command.add_argument(
        "--limit",
        type=_limit,
        default=20,
        metavar="N",
        help=f"connections in the table, 0 to {MOST_LINES} (default: 20)",
    )
    command.add_argument("--json", action="store_true", help="the answer as JSON, one line each time")
    command.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH_S,
        metavar="SECONDS",
        help=f"ask again every so often until Ctrl-C (default: {WATCH_S:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Show it; see EPILOG for the exit codes."""
    try:
        asyncio.run(_show(operated(args.url), args))
    except CannotAsk as wrong:
        return _say(str(wrong), 2)
    except Refused as refused:
        return _say(str(refused), 1)
    except NoAnswer as away:
        return _say(str(away), 3)
    return 0


async def _show(gateway: Operated, args: argparse.Namespace) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    asked = {"order": args.order, "limit": str(args.limit)}
    async with aiohttp.ClientSession(timeout=ASK_TIMEOUT) as client:
        seen = await _ask(client, gateway, asked)
        _print(console, seen, as_json=args.json)
        while args.watch is not None:
            await asyncio.sleep(args.watch)
            try:
                seen = await _ask(client, gateway, asked)
            except NoAnswer as away:
                # A gateway that restarts is what one watches for: say so and go on.
                print(away, file=sys.stderr)
                continue
            if console.is_terminal and not args.json:
                console.clear()
            _print(console, seen, as_json=args.json)


async def _ask(client: aiohttp.ClientSession, gateway: Operated, asked: dict[str, str]) -> SocketsNow:
    return await gateway.ask(client, "/v1/operations/sockets", SocketsNow, asked=asked)


def _print(console: Console, seen: SocketsNow, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(seen).decode(), flush=True)
    else:
        show(console, seen)


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MOST_LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST_LINES}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.2 <= seconds <= 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.2 to 3600")
    return seconds


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
