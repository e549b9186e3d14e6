"""Many connections that only listen, to Paceline or to the peer: the same client code, the same frames counted.

A few connections are opened and `warm` is told, so that caches and lazy imports are not charged to the first real connection.
Then it obeys lines on standard input: `grow` opens the rest and tells `holding`; `listen SECONDS` tells `listening`, counts what
arrives for so long, and tells `heard` with the count. With `--feeders` a class is watched in which so many athletes send 1 Hz
meanwhile.
"""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from loadtest.api import Api, Grant
from loadtest.client import display_tokens, open_client
from loadtest.link import Link
from loadtest.scenarios.crew import (
    Person,
    add_target,
    allow_many_sockets,
    make_class,
    open_api,
    refuse_remote,
    register,
    run,
    tell,
)
from loadtest.scenarios.marked import marked_sample
from loadtest.stream import DeviceStream
from loadtest.tokens import Tokens

WARM: Final = 20
WAVE: Final = 50
ENTER_AT_ONCE: Final = 10


class Heard(msgspec.Struct, frozen=True):
    """What `listeners` received in `seconds`: `frames` in all, `frame_bytes` on average; `lost` connections were opened anew."""

    listeners: int
    seconds: float
    frames: int
    frame_bytes: int
    lost: int


class Audience:
    """The listeners, and the athletes they watch if any."""

    def __init__(self, api: Api, stack: AsyncExitStack) -> None:
        self._api = api
        self._stack = stack
        self._links: list[Link] = []
        self._feeds: list[DeviceStream] = []
        self._sent = 0
        self._code: str | None = None
        self._tokens: Tokens | None = None
        self._frames = 0
        self._bytes = 0

    async def at_peer(self) -> None:
        """The peer wants no token."""

        async def same(grant: Grant) -> Grant:
            return grant

        self._tokens = Tokens(self._api.clock, Grant(access_token="none", expires_in_s=86_400), same)

    async def at_home(self) -> None:
        """Everybody is the same account, in no room."""
        (person,) = await register(self._api, 1, "Idle")
        self._tokens = person.tokens(self._api)

    async def at_class(self, feeders: int) -> None:
        """Everybody is a big screen of a class with so many athletes."""
        _, room = await make_class(self._api, "Audience")
        people = await register(self._api, feeders, "Feeder")
        self._code, self._tokens = room.code, await display_tokens(self._api, room.code)
        gate = asyncio.Semaphore(ENTER_AT_ONCE)

        async def enter(person: Person) -> None:
            async with gate:
                client = await self._stack.enter_async_context(open_client(self._api, person.tokens(self._api)))
                await client.join(room.code)
                stream = await self._stack.enter_async_context(client.open_stream(class_code=room.code))
                await stream.wait_opened()
                self._feeds.append(stream)

        await asyncio.gather(*map(enter, people))

    async def grow(self, count: int) -> None:
        """Open connections until there are `count`, in waves."""
        while (missing := count - len(self._links)) > 0:
            await asyncio.gather(*(self._one() for _ in range(min(WAVE, missing))))

    async def _one(self) -> None:
        assert self._tokens is not None
        client = await self._stack.enter_async_context(open_client(self._api, self._tokens))
        client.link.on_raw("board.changes", self._on_board)
        client.link.on_raw("board.snapshot", self._on_board)
        await client.link.opened()
        if self._code is not None:
            await client.join(self._code, "spectator")
        self._links.append(client.link)

    async def listen(self, seconds: int) -> Heard:
        """Count what arrives; the athletes send meanwhile."""
        self._frames = self._bytes = 0
        tell("listening", seconds=seconds)
        began = time.monotonic()
        if self._feeds:
            await self._feed(began, seconds)
        await asyncio.sleep(began + seconds - time.monotonic())
        return Heard(
            listeners=len(self._links),
            seconds=round(time.monotonic() - began, 3),
            frames=self._frames,
            frame_bytes=self._bytes // max(1, self._frames),
            lost=sum(link.connection != 1 for link in self._links),
        )

    async def _feed(self, began: float, seconds: int) -> None:
        """One sample per second and athlete, the athletes spread evenly over the second."""
        for second in range(seconds):
            for place, feed in enumerate(self._feeds):
                await asyncio.sleep(began + second + place / len(self._feeds) - time.monotonic())
                await feed.append(marked_sample(place, self._sent + second))
        self._sent += seconds

    def _on_board(self, frame: bytes) -> None:
        self._frames += 1
        self._bytes += len(frame)


async def _main(args: argparse.Namespace) -> int:
    allow_many_sockets(args.listeners + args.feeders)
    async with open_api(args.url) as api, AsyncExitStack() as stack:
        audience = Audience(api, stack)
        if args.peer:
            await audience.at_peer()
        elif args.feeders:
            await audience.at_class(args.feeders)
        else:
            await audience.at_home()
        await audience.grow(WARM)
        tell("warm")
        while command := (await asyncio.to_thread(sys.stdin.readline)).split():
            if command[0] == "grow":
                await audience.grow(WARM + args.listeners)
                tell("holding")
            else:
                heard = await audience.listen(int(command[1]))
                sys.stdout.buffer.write(msgspec.json.encode({"phase": "heard", "result": heard}) + b"\n")
                sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.audience", description=__doc__)
    parser.add_argument("--listeners", type=int, required=True, help=f"connections, {WARM} more to warm up")
    parser.add_argument("--feeders", type=int, default=0, help="athletes in the class they watch; 0: no class")
    parser.add_argument("--peer", action="store_true", help="the server is the peer, not Paceline")
    add_target(parser)
    arguments = parser.parse_args()
    refuse_remote(arguments.url, allowed=arguments.allow_remote)
    sys.exit(run(_main(arguments)))
