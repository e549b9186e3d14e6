"""Plain aiohttp: its WebSocketResponse and nothing on top, one `send_str` per member and event."""

from typing import Final

import uvloop
from aiohttp import WSMsgType, web

from tests.benchmarks.sockets.bare import Bare
from tests.benchmarks.sockets.job import Job, job, ready


class Peer:
    """`send_str` is a coroutine that waits only for a reader who is behind, which no client of the benchmark is: it is stepped in
    place, without a task."""

    def __init__(self, this: Job) -> None:
        self.bare: Final = Bare[web.WebSocketResponse](this, self._send)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.bare.opened(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.bare.received(socket, message.data)
        finally:
            self.bare.closed(socket)
        return socket

    def _send(self, socket: web.WebSocketResponse, text: str) -> None:
        sending = socket.send_str(text)
        try:
            sending.send(None)
        except StopIteration:
            return
        # It waits for the reader. The rest of it cannot be stepped from outside: its bytes are with the transport already.
        sending.close()


async def main() -> None:
    this = job()
    peer = Peer(this)
    app = web.Application()
    app.router.add_get("/socket.io/", peer.serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", this.port, backlog=1024).start()
    ready()
    await peer.bare.ping()


if __name__ == "__main__":
    uvloop.run(main())
