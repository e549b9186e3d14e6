"""The peer: what one writes after an evening with the python-socketio manual. Stock `AsyncServer`, aiohttp, uvloop.

It does the two jobs that can be compared: hold connections in a namespace, and emit a board to a room some times a
second. It does nothing else that Paceline does: no tokens, no samples, no ranking, no storing, no other nodes, no bound on
a slow reader's queue. The board it emits is made once, not each time, and is of the size and form of ours. All that is in
its favour.

    python -m tests.benchmarks.peer --port 9000

Commands on standard input: `emit HZ BYTES` emits a board of about so many bytes so many times a second, `quiet` stops it. It prints
`ready` when it listens, and ends with its input.
"""

import argparse
import asyncio
import sys
from typing import Any, Final

import socketio  # type: ignore[import-untyped]
import uvloop
from aiohttp import web

from realtime.wire import NAMESPACE
from tests.benchmarks.board import EVENT, board

ROOM: Final = "board"


class Peer:
    """The server and its one loop."""

    def __init__(self) -> None:
        self.server = socketio.AsyncServer(async_mode="aiohttp")
        self.app = web.Application()
        self.server.attach(self.app)
        self.server.on("connect", self._connected, namespace=NAMESPACE)
        self._emitting: asyncio.Task[None] | None = None

    async def _connected(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        await self.server.enter_room(sid, ROOM, namespace=NAMESPACE)

    def obey(self, command: str) -> None:
        """One line of standard input. Raises ValueError for what is no command."""
        if self._emitting is not None:
            self._emitting.cancel()
            self._emitting = None
        match command.split():
            case ["emit", hz, size]:
                self._emitting = asyncio.create_task(self._emit(float(hz), board(int(size))), name="emit")
            case ["quiet"] | []:
                pass
            case _:
                raise ValueError(f"{command!r} is no command: say `emit HZ BYTES` or `quiet`")

    async def _emit(self, hz: float, payload: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.server.emit(EVENT, payload, room=ROOM, namespace=NAMESPACE)
            due += 1 / hz
            await asyncio.sleep(max(0.0, due - loop.time()))


async def _main(port: int) -> None:
    peer = Peer()
    runner = web.AppRunner(peer.app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        peer.obey(line)
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peer", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback")
    uvloop.run(_main(parser.parse_args().port))
