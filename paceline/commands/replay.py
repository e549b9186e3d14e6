"""`paceline replay`: recordings of watches and straps, streamed into a live class over the public protocol."""

import argparse
import asyncio
import contextlib
import getpass
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from rich.console import Console

from loadtest.api import Api, Refusal, ServerAway
from loadtest.patience import PATIENCE_S, OutOfPatience
from loadtest.progress import reporter
from loadtest.replay import Login, Outcome, Replay, Result, Source
from loadtest.report import show_class, show_workout
from services.training.recordings import MAX_BYTES, RecordingError, read_recording, to_samples

DEFAULT_URL: Final = "http://127.0.0.1:8080"

DESCRIPTION: Final = """
Streams recordings into a class as if each were a device on a wrist: it joins with a code, sends every sample at its
own time, keeps it until the server says that it is stored, and goes on where it was after a lost connection or a
restarted server.

Reads FIT, TCX and GPX with heart rate, Polar HRM, plain RR lists (one interval in ms per line), event logs and day curves;
the format is told by the content. Several files at once are several athletes. At the end each gets a summary.
"""

EPILOG: Final = """
examples:
  paceline replay morning-run.fit
        in real time, into a class made for it; the address to watch is printed
  paceline replay ride.gpx run.tcx --speed 10 --class K7TQXW
        two athletes at ten times the speed, in the class with this code
  paceline replay strap.hrm --speed max --json
        as fast as the server stores it; the result as JSON on standard output
  paceline replay run.tcx --speed max --profile sex=female --profile mass_kg=62 --profile birth_date=1990-05-01
        with what TRIMP and energy need to be computed
  paceline replay cut-off.fit --keep-going
        a damaged file: stream what was whole, say what was not
  PACELINE_PASSWORD=… paceline replay run.fit --account me@example.com
        into an account that exists (asks for the password when the variable is not set)

exit codes:
  0  every recording was streamed and stored (with --keep-going: all that could be read)
  1  the server refused something, or a recording was not stored completely
  2  the call is wrong, or a file cannot be read (nothing was sent)
  3  the server did not answer for as long as --patience
  130  interrupted; what had been sent was finished first (interrupt again to leave at once)
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "replay",
        help="stream recordings (FIT, TCX, GPX, HRM, RR) into a live class",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a recording; each is an athlete of its own"
    )
    command.add_argument(
        "--class", dest="code", metavar="CODE", help="join code of the class (default: make one and end it)"
    )
    command.add_argument(
        "--speed",
        type=speed_of,
        default=1.0,
        metavar="1|10|max",
        help="1 is real time, 10 ten times as fast, max as fast as the server stores (default: 1)",
    )
    command.add_argument(
        "--account",
        action="append",
        default=[],
        metavar="EMAIL",
        help="stream as this account instead of a throw-away one; once per FILE, in the same order",
    )
    command.add_argument(
        "--profile",
        action="append",
        default=[],
        type=profile_of,
        metavar="KEY=VALUE",
        help="who the throw-away athletes are: sex, birth_date, mass_kg, max_hr, rest_hr (may be given several times)",
    )
    command.add_argument("--keep-going", action="store_true", help="stream what is whole of damaged files")
    command.add_argument(
        "--verify", action="store_true", help="read the stored samples back at the end and compare them with those sent"
    )
    command.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    command.add_argument(
        "--url",
        default=os.environ.get("PACELINE_URL", DEFAULT_URL),
        help=f"address of the server (default: PACELINE_URL, else {DEFAULT_URL})",
    )
    command.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_S,
        metavar="SECONDS",
        help=f"how long to wait for a server that does not answer (default: {PATIENCE_S:.0f})",
    )


def speed_of(text: str) -> float:
    """A speed from the command line: a factor above 0, or `max` (infinite)."""
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: give 1, 10, another factor above 0, or max")
    return speed


def profile_of(text: str) -> tuple[str, str | float]:
    """One thing known of an athlete, `KEY=VALUE`; the server judges the value."""
    key, equals, value = text.partition("=")
    if key in {"sex", "birth_date"} and value:
        return key, value
    try:
        if equals and key in {"mass_kg", "max_hr", "rest_hr"}:
            return key, float(value) if key == "mass_kg" else int(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {key} is a number") from error
    raise argparse.ArgumentTypeError(
        f"{text!r} is no KEY=VALUE with a key of sex, birth_date (2001-12-31), mass_kg, max_hr, rest_hr"
    )


class Unusable(Exception):  # noqa: N818 - said to people as it is
    """The call cannot be carried out; the message says why and what to do."""


def run(args: argparse.Namespace) -> int:
    """Stream the files; returns the exit code."""
    try:
        if args.profile and args.account:
            raise Unusable("--profile describes throw-away athletes; an account of --account has its own profile")  # noqa: TRY301
        if urlsplit(args.url).scheme not in {"http", "https"} or not urlsplit(args.url).hostname:
            raise Unusable(f"--url {args.url} is no address: it begins with http:// or https://")  # noqa: TRY301
        logins = _logins(args.account, len(args.files))
        sources = _sources(args.files, logins, keep_going=args.keep_going)
    except Unusable as problem:
        print(f"paceline replay: {problem}", file=sys.stderr)
        return 2
    try:
        result, interrupted = asyncio.run(_replay(args, sources))
    except OutOfPatience as problem:
        print(f"paceline replay: {args.url}: {problem}", file=sys.stderr)
        return 3
    except (Refusal, ServerAway) as problem:
        print(f"paceline replay: {args.url}: {problem}", file=sys.stderr)
        return 1
    if args.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    else:
        _show(result)
    for outcome in result.outcomes:
        complaint = _complaint(outcome)
        if complaint:
            print(f"paceline replay: {outcome.name}: {complaint}", file=sys.stderr)
    return 130 if interrupted else max(map(_code_of, result.outcomes))


async def _replay(args: argparse.Namespace, sources: Sequence[Source]) -> tuple[Result, bool]:
    """Run it; the first interrupt finishes what was sent, the second leaves."""
    with reporter() as report:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            api = Api(http, args.url, patience_s=args.patience, tell=report.say)
            replay = Replay(
                api, report, code=args.code, speed=args.speed, verify=args.verify, profile=dict(args.profile)
            )
            loop = asyncio.get_running_loop()

            def interrupt() -> None:
                replay.stop.set()
                report.say("interrupted: finishing what was sent (interrupt again to leave at once)")
                loop.remove_signal_handler(signal.SIGINT)

            with contextlib.suppress(NotImplementedError):  # no signal handlers in this loop: Ctrl-C just ends it
                loop.add_signal_handler(signal.SIGINT, interrupt)
            return await replay.run(sources), replay.stop.is_set()


def _logins(emails: Sequence[str], files: int) -> list[Login | None]:
    if not emails:
        return [None] * files
    if len(emails) != files:
        raise Unusable(
            f"{files} files and {len(emails)} accounts: give --account once per file, in the same order, "
            "because one person cannot be two athletes of a class"
        )
    if len(set(emails)) != len(emails):
        raise Unusable("the same account twice: one person cannot be two athletes of a class")
    password = os.environ.get("PACELINE_PASSWORD")
    return [Login(email, password or getpass.getpass(f"Password of {email}: ")) for email in emails]


def _sources(files: Sequence[Path], logins: Sequence[Login | None], *, keep_going: bool) -> list[Source]:
    """The recordings, read. Without `keep_going` the first that is damaged ends it; with it, whatever is whole is used."""
    sources: list[Source] = []
    names: dict[str, int] = {}
    for path, login in zip(files, logins, strict=True):
        try:
            source = _source(path, login, keep_going=keep_going)
        except (RecordingError, OSError) as problem:
            text = str(problem) if isinstance(problem, RecordingError) else f"{path}: {problem.strerror or problem}"
            if not keep_going:
                raise Unusable(text) from problem
            print(f"skipped: {text}", file=sys.stderr)
            continue
        names[source.name] = names.get(source.name, 0) + 1
        if names[source.name] > 1:
            source = msgspec.structs.replace(source, name=f"{source.name} {names[source.name]}")
        sources.append(source)
    if not sources:
        raise Unusable("none of the files holds anything that can be streamed")
    return sources


def _source(path: Path, login: Login | None, *, keep_going: bool) -> Source:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)  # one byte more than is allowed, so that the reader refuses it by its size
    recording = read_recording(data, path.name, keep_going=keep_going)
    if recording.damage is not None:
        print(
            f"{path.name}: damaged at {recording.damage}; the {len(recording.points)} points that are whole are streamed",
            file=sys.stderr,
        )
    return Source(path.stem[:60] or "athlete", recording, to_samples(recording), login)


def _show(result: Result) -> None:
    console = Console(highlight=False)
    for outcome in result.outcomes:
        if outcome.summary is not None:
            show_workout(console, outcome.name, outcome.summary)
        if outcome.same:
            console.print(f"{outcome.name}: all {outcome.stored} stored samples equal those sent", markup=False)
    if result.final is not None:
        show_class(console, result.final)


def _complaint(outcome: Outcome) -> str | None:
    if outcome.same is False:
        return "the stored samples differ from those sent"
    if outcome.ending == "finished":
        return None
    return f"{outcome.why or outcome.ending} ({outcome.stored} of {outcome.samples} samples are stored)"


def _code_of(outcome: Outcome) -> int:
    if outcome.ending == "server_away":
        return 3
    return 0 if outcome.ending == "finished" and outcome.same is not False else 1
