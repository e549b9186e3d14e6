"""`paceline sockets`: the sockets of a running gateway, counted, and the slowest connections in a table.

It asks over HTTP, as the page /operations does, with the admin token: the one in PACELINE_ADMIN_TOKEN, or the one that `paceline
run` made in the data folder of this machine.
"""

import argparse
import asyncio
import math
import os
import sys
from typing import Final, get_args
from urllib.parse import urlsplit

import aiohttp
import msgspec
from rich.console import Console

from gateway.http.operations import MOST_LINES, SocketsNow
from gateway.http.problems import ProblemBody
from gateway.sockets.statistics import Order
from paceline.keys import ADMIN_TOKEN_FILE, known_admin_token
from paceline.settings import Settings, SettingsError, load_settings
from paceline.sockets_view import show

WATCH_S: Final = 2.0
FILE_WIDTH: Final = 240
"""Characters of a line that goes into a file or another program: every column has room."""
CLIENT_VARIABLES: Final = frozenset({"PACELINE_URL", "PACELINE_PASSWORD"})
"""What commands that are clients read; to a server they would be misspelt options."""
ASK_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=3)

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


class Refused(Exception):  # noqa: N818 - said to people as it is
    """The gateway said no; the message says why and what to do."""


class NoAnswer(Exception):  # noqa: N818 - a state of the world, not a fault of ours
    """No gateway answers at this address."""


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
        settings = load_settings({name: value for name, value in os.environ.items() if name not in CLIENT_VARIABLES})
        token = known_admin_token(settings)
    except SettingsError as wrong:
        return _say(f"{len(wrong.faults)} of the settings are wrong:\n{wrong}", 2)
    except OSError as problem:
        return _say(
            f"The admin token cannot be read: {problem}. Run this as the user that runs the gateway, or set "
            "PACELINE_ADMIN_TOKEN.",
            2,
        )
    if token is None:
        return _say(
            f"There is no admin token: PACELINE_ADMIN_TOKEN is not set, and {settings.data_dir / ADMIN_TOKEN_FILE} does not "
            "exist. `paceline run` makes it at its first start; for a gateway elsewhere, set PACELINE_ADMIN_TOKEN to its token.",
            2,
        )
    url = (args.url or os.environ.get("PACELINE_URL") or _own_url(settings)).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return _say(f"{url!r} is not the address of a gateway: give one such as http://127.0.0.1:8080", 2)
    try:
        asyncio.run(_show(url, token, args))
    except Refused as refused:
        return _say(str(refused), 1)
    except NoAnswer as away:
        return _say(str(away), 3)
    return 0


async def _show(url: str, token: str, args: argparse.Namespace) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    asked = {"order": args.order, "limit": str(args.limit)}
    async with aiohttp.ClientSession(timeout=ASK_TIMEOUT) as client:
        seen = await ask(client, url, token, asked)
        _print(console, seen, as_json=args.json)
        while args.watch is not None:
            await asyncio.sleep(args.watch)
            try:
                seen = await ask(client, url, token, asked)
            except NoAnswer as away:
                # A gateway that restarts is what one watches for: say so and go on.
                print(away, file=sys.stderr)
                continue
            if console.is_terminal and not args.json:
                console.clear()
            _print(console, seen, as_json=args.json)


async def ask(client: aiohttp.ClientSession, url: str, token: str, asked: dict[str, str]) -> SocketsNow:
    """One answer of `GET /v1/operations/sockets`. Raises Refused and NoAnswer."""
    try:
        async with client.get(
            f"{url}/v1/operations/sockets", params=asked, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            status, body = answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
        why = (os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else "") or type(cause).__name__
        raise NoAnswer(
            f"No gateway answers at {url} ({why}). Start one with `paceline run`, or name another with --url."
        ) from problem
    try:
        if status == 200:
            return msgspec.json.decode(body, type=SocketsNow)
        problem_body = msgspec.json.decode(body, type=ProblemBody)
    except msgspec.DecodeError as strange:
        raise Refused(
            f"{url} answered {status} with something that is not Paceline's: is this the address of a gateway?"
        ) from strange
    if status == 401:
        raise Refused(
            f"{url} does not know this admin token. It was started with another PACELINE_ADMIN_TOKEN or another data folder; "
            "set PACELINE_ADMIN_TOKEN to the one it uses."
        )
    raise Refused(f"{url} refuses: {problem_body.detail} ({problem_body.code})")


def _print(console: Console, seen: SocketsNow, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(seen).decode(), flush=True)
    else:
        show(console, seen)


def _own_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port or 8080}"


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
