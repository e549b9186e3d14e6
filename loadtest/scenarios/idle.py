"""Connections that do nothing: what one costs the gateway is for the runner to read while they are held.

All belong to one account, are inside the namespace and answer pings; with `--room` they watch a class in which
nothing happens. They are opened in waves, then `{"phase":"holding"}` is printed, and they are held for
`--seconds`, or until standard input is closed when that is 0. The gateway must let one account have so many:
PACELINE_MAX_CONNECTIONS_PER_ACCOUNT=0.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack

import msgspec

from loadtest.client import open_client
from loadtest.link import Link
from loadtest.scenarios.crew import (
    add_target,
    allow_many_sockets,
    make_class,
    open_api,
    refuse_remote,
    register,
    run,
    tell,
    tell_result,
)

WAVE = 50


class Idle(msgspec.Struct, frozen=True):
    """The result: how many were opened, in what time, and how many were still the first connection at the end."""

    connections: int
    opened_in_seconds: float
    held_seconds: float
    lost: int


async def measure(url: str, *, connections: int, seconds: float, room: bool) -> Idle:
    """Open them, hold them, let them go."""
    allow_many_sockets(connections)
    async with open_api(url) as api, AsyncExitStack() as stack:
        (person,) = await register(api, 1, "Idle")
        code = (await make_class(api, "Idle room"))[1].code if room else None
        links: list[Link] = []
        began = time.monotonic()

        async def one() -> None:
            client = await stack.enter_async_context(open_client(api, person.tokens(api)))
            await client.link.opened()
            if code is not None:
                await client.join(code, "spectator")
            links.append(client.link)

        for done in range(0, connections, WAVE):
            await asyncio.gather(*(one() for _ in range(min(WAVE, connections - done))))
        opened_in = time.monotonic() - began
        tell("holding", connections=len(links))
        held_from = time.monotonic()
        if seconds:
            await asyncio.sleep(seconds)
        else:
            await asyncio.to_thread(sys.stdin.read)
        return Idle(
            connections=len(links),
            opened_in_seconds=round(opened_in, 2),
            held_seconds=round(time.monotonic() - held_from, 1),
            lost=sum(link.connection != 1 for link in links),
        )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser(prog="python -m loadtest.scenarios.idle", description=__doc__)
    command.add_argument("--connections", type=int, default=500, help="how many (default: 500)")
    command.add_argument("--seconds", type=float, default=30, help="how long to hold them, 0: until end of input")
    command.add_argument("--room", action="store_true", help="let them watch a class")
    add_target(command)
    return command


async def _main(args: argparse.Namespace) -> int:
    result = await measure(args.url, connections=args.connections, seconds=args.seconds, room=args.room)
    tell_result(result)
    return 1 if result.lost else 0


if __name__ == "__main__":
    arguments = parser().parse_args()
    refuse_remote(arguments.url, allowed=arguments.allow_remote)
    sys.exit(run(_main(arguments)))
