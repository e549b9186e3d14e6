"""`paceline`: one command line for running, checking, migrating, replaying.

`python -m paceline COMMAND` is the same as the installed `paceline COMMAND`. Exit codes: 0 done, 1 it did not work, 2 the
call, the settings or the input are wrong, 3 the server did not answer, 130 interrupted.
"""

import argparse
import importlib
import keyword
import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Final

from paceline.logs import only_warnings

COMMANDS: Final = (
    "run", "check", "sockets", "schedule", "tasks", "migrate", "account", "organisation", "keys", "flags", "audit", "activity",
    "announce",
    "deliveries", "notify", "replay", "challenge", "class",
)  # fmt: skip
"""Each is a module in paceline/commands/; the order is that of the help."""

EPILOG: Final = """
first steps:
  paceline run                                  everything in one process, with a live demo class
  paceline replay morning-run.fit               stream a recording into a class of its own
  paceline replay *.fit --class ABC234          several recordings as several athletes of a live class
  paceline check                                what the environment says, and every fault in it
  paceline notify test --email you@example.org  whether mail, push and SMS are set up
  paceline sockets --watch                      the slowest connections of a running gateway, again and again
  paceline tasks list                           the queues of durable tasks, and what was given up
  paceline schedule                             what is done by the clock, and how the last time went
  paceline challenge derive 0199…               the table of a challenge, made again from its score log
  paceline class replay K7TQXW                  a class plays again; with --check, is it what was shown?

Options come from the environment; `paceline check` lists them all with what they are set to.
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="paceline",
        description="Realtime coaching backend: live heart-rate streams, class boards, durable workouts.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        _command(name).add_parser(commands)
    return top


def _command(name: str) -> ModuleType:
    """The module of a command. One that is a word of Python has a line behind it."""
    return importlib.import_module(f"paceline.commands.{name}{'_' if keyword.iskeyword(name) else ''}")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    # Only the named command is imported when there is one: `paceline run` should not wait for the FIT reader.
    if arguments and arguments[0] in COMMANDS:
        module = _command(arguments[0])
        top = argparse.ArgumentParser(prog="paceline")
        module.add_parser(top.add_subparsers(dest="command"))
    else:
        top = parser()
    args = top.parse_args(arguments)
    command = _command(args.command)
    # `run` sets its logs up by its settings; what the others print is for people and pipes.
    quietly = nullcontext() if args.command == "run" else only_warnings()
    try:
        with quietly:
            code: int = command.run(args)
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
