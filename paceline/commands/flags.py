"""`paceline flags`: what can be switched off for everybody, while everything runs."""

import argparse
from collections.abc import Sequence
from textwrap import fill

from paceline.kept import tell
from paceline.operating_user import this_user
from paceline.settings import Settings
from persistence.stores import Transactions
from services.flags.flag import FLAGS
from services.flags.flags import READ_EVERY_S, Flags, FlagView
from services.flags.switches import Switches
from services.kernel.clock import Clock, utc

DESCRIPTION = f"""
Shows the flags, and sets them. Every process reads them each {READ_EVERY_S:g} s, so nothing has to be restarted; what is set holds
until it is set otherwise, and stands in the audit with the reason. `unset` is on again.

With the local PostgreSQL, stop `paceline run` first: it serves one process at a time. While it runs, use the page /admin.
"""
EPILOG = """
examples:
  paceline flags list
  paceline flags set registering off "somebody registers by the thousand"
  paceline flags unset registering "it is over"
"""
LONGEST_REASON = 200


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    command = commands.add_parser(
        "flags",
        help="switch something off for everybody while it runs, and on again",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = command.add_subparsers(dest="act", metavar="ACT", required=True)
    acts.add_parser("list", help="show them all, and what happens while one is off")
    put = acts.add_parser("set", help="switch one off, or on")
    put.add_argument("name", choices=tuple(FLAGS), help="which")
    put.add_argument("to", choices=("on", "off"), help="how it is to stand")
    put.add_argument("reason", type=_reason, help="why, in quotes; kept in the audit")
    unset = acts.add_parser("unset", help="let one stand as it does by itself")
    unset.add_argument("name", choices=tuple(FLAGS), help="which")
    unset.add_argument("reason", type=_reason, help="why, in quotes; kept in the audit")


def run(args: argparse.Namespace) -> int:
    """Do it and say how it is then; 0 when that worked."""

    async def work(_: Settings, transactions: Transactions, clock: Clock) -> str:
        flags = Flags(transactions, Switches(), clock)
        if args.act == "set":
            await flags.set(this_user(), args.name, on=args.to == "on", reason=args.reason)
        elif args.act == "unset":
            await flags.unset(this_user(), args.name, reason=args.reason)
        return _told(await flags.all())

    return tell(work)


def _told(flags: Sequence[FlagView]) -> str:
    lines = []
    for flag in flags:
        lines.append(f"{flag.name:<18} {'on' if flag.on else 'OFF'}{_why(flag)}")
        lines.append(fill(f"while off: {flag.off}", 118, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def _why(flag: FlagView) -> str:
    if flag.set_at_ms is None:
        return ""
    by = f" by {flag.set_by}" if flag.set_by else ""
    return f", set{by} on {utc(flag.set_at_ms):%Y-%m-%d %H:%M:%S} UTC: {flag.reason}"


def _reason(text: str) -> str:
    if not 3 <= len(text.strip()) <= LONGEST_REASON:
        raise argparse.ArgumentTypeError(f"say why, in 3 to {LONGEST_REASON} characters")
    return text.strip()
