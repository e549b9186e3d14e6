"""Plain picows: a WebSocket library in Cython, the practical ceiling of Python on a transport of its own."""

from typing import Any, Final

import uvloop
from picows import (  # type: ignore[import-not-found]
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from tests.benchmarks.sockets.bare import Bare
from tests.benchmarks.sockets.job import job, ready


class _Client(WSListener):  # type: ignore[misc]
    def __init__(self, bare: Bare[Any]) -> None:
        self._bare: Final = bare
        self._transport: Any = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._bare.opened(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._bare.received(transport, frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._bare.closed(transport)


def _send(transport: Any, text: str) -> None:
    transport.send(WSMsgType.TEXT, text.encode())


async def main() -> None:
    this = job()
    bare = Bare[Any](this, _send)

    def listener(_request: WSUpgradeRequest) -> _Client:
        return _Client(bare)

    server = await ws_create_server(listener, "127.0.0.1", this.port, backlog=1024)
    async with server:
        ready()
        await bare.ping()


if __name__ == "__main__":
    uvloop.run(main())
