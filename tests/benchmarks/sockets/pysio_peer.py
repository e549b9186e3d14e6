"""python-socketio as its manual has it, or tuned as far as its options go.

Default: `AsyncServer` on aiohttp and uvloop, every option as it comes, and one emit per sample. Tuned: rare collection of
garbage, orjson, WebSocket only, no task per event, no transport upgrades, no monitor of its clients, and boards batched by the
application on a beat of their own. Both check the token as Paceline does.
"""

import asyncio
import gc
from typing import Any, Final

import orjson
import socketio  # type: ignore[import-untyped]
import uvloop
from aiohttp import web

from realtime.wire import NAMESPACE
from services.kernel.problems import Problem
from tests.benchmarks.sockets.job import Board, Job, Taken, checked, job, ready, room_of, row, stored, told

GC_THRESHOLD: Final = (100_000, 50, 100)


class _Orjson:
    """The `json` that python-socketio asks for."""

    @staticmethod
    def dumps(value: Any, *_: Any, **__: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, *_: Any, **__: Any) -> Any:
        return orjson.loads(text)


class Peer:
    """The server and its handlers."""

    def __init__(self, this: Job) -> None:
        self._job: Final = this
        options: dict[str, Any] = {"async_mode": "aiohttp", "ping_interval": this.ping_s}
        if this.tuned:
            options |= {
                "json": _Orjson,
                "transports": ["websocket"],
                "allow_upgrades": False,
                "async_handlers": False,
                "monitor_clients": False,
                "http_compression": False,
                "cors_allowed_origins": "*",
            }
        if this.redis:
            options["client_manager"] = socketio.AsyncRedisManager(this.redis)
        self.server: Final = socketio.AsyncServer(**options)
        self._identify: Final = this.identify()
        self._boards: Final[dict[str, Board]] = {}
        self._room_of: Final[dict[str, str]] = {}
        self.server.on("connect", self._connect, namespace=NAMESPACE)
        self.server.on("disconnect", self._disconnect, namespace=NAMESPACE)
        self.server.on("room.join", self._join, namespace=NAMESPACE)
        self.server.on("stream.samples", self._samples, namespace=NAMESPACE)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        try:
            self._identify(auth["token"])
        except Problem as problem:
            raise socketio.exceptions.ConnectionRefusedError(problem.message) from problem

    async def _disconnect(self, sid: str, reason: str) -> None:
        self._room_of.pop(sid, None)

    async def _join(self, sid: str, payload: Any) -> dict[str, Any]:
        room = room_of(payload["code"])
        self._boards.setdefault(room, Board(room))
        self._room_of[sid] = room
        await self.server.enter_room(sid, room, namespace=NAMESPACE)
        return {"ok": {}}

    async def _samples(self, sid: str, payload: Any) -> dict[str, Any] | None:
        taken = checked(payload)
        if self._job.is_ingest:
            return stored(taken)
        room = self._room_of[sid]
        if self._job.is_board:
            await self._on_board(room, taken)
        else:
            await self.server.emit("stream.taken", told(taken), room=room, namespace=NAMESPACE)
        return None

    async def _on_board(self, room: str, taken: Taken) -> None:
        board = self._boards[room]
        if self._job.tuned:
            board.rows.append(row(taken))
        else:
            await self.server.emit("board.changes", board.changes([row(taken)]), room=room, namespace=NAMESPACE)

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(self._job.beat_s)
            for room, board in self._boards.items():
                if (changes := board.beat()) is not None:
                    await self.server.emit("board.changes", changes, room=room, namespace=NAMESPACE)


async def main() -> None:
    this = job()
    peer = Peer(this)
    app = web.Application()
    peer.server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", this.port, backlog=1024).start()
    if this.tuned:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
    ready()
    await peer.beat()


if __name__ == "__main__":
    uvloop.run(main())
